"""The exporter about itself: its build, its configuration, its process."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from raptor_exporter import __version__

__all__ = ["BuildCollector", "ConfigCollector", "process_collectors", "revision"]


def revision() -> str:
    """The source revision that an image was built from, if its builder said so."""
    return os.environ.get("RAPTOR_REVISION", "") or "unknown"


class BuildCollector:
    """What is running."""

    def collect(self) -> Iterable[Metric]:
        """One sample of value 1."""
        family = GaugeMetricFamily(
            "raptor_exporter_build_info",
            "What is running; always 1.",
            labels=["version", "python_version", "revision"],
        )
        family.add_metric([__version__, platform.python_version(), revision()], 1)
        yield family


class ConfigCollector:
    """How reading the configuration went."""

    def __init__(self, successful: Callable[[], bool], loaded_at: Callable[[], float]) -> None:
        self._successful = successful
        self._loaded_at = loaded_at

    def collect(self) -> Iterable[Metric]:
        """Both from the start on: the process doesn't start with a wrong configuration."""
        yield GaugeMetricFamily(
            "raptor_config_last_reload_successful",
            "1 if the configuration was good when it was last read.",
            value=float(self._successful()),
        )
        yield GaugeMetricFamily(
            "raptor_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read.",
            value=self._loaded_at(),
        )


def process_collectors() -> list[ProcessCollector | PlatformCollector | GCCollector]:
    """``process_*`` and ``python_*`` as the client library has them, on no registry."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    return [
        ProcessCollector(registry=registry),
        PlatformCollector(registry=registry),
        GCCollector(registry=registry),
    ]

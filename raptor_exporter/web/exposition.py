"""The exposition, with an error boundary around every collector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import CollectorRegistry

from raptor_exporter.web.negotiate import OPENMETRICS, TEXT, Format
from raptor_exporter.web.view import Collector

logger = logging.getLogger(__name__)

_EOF = b"# EOF\n"


class Exposition:
    """Writes what collectors say. One that raises blanks only itself, is logged and counted."""

    def __init__(self, collectors: Callable[[], Sequence[Collector]]) -> None:
        self._collectors = collectors
        self._errors: dict[str, int] = {}

    def render(self, fmt: Format = TEXT) -> bytes:
        """The exposition in one format."""
        generate = generate_openmetrics if fmt is OPENMETRICS else generate_text
        parts = []
        collectors = self._collectors()
        for collector in collectors:
            name = type(collector).__name__
            errors = self._errors.setdefault(name, 0)
            try:
                # Rendered one by one: a sample that can't be written fails only here, too.
                parts.append(generate(_One(collector.collect())).removesuffix(_EOF))
            except Exception:  # the one error boundary of a collector
                logger.exception("a collector failed, its metrics are missing", extra={"collector": name})
                self._errors[name] = errors + 1
        parts.append(generate(_One([self._error_counts()])).removesuffix(_EOF))
        if fmt is OPENMETRICS:
            parts.append(_EOF)
        return b"".join(parts)

    def _error_counts(self) -> Metric:
        family = CounterMetricFamily(
            "raptor_exporter_collector_errors",
            "Collectors that failed while metrics were gathered; theirs are missing from the exposition",
            labels=["collector"],
        )
        for name, count in sorted(self._errors.items()):
            family.add_metric([name], count)
        return family


class _One(CollectorRegistry):
    """The families of one collector, gathered before the first of them is written."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families

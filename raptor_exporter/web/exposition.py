"""The exposition, with an error boundary around every collector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Sample

from raptor_exporter.web.negotiate import OPENMETRICS, TEXT, Format
from raptor_exporter.web.view import Collector

logger = logging.getLogger(__name__)

_EOF = b"# EOF\n"


class _Written(NamedTuple):
    """A family as it was when it was last written, and what was written."""

    documentation: str
    kind: str
    samples: tuple[Sample, ...]
    text: bytes


class Exposition:
    """Writes what collectors say. One that raises blanks only itself, is logged and counted.

    Most families are the same from scrape to scrape. Comparing them is many times faster than writing
    them, so each is written anew only when it has changed.
    """

    def __init__(self, collectors: Callable[[], Sequence[Collector]]) -> None:
        self._collectors = collectors
        self._errors: dict[str, int] = {}
        self._written: dict[tuple[Format, str], _Written] = {}

    def render(self, fmt: Format = TEXT) -> bytes:
        """The exposition in one format."""
        parts: list[bytes] = []
        for collector in self._collectors():
            name = type(collector).__name__
            errors = self._errors.setdefault(name, 0)
            try:
                # Everything is written before any of it counts: no collector is there by half.
                parts += [self._write(fmt, family) for family in collector.collect()]
            except Exception:  # the one error boundary of a collector
                logger.exception("a collector failed, its metrics are missing", extra={"collector": name})
                self._errors[name] = errors + 1
        parts.append(self._write(fmt, collector_errors(self._errors)))
        if fmt is OPENMETRICS:
            parts.append(_EOF)
        return b"".join(parts)

    def _write(self, fmt: Format, family: Metric) -> bytes:
        before = self._written.get((fmt, family.name))
        samples = tuple(family.samples)
        if before is not None and before[:3] == (family.documentation, family.type, samples):
            return before.text
        generate = generate_openmetrics if fmt is OPENMETRICS else generate_text
        text = generate(_One(family)).removesuffix(_EOF)
        self._written[fmt, family.name] = _Written(family.documentation, family.type, samples, text)
        return text


def collector_errors(counts: Mapping[str, int]) -> Metric:
    """How often each collector has failed."""
    family = CounterMetricFamily(
        "raptor_exporter_collector_errors",
        "Collectors that failed while metrics were gathered; theirs are missing from the exposition.",
        labels=["collector"],
    )
    for name, count in sorted(counts.items()):
        family.add_metric([name], count)
    return family


class _One(CollectorRegistry):
    """A registry of a single family."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return (self._family,)

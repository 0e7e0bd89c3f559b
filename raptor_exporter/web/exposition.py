"""The exposition, with an error boundary around every collector."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import CollectorRegistry

from raptor_exporter.web.negotiate import GZIP, OPENMETRICS, TEXT, Format
from raptor_exporter.web.view import Collector

logger = logging.getLogger(__name__)

_EOF = b"# EOF\n"
_GZIP_LEVEL = 4  # a third of the time of the default, a tenth more bytes


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


class SharedExposition:
    """Renders in a thread, once for all clients that wait for the same format and encoding.

    A request that arrives while a rendering runs waits for the next one, so that nobody gets figures
    from before they asked, and a crowd of clients costs no more than two.
    """

    def __init__(self, exposition: Exposition, executor: Executor) -> None:
        self._exposition = exposition
        self._executor = executor
        self._next: dict[tuple[Format, str], asyncio.Task[bytes]] = {}
        self._turn = asyncio.Lock()

    async def get(self, fmt: Format, encoding: str) -> bytes:
        """The body for one client."""
        key = (fmt, encoding)
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._render(key))
        return await asyncio.shield(task)

    async def _render(self, key: tuple[Format, str]) -> bytes:
        async with self._turn:
            del self._next[key]  # whoever comes from here on needs newer figures
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._write, *key)

    def _write(self, fmt: Format, encoding: str) -> bytes:
        body = self._exposition.render(fmt)
        return gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0) if encoding == GZIP else body

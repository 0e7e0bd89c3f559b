"""The probe loop: asks every browser of the last snapshot, on an interval."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from raptor_exporter.cleanup.clock import boot_time
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.config import ProbeConfig
from raptor_exporter.metrics.histogram import Durations
from raptor_exporter.probe import ProbeHistory, probe_endpoints
from raptor_exporter.stores.base import Snapshot

logger = logging.getLogger(__name__)

_FRESH_INTERVALS = 3  # as with the refresh


class Prober:
    """Keeps what the last full probe found.

    Attributes:
        probes: by endpoint; None before the first full probe, and where nothing is probed.
        sessions: how many sessions the last full probe found in each state.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot | None], clock: Callable[[], float] = boot_time
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._fresh_until = 0.0  # on that clock
        self._config: ProbeConfig | None = None
        self._history = ProbeHistory()
        self._changed = asyncio.Event()
        self.durations = Durations()
        self.probes: Probes | None = None
        self.sessions: Counter[EndpointState] = Counter()

    @property
    def fresh(self) -> Probes | None:
        """What may be decided by: the same as ``probes``, but None once it is long out of date.

        After a suspend, or where probing fails, "unreachable since" would go on growing by itself
        while browsers come back unseen.
        """
        return self.probes if self._clock() < self._fresh_until else None

    @property
    def configured(self) -> bool:
        """Whether endpoints are probed at all."""
        return self._config is not None

    def set_config(self, config: ProbeConfig | None) -> None:
        """Take a new configuration; a changed one begins with a new probe."""
        if config != self._config:
            self._config = config
            if config is None:
                self._history, self.probes = ProbeHistory(), None
                self.sessions = Counter()
            self._changed.set()

    async def loop(self, after_probe: Callable[[], None]) -> None:
        """Probe on the interval, for ever."""
        while True:
            self._changed.clear()
            config = self._config
            if config is not None:
                try:
                    if await self._probe(config):
                        after_probe()
                except Exception:  # the error boundary of the probe loop
                    logger.exception("probing failed")
            snapshot = self._snapshot()
            waiting = config is not None and (snapshot is None or not snapshot.wanted.endpoints)
            pause = 0.2 if waiting else None if config is None else config.interval
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except TimeoutError:
                continue

    async def _probe(self, config: ProbeConfig) -> bool:
        snapshot = self._snapshot()
        if snapshot is None or not snapshot.wanted.endpoints:
            return False  # the snapshot with whole endpoints is still to come
        started, at = time.monotonic(), time.time()
        # As many as there are sessions: each counts, also where they share a browser.
        endpoints = Counter(r.endpoint for r in snapshot.records.values() if r.endpoint is not None)
        results = await probe_endpoints(
            endpoints,
            timeout=config.timeout,
            concurrency=config.concurrency,
            allowed_hosts=config.allowed_hosts,
        )
        if config is not self._config:
            return False  # a reload came meanwhile; what was found may not be asked for any more
        self.probes = self._history.record(results, at)
        self.sessions = Counter()
        for endpoint, sessions in endpoints.items():
            self.sessions[results[endpoint].state] += sessions
        duration = time.monotonic() - started
        self.durations.observe(duration)
        self._fresh_until = self._clock() + _FRESH_INTERVALS * (config.interval + duration)
        return True

"""``raptor_sessions*``, the trash and the store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from raptor_exporter.metrics.figures import StoreFigures
from raptor_exporter.stores.base import Snapshot

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
IDLE_BOUNDS = (
    5 * MINUTE,
    15 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    3 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
)


class SessionCollector:
    """The sessions and the trash, as the last refresh saw them. Nothing here walks the store."""

    def __init__(self, snapshot: Callable[[], Snapshot | None]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Nothing before the first refresh."""
        snapshot = self._snapshot()
        if snapshot is None:
            return
        totals = snapshot.totals
        sessions = GaugeMetricFamily(
            "raptor_sessions", "Session files by state; their sum is the session count.", labels=["state"]
        )
        for state, count in totals.states.items():
            sessions.add_metric([state], count)
        yield sessions
        browsers = GaugeMetricFamily(
            "raptor_sessions_by_browser", "Valid sessions by type of browser.", labels=["browser_type"]
        )
        for browser_type, count in totals.browsers.items():
            browsers.add_metric([browser_type], count)
        yield browsers
        invalid = GaugeMetricFamily(
            "raptor_sessions_invalid",
            "Invalid sessions by the first check that they fail.",
            labels=["reason"],
        )
        for reason, count in totals.reasons.items():
            invalid.add_metric([reason], count)
        yield invalid
        yield GaugeMetricFamily("raptor_session_storage_bytes", "Bytes in session files.", value=totals.bytes)
        yield self._idle(snapshot)
        if totals.accesses:
            yield GaugeMetricFamily(
                "raptor_session_oldest_access_timestamp_seconds",
                "Last access of the valid session that was not accessed for longest.",
                value=totals.accesses[0],
            )
        if snapshot.trash_sessions is not None:
            yield GaugeMetricFamily(
                "raptor_trash_sessions",
                "Deleted sessions that can be restored.",
                value=snapshot.trash_sessions,
            )
        if snapshot.trash_bytes is not None:
            yield GaugeMetricFamily(
                "raptor_trash_bytes",
                "Bytes of deleted sessions that can be restored.",
                value=snapshot.trash_bytes,
            )

    def _idle(self, snapshot: Snapshot) -> Metric:
        accesses = snapshot.totals.accesses
        total, now = len(accesses), snapshot.taken_at
        buckets = [(str(bound), float(total - bisect_left(accesses, now - bound))) for bound in IDLE_BOUNDS]
        family = GaugeHistogramMetricFamily(
            "raptor_session_idle_seconds", "Time since the last access of the valid sessions."
        )
        idle = max(0.0, now * total - snapshot.totals.access_sum)
        family.add_metric([], [*buckets, ("+Inf", float(total))], idle)
        return family


class StoreCollector:
    """How the store answers."""

    def __init__(
        self, figures: StoreFigures, is_up: Callable[[], bool], is_writable: Callable[[], bool]
    ) -> None:
        self._figures = figures
        self._is_up = is_up
        self._is_writable = is_writable

    def collect(self) -> Iterable[Metric]:
        """Everything from the start on; the timestamp once there was a good refresh."""
        figures = self._figures
        yield GaugeMetricFamily(
            "raptor_store_up",
            "1 if the last refresh worked and is less than 3 intervals old.",
            value=float(self._is_up()),
        )
        yield GaugeMetricFamily(
            "raptor_store_writable",
            "1 if this process may delete sessions, as far as permissions tell.",
            value=float(self._is_writable()),
        )
        yield HistogramMetricFamily(
            "raptor_store_refresh_duration_seconds",
            "How long refreshes took.",
            buckets=figures.durations.buckets(),
            sum_value=figures.durations.sum,
        )
        yield CounterMetricFamily(
            "raptor_store_refresh_errors", "Refreshes that failed.", value=figures.errors
        )
        if figures.last_refresh is not None:
            yield GaugeMetricFamily(
                "raptor_store_last_refresh_timestamp_seconds",
                "The last good refresh: the age of every figure about sessions.",
                value=figures.last_refresh,
            )

"""``raptor_session_endpoints`` and how long probing takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.metrics.histogram import Durations


class ProbeCollector:
    """What the last probe found. Nothing where endpoints are not probed."""

    def __init__(
        self, sessions: Callable[[], Mapping[EndpointState, int] | None], durations: Durations
    ) -> None:
        self._sessions = sessions
        self._durations = durations

    def collect(self) -> Iterable[Metric]:
        """Fresh families, at 0 before the first probe."""
        counts = self._sessions()
        if counts is None:
            return
        endpoints = GaugeMetricFamily(
            "raptor_session_endpoints",
            "Sessions by what the last probe found of their browsers.",
            labels=["result"],
        )
        for state in EndpointState:
            endpoints.add_metric([str(state)], counts.get(state, 0))
        yield endpoints
        yield HistogramMetricFamily(
            "raptor_probe_duration_seconds",
            "How long it took to probe all endpoints.",
            buckets=self._durations.buckets(),
            sum_value=self._durations.sum,
        )

"""``raptor_session_endpoints`` and how long probing takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.metrics.histogram import Durations


class ProbeCollector:
    """What the last probe found. Nothing where endpoints are not probed."""

    def __init__(self, probes: Callable[[], Probes | None], durations: Durations) -> None:
        self._probes = probes
        self._durations = durations

    def collect(self) -> Iterable[Metric]:
        """Fresh families, at 0 before the first probe."""
        probes = self._probes()
        if probes is None:
            return
        counts = Counter(known.state for known in probes.values())
        endpoints = GaugeMetricFamily(
            "raptor_session_endpoints",
            "Browsers of sessions by the result of the last probe.",
            labels=["result"],
        )
        for state in EndpointState:
            endpoints.add_metric([str(state)], counts[state])
        yield endpoints
        yield HistogramMetricFamily(
            "raptor_probe_duration_seconds",
            "How long it took to probe all endpoints.",
            buckets=self._durations.buckets(),
            sum_value=self._durations.sum,
        )

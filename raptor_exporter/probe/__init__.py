"""Is an endpoint alive, and is it still the same browser? Plain HTTP, no Playwright."""

from __future__ import annotations

from raptor_exporter.probe.history import ProbeHistory
from raptor_exporter.probe.prober import CONCURRENCY, TIMEOUT, probe_endpoint, probe_endpoints
from raptor_exporter.probe.result import ProbeKind, ProbeResult

__all__ = [
    "CONCURRENCY",
    "TIMEOUT",
    "ProbeHistory",
    "ProbeKind",
    "ProbeResult",
    "probe_endpoint",
    "probe_endpoints",
]

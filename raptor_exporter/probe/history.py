"""Since when endpoints have been unreachable, over the probes of an agent's life."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from raptor_exporter.cleanup.policy import EndpointState, Probed
from raptor_exporter.probe.result import ProbeResult
from raptor_exporter.session import Endpoint


class ProbeHistory:
    """Keeps the first failed probe in a row of each endpoint that the last pass asked.

    Anything but ``unreachable`` ends the row: a browser that may have lived meanwhile gets the
    whole time again.
    """

    def __init__(self) -> None:
        self._probes: Mapping[Endpoint, Probed] = MappingProxyType({})

    @property
    def probes(self) -> Mapping[Endpoint, Probed]:
        """What the last pass knows; immutable, so plans may hold on to it."""
        return self._probes

    def record(self, results: Mapping[Endpoint, ProbeResult], at: float) -> Mapping[Endpoint, Probed]:
        """Take in a whole pass that began at ``at`` (POSIX seconds); endpoints not in it are forgotten."""
        probes: dict[Endpoint, Probed] = {}
        for endpoint, result in results.items():
            before = self._probes.get(endpoint)
            since = None
            if result.state is EndpointState.UNREACHABLE:
                since = at if before is None or before.unreachable_since is None else before.unreachable_since
            probes[endpoint] = Probed(result.state, since)
        self._probes = MappingProxyType(probes)
        return self._probes

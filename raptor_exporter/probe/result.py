"""What asking an endpoint can come to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from raptor_exporter.cleanup.policy import EndpointState


class ProbeKind(StrEnum):
    """Why an endpoint counts as reachable, unreachable or unknown."""

    ALIVE = "alive"
    REFUSED = "refused"
    OTHER_BROWSER = "other_browser"
    HUNG = "hung"
    GARBAGE = "garbage"
    UNTRUSTED = "untrusted"  # its TLS certificate is not good
    NOT_ALLOWED = "not_allowed"
    NOT_RESOLVED = "not_resolved"
    FAILED = "failed"  # the network or this machine, which says nothing of the browser


_STATES = {
    ProbeKind.ALIVE: EndpointState.REACHABLE,
    ProbeKind.REFUSED: EndpointState.UNREACHABLE,
    ProbeKind.OTHER_BROWSER: EndpointState.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was found at an endpoint; ``detail`` says it to a person and never holds a CDP URL."""

    kind: ProbeKind
    detail: str

    @property
    def state(self) -> EndpointState:
        """What policies see: everything that doesn't prove the browser gone is unknown."""
        return _STATES.get(self.kind, EndpointState.UNKNOWN)

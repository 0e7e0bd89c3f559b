"""What the HTTP face needs to know of the agent, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client.metrics_core import Metric

from raptor_exporter.cleanup.plan import Plan
from raptor_exporter.cleanup.policy import Probed
from raptor_exporter.config import Config
from raptor_exporter.session import Endpoint
from raptor_exporter.stores.base import Snapshot


@dataclass(frozen=True, slots=True)
class Build:
    """What is running."""

    version: str
    revision: str
    python_version: str


@dataclass(frozen=True, slots=True)
class ConfigState:
    """Where the configuration came from and how its last reading went. Times in POSIX seconds."""

    file: str | None  # None: the built-in policies
    loaded_at: float  # of the configuration in force
    errors: tuple[str, ...] = ()  # of the last reading; empty: it is the one in force


@dataclass(frozen=True, slots=True)
class StoreState:
    """How the store is. ``error`` is that of the last refresh, if it failed."""

    place: str
    up: bool
    error: str | None = None
    warnings: tuple[str, ...] = ()  # what an operator should mend, with the remedy


@dataclass(frozen=True, slots=True)
class PolicyState:
    """Where a policy stands in its life. Times in POSIX seconds; None: not yet."""

    running: bool = False
    last_run: float | None = None
    last_success: float | None = None
    last_outcome: str | None = None  # success, refused, error
    last_detail: str | None = None  # why it was refused or failed
    next_run: float | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as the journal has it; totals only."""

    run: str
    policy: str
    mode: str
    at: float  # POSIX seconds
    outcome: str
    deleted: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    detail: str | None = None


class Collector(Protocol):
    """A source of metric families, as the client library's registry takes it."""

    def collect(self) -> Iterable[Metric]:
        """Fresh families; called from a thread."""
        ...


class AgentView(Protocol):
    """The agent as its HTTP face sees it. Properties answer at once, from memory, in the loop's thread."""

    @property
    def build(self) -> Build:
        """What is running."""
        ...

    @property
    def started_at(self) -> float:
        """POSIX seconds."""
        ...

    @property
    def healthy(self) -> bool:
        """The process works: its loops are alive."""
        ...

    @property
    def ready(self) -> bool:
        """A first refresh is in."""
        ...

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    @property
    def config_state(self) -> ConfigState:
        """How reading it went."""
        ...

    @property
    def store_state(self) -> StoreState:
        """How the store is."""
        ...

    @property
    def snapshot(self) -> Snapshot | None:
        """The last good refresh."""
        ...

    @property
    def plan(self) -> Plan | None:
        """What all policies would do with that snapshot."""
        ...

    @property
    def probes(self) -> Mapping[Endpoint, Probed]:
        """What the last probe found."""
        ...

    @property
    def policy_states(self) -> Mapping[str, PolicyState]:
        """By policy name."""
        ...

    @property
    def runs(self) -> Sequence[RunSummary]:
        """The last runs from the journal, the newest first."""
        ...

    @property
    def collectors(self) -> Sequence[Collector]:
        """In the order of the exposition."""
        ...

    def metadata(self, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Whole metadata of sessions, as far as it can be read now; called from a thread, and may wait.

        What is missing is shown with what the snapshot has: the keys that policies ask for.
        """
        ...

    async def reload(self) -> list[str]:
        """Read the configuration again; returns its errors, empty when it is in force."""
        ...

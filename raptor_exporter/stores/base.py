"""What stores give and take: the snapshot of a refresh, what a run chose and did."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec

from raptor_exporter.session import BROWSER_TYPES, REASONS, STATES, VALID
from raptor_exporter.stores.record import Identity, Record

StoreId = tuple[int, ...]  # of a directory its device and inode


class Wanted(NamedTuple):
    """What a refresh has to read beyond the fields that everybody needs."""

    keys: frozenset[str] = frozenset()  # metadata keys
    endpoints: bool = False  # whole endpoints, to probe them

    def covers(self, other: Wanted) -> bool:
        """Whether all that the other asks for is read too."""
        return self.keys >= other.keys and self.endpoints >= other.endpoints


@dataclass(frozen=True)
class Totals:
    """The figures of a snapshot that do not move with time."""

    states: Mapping[str, int]
    reasons: Mapping[str, int]
    browsers: Mapping[str, int]  # valid sessions
    bytes: int
    accesses: array[float]  # last accesses of the valid sessions, sorted; POSIX seconds
    access_sum: float


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment. Immutable; scrapes, pages and plans read the last one."""

    records: Mapping[str, Record]
    taken_at: float  # POSIX seconds, when the refresh began
    store_id: StoreId  # changes when another store stands at the same place
    wanted: Wanted
    trash_sessions: int | None = 0  # None: the trash couldn't be looked at
    trash_bytes: int | None = 0

    @cached_property
    def totals(self) -> Totals:
        """Counts, bytes and last accesses, computed at the first use."""
        states = dict.fromkeys(STATES, 0)
        reasons = dict.fromkeys(REASONS, 0)
        browsers = dict.fromkeys(BROWSER_TYPES, 0)
        size = 0
        accesses = []
        for record in self.records.values():
            states[record.state] += 1
            size += record.size
            if record.state == VALID:
                browsers[record.browser_type] += 1  # type: ignore[index]  # checked when valid
                accesses.append(record.rank)
            elif record.reason is not None:
                reasons[record.reason] += 1
        accesses.sort()
        return Totals(states, reasons, browsers, size, array("d", accesses), sum(accesses))


DELETED = "deleted"
SKIPPED = "skipped"  # changed since it was chosen, so spared
GONE = "gone"  # somebody else deleted it
SUPERSEDED = "superseded"  # claimed, found changed, and a newer file has its name: kept in the trash
FAILED = "failed"


class RunHeader(msgspec.Struct, frozen=True):
    """What a run writes into the trash before it touches anything."""

    run: str
    policy: str
    mode: str
    at: float  # POSIX seconds


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """One session that a run is to delete, and why."""

    name: str
    identity: Identity
    reason: str
    detail: str


class FinishedRun(NamedTuple):
    """A run that had crashed, and what became of its sessions."""

    header: RunHeader
    chosen: Mapping[str, Chosen]
    outcomes: Sequence[Outcome]


class Outcome(NamedTuple):
    """What became of one chosen session."""

    name: str
    result: str  # one of the five above
    error: str | None = None


class Trashed(NamedTuple):
    """One session in the trash."""

    name: str
    run: str
    policy: str
    reason: str
    detail: str
    deleted_at: float  # POSIX seconds
    size: int  # bytes
    session_id: str | None = None  # only where it was asked for


class Emptied(NamedTuple):
    """What an emptying did."""

    sessions: int = 0
    bytes: int = 0
    put_back: int = 0
    left: int = 0  # due, but they can't be deleted now, or another process is at work on them


class Restored(NamedTuple):
    """What came back from the trash, and what did not, each with the reason."""

    names: list[str]
    conflicts: list[str]

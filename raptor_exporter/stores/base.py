"""What a store of sessions is, and the snapshot that a refresh of it gives.

The protocol assumes neither a directory nor a single process: a store lists its sessions with an
identity each, and every change names the identity that it was decided on.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import msgspec

from raptor_exporter.session import BROWSER_TYPES, REASONS, STATES, VALID, Endpoint, State


class Identity(NamedTuple):
    """Which very file, in which very state, a decision was made on."""

    inode: int
    mtime_ns: int
    size: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One session as the last refresh saw it: some 0.4 KB each, so that a million fit."""

    name: str  # the stem of its file
    inode: int
    mtime_ns: int
    size: int  # bytes
    stamp: int  # changes whenever the file must be read again; 0: at the next refresh in any case
    state: State
    reason: str | None  # of an invalid session
    accessed: float | None  # POSIX seconds
    created: float | None  # POSIX seconds
    browser_type: str | None
    endpoint: Endpoint | None  # path is empty unless the refresh was asked for endpoints
    metadata: Mapping[str, str]  # only the keys that the refresh was asked for

    @property
    def identity(self) -> Identity:
        """What a deletion must find again."""
        return Identity(self.inode, self.mtime_ns, self.size)

    @property
    def modified(self) -> float:
        """POSIX seconds of the last change of the file."""
        return self.mtime_ns / 1e9

    @property
    def rank(self) -> float:
        """Where the session stands among its neighbours: last access, of invalid ones mtime."""
        return self.accessed if self.state is VALID and self.accessed is not None else self.modified


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
    store_id: tuple[int, ...]  # changes when another store stands at the same place
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


class Outcome(NamedTuple):
    """What became of one chosen session."""

    name: str
    result: str  # deleted, skipped, gone, superseded, failed
    error: str | None = None


class Store(Protocol):
    """Where sessions live. Methods block; the agent calls them from a thread.

    Every method raises StoreError when the store as a whole can't be used.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    def refresh(self, previous: Snapshot | None, wanted: Wanted) -> Snapshot:
        """List everything, reading only what changed since ``previous``."""
        ...

    def find(self, name: str) -> str | None:
        """The stem of the session that a name means, or None.

        The file whose stem it is, else the one at its safe name if that holds this session_id.
        """
        ...

    def read(self, stem: str) -> bytes | None:
        """The bytes of a session file; None if there is none. Raises UnreadableSession."""
        ...

    def stems(self) -> list[str]:
        """The stems of all session files, sorted."""
        ...

    def usage(self) -> tuple[int, int]:
        """Number of session files and their bytes."""
        ...

    def save(self, session_name: str, fields: Mapping[str, Any]) -> str:
        """Create or replace a session; returns its stem. Raises SessionConflict, UnsafeName.

        Other keys of a file that is there are kept, as are its mode and owner.
        """
        ...

    def touch(self, stem: str) -> bool:
        """Move the file's mtime to now, so that a cleanup in flight spares it. False: not there."""
        ...

    def mark_accessed(self, stem: str, when: float) -> bool:
        """Move ``last_accessed`` forward to ``when`` (POSIX seconds), keeping everything else.

        False if the session is not there any more. Raises SessionConflict if the file can't be
        rewritten with its mode and owner.
        """
        ...

    def delete(self, stem: str) -> bool:
        """Delete one session for good. False if there is none. Raises UnreadableSession."""
        ...

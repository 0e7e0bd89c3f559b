"""What a store of sessions must do, whatever it is made of.

It assumes neither a directory nor a single process: a store lists its sessions with an identity each,
and every change names the identity that it was decided on. Nothing above this room reaches a session
in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import Any, Protocol

from raptor_exporter.stores.access import Access
from raptor_exporter.stores.base import (
    Chosen,
    Emptied,
    FinishedRun,
    Outcome,
    Restored,
    RunHeader,
    Snapshot,
    StoreId,
    Trashed,
    Wanted,
)
from raptor_exporter.stores.record import Identity


class Store(Protocol):
    """Where sessions live. Methods block; the agent calls them from a thread.

    Every method raises StoreError when the store as a whole can't be used.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def timezone(self) -> tzinfo | None:
        """Of naive timestamps; None: local time."""
        ...

    @property
    def trash(self) -> Trash:
        """Where every deletion goes first."""
        ...

    @property
    def journal(self) -> Journal:
        """What was done to the store, and why."""
        ...

    def access(self, snapshot: Snapshot) -> Access:
        """What this process may do with the store, and what an operator should mend."""
        ...

    def identify(self, stem: str) -> Identity | None:
        """The identity that a deletion of this session must find again; None if there is none."""
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


class Journal(Protocol):
    """What was done to a store and why, bounded in size."""

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add entries, whole or not at all as seen by a reader."""
        ...

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Every entry, the last one first; torn or foreign ones are passed over."""
        ...


class Run(Protocol):
    """A run at work."""

    @property
    def header(self) -> RunHeader:
        """What was written down before anything was touched."""
        ...

    def claim(self, chosen: Chosen) -> Outcome:
        """Move one session into the trash if it still is what was planned on. Any thread may call it."""
        ...


class Trash(Protocol):
    """Where every deletion goes first, and the way back."""

    def check_store(self, store_id: StoreId) -> None:
        """Refuse to work on another store than the one that was planned on. Raises StoreReplaced."""
        ...

    def run(
        self, policy: str, mode: str, at: float, chosen: Sequence[Chosen], store_id: StoreId
    ) -> AbstractContextManager[Run]:
        """A run that has written down what it chose; its outcomes are, when the block ends well."""
        ...

    def recover(self) -> list[FinishedRun]:
        """Finish the runs that crashed: verify each claimed session again."""
        ...

    def sessions(self) -> list[Trashed]:
        """Everything that can come back, oldest first."""
        ...

    def last(self, name: str) -> Trashed | None:
        """The last deleted session that a name means; None if there is none."""
        ...

    def restore(self, wanted: str) -> Restored:
        """Bring back a run's sessions, or the last deleted one of a name; never over a newer one.

        Raises:
            KeyError: neither a run nor a session in the trash has that name.
            SessionConflict: a session of that name is in the store, or it can't be had now; nothing
                was changed.
        """
        ...

    def empty(self, *, now: float, retain: float | None = None, max_bytes: int | None = None) -> Emptied:
        """Delete for good: all, or what is older than ``retain`` seconds or over ``max_bytes``."""
        ...

"""Every error that a caller of this package can foresee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class SessionException(Exception):
    """An operation on one session failed; the message says what happened and what to do.

    Raised by every operation of the session managers. The cause, where there is one, is chained.

    Attributes:
        operation: name of the method that failed, such as ``restore_session``.
        session_id: the session name that was given, or None for operations on the whole store.
        context: what was known at the time; never a CDP URL.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        session_id: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.session_id = session_id
        self.context: dict[str, object] = dict(context or {})

    def __reduce__(self) -> tuple[object, ...]:
        # Test runners send exceptions between processes; keyword-only arguments need their own way.
        return (_rebuild, (self.message, self.operation, self.session_id, self.context))


def _rebuild(
    message: str, operation: str, session_id: str | None, context: dict[str, object]
) -> SessionException:
    return SessionException(message, operation=operation, session_id=session_id, context=context)


class UnsafeName(ValueError):
    """A session name has no safe file name."""


class StoreError(Exception):
    """The store as a whole can't be used now: missing, unreadable, replaced, not writable."""


class StoreReplaced(StoreError):
    """The store is not the one that the plan was made on: the run is refused."""


class SessionBusy(StoreError):
    """Another process held the store's lock for too long."""


class SessionConflict(StoreError):
    """The file is there and belongs to another session, or can't be replaced faithfully."""


class BrowserNotEnded(Exception):
    """A browser that was to end may still be there; the message says why and what to do."""


class UnreadableSession(StoreError):
    """A session file is there but can't be read now (permissions, I/O error, over 1 MiB)."""


class Problem(NamedTuple):
    """One thing that is wrong in a configuration file, at its place."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(Exception):
    """A configuration file is wrong. Holds every problem found, in the file's order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

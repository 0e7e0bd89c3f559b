"""One operation of a session manager: its log line, and the one exception that it fails with."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Self

from raptor_exporter.browser.problem import BrowserProblem, DriverError
from raptor_exporter.exceptions import (
    ConfigError,
    SessionException,
    StoreError,
    UnreadableSession,
    UnsafeName,
)
from raptor_exporter.manager.metadata import BadMetadata
from raptor_exporter.redact import redact
from raptor_exporter.session import NOT_FOUND, UNREADABLE

logger = logging.getLogger("raptor_exporter.manager")


class BadArgument(ValueError):
    """An argument has a value that the operation has no use for."""


_FORESEEN = (
    BadArgument,
    StoreError,
    UnsafeName,
    BadMetadata,
    ConfigError,
    BrowserProblem,
    DriverError,
    OSError,
)
_MAX_SHOWN = 120  # characters of a session name in a message


class InvalidSession(Exception):
    """A session file fails one of the checks, or isn't there."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "there is no session of that name: list_sessions() gives the names"
            if reason == NOT_FOUND
            else f"its file is invalid ({reason}): save it again"
        )
        self.reason = reason


class Operation:
    """The error boundary of one public method: what leaves it is a result or a SessionException.

    Args:
        name: the method's name.
        session_id: the session name that was given, if the method takes one.
        level: of the log line about a success.
    """

    def __init__(self, name: str, session_id: Any = None, *, level: int = logging.DEBUG) -> None:
        self._name = name
        self._session_id = session_id
        self._level = level
        self.context: dict[str, object] = {}
        self.outcome = "done"

    def __enter__(self) -> Self:
        return self

    def warn(self, text: str) -> None:
        """Tell the user something that is no failure; its URLs are cut already."""
        logger.warning("%s: %s", self._subject, text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            logger.log(self._level, "%s: %s", self._subject, self.outcome)
            return
        if not isinstance(error, Exception):
            logger.debug("%s: cancelled", self._subject)
            return
        failure = self._failure(error)
        foreseen = isinstance(error, (*_FORESEEN, InvalidSession, SessionException))
        # A mistake of ours is told with its traceback; what was foreseen, in a sentence.
        logger.error("%s", failure, exc_info=None if foreseen else error)
        if failure is not error:
            raise failure from error

    @property
    def _subject(self) -> str:
        if self._name == "__init__":
            return "SessionManager"
        return self._name if self._session_id is None else f"{self._name} {_shown(self._session_id)}"

    def _failure(self, error: Exception) -> SessionException:
        if isinstance(error, SessionException):
            return error
        context = dict(self.context)
        if isinstance(error, InvalidSession):
            context["reason"] = error.reason
        elif isinstance(error, UnreadableSession):
            context["reason"] = UNREADABLE
        elif isinstance(error, BrowserProblem):
            context["problem"] = str(error.trouble)
        return SessionException(
            redact(f"{self._subject}: {_words(error)}"),
            operation=self._name,
            session_id=self._session_id,
            context=context,
        )


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long; is the machine or the disk of the store very busy? Try again"
    if isinstance(error, (*_FORESEEN, InvalidSession)):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"

"""The operations of a session manager that need no browser: list, check, delete and clean up."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from raptor_exporter.cleanup import once
from raptor_exporter.cleanup.policy import DAY, NO_GUARDS, Rules
from raptor_exporter.config import Config, StoreConfig
from raptor_exporter.exceptions import StoreError, UnreadableSession
from raptor_exporter.manager.operation import BadArgument, Operation, logger
from raptor_exporter.session import (
    NOT_FOUND,
    UNREADABLE,
    SessionInfo,
    check,
    parse_object,
)
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.location import store_directory


class Bookkeeping:
    """Sessions in a store: list, check, delete and clean up."""

    def __init__(
        self,
        storage_dir: str | os.PathLike[str] | None = None,
        *,
        auto_cleanup_on_init: bool = False,
        max_age_days: float = 7,
    ) -> None:
        with Operation("__init__") as operation:
            self._max_age = _seconds(max_age_days)
            config = _configured(storage_dir)
            directory = Path(config.store.url).expanduser().absolute()
            self._store = FileStore(directory, timezone=config.store.timezone)
            self._rules = replace(config.rules, guards=NO_GUARDS)
            self._store.create()
            with self._store.opened():
                operation.outcome = f"store {directory}"
        if auto_cleanup_on_init:
            self._clean_up_at_start()

    @classmethod
    def of_store(cls, store: FileStore) -> Self:
        """A manager over a store that is open already; nothing is made or configured."""
        self = cls.__new__(cls)
        self._store = store
        self._rules = replace(Config().rules, guards=NO_GUARDS)
        return self

    def _clean_up_at_start(self) -> None:
        try:
            expired = self._clean(once.expired(self._rules, self._max_age))
            invalid = self._clean(once.invalid(self._rules))
        except StoreError as error:
            # Old sessions that stay a little longer are no reason not to start.
            logger.error("auto-cleanup failed: %s", error)  # foreseen, told in a sentence
        else:
            logger.info("auto-cleanup: %d expired and %d invalid sessions deleted", expired, invalid)

    # -- one session -----------------------------------------------------------------------------

    def check_session(self, name: str) -> str | None:
        """Why a session is not valid: one of the reasons, ``not_found`` or ``unreadable``; None if it is.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("check_session", name) as operation:
            reason = self._check(name)
            operation.outcome = reason or "valid"
        return reason

    def validate_session(self, name: str) -> bool:
        """Whether a session is there and passes the five checks.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("validate_session", name) as operation:
            reason = self._check(name)
            operation.outcome = reason or "valid"
        return reason is None

    def _check(self, name: str) -> str | None:
        try:
            data = self._read(name)
        except UnreadableSession:
            return UNREADABLE
        return NOT_FOUND if data is None else check(data, self._store.timezone).reason

    def _read(self, name: str) -> bytes | None:
        stem = self._find(name)
        return None if stem is None else self._store.read_settled(stem)

    def _find(self, name: object) -> str | None:
        return self._store.find(name) if isinstance(name, str) else None

    def get_session_info(self, name: str) -> SessionInfo | None:
        """The fields of a session; None if there is none, or none that they can be read from now.

        ``check_session`` tells these apart.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("get_session_info", name) as operation:
            try:
                info = _info_of(self._read(name))
            except UnreadableSession as error:
                info = None
                operation.warn(str(error))
            operation.outcome = "none" if info is None else "found"
        return info

    def delete_session(self, name: str) -> bool:
        """Delete a session for good and at once, not its browser. False if there is none.

        Raises:
            SessionException: the file can't be read or deleted now.
        """
        with Operation("delete_session", name, level=logging.INFO) as operation:
            stem = self._find(name)
            deleted = stem is not None and self._store.delete(stem)
            operation.outcome = "deleted" if deleted else "there is none"
        return deleted

    # -- all sessions ----------------------------------------------------------------------------

    def list_sessions(self) -> list[str]:
        """The names of all session files, valid or not, sorted.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("list_sessions") as operation:
            names = self._store.stems()
            operation.outcome = f"{len(names)} sessions"
        return names

    def get_session_count(self) -> int:
        """The number of session files.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("get_session_count") as operation:
            count = len(self._store.stems())  # without looking at each file
            operation.outcome = f"{count} sessions"
        return count

    def get_storage_size(self) -> int:
        """Bytes in session files.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("get_storage_size") as operation:
            _, size = self._store.usage()
            operation.outcome = f"{size} bytes"
        return size

    def get_storage_dir(self) -> Path:
        """The directory of the session files, absolute."""
        return self._store.path

    # -- cleanup ---------------------------------------------------------------------------------

    def cleanup_expired_sessions(self, max_age_days: float = 7) -> int:
        """Move sessions to the trash that were not accessed for so many days; returns how many.

        Corrupt files and invalid timestamps go too, since their age can't be told. What is overdue in
        the trash is deleted for good.

        Raises:
            SessionException: the number of days is none, or the store can't be used.
        """
        with Operation("cleanup_expired_sessions", level=logging.INFO) as operation:
            deleted = self._clean(once.expired(self._rules, _seconds(max_age_days)))
            operation.outcome = f"{deleted} deleted"
        return deleted

    def cleanup_invalid_sessions(self) -> int:
        """Move sessions to the trash that fail one of the five checks; returns how many.

        Files that can't be read now stay. What is overdue in the trash is deleted for good.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("cleanup_invalid_sessions", level=logging.INFO) as operation:
            deleted = self._clean(once.invalid(self._rules))
            operation.outcome = f"{deleted} deleted"
        return deleted

    def cleanup_all_sessions(self) -> int:
        """Delete all sessions for good and at once; returns how many.

        Files that can't be read now stay, with a warning.

        Raises:
            SessionException: the store can't be used.
        """
        with Operation("cleanup_all_sessions", level=logging.INFO) as operation:
            deleted = 0
            for stem in self._store.stems():
                try:
                    deleted += self._store.delete(stem)
                except UnreadableSession as error:
                    operation.warn(f"kept a file: {error}")
            operation.outcome = f"{deleted} deleted"
        return deleted

    def _clean(self, rules: Rules) -> int:
        deleted = 0
        # The operation has a line of its own about its success.
        for report in once.clean(self._store, rules, log_level=logging.DEBUG):
            deleted += report.deleted.total()
            if report.error is not None:
                raise StoreError(f"{deleted} sessions were deleted, then: {report.error}")
        return deleted


def _configured(storage_dir: str | os.PathLike[str] | None) -> Config:
    """Where the store is, by argument, RAPTOR_STORE, the file that RAPTOR_CONFIG names, or default.

    Only that file, if it is the one that decides, brings its time zone, protection and trash along.
    """
    given = os.fspath(storage_dir) if storage_dir is not None else os.environ.get("RAPTOR_STORE") or None
    if given is not None:
        try:
            return Config(store=StoreConfig(url=store_directory(os.fsdecode(given))))
        except ValueError as error:
            raise StoreError(f"the store {error}") from error
    file = os.environ.get("RAPTOR_CONFIG")
    if not file:
        return Config()
    from raptor_exporter.config import load_config

    return load_config(Path(file).expanduser())


_MOST_DAYS = 1e9  # nothing is as old


def _seconds(days: object) -> float:
    # Compared with itself and 0 alone: a whole number may be too large for a float.
    if isinstance(days, bool) or not isinstance(days, (int, float)) or days != days or days < 0:  # noqa: PLR0124
        raise BadArgument(f"max_age_days is {days!r}: give a number of days, 0 or more")
    return min(days, _MOST_DAYS) * DAY


def _info_of(data: bytes | None) -> SessionInfo | None:
    document = None if data is None else parse_object(data)
    if document is None:
        return None
    if not isinstance(document.get("metadata"), dict):
        document["metadata"] = {}
    try:
        return SessionInfo.from_dict(document)
    except ValueError:
        return None

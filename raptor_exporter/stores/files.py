"""The store in a directory: one JSON file a session."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from raptor_exporter.exceptions import SessionConflict, StoreError, UnreadableSession, UnsafeName
from raptor_exporter.names import SUFFIX, could_be_stem, is_session_file, safe_name
from raptor_exporter.session import (
    MAX_FILE_BYTES,
    check,
    format_timestamp,
    parse_object,
    parse_timestamp,
)
from raptor_exporter.stores import document, home, posix
from raptor_exporter.stores.access import Access, look_at_access
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.home import Permissions
from raptor_exporter.stores.journal import Journal
from raptor_exporter.stores.kinds import Kinds
from raptor_exporter.stores.record import Identity
from raptor_exporter.stores.replacing import replace_if_unchanged
from raptor_exporter.stores.scan import Scanner
from raptor_exporter.stores.trash import Trash

# Seconds that a program may take from the first to the last byte of a file that it writes in place.
_SETTLING = 0.1
_TRIES = 50  # how often a writer starts again when foreign writers keep changing the same file


class FileStore:
    """Sessions in a directory, shared with other processes and with other tools' writers.

    Args:
        path: the directory; ``~`` is expanded.
        timezone: of naive timestamps; None is local time.
        permissions: modes of what is made; by default from the environment.

    Every method opens the directory anew, so one that was mounted or replaced is found at once. All
    raise StoreError where the directory can't be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timezone: tzinfo | None = None,
        permissions: Permissions | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        self.timezone = timezone
        self.permissions = permissions or Permissions.from_environment()
        self.trash = Trash(self)
        self.journal = Journal(self)
        self._kinds = Kinds(Wanted())

    @property
    def place(self) -> str:
        """The directory's path."""
        return str(self.path)

    def create(self) -> None:
        """Make the directory and its parents, private, if it isn't there."""
        try:
            missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
            for path in reversed(missing):
                path.mkdir(mode=0o700, exist_ok=True)
                path.chmod(self.permissions.directory)
        except OSError as error:
            raise _store_error(self.path, error) from error

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the directory for the length of a block."""
        try:
            fd = os.open(self.path, posix.DIRECTORY_FLAGS)
        except OSError as error:
            raise _store_error(self.path, error) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[int]:
        """The directory's descriptor, for work that fails as a whole."""
        try:
            with self.opened() as directory:
                yield directory
        except OSError as error:
            raise _store_error(self.path, error) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """The directory's descriptor, with the store's lock held."""
        with self.opened() as directory, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(home.locked(directory, self.permissions, self.place))
            except OSError as error:
                raise _home_error(self.path / home.HOME, error) from error
            yield directory

    @contextlib.contextmanager
    def _writing(self) -> Iterator[int]:
        """The same, for work that fails as a whole."""
        try:
            with self.locked() as directory:
                yield directory
        except OSError as error:
            raise _store_error(self.path, error) from error

    # -- reading ---------------------------------------------------------------------------------

    def refresh(self, previous: Snapshot | None, wanted: Wanted) -> Snapshot:
        """List everything, reading only what changed since ``previous``."""
        taken_at = time.time()
        with self._reading() as directory:
            status = os.fstat(directory)
            store_id = (status.st_dev, status.st_ino)
            usable = previous is not None and (previous.store_id, previous.wanted) == (store_id, wanted)
            before = previous.records if previous is not None and usable else {}
            records = Scanner(directory, self._kinds_of(wanted), self.timezone).scan(before)
            trash = self.trash.usage(directory)
        sessions, size = (None, None) if trash is None else trash
        return Snapshot(records, taken_at, store_id, wanted, sessions, size)

    def _kinds_of(self, wanted: Wanted) -> Kinds:
        """The same as long as the same is wanted, so that a changed session shares with the others."""
        kinds = self._kinds
        if kinds.wanted != wanted:
            kinds = self._kinds = Kinds(wanted)
        return kinds

    def access(self, snapshot: Snapshot) -> Access:
        """What this process may do with the directory, and what an operator should mend."""
        return look_at_access(self.path, snapshot)

    def find(self, name: str) -> str | None:
        """The stem of the session that a name means, or None."""
        with self._reading() as directory:
            return self._find(directory, name)

    def _find(self, directory: int, name: str) -> str | None:
        if could_be_stem(name) and _is_regular(directory, name + SUFFIX):
            return name
        try:
            stem = safe_name(name)
        except UnsafeName:
            return None
        if stem == name or not _is_regular(directory, stem + SUFFIX):
            return None
        try:
            found = _read_settled(directory, stem)
        except UnreadableSession:
            return None
        return stem if found is not None and check(found.data).session_id == name else None

    def read_settled(self, stem: str) -> bytes | None:
        """The same as ``read``, but a moment later if another program is just writing the file in place."""
        with self._reading() as directory:
            found = _read_settled(directory, stem)
        return None if found is None else found.data

    def read(self, stem: str) -> bytes | None:
        """The bytes of a session file; None if there is none. Raises UnreadableSession."""
        with self._reading() as directory:
            found = _read(directory, stem)
        return None if found is None else found.data

    def identify(self, stem: str) -> Identity | None:
        """The identity that a deletion of this session must find again; None if there is none.

        Raises UnreadableSession.
        """
        with self._reading() as directory:
            try:
                status = _status(directory, stem + SUFFIX) if could_be_stem(stem) else None
            except OSError as error:
                raise UnreadableSession(f"{stem}{SUFFIX} can't be looked at now: {error.strerror}") from error
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        return Identity(status.st_ino, status.st_mtime_ns, status.st_size)

    def stems(self) -> list[str]:
        """The stems of all session files, sorted."""
        with self._reading() as directory, os.scandir(directory) as entries:
            return sorted(
                e.name[: -len(SUFFIX)]
                for e in entries
                if is_session_file(e.name) and e.is_file(follow_symlinks=False)
            )

    def usage(self) -> tuple[int, int]:
        """Number of session files and their bytes."""
        count = size = 0
        with self._reading() as directory, os.scandir(directory) as entries:
            for entry in entries:
                if is_session_file(entry.name) and entry.is_file(follow_symlinks=False):
                    count += 1
                    with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                        size += entry.stat(follow_symlinks=False).st_size
        return count, size

    # -- writing ---------------------------------------------------------------------------------

    def save(self, session_name: str, fields: Mapping[str, Any]) -> str:
        """Create or replace a session; returns its stem. Raises SessionConflict, UnsafeName."""
        safe = safe_name(session_name)
        with self._writing() as directory:
            for _ in range(_TRIES):
                stem = self._find(directory, session_name) or safe
                found = self._replaceable(directory, stem)
                kept = _members(stem, found) or {}
                owner = document.value(kept, "session_id")
                if isinstance(owner, str) and owner and owner != session_name:
                    message = (
                        f"{stem}{SUFFIX} belongs to the session {owner!r}: "
                        f"give this one another name, or delete that one first"
                    )
                    raise SessionConflict(message)
                if self._write(directory, stem, _rewritten(stem, kept, fields), found):
                    return stem
        raise SessionConflict(f"{safe}{SUFFIX} keeps being changed by another program: try again later")

    def touch(self, stem: str) -> bool:
        """Move the file's mtime to now, so that a cleanup in flight spares it. False: not there."""
        with self._reading() as directory:
            if not could_be_stem(stem) or not _is_regular(directory, stem + SUFFIX):
                return False
            try:
                os.utime(stem + SUFFIX, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise _conflict(stem, error) from error
        return True

    def mark_accessed(self, stem: str, when: float) -> bool:
        """Move ``last_accessed`` forward to ``when`` (POSIX seconds), keeping everything else."""
        with self._writing() as directory:
            for _ in range(_TRIES):
                found = _read_settled(directory, stem)
                kept = _members(stem, found)
                if kept is None:
                    return False
                if self._is_later(document.value(kept, "last_accessed"), when):
                    return True
                data = _rewritten(stem, kept, {"last_accessed": format_timestamp(when)})
                if self._write(directory, stem, data, found):
                    return True
        raise SessionConflict(f"{stem}{SUFFIX} keeps being changed by another program: try again later")

    def _is_later(self, written: object, when: float) -> bool:
        try:
            return isinstance(written, str) and parse_timestamp(written, self.timezone) >= when
        except ValueError:
            return False

    def _replaceable(self, directory: int, stem: str) -> _Found | None:
        """What a save is about to replace; None where the name is free."""
        found = _read_settled(directory, stem)
        if found is None and _status(directory, stem + SUFFIX) is not None:
            message = f"{stem}{SUFFIX} in the store is no regular file: move it away, or choose another name"
            raise SessionConflict(message)
        return found

    def _write(self, directory: int, stem: str, data: bytes, found: _Found | None) -> bool:
        """Replace the file that was read (or make a new one); False if it changed meanwhile.

        Temporary file, fsync, exchange, compare, fsync: a reader sees the old file or the new one,
        and a crash leaves one of them whole.
        """
        if len(data) > MAX_FILE_BYTES:
            size = f"{len(data):,} bytes, {MAX_FILE_BYTES:,} at most"
            raise SessionConflict(f"the session file would be too large ({size}): save less metadata")
        mode = self.permissions.file if found is None else stat.S_IMODE(found.status.st_mode)
        owner = None if found is None else (found.status.st_uid, found.status.st_gid)
        name = stem + SUFFIX
        try:
            with home.folder(directory, home.TEMPORARY, permissions=self.permissions) as temporary:
                home.remove_stale(temporary)
                new = home.write_temporary(temporary, data, mode, owner)
                if found is not None:
                    expected = Identity.of(found.status)
                    written = replace_if_unchanged(new, name, temporary, directory, expected)
                else:
                    written = _place_new(new, name, temporary, directory)
            posix.sync_folder(directory)
        except OSError as error:
            raise _conflict(stem, error) from error
        return written

    def delete(self, stem: str) -> bool:
        """Delete one session for good. False if there is none. Raises UnreadableSession."""
        with self._writing() as directory:
            if _read(directory, stem) is None:
                return False
            try:
                os.unlink(stem + SUFFIX, dir_fd=directory)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise _conflict(stem, error) from error
            posix.sync_folder(directory)
        return True


class _Found(NamedTuple):
    data: bytes
    status: os.stat_result


def _read(directory: int, stem: str) -> _Found | None:
    if not could_be_stem(stem):
        return None
    try:
        with posix.opened(stem + SUFFIX, posix.READ_FLAGS, dir_fd=directory) as fd:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            data = posix.read_up_to(fd, MAX_FILE_BYTES + 1, status.st_size)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symlink; a socket
            return None
        message = f"{stem}{SUFFIX} can't be read now: {error.strerror}"
        raise UnreadableSession(message) from error
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableSession(f"{stem}{SUFFIX} is over 1 MiB, too large for a session file")
    return _Found(data, status)


def _read_settled(directory: int, stem: str) -> _Found | None:
    """What a file holds, once another program that writes it in place has come to its end.

    Between its first and its last write the file is no JSON: it would pass for corrupt, and for nobody's.
    """
    deadline = time.monotonic() + _SETTLING
    while True:
        found = _read(directory, stem)
        if found is None or not _is_torn(found) or time.monotonic() >= deadline:
            return found
        time.sleep(0.005)


def _is_torn(found: _Found) -> bool:
    just_now = abs(time.time() - found.status.st_mtime) < _SETTLING
    return just_now and parse_object(found.data) is None


def _members(stem: str, found: _Found | None) -> document.Members | None:
    try:
        return None if found is None else document.members(found.data)
    except document.NotFaithful as error:
        raise SessionConflict(f"{stem}{SUFFIX} can't be rewritten as it is: {error}") from error


def _rewritten(stem: str, kept: document.Members, changes: Mapping[str, Any]) -> bytes:
    try:
        return document.rewritten(kept, changes)
    except document.NotFaithful as error:
        raise SessionConflict(f"{stem}{SUFFIX} can't be written as JSON: {error}") from error


def _place_new(new: str, name: str, temporary: int, directory: int) -> bool:
    """Give a temporary file a name that must be free; False if it isn't."""
    try:
        posix.rename_noreplace(new, name, temporary, directory)
    except OSError as error:
        os.unlink(new, dir_fd=temporary)
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _is_regular(directory: int, file_name: str) -> bool:
    status = _status(directory, file_name)
    return status is not None and stat.S_ISREG(status.st_mode)


def _status(directory: int, file_name: str) -> os.stat_result | None:
    try:
        return os.stat(file_name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _conflict(stem: str, error: OSError) -> SessionConflict:
    if error.errno == errno.EXDEV:
        return SessionConflict(f"{home.HOME} is on another file system than the sessions: keep them on one")
    if isinstance(error, PermissionError):
        return SessionConflict(
            f"{stem}{SUFFIX} can't be written with its mode and owner kept ({error.strerror}): "
            "run as its owner, or give this user write access"
        )
    return SessionConflict(f"{stem}{SUFFIX} can't be written: {error.strerror}")


def _home_error(path: Path, error: OSError) -> StoreError:
    if isinstance(error, NotADirectoryError):
        return StoreError(f"{path} is no directory of ours (a file or a link): move it away")
    return _store_error(path, error)


def _store_error(path: Path, error: OSError) -> StoreError:
    match error:
        case FileNotFoundError():
            remedy = "no such directory: make it, or name another store"
        case NotADirectoryError():
            remedy = "not a directory: name the directory that holds the session files"
        case PermissionError():
            remedy = f"permission denied for uid {os.geteuid()}: run as its owner or share it by group"
        case _:
            remedy = error.strerror or str(error)
    return StoreError(f"{path}: {remedy}")

"""The folder `.raptor` in a store: everything of ours that is no session."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from raptor_exporter.stores import posix

HOME = ".raptor"
TRASH = "trash"
TEMPORARY = "tmp"
LOCK = "lock"

_STALE_SECONDS = 3600.0  # no write of ours takes that long


@dataclass(frozen=True, slots=True)
class Permissions:
    """Modes of what is made: private, or shared with a group (``RAPTOR_GROUP_ACCESS=1``)."""

    file: int = 0o600
    directory: int = 0o700

    @classmethod
    def from_environment(cls) -> Permissions:
        """0600 and 0700, or 0660 and 2770 where ``RAPTOR_GROUP_ACCESS`` is 1."""
        if os.environ.get("RAPTOR_GROUP_ACCESS", "") in ("1", "true"):
            return cls(0o660, 0o2770)
        return cls()


@contextlib.contextmanager
def folder(store: int, *names: str, permissions: Permissions, create: bool = True) -> Iterator[int]:
    """A folder below `.raptor`, opened step by step so that no planted link leads elsewhere.

    Raises:
        OSError: it isn't there and wasn't to be made, or can't be.
    """
    current = store
    try:
        for name in (HOME, *names):
            below = posix.subdirectory(current, name, permissions.directory, create=create)
            if current != store:
                os.close(current)
            current = below
        yield current
    finally:
        if current != store:
            os.close(current)


@contextlib.contextmanager
def locked(store: int, permissions: Permissions, place: str) -> Iterator[None]:
    """Hold the store's lock: our own writers don't lose each other's updates."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    with (
        folder(store, permissions=permissions) as home,
        posix.opened(LOCK, flags, permissions.file, dir_fd=home) as fd,
    ):
        posix.require_regular(fd, LOCK)
        posix.give_to_heir(fd, home)
        posix.widen(fd, permissions.file)
        with posix.flocked(fd, place):
            yield


def write_temporary(folder_fd: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> str:
    """Write and fsync a new file below `.raptor/tmp`; returns its name.

    Raises:
        PermissionError: the owner can't be given to it.
    """
    name = f"{os.getpid()}-{secrets.token_hex(8)}"
    with posix.opened(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, dir_fd=folder_fd) as fd:
        try:
            posix.write_all(fd, data)
            if owner is None:
                posix.give_to_heir(fd, folder_fd)
            else:
                status = os.fstat(fd)
                if (status.st_uid, status.st_gid) != owner:
                    os.fchown(fd, *owner)
            if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
                os.fchmod(fd, mode)  # past the umask
            os.fsync(fd)
        except BaseException:
            os.unlink(name, dir_fd=folder_fd)
            raise
    return name


def remove_stale(folder_fd: int) -> None:
    """Remove what crashed writers left in `.raptor/tmp` an hour ago or earlier, as far as that goes."""
    now = time.time()
    with os.scandir(folder_fd) as entries:
        for entry in entries:
            # Other writers come and go, and what is another user's is theirs to remove.
            with contextlib.suppress(OSError):
                if now - entry.stat(follow_symlinks=False).st_mtime <= _STALE_SECONDS:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    _remove_folder(folder_fd, entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder_fd)


def _remove_folder(parent: int, name: str) -> None:
    """A run's folder that never reached the trash holds its manifest and nothing else."""
    with posix.opened(name, posix.DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=parent) as fd:
        for child in os.listdir(fd):
            os.unlink(child, dir_fd=fd)
    os.rmdir(name, dir_fd=parent)

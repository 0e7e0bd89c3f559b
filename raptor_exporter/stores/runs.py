"""The folders of the trash, one a run: found, locked and looked into, with foreign things passed over."""

from __future__ import annotations

import calendar
import contextlib
import errno
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from functools import cached_property

from raptor_exporter.names import SUFFIX, is_session_file
from raptor_exporter.stores import manifest, posix
from raptor_exporter.stores.manifest import Manifest

logger = logging.getLogger(__name__)

_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}", re.ASCII)
_MAX_MANIFEST_BYTES = 1 << 29  # a run of a million sessions writes half of it
_TAIL_BYTES = 4096
_FULL = (errno.ENOSPC, errno.EDQUOT)


class HeldRun:
    """A run's folder while its lock is held.

    Attributes:
        run: its name.
        folder: its descriptor.
    """

    def __init__(self, run: str, folder: int, fd: int) -> None:
        self.run = run
        self.folder = folder
        self._fd = fd  # of its manifest

    @cached_property
    def manifest(self) -> Manifest | None:
        """What the run tells of itself; None where no plan was written whole."""
        size = os.fstat(self._fd).st_size
        os.lseek(self._fd, 0, os.SEEK_SET)
        return manifest.parse(posix.read_up_to(self._fd, size, size))

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be looked at again. Mostly its last line is enough to tell."""
        start = max(os.fstat(self._fd).st_size - _TAIL_BYTES, 0)
        if manifest.ends_settled(os.pread(self._fd, _TAIL_BYTES, start)):
            return True
        return self.manifest is not None and self.manifest.settled

    def append(self, line: bytes) -> None:
        """Add a line to the manifest, and see it on the disk.

        Raises:
            OSError: it can't be written; the manifest is as it was.
        """
        posix.append(self._fd, b"\n" + line)  # whatever stands before it, torn or not


def new_name(at: float) -> str:
    """A run's name: its time, so that names sort by age, and something that no other run has."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(at))}-{secrets.token_hex(3)}"


def began_before(run: str, moment: float) -> bool:
    """Whether a run may have begun at this time or earlier (POSIX seconds), by its name alone."""
    try:
        began = calendar.timegm(time.strptime(run[:16], "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return True
    return began <= moment


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk or its quota is full."""
    return error.errno in _FULL


def names(trash: int) -> list[str]:
    """The runs in the trash, the oldest first."""
    with os.scandir(trash) as entries:
        return sorted(e.name for e in entries if _RUN.fullmatch(e.name) and e.is_dir(follow_symlinks=False))


def opened(trash: int, run: str) -> contextlib.AbstractContextManager[int]:
    """The descriptor of a run's folder for the length of a block. A link in its place is not followed."""
    return posix.opened(run, posix.DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=trash)


def held(trash: int, runs: list[str], *, writing: bool = True) -> Iterator[HeldRun]:
    """Each of the runs whose lock is to be had, with its lock held while it is looked at.

    A run that is at work, or being emptied or restored, is passed over, and so is what can't be opened or is
    none of ours: one odd folder must not stop what is done with all others.

    Args:
        trash: the trash's descriptor.
        runs: which ones.
        writing: something in it will be changed; else others may look at it at the same time, and a
            read-only file system is good enough.
    """
    for run in runs:
        with contextlib.ExitStack() as stack:
            try:
                opened = _open(stack, trash, run, writing=writing)
            except (FileNotFoundError, NotADirectoryError):
                continue  # emptied by another process meanwhile
            except OSError as error:
                logger.warning("passed over a run in the trash", extra={"run": run, "error": error.strerror})
                continue
            if opened is not None:
                yield opened


def _open(stack: contextlib.ExitStack, trash: int, run: str, *, writing: bool) -> HeldRun | None:
    folder = stack.enter_context(opened(trash, run))
    flags = os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = stack.enter_context(posix.opened(manifest.FILE, flags | os.O_RDWR, dir_fd=folder))
    except FileNotFoundError:
        if writing:
            with contextlib.suppress(OSError):  # holds something all the same: leave it
                os.rmdir(run, dir_fd=trash)  # an emptying that crashed between its last two steps
        raise
    except OSError as error:
        if writing or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        fd = stack.enter_context(posix.opened(manifest.FILE, flags | os.O_RDONLY, dir_fd=folder))
    posix.require_regular(fd, manifest.FILE)
    if os.fstat(fd).st_size > _MAX_MANIFEST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if not (posix.flock_after_readers(fd) if writing else posix.try_flock(fd, shared=True)):
        return None
    if not os.fstat(fd).st_nlink:
        return None  # whoever held the lock has emptied it
    return HeldRun(run, folder, fd)


def remove(trash: int, run: HeldRun) -> None:
    """Remove a run's folder if nothing but its manifest is left in it."""
    if os.listdir(run.folder) == [manifest.FILE]:
        os.unlink(manifest.FILE, dir_fd=run.folder)
        with contextlib.suppress(FileNotFoundError):  # another process came past it meanwhile
            os.rmdir(run.run, dir_fd=trash)


def claimed(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """What stands under the name of a session in a run's folder."""
    for file_name in os.listdir(folder):
        if file_name == manifest.FILE:
            continue
        real = file_name[1:] if file_name == "." + manifest.FILE else file_name
        if is_session_file(real) and (status := look(file_name, folder)) is not None:
            yield real[: -len(SUFFIX)], status


def claimed_name(name: str) -> str:
    """Under its own name, but for the one that is the manifest's: no session's starts with a dot."""
    file_name = name + SUFFIX
    return "." + file_name if file_name == manifest.FILE else file_name


def look(file_name: str, folder: int) -> os.stat_result | None:
    """The status of what stands there; None if nothing does. Links are not followed."""
    try:
        return os.stat(file_name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None

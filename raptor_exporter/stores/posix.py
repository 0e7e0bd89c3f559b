"""The few file operations that Python doesn't spell: directory descriptors and renameat2."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from raptor_exporter.exceptions import SessionBusy

# Never follow a link, never wait for the other end of a FIFO, never leak into a child process.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_LOCK_WAIT_SECONDS = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def opened(path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> Iterator[int]:
    """A file descriptor for the length of a block."""
    fd = os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def subdirectory(parent: int, name: str, mode: int, *, create: bool) -> int:
    """Open a folder below an open one without following a link; make it first if asked to.

    Raises:
        OSError: it isn't there, is a link, or can't be made.
    """
    flags = DIRECTORY_FLAGS | os.O_NOFOLLOW
    try:
        fd = os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, flags, dir_fd=parent)
        give_to_heir(fd, parent)
    if create:
        widen(fd, mode)
    return fd


def widen(fd: int, mode: int) -> None:
    """Let all have access that the mode names: past the umask, and where a group came in later.

    Never takes access away, for another process may share the store with a group.
    """
    has = stat.S_IMODE(os.fstat(fd).st_mode)
    if has | mode != has:
        with contextlib.suppress(PermissionError):  # another user's
            os.fchmod(fd, has | mode)


def _heir(directory: int) -> tuple[int, int] | None:
    """To whom a new file in a directory should belong, where that is not whoever makes it.

    What root makes in another user's store would be closed to its owner.
    """
    status = os.fstat(directory)
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 != status.st_uid else None


def give_to_heir(fd: int, directory: int) -> None:
    """Let a file of ours belong to whom its directory belongs."""
    owner = _heir(directory)
    if owner is not None and os.fstat(fd).st_uid == 0:
        with contextlib.suppress(PermissionError):  # root without its capabilities, as in a pod
            os.fchown(fd, *owner)


def rename_noreplace(source: str, target: str, source_fd: int, target_fd: int) -> None:
    """Move a file to a name that must be free, atomically where the kernel and file system can.

    Where renameat2 isn't supported (SMB, FUSE, NFS) it is a link and an unlink, and where links are
    refused too (another uid's file under ``protected_hardlinks``) a copy made with O_EXCL.

    Raises:
        FileExistsError: the target is there; nothing was changed.
        OSError: the move failed; the source is still there.
    """
    if _renameat2(source, target, source_fd, target_fd, _RENAME_NOREPLACE):
        return
    try:
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        _copy_exclusive(source, target, source_fd, target_fd)
    os.unlink(source, dir_fd=source_fd)


def exchange(source: str, target: str, source_fd: int, target_fd: int) -> bool:
    """Let two files change places, atomically. False where the kernel or file system can't.

    Raises:
        FileNotFoundError: one of them isn't there; nothing was changed.
        OSError: it failed; nothing was changed.
    """
    return _renameat2(source, target, source_fd, target_fd, _RENAME_EXCHANGE)


def _renameat2(source: str, target: str, source_fd: int, target_fd: int, flag: int) -> bool:
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), ctypes.c_uint(flag)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), source)


def _copy_exclusive(source: str, target: str, source_fd: int, target_fd: int) -> None:
    with opened(source, READ_FLAGS, dir_fd=source_fd) as read:
        status = os.fstat(read)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with opened(target, flags, dir_fd=target_fd) as write:
            try:
                while chunk := os.read(read, 1 << 20):
                    write_all(write, chunk)
                if _moment(os.fstat(read)) != _moment(status):
                    raise OSError(errno.EAGAIN, "it was being written to while it was copied", source)
                with contextlib.suppress(PermissionError):  # its owner stays if this user may give it away
                    os.fchown(write, status.st_uid, status.st_gid)
                os.fchmod(write, stat.S_IMODE(status.st_mode))
                os.utime(write, ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(write)
            except BaseException:
                os.unlink(target, dir_fd=target_fd)
                raise


def _moment(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_size


def require_regular(fd: int, name: str) -> None:
    """Refuse a FIFO, a device or a folder that stands where a file of ours should.

    Raises:
        OSError: it is one.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, f"{name} is no regular file: move it away")


def append(fd: int, data: bytes) -> None:
    """Add to a file opened with O_APPEND and see it on the disk, or leave the file as it was.

    Raises:
        OSError: it can't be written.
    """
    size = os.fstat(fd).st_size
    try:
        write_all(fd, data)
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise


def sync_folder(fd: int) -> None:
    """See the names in a folder on the disk, where its file system can do that.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
            raise  # those say that a FUSE or SMB mount knows no such thing


def write_all(fd: int, data: bytes) -> None:
    """Write everything: one call may take only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_up_to(fd: int, limit: int, hint: int) -> bytes:
    """At most ``limit`` bytes from the start of a file whose size was ``hint``."""
    data = os.read(fd, min(hint + 1, limit))
    # One call is enough unless the file grew or shrank, or its file system gives less at a time.
    return data if len(data) == hint else read_on(fd, data, limit)


def read_on(fd: int, data: bytes, limit: int) -> bytes:
    """``data`` and what follows it in the file, at most ``limit`` bytes in all."""
    while len(data) < limit and (more := os.read(fd, limit - len(data))):
        data += more
    return data


@contextlib.contextmanager
def flocked(fd: int, what: str, *, wait: float = _LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold an exclusive flock for the length of a block.

    Raises:
        SessionBusy: another process held it for longer than ``wait`` seconds.
    """
    deadline = time.monotonic() + wait
    pause = 0.0005
    while not try_flock(fd):
        if time.monotonic() >= deadline:
            message = f"{what} is locked by another process for more than {wait:g} s: try again later"
            raise SessionBusy(message)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def try_flock(fd: int, *, shared: bool = False) -> bool:
    """Take a flock if it is free: an exclusive one, or one that others may share."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flock_after_readers(fd: int, *, wait: float = _LOCK_WAIT_SECONDS) -> bool:
    """Take an exclusive flock once those who only share it are done; False where another has one."""
    deadline = time.monotonic() + wait
    while not try_flock(fd):
        if not try_flock(fd, shared=True):
            return False
        fcntl.flock(fd, fcntl.LOCK_UN)
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True

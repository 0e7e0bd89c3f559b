"""Starts a browser's process, and says why it did not start."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from raptor_exporter.chromium import processes
from raptor_exporter.chromium.profiles import Listening, listening
from raptor_exporter.redact import redact

START_SECONDS = 30.0  # on an idle machine 0.3 s

_POLL_SECONDS = 0.01
_KILL_SECONDS = 5.0
_LAST_WORDS = 4096  # bytes of standard error that an error message draws from
_PROFILE_IN_USE = 21  # chrome/common/result_codes.h: RESULT_CODE_PROFILE_IN_USE
_UNKNOWN = 256  # no exit status is that large


class StartFailed(Exception):
    """The browser did not start; the message says why and what to do."""


class Started(NamedTuple):
    """A browser that can be reached."""

    pid: int  # its main process
    child: int  # what was started: the same, or a wrapper around it
    listening: Listening


def start(program: str, arguments: list[str], profile: Path) -> Started:
    """Start a browser on port 0 in a process session of its own; blocks until it can be reached.

    Raises:
        StartFailed: it did not start; nothing of it is left.
    """
    # An older browser of this directory may have left its file behind, or may even be running.
    before = listening(profile)
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(read_end, False)
        pid = _spawn(program, arguments, write_end)
        try:
            return _wait(pid, profile, before, _LastWords(read_end))
        except BaseException:
            _kill(pid)
            raise
    finally:
        # Chromium ignores SIGPIPE, so its later messages go nowhere, and no file of them grows.
        os.close(read_end)
        os.close(write_end)


def _spawn(program: str, arguments: list[str], standard_error: int) -> int:
    # Not subprocess: its objects warn when they go while their process lives, which is the point here.
    try:
        return os.posix_spawn(
            program,
            [program, *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, standard_error, 2),
            ],
            setsid=True,  # no terminal, so no Ctrl-C and no hang-up
            setsigmask=[],
            setsigdef=[signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        raise StartFailed(f"{program} could not be started: {error.strerror}") from error


def _wait(pid: int, profile: Path, before: Listening | None, words: _LastWords) -> Started:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        words.listen()
        found = listening(profile)
        if found is not None and found != before:
            main = _main_process(pid, found.port)
            if main is not None:
                return Started(main, pid, found)
        status = _exit_status(pid)
        if status is not None:
            words.listen()
            raise _ended_at_start(status, profile, words)
        time.sleep(_POLL_SECONDS)
    raise StartFailed(f"the browser did not say where it listens within {START_SECONDS:g}s{words}")


def _main_process(pid: int, port: int) -> int | None:
    """The process that listens, ours or a child of the wrapper that we started; None: another browser's."""
    listening_there = list(processes.listeners("127.0.0.1", port))
    ours = [found for found in listening_there if found == pid or processes.session_of(found) == pid]
    if ours:
        return ours[0]
    return None if listening_there else pid  # nobody to be seen: a sandbox hides its processes


def _ended_at_start(status: int, profile: Path, words: _LastWords) -> StartFailed:
    # A second browser with a window hands over to the first one and ends well.
    if status == _PROFILE_IN_USE or (status in (0, _UNKNOWN) and os.path.lexists(profile / "SingletonLock")):
        return StartFailed(
            f"the profile {profile} is in use by a running browser: close that one, or give another "
            "user_data_dir (if none runs, it was on another machine: remove SingletonLock from the profile)"
        )
    remedy = ""
    if "sandbox" in str(words).lower():
        remedy = (
            "; where the system allows no sandbox, add args=['--no-sandbox'] and visit only pages you trust"
        )
    how = "an unknown status" if status == _UNKNOWN else f"exit status {status}"
    if status < 0:
        how = f"signal {-status}"
    return StartFailed(f"the browser ended at its start with {how}{words}{remedy}")


class _LastWords:
    """The end of what a starting browser writes to its standard error."""

    def __init__(self, read_end: int) -> None:
        self._read_end = read_end
        self._heard = b""

    def listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._read_end, 65536):
                self._heard = (self._heard + data)[-_LAST_WORDS:]

    def __str__(self) -> str:
        lines = [line.strip() for line in self._heard.decode(errors="replace").splitlines() if line.strip()]
        return f"; its last words: {redact(' / '.join(lines[-5:]))}" if lines else ""


def _exit_status(pid: int) -> int | None:
    """How our child ended, negative for a signal; None while it runs."""
    try:
        # It stays a zombie for now, so that its number can't become another process's.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # this process ignores SIGCHLD, or waits for all its children elsewhere
        return None if processes.is_running(pid) else _UNKNOWN
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _kill(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it has ended by itself
        return
    try:
        processes.kill_tree(pid, pidfd, _KILL_SECONDS)
    finally:
        os.close(pidfd)
    reap(pid)


def reap(child: int) -> None:
    """Take note of the end of a child, lest it stays a zombie; harmless for any other process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, os.WNOHANG)

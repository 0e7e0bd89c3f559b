"""Starts a Chromium that outlives its script, so that its sessions can be restored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from raptor_exporter import processes
from raptor_exporter.ending import end_browser
from raptor_exporter.exceptions import BrowserNotEnded, SessionException
from raptor_exporter.executable import find_executable
from raptor_exporter.profiles import Listening, discard_profile, listening, make_profile, new_profile
from raptor_exporter.redact import redact
from raptor_exporter.session import parse_endpoint

logger = logging.getLogger(__name__)

START_SECONDS = 30.0  # on an idle machine 0.3 s

_ARGUMENTS = (
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # containers give 64 MB, and tabs crash in it
    "--password-store=basic",  # no keyring may ask the user in the middle of a script
)
_OURS = {
    "--user-data-dir": "give user_data_dir= instead",
    "--remote-debugging-port": "the browser takes a free port by itself",
    "--remote-debugging-pipe": "a browser on a pipe cannot be reached again",
}
_UNKNOWN = 256  # no exit status is that large
_PROFILE_IN_USE = 21  # chrome/common/result_codes.h: RESULT_CODE_PROFILE_IN_USE
_POLL_SECONDS = 0.01
_KILL_SECONDS = 5.0
_LAST_WORDS = 4096  # bytes of standard error that an error message draws from
_OPERATION = "launch_browser"

_R = TypeVar("_R")


@dataclass(frozen=True)
class LaunchedBrowser:
    """A Chromium in a process session of its own; it lives until ``close()``, whatever its script does."""

    cdp_url: str = field(repr=False)  # ws://…/devtools/browser/…: a password to the browser
    pid: int
    user_data_dir: Path

    def close(self) -> None:
        """End it, by force if it is frozen, and remove its directory if that was made for it.

        Blocks for at most some seconds; does nothing if it is gone already.

        Raises:
            SessionException: it may still be there.
        """
        endpoint = parse_endpoint(self.cdp_url)
        assert endpoint is not None  # noqa: S101  # checked at the start
        try:
            # In a thread of its own: the caller may be inside an event loop.
            ended = _in_thread(lambda: asyncio.run(end_browser(endpoint)))
        except BrowserNotEnded as error:
            logger.error("The browser was not ended: %s", error, extra={"pid": self.pid})
            raise SessionException(
                str(error), operation="close_browser", context={"pid": self.pid}
            ) from error
        _reap(self.pid)
        discard_profile(self.user_data_dir)
        logger.info("Ended a browser", extra={"pid": self.pid, "how": ended.how.value})


def launch_browser(
    user_data_dir: str | os.PathLike[str] | None = None,
    *,
    headless: bool = True,
    executable: str | os.PathLike[str] | None = None,
    args: Sequence[str] = (),
) -> LaunchedBrowser:
    """Start a Chromium that outlives this script and Ctrl-C; blocks until it can be reached.

    Args:
        user_data_dir: its profile, which no running browser may use; default: a fresh one below
            ``~/.raptor/browsers``, removed when the browser is closed.
        headless: without a window.
        executable: default: ``RAPTOR_CHROMIUM``, else Chromium or Chrome on the PATH, else
            Playwright's own build.
        args: more arguments for Chromium; a URL among them is opened.

    Raises:
        SessionException: no browser was found, or it did not start; the message says what to do.
    """
    started = time.monotonic()
    try:
        browser = _launch(user_data_dir, headless, executable, list(args))
    except SessionException as error:
        logger.error("No browser was launched: %s", error)
        raise
    logger.info(
        "Launched a browser", extra={"pid": browser.pid, "seconds": round(time.monotonic() - started, 3)}
    )
    return browser


def _launch(
    user_data_dir: str | os.PathLike[str] | None,
    headless: bool,  # noqa: FBT001  # private
    executable: str | os.PathLike[str] | None,
    args: list[str],
) -> LaunchedBrowser:
    _check(args, headless=headless)
    try:
        program = find_executable(executable)
    except FileNotFoundError as error:
        raise _failure(str(error)) from error
    profile = _make_profile(user_data_dir)
    try:
        return _start(program, profile, _arguments(profile, args, headless=headless))
    except BaseException:
        if user_data_dir is None:
            discard_profile(profile)
        raise


def _check(args: list[str], *, headless: bool) -> None:
    for argument in args:
        remedy = _OURS.get(argument.partition("=")[0])
        if remedy is not None:
            raise _failure(f"args must not hold {argument.partition('=')[0]}: {remedy}")
        if "\0" in argument:
            raise _failure("args must not hold a NUL character")
    if not headless and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _failure("a browser with a window needs a display: set DISPLAY, or launch it headless")


def _make_profile(user_data_dir: str | os.PathLike[str] | None) -> Path:
    try:
        if user_data_dir is None:
            return new_profile()
        profile = Path(user_data_dir).expanduser().absolute()
        make_profile(profile)
    except (OSError, RuntimeError) as error:
        raise _failure(f"there is no directory for the browser's profile: {error}") from error
    return profile


def _arguments(profile: Path, args: list[str], *, headless: bool) -> list[str]:
    arguments = [*_ARGUMENTS, f"--user-data-dir={profile}"]
    if headless:
        arguments.append("--headless=new")
    if os.geteuid() == 0 and "--no-sandbox" not in args:
        logger.warning("Running as root, so the browser runs without its sandbox: visit only pages you trust")
        arguments.append("--no-sandbox")
    arguments += args
    if all(argument.startswith("-") for argument in args):
        arguments.append("about:blank")  # else the user's start page, or none at all
    return arguments


def _start(program: str, profile: Path, arguments: list[str]) -> LaunchedBrowser:
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
        raise _failure(f"{program} could not be started: {error.strerror}") from error


def _wait(pid: int, profile: Path, before: Listening | None, words: _LastWords) -> LaunchedBrowser:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        words.listen()
        found = listening(profile)
        if found is not None and found != before:
            main = _main_process(pid, found.port)
            if main is not None:
                return LaunchedBrowser(f"ws://127.0.0.1:{found.port}{found.path}", main, profile)
        status = _exit_status(pid)
        if status is not None:
            words.listen()
            raise _ended_at_start(status, profile, words)
        time.sleep(_POLL_SECONDS)
    raise _failure(f"the browser did not say where it listens within {START_SECONDS:g}s{words}")


def _main_process(pid: int, port: int) -> int | None:
    """The process that listens, ours or a child of the wrapper that we started; None: another browser's."""
    listening_there = list(processes.listeners("127.0.0.1", port))
    ours = [found for found in listening_there if found == pid or processes.session_of(found) == pid]
    if ours:
        return ours[0]
    return None if listening_there else pid  # nobody to be seen: a sandbox hides its processes


def _ended_at_start(status: int, profile: Path, words: _LastWords) -> SessionException:
    # A second browser with a window hands over to the first one and ends well.
    if status == _PROFILE_IN_USE or (status in (0, _UNKNOWN) and os.path.lexists(profile / "SingletonLock")):
        return _failure(
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
    return _failure(f"the browser ended at its start with {how}{words}{remedy}")


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
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # this process ignores SIGCHLD, or waits for all its children elsewhere
        return None if processes.is_running(pid) else _UNKNOWN
    return os.waitstatus_to_exitcode(status) if done else None


def _kill(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it has ended by itself
        return
    try:
        processes.kill_tree(pid, pidfd, _KILL_SECONDS)
    finally:
        os.close(pidfd)
    _reap(pid)


def _reap(pid: int) -> None:
    """Take note of the end of a child, lest it stays a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _in_thread(work: Callable[[], _R]) -> _R:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result()


def _failure(message: str) -> SessionException:
    return SessionException(message, operation=_OPERATION)

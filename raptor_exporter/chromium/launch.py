"""Starts a Chromium that outlives its script, so that its sessions can be restored."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from raptor_exporter.chromium.ending import end_browser
from raptor_exporter.chromium.executable import find_executable
from raptor_exporter.chromium.profiles import discard_profile, make_profile, new_profile
from raptor_exporter.chromium.starting import StartFailed, reap, start
from raptor_exporter.exceptions import BrowserNotEnded, SessionException
from raptor_exporter.session import parse_endpoint

logger = logging.getLogger(__name__)


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
_OPERATION = "launch_browser"

_R = TypeVar("_R")


@dataclass
class LaunchedBrowser:
    """A Chromium in a process session of its own; it lives until ``close()``, whatever its script does."""

    cdp_url: str = field(repr=False)  # ws://…/devtools/browser/…: a password to the browser
    pid: int
    user_data_dir: Path
    _child: int | None = field(default=None, repr=False, compare=False)  # ours to reap; a wrapper's, maybe
    _closed: bool = field(default=False, init=False, repr=False, compare=False)

    def close(self) -> None:
        """End it, by force if it is frozen, and remove its directory if that was made for it.

        Blocks for at most some seconds; does nothing if it is gone already.

        Raises:
            SessionException: it may still be there.
        """
        if self._closed:
            return
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
        self._closed = True
        if self._child is not None:
            reap(self._child)
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
        started = start(program, _arguments(profile, args, headless=headless), profile)
    except BaseException as error:
        if user_data_dir is None:
            discard_profile(profile)
        if isinstance(error, StartFailed):
            raise _failure(str(error)) from error
        raise
    cdp_url = f"ws://127.0.0.1:{started.listening.port}{started.listening.path}"
    return LaunchedBrowser(cdp_url, started.pid, profile, _child=started.child)


def _check(args: list[str], *, headless: bool) -> None:
    for argument in args:
        remedy = _OURS.get(argument.partition("=")[0])
        if remedy is not None:
            raise _failure(f"args must not hold {argument.partition('=')[0]}: {remedy}")
        if "\0" in argument or not _can_be_encoded(argument):
            raise _failure("args must not hold a NUL character or half a surrogate pair")
    if not headless and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _failure("a browser with a window needs a display: set DISPLAY, or launch it headless")


def _can_be_encoded(argument: str) -> bool:
    try:
        os.fsencode(argument)
    except UnicodeEncodeError:
        return False
    return True


def _make_profile(user_data_dir: str | os.PathLike[str] | None) -> Path:
    try:
        if user_data_dir is None:
            return new_profile()
        profile = Path(user_data_dir).expanduser().absolute()
        make_profile(profile)
    except (OSError, RuntimeError, ValueError) as error:  # a NUL is a ValueError
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


def _in_thread(work: Callable[[], _R]) -> _R:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result()


def _failure(message: str) -> SessionException:
    return SessionException(message, operation=_OPERATION)

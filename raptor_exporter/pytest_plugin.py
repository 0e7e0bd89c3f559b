"""pytest plugin: ``page = raptor_session("login", create=log_in)`` logs in once, not once a run.

The page lives in a browser that outlives the test run; the next run finds it again by its name. Nothing
but this module is imported until a test asks for the fixture.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from raptor_exporter.chromium.launch import LaunchedBrowser
    from raptor_exporter.exceptions import SessionException
    from raptor_exporter.manager.synchronous import SyncSessionManager

MADE_BY = {"made_by": "raptor_session"}  # in the metadata of sessions whose browser is ours to end

_GONE = frozenset({"dead", "replaced", "not_a_browser", "unreachable"})
_STUCK = frozenset({"hung", "blocked", "dropped"})


class RaptorSession(Protocol):
    """What the ``raptor_session`` fixture gives."""

    def __call__(
        self,
        name: str,
        *,
        create: Callable[[Page], object] | None = None,
        check: Callable[[Page], object] | None = None,
    ) -> Page:
        """The page of a session, restored or made.

        Args:
            name: of the session. Parallel workers that change the page need a name each.
            create: brings a fresh page to where the tests begin, such as a log-in. It is called when there
                is no session of that name or its browser is gone, and again when ``check`` says so.
            check: whether the restored page still is where the tests begin; sites end log-ins too.

        Raises:
            SessionException: it can't be restored, and not made either.
        """
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the sessions are, and how browsers are started."""
    group = parser.getgroup("raptor", "browser sessions that outlive the test run (raptor-exporter)")
    group.addoption(
        "--raptor-store",
        metavar="DIR",
        help="Directory of the sessions [default: raptor_store of the ini file, else SessionManager's].",
    )
    group.addoption("--raptor-headed", action="store_true", help="Start browsers with a window.")
    parser.addini("raptor_store", "Directory of the browser sessions; a relative one is below the rootdir.")
    parser.addini("raptor_browser_args", "More arguments for browsers that are started.", type="args")


@pytest.fixture(scope="session")
def raptor_session(request: pytest.FixtureRequest) -> Iterator[RaptorSession]:
    """Gives the page of a named session, restored or made; see ``RaptorSession``."""
    from raptor_exporter.manager.synchronous import SyncSessionManager

    # Beside pytest-playwright there is a driver already, and a thread can have one only.
    beside = request.config.pluginmanager.hasplugin("playwright")
    playwright = request.getfixturevalue("playwright") if beside else None
    with SyncSessionManager(_store(request.config), playwright=playwright) as manager:
        yield _Sessions(manager, lambda: _launch(request.config))


def _store(config: pytest.Config) -> str | None:
    option: str | None = config.getoption("--raptor-store")
    if option:
        return option
    ini: str = config.getini("raptor_store")
    return os.path.join(config.rootpath, os.path.expanduser(ini)) if ini else None


def _launch(config: pytest.Config) -> LaunchedBrowser:
    from raptor_exporter.chromium.launch import launch_browser

    return launch_browser(
        headless=not config.getoption("--raptor-headed"), args=config.getini("raptor_browser_args")
    )


class _Sessions:
    """The ``RaptorSession`` over one manager."""

    def __init__(self, manager: SyncSessionManager, launch: Callable[[], LaunchedBrowser]) -> None:
        self._manager = manager
        self._launch = launch

    def __call__(
        self,
        name: str,
        *,
        create: Callable[[Page], object] | None = None,
        check: Callable[[Page], object] | None = None,
    ) -> Page:
        if create is None:
            return self._existing(name, check)
        # Of workers that run in parallel one logs in, and the others find its session.
        with _locked(self._manager):
            page = self._restored(name)
            if page is not None and (check is None or check(page)):
                return page
            return self._made(name, create) if page is None else self._renewed(name, page, create)

    def _existing(self, name: str, check: Callable[[Page], object] | None) -> Page:
        from raptor_exporter.exceptions import SessionException

        page = self._manager.restore_session(name)
        if check is not None and not check(page):
            raise SessionException(
                f"session {name!r} was restored, but its check refuses it: give create= to renew it",
                operation="raptor_session",
                session_id=name,
            )
        return page

    def _restored(self, name: str) -> Page | None:
        """The page; None if there is none and a new one may take its place."""
        from raptor_exporter.exceptions import SessionException

        try:
            return self._manager.restore_session(name)
        except SessionException as error:
            if not self._may_replace(name, error):
                raise
            return None

    def _may_replace(self, name: str, error: SessionException) -> bool:
        if "reason" in error.context:
            return error.context["reason"] != "unreadable"
        problem = error.context.get("problem")
        if problem in _GONE:
            return True
        info = self._manager.get_session_info(name)
        if problem not in _STUCK or info is None or not info.metadata.items() >= MADE_BY.items():
            return False
        _end(info.cdp_url)  # it was started by an earlier run, and nobody else would ever end it
        return True

    def _made(self, name: str, create: Callable[[Page], object]) -> Page:
        browser = self._launch()
        try:
            page = self._manager.open_browser(browser.cdp_url)
            create(page)
            self._manager.save_session(page, name, MADE_BY)
        except BaseException:
            browser.close()
            raise
        return page

    def _renewed(self, name: str, page: Page, create: Callable[[Page], object]) -> Page:
        info = self._manager.get_session_info(name)
        create(page)
        self._manager.save_session(page, name, None if info is None else info.metadata)
        return page


@contextlib.contextmanager
def _locked(manager: SyncSessionManager) -> Iterator[None]:
    """Hold a lock on the store's directory itself, which leaves no file behind."""
    fd = os.open(manager.get_storage_dir(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _end(cdp_url: str) -> None:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from raptor_exporter.chromium.ending import end_browser
    from raptor_exporter.exceptions import BrowserNotEnded
    from raptor_exporter.session import parse_endpoint

    endpoint = parse_endpoint(cdp_url)
    if endpoint is None:
        return
    # In a thread of its own: Playwright's event loop counts as running in this one.
    with ThreadPoolExecutor(1) as executor, contextlib.suppress(BrowserNotEnded):
        executor.submit(lambda: asyncio.run(end_browser(endpoint))).result()

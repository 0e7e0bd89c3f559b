"""The same as ``manager``, for Playwright's synchronous API."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from raptor_exporter.browser import BlockingTurn, BrowserProblem, Connections, Trouble, run_now
from raptor_exporter.browser.turn import running_loop
from raptor_exporter.manager.base import CLOSE_SECONDS, RESTORE_SECONDS, SAVE_SECONDS, ManagerBase
from raptor_exporter.manager.operation import Operation
from raptor_exporter.session import SessionInfo

if TYPE_CHECKING:
    from playwright import async_api
    from playwright.sync_api import Page, Playwright


class SyncSessionManager(ManagerBase):
    """Saves, restores and cleans up browser sessions, for ``playwright.sync_api``.

    A thread can have one running Playwright of the synchronous kind. Where ``sync_playwright`` runs
    already, the manager restores through the one that is given, or else through that of the page which
    it saved last. It belongs to the thread of its first restore.

    Args:
        storage_dir: the store, made if it isn't there. None: ``RAPTOR_STORE``, else the store of the file
            that ``RAPTOR_CONFIG`` names, else ``~/.raptor/sessions``.
        auto_cleanup_on_init: move expired and invalid sessions to the trash first.
        max_age_days: what counts as expired then.
        playwright: the running Playwright to restore through; ``close`` leaves it running.

    Raises:
        SessionException: the store can't be made or used, or the configuration is wrong.
    """

    _given: Playwright | None = None

    def __init__(
        self,
        storage_dir: str | os.PathLike[str] | None = None,
        *,
        auto_cleanup_on_init: bool = False,
        max_age_days: float = 7,
        playwright: Playwright | None = None,
    ) -> None:
        self._given = playwright
        super().__init__(storage_dir, auto_cleanup_on_init=auto_cleanup_on_init, max_age_days=max_age_days)

    def _new_connections(self) -> Connections:
        # Both APIs have the same names; a BlockingTurn takes their results as they come.
        return Connections(
            cast("Callable[[], Awaitable[async_api.Playwright]]", _start_driver),
            threading.get_ident,
            cast("async_api.Playwright | None", self._given),
        )

    def save_session(
        self,
        page: Page,
        session_name: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        cdp_url: str | None = None,
    ) -> SessionInfo:
        """Write down where a page's browser and tab can be found again. A name saved again is a new session.

        Args:
            page: a page in a Chromium that outlives the script, in its default context.
            session_name: finds the session again.
            metadata: anything that JSON can hold; ``page_url``, ``page_title``, ``page_target_id`` are added.
            cdp_url: where the browser can be reached, if it stands behind a proxy.

        Raises:
            SessionException: the page can't be saved, and what to do.
        """
        same = cast("async_api.Page", page)
        info = run_now(self._save(BlockingTurn(SAVE_SECONDS), same, session_name, metadata, cdp_url))
        if same.context.browser is not None:
            self._connections.borrow(same.context.browser.browser_type)
        return info

    def restore_session(self, session_name: str) -> Page:
        """The tab that was saved; if it is gone, a new one at its URL, with a warning in the log.

        Raises:
            SessionException: within 5 seconds, if the session or its browser is not usable; the file stays.
        """
        page = run_now(self._restore(BlockingTurn(RESTORE_SECONDS), session_name))
        return cast("Page", page)

    def open_browser(self, cdp_url: str) -> Page:
        """The first tab of a running browser, such as one from ``launch_browser``.

        Raises:
            SessionException: within 5 seconds, if the browser is not usable.
        """
        return cast("Page", run_now(self._open_browser(BlockingTurn(RESTORE_SECONDS), cdp_url)))

    def close(self) -> None:
        """End the driver and all connections. The browsers and their tabs live on.

        Raises:
            SessionException: called in another thread than the restores.
        """
        with Operation("close"):
            run_now(self._connections.close(BlockingTurn(CLOSE_SECONDS)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start_driver() -> Playwright:
    if running_loop() is not None:
        raise BrowserProblem(
            Trouble.OTHER_LOOP,
            "an event loop runs in this thread already. In a coroutine, use SessionManager and await it. "
            "Beside a running sync_playwright(), give that one: SyncSessionManager(playwright=...)",
        )
    from playwright.sync_api import sync_playwright

    return sync_playwright().start()

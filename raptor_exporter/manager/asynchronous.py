"""Save the session of a live page and restore it later, from another process too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from raptor_exporter.browser import AwaitingTurn, Connections
from raptor_exporter.manager.base import CLOSE_SECONDS, RESTORE_SECONDS, SAVE_SECONDS, ManagerBase
from raptor_exporter.manager.operation import Operation
from raptor_exporter.session import SessionInfo

if TYPE_CHECKING:
    from playwright.async_api import Page, Playwright


class SessionManager(ManagerBase):
    """Saves, restores and cleans up browser sessions, for ``playwright.async_api``.

    One manager keeps one driver and one connection for each browser; ``close`` (or ``async with``) ends
    them, never a browser. It belongs to the event loop of its first restore.

    Args:
        storage_dir: the store, made if it isn't there. None: ``RAPTOR_STORE``, else the store of the file
            that ``RAPTOR_CONFIG`` names, else ``~/.raptor/sessions``.
        auto_cleanup_on_init: move expired and invalid sessions to the trash first.
        max_age_days: what counts as expired then.

    Raises:
        SessionException: the store can't be made or used, or the configuration is wrong.
    """

    def _new_connections(self) -> Connections:
        return Connections(_start_driver, asyncio.get_running_loop)

    async def save_session(
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
        return await self._save(AwaitingTurn(SAVE_SECONDS), page, session_name, metadata, cdp_url)

    async def restore_session(self, session_name: str) -> Page:
        """The tab that was saved; if it is gone, a new one at its URL, with a warning in the log.

        Raises:
            SessionException: within 5 seconds, if the session or its browser is not usable; the file stays.
        """
        return await self._restore(AwaitingTurn(RESTORE_SECONDS), session_name)

    async def open_browser(self, cdp_url: str) -> Page:
        """The first tab of a running browser, such as one from ``launch_browser``.

        Raises:
            SessionException: within 5 seconds, if the browser is not usable.
        """
        return await self._open_browser(AwaitingTurn(RESTORE_SECONDS), cdp_url)

    async def close(self) -> None:
        """End the driver and all connections. The browsers and their tabs live on.

        Raises:
            SessionException: called in another event loop than the restores.
        """
        with Operation("close"):
            await self._connections.close(AwaitingTurn(CLOSE_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _start_driver() -> Playwright:
    from playwright.async_api import async_playwright

    return await async_playwright().start()

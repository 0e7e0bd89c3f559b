"""Keeps one logged-in tab for each account ready: other programs restore it instead of logging in again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from playwright.async_api import Browser, Playwright, async_playwright

from raptor_exporter import LaunchedBrowser, SessionException, SessionManager, launch_browser

logger = logging.getLogger("keeper")

ACCOUNTS = os.environ.get("KEEPER_ACCOUNTS", "alice,bob,carol,dave").split(",")
EVERY_SECONDS = float(os.environ.get("KEEPER_SECONDS", "60"))
# A container has no user namespaces to build Chromium's own sandbox of: the pod is the sandbox.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


async def log_in(playwright: Playwright, sessions: SessionManager) -> tuple[LaunchedBrowser, Browser]:
    """Start a browser, log in to every account, save each tab as a session."""
    launched = await asyncio.to_thread(launch_browser, args=FLAGS)
    browser = await playwright.chromium.connect_over_cdp(launched.cdp_url)
    for account in ACCOUNTS:
        page = await browser.contexts[0].new_page()
        await page.goto(f"data:text/html,<title>{account}</title><h1>Welcome back, {account}</h1>")
        await sessions.save_session(page, account, {"account": account})
    return launched, browser


async def keep(stop: asyncio.Event) -> None:
    """Look after the tabs until `stop`; log in anew when the browser is gone."""
    browser: Browser | None = None
    launched: LaunchedBrowser | None = None
    async with async_playwright() as playwright, SessionManager() as sessions:
        while not stop.is_set():
            if browser is None or not browser.is_connected():
                launched, browser = await log_in(playwright, sessions)
            for account in ACCOUNTS:
                try:
                    await sessions.restore_session(account)
                except SessionException as error:
                    logger.warning("%s: %s", account, error)
            try:
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
            except TimeoutError:
                continue
    if launched is not None:
        await asyncio.to_thread(launched.close)


async def main() -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await keep(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())

"""One warm driver and one connection for each browser, for the life of a manager."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from raptor_exporter.browser.flights import Flights
from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.turn import Turn, running_loop

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserType, Page, Playwright

T = TypeVar("T")

_START_SECONDS = 30.0  # for the driver; on an idle machine it takes half a second
_START_PATIENCE = 10.0  # seconds that closing waits for a driver that is just starting
_CONNECT_SECONDS = 2.0  # are left for a connection, however long the driver took


@dataclass
class Link:
    """A connection to a browser. Every reconnect leaves a script behind in each tab, so it is kept."""

    browser: Browser
    target_ids: dict[Page, str] = field(default_factory=dict)  # of tabs that were asked already
    replaced: dict[str, Page] = field(default_factory=dict)  # by the target of a tab that is gone

    def forget_closed(self) -> None:
        """Drop what is known of tabs that are closed."""
        self.target_ids = {page: i for page, i in self.target_ids.items() if not page.is_closed()}
        self.replaced = {i: page for i, page in self.replaced.items() if not page.is_closed()}


class Connections:
    """Starts the driver at the first connection and ends it, with all connections, at ``close``.

    It belongs to the event loop (in the synchronous half, the thread) of its first use.

    Args:
        start_driver: ``async_playwright().start`` or its synchronous twin.
        home: tells the event loop or thread that is running.
        driver: one that is somebody else's to end.
    """

    def __init__(
        self,
        start_driver: Callable[[], Awaitable[Playwright]],
        home: Callable[[], object],
        driver: Playwright | None = None,
    ) -> None:
        self._start_driver = start_driver
        self._home_now = home
        self._home: object = None
        self._driver = driver
        self._owned = driver is None
        self._borrowed: BrowserType | None = None
        self._links: dict[str, Link] = {}
        self._closed = False
        self._under_way = Flights()
        self._starting = Flights()

    def enter(self) -> None:
        """Check that connections can be used here and now.

        Raises:
            BrowserProblem: the manager is closed, or belongs elsewhere.
        """
        self._check_open()
        home = self._home_now()
        if self._home is None:
            self._home = home
        elif self._home != home:
            raise BrowserProblem(
                Trouble.OTHER_LOOP,
                "this manager's browsers belong to another event loop or thread (asyncio.run makes a new "
                "loop each time): make one manager in each",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise BrowserProblem(Trouble.CLOSED_MANAGER, "this manager is closed: use one that is open")

    def borrow(self, browser_type: BrowserType) -> None:
        """Where no driver of our own can start, beside a running synchronous one, use that one's."""
        self._borrowed = browser_type

    async def open(
        self, turn: Turn, url: str, ways: Sequence[str], limit: float | None = None
    ) -> tuple[Link, bool]:
        """The connection to the browser at ``url``, and whether it was there before.

        Args:
            turn: with the time limit.
            url: the browser's.
            ways: URLs that may lead to it, each tried if the one before it is refused.
            limit: seconds for a connection that will probably fail.

        Raises:
            BrowserProblem: the driver does not start.
            DriverError: the browser can't be connected to.
            TimeoutError: not within the time of the turn.
        """
        link = self._links.get(url)
        if link is not None and link.browser.is_connected():
            link.forget_closed()
            return link, True
        await self._warm_driver(turn)
        return await turn.join(self._under_way, url, lambda: self._connect(turn, url, ways, limit)), False

    async def once(self, turn: Turn, key: object, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do ``work``, or share what is under way for the same ``key``."""
        return await turn.join(self._under_way, key, work)

    def drop(self, url: str) -> None:
        """Forget a connection that turned out to be of no use."""
        self._links.pop(url, None)

    async def _connect(self, turn: Turn, url: str, ways: Sequence[str], limit: float | None) -> Link:
        try:
            browser = await self._connect_by(turn, ways, limit)
        except DriverError as error:
            if not error.closed:
                raise
            browser = await self._connect_again(turn, ways, limit)
        self._links = {u: link for u, link in self._links.items() if link.browser.is_connected()}
        link = self._links[url] = Link(browser)
        return link

    async def _connect_again(self, turn: Turn, ways: Sequence[str], limit: float | None) -> Browser:
        """After something closed in the middle: was it the browser, or the driver?"""
        try:
            return await self._connect_by(turn, ways, limit)
        except DriverError as error:
            if not error.closed:
                raise
        await self._end_driver(turn)  # it died, or its owner ended it
        return await self._connect_by(turn, ways, limit)

    async def _connect_by(self, turn: Turn, ways: Sequence[str], limit: float | None) -> Browser:
        for way in ways[:-1]:
            try:
                return await self._connect_over_cdp(turn, way, limit)
            except DriverError as error:
                if error.closed or error.timed_out:
                    raise
        return await self._connect_over_cdp(turn, ways[-1], limit)

    async def _connect_over_cdp(self, turn: Turn, url: str, limit: float | None) -> Browser:
        chromium = await self._warm_driver(turn)
        # A little less than is left, so that Playwright gives up first and cleans up behind itself.
        seconds = min(turn.left() - 0.1, math.inf if limit is None else limit)
        return await turn.call(chromium.connect_over_cdp, url, timeout=max(1.0, seconds * 1000))

    async def _warm_driver(self, turn: Turn) -> BrowserType:
        self._check_open()  # closing in the middle of a restore must not start another driver
        if self._driver is not None:
            return self._driver.chromium
        if self._borrowed is not None and running_loop() is not None:
            return self._borrowed
        try:
            driver = await turn.join(
                self._starting, "driver", lambda: self._start(turn), limit=_START_SECONDS
            )
        except TimeoutError as error:
            raise BrowserProblem(
                Trouble.DRIVER, f"Playwright's driver did not start within {_START_SECONDS:g}s: try again"
            ) from error
        self._check_open()
        # On a busy machine the start alone takes seconds, which say nothing of the browser.
        turn.extend(_CONNECT_SECONDS)
        return driver.chromium

    async def _start(self, turn: Turn) -> Playwright:
        try:
            self._driver = await turn.call_to_the_end(self._start_driver)
        except ModuleNotFoundError as error:  # the agent's image has none
            raise BrowserProblem(
                Trouble.DRIVER,
                f"it takes Playwright, which is not installed here ({error}): install it, "
                "or use the image that has it",
            ) from error
        except OSError as error:
            raise BrowserProblem(
                Trouble.DRIVER, f"Playwright's driver does not start ({error}): install Playwright again"
            ) from error
        self._owned = True
        return self._driver

    async def _end_driver(self, turn: Turn) -> None:
        links, driver, owned = self._links, self._driver, self._owned
        self._links, self._driver, self._borrowed = {}, None, None
        if driver is not None and owned:
            with contextlib.suppress(DriverError):  # of a driver that is gone already
                await turn.call_to_the_end(driver.stop)  # it takes its connections along
            return
        for link in links.values():
            with contextlib.suppress(DriverError, TimeoutError):
                # A browser that was only connected to lives on.
                await turn.call_within(1.0, link.browser.close)

    async def close(self, turn: Turn) -> None:
        """End the driver and all connections, never a browser. Once is enough, twice is harmless."""
        if self._closed:
            return
        self.enter()
        self._closed = True
        await self._under_way.land()
        await self._starting.land(patience=_START_PATIENCE)
        await self._end_driver(turn)

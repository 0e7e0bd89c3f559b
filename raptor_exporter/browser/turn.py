"""How one operation waits: with ``await`` in the asynchronous half, blocking in the synchronous one.

Playwright has one set of names in two APIs. Everything here that drives it is written once, as
coroutines over the asynchronous names, and calls Playwright through a ``Turn``. Under the synchronous
API each call has its result at once, so such a coroutine never has to wait and runs to its end in
one step (``run_now``).
"""

from __future__ import annotations

import abc
import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, ParamSpec, TypeVar, cast

from raptor_exporter.browser.flights import Flights
from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.redact import redact

P = ParamSpec("P")
T = TypeVar("T")


class Turn(abc.ABC):
    """One operation with its time limit: every wait in it ends by then with a ``TimeoutError``.

    Attributes:
        other_api: the Playwright package whose pages this turn can't drive.
        other_manager: the manager that can.
    """

    other_api: ClassVar[str]
    other_manager: ClassVar[str]

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the operation has to be over; never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Have at least ``seconds`` left from now on."""
        self._deadline = max(self._deadline, time.monotonic() + seconds)

    async def call(self, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of Playwright's.

        Raises:
            DriverError: Playwright failed the call.
            TimeoutError: the operation's time is over.
        """
        return await self._translated(self.left(), functools.partial(method, *args, **kwargs))

    async def call_within(
        self, seconds: float, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same with a shorter limit for this one call."""
        return await self._translated(min(seconds, self.left()), functools.partial(method, *args, **kwargs))

    async def call_to_the_end(
        self, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same without a limit: for what leaves something behind if it is torn in the middle."""
        return await self._translated(None, functools.partial(method, *args, **kwargs))

    async def _translated(self, seconds: float | None, method: Callable[[], Awaitable[T]]) -> T:
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as PlaywrightTimeoutError

        try:
            return await self._call(seconds, method)
        except Error as error:
            # The one place where Playwright's words come in. They hold CDP URLs, so they are not chained.
            text = redact(str(error).partition("\nCall log:")[0])
            timed_out = isinstance(error, PlaywrightTimeoutError)
            closed = type(error).__name__ == "TargetClosedError" or "already stopped" in text
        raise DriverError(text, timed_out=timed_out, closed=closed)

    @abc.abstractmethod
    async def _call(self, seconds: float | None, method: Callable[[], Awaitable[T]]) -> T: ...

    @abc.abstractmethod
    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks on files or sockets."""

    @abc.abstractmethod
    async def talk(self, conversation: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that waits for the network itself, not through Playwright."""

    @abc.abstractmethod
    async def join(
        self,
        flights: Flights,
        key: object,
        start: Callable[[], Coroutine[Any, Any, T]],
        *,
        limit: float | None = None,
    ) -> T:
        """Do something that must not be done twice at once, nor be torn in the middle.

        ``limit`` (seconds) stands in for what is left of the operation's time.
        """


class AwaitingTurn(Turn):
    """A turn in an event loop."""

    other_api = "playwright.sync_api"
    other_manager = "SyncSessionManager"

    async def _call(self, seconds: float | None, method: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(seconds):
            return await method()

    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread, so that the loop goes on."""
        async with asyncio.timeout(self.left()):
            return await asyncio.to_thread(function, *args, **kwargs)

    async def talk(self, conversation: Coroutine[Any, Any, T]) -> T:
        """Await it."""
        async with asyncio.timeout(self.left()):
            return await conversation

    async def join(
        self,
        flights: Flights,
        key: object,
        start: Callable[[], Coroutine[Any, Any, T]],
        *,
        limit: float | None = None,
    ) -> T:
        """Await the task that is under way, or start it."""
        flight = flights.join(key, start)
        try:
            async with asyncio.timeout(self.left() if limit is None else limit):
                # Shielded: who is cancelled or out of time leaves it to the others, or to the cache.
                return await asyncio.shield(flight)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if not flight.cancelled() or (task is not None and task.cancelling()):
                raise
            raise BrowserProblem(
                Trouble.CLOSED_MANAGER, "this manager was closed in the middle: use one that is open"
            ) from cancelled


class BlockingTurn(Turn):
    """A turn in a thread that uses Playwright's synchronous API."""

    other_api = "playwright.async_api"
    other_manager = "SessionManager"

    async def _call(self, seconds: float | None, method: Callable[[], Awaitable[T]]) -> T:
        with _cancelled_after(seconds):
            return cast("T", method())

    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Block: this thread has nothing else to do."""
        return function(*args, **kwargs)

    async def talk(self, conversation: Coroutine[Any, Any, T]) -> T:
        """Run it in an event loop of its own, in a thread of its own."""
        # This thread counts as one with a running event loop, Playwright's own, so it can't run another.
        outcome: list[T] = []
        failure: list[Exception] = []

        async def within() -> T:
            async with asyncio.timeout(self.left()):
                return await conversation

        def run() -> None:
            try:
                outcome.append(asyncio.run(within()))
            except Exception as error:  # noqa: BLE001  # carried to the caller's thread and raised there
                failure.append(error)

        thread = threading.Thread(target=run, name="raptor-conversation", daemon=True)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    async def join(
        self,
        flights: Flights,  # noqa: ARG002  # see Turn
        key: object,  # noqa: ARG002
        start: Callable[[], Coroutine[Any, Any, T]],
        *,
        limit: float | None = None,  # noqa: ARG002
    ) -> T:
        """Do it: a blocked thread can't do a second thing."""
        return await start()


@contextmanager
def _cancelled_after(seconds: float | None) -> Iterator[None]:
    """End a blocking call of Playwright's synchronous API when its time is over.

    Such a call makes one task in Playwright's own event loop, which runs while the call blocks. That
    task is the first one that is made here; cancelling it ends the call.

    Raises:
        TimeoutError: the call was ended.
    """
    loop = running_loop()
    if loop is None or seconds is None:  # without a loop no driver runs yet, so there is nothing to cancel
        yield
        return
    earlier = loop.get_task_factory()
    tasks: list[asyncio.Task[Any]] = []
    timed_out = False

    def make_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:  # as asyncio has it
        loop.set_task_factory(earlier)
        task = earlier(loop, work, **options) if earlier else asyncio.Task(work, loop=loop, **options)
        tasks.append(cast("asyncio.Task[Any]", task))
        return task

    def expire() -> None:
        nonlocal timed_out
        timed_out = True
        for task in tasks:
            task.cancel()

    loop.set_task_factory(make_task)
    timer = loop.call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not timed_out:
            raise
    finally:
        timer.cancel()
        if not tasks:
            loop.set_task_factory(earlier)
    if timed_out and all(task.cancelled() for task in tasks):
        raise TimeoutError


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread; also Playwright's own, while its synchronous API is in use."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine whose every step is a ``BlockingTurn``'s, so that it never has to wait."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    work.close()
    raise RuntimeError("a step of a blocking operation tried to wait in an event loop")

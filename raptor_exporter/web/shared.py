"""Expensive answers, made once for everybody who asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Shared(Generic[Key]):
    """Makes answers in a thread, one at a time, and each for all clients that wait for it.

    A request that arrives while an answer is in the making waits for the next one: nobody gets figures
    from before they asked, and a crowd of clients costs no more than two answers. With ``inline_below``
    seconds an answer that took less time than that is made at once the next time: handing it to a
    thread would take longer. Not so in a crowd.
    """

    def __init__(
        self,
        make: Callable[[Key], bytes],
        executor: Executor,
        *,
        inline_below: float = 0.0,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._make = make
        self._executor = executor
        self._inline_below = inline_below
        self._crowded = crowded
        self._cost = float("inf")  # seconds of processor time for the last answer
        self._next: dict[Key, asyncio.Task[bytes]] = {}
        self._turn = asyncio.Lock()

    async def get(self, key: Key) -> bytes:
        """The answer for one client; raises what making it raises."""
        if self._cost < self._inline_below and not self._turn.locked() and not self._crowded():
            return self._timed(key)
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._answer(key))
        # One client that leaves must not take the answer away from the others.
        return await asyncio.shield(task)

    async def _answer(self, key: Key) -> bytes:
        async with self._turn:
            del self._next[key]  # whoever comes from here on needs newer figures
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._timed, key)

    def _timed(self, key: Key) -> bytes:
        started = time.thread_time()
        try:
            return self._make(key)
        finally:
            self._cost = time.thread_time() - started


class Kept(Generic[Key]):
    """The last few long answers, for as long as what they were made of is the same."""

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._kept: dict[Key, tuple[tuple[object, ...], bytes]] = {}

    def get(self, key: Key, basis: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """The answer that was made of the very same values, or a new one."""
        before = self._kept.pop(key, None)
        if before is not None and all(a is b for a, b in zip(before[0], basis, strict=True)):
            answer = before[1]
        else:
            answer = make()
        self._kept[key] = (basis, answer)
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return answer

"""Expensive answers, made once for everybody who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Shared(Generic[Key]):
    """Makes answers in a thread, one at a time, and each for all clients that wait for it.

    A request that arrives while an answer is in the making waits for the next one: nobody gets figures
    from before they asked, and a crowd of clients costs no more than two answers.
    """

    def __init__(self, make: Callable[[Key], bytes], executor: Executor) -> None:
        self._make = make
        self._executor = executor
        self._next: dict[Key, asyncio.Task[bytes]] = {}
        self._turn = asyncio.Lock()

    async def get(self, key: Key) -> bytes:
        """The answer for one client; raises what making it raises."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._answer(key))
        # One client that leaves must not take the answer away from the others.
        return await asyncio.shield(task)

    async def _answer(self, key: Key) -> bytes:
        async with self._turn:
            del self._next[key]  # whoever comes from here on needs newer figures
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._make, key)

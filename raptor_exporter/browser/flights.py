"""Things that must not be done twice at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Flights:
    """What is under way in one event loop, so that a second comer joins instead of starting again."""

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[Any]] = {}

    def join(self, key: object, start: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task that is under way for ``key``, or a new one."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(start())
            task.add_done_callback(functools.partial(self._landed, key))
        return task

    def _landed(self, key: object, task: asyncio.Task[Any]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # its callers may all have gone; then nobody else asks for it

    async def land(self, *, patience: float = 0.0) -> None:
        """Wait ``patience`` seconds for what is under way, then cancel it."""
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

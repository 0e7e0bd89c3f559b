"""Waiting for something to become true, with a deadline, never for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], *, within: float = 20.0, what: str = "") -> object:
    """Ask until the condition is true; returns what it gave. Fails after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or condition}")
        time.sleep(0.01)
    return result


async def eventually_async(
    condition: Callable[[], object], *, within: float = 20.0, what: str = ""
) -> object:
    """The same beside other tasks of an event loop."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or condition}")
        await asyncio.sleep(0.01)
    return result

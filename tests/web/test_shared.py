from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from raptor_exporter.web.shared import Shared


def run(scenario):
    async def main():
        with ThreadPoolExecutor(2) as executor:
            return await asyncio.wait_for(scenario(executor), 20)

    return asyncio.run(main())


def test_whoever_comes_while_an_answer_is_made_waits_for_the_next_one():
    made = []
    go = threading.Semaphore(0)
    begun = threading.Semaphore(0)

    def make(key):
        made.append(key)
        begun.release()
        assert go.acquire(timeout=10)
        return f"{key} {len(made)}".encode()

    async def scenario(executor):
        shared = Shared(make, executor)
        first = [asyncio.create_task(shared.get("a"))]
        await asyncio.to_thread(begun.acquire)
        crowd = [asyncio.create_task(shared.get("a")) for _ in range(50)]
        other = asyncio.create_task(shared.get("b"))
        crowd[7].cancel()  # one who leaves disturbs nobody
        await asyncio.sleep(0)
        go.release(3)
        del crowd[7]
        return await asyncio.gather(*first, *crowd, other)

    answers = run(scenario)
    assert answers == [b"a 1"] + [b"a 2"] * 49 + [b"b 3"]
    assert made == ["a", "a", "b"]


def test_a_failure_reaches_everybody_who_waits_and_nobody_later():
    outcomes = iter([ValueError("no"), b"yes"])

    def make(_):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def scenario(executor):
        shared = Shared(make, executor)
        with pytest.raises(ValueError, match="no"):
            await shared.get("a")
        return await shared.get("a")

    assert run(scenario) == b"yes"


def test_only_what_was_quick_is_made_in_the_loop():
    threads = []
    busy = [0.0]

    def make(_):
        threads.append(threading.current_thread() is threading.main_thread())
        until = time.thread_time() + busy[0]
        while time.thread_time() < until:
            pass
        return b""

    async def scenario(executor):
        shared = Shared(make, executor, inline_below=0.05)
        for seconds in (0.0, 0.2, 0.0, 0.0):
            busy[0] = seconds
            await shared.get("a")

    run(scenario)
    # The first is unknown, the second was announced as quick, the third therefore not.
    assert threads == [False, True, False, True]

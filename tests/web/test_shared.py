from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from raptor_exporter.web.shared import Kept, Shared


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
        shared = Shared(make, executor, inline_below=0.05, crowded=lambda: crowd[0])
        for seconds, crowd[0] in ((0.0, False), (0.2, False), (0.0, False), (0.0, False), (0.0, True)):
            busy[0] = seconds
            await shared.get("a")

    crowd = [False]
    run(scenario)
    # The first is unknown, the second was expected to be quick, the third therefore not; in a crowd none is.
    assert threads == [False, True, False, True, False]


def test_a_long_answer_is_kept_until_what_it_was_made_of_changes():
    made = []

    def make():
        made.append(None)
        return str(len(made)).encode()

    kept = Kept(most=2)
    one, other = ["same"], ["same"]
    assert [kept.get("a", (one, None), make) for _ in range(3)] == [b"1"] * 3
    assert kept.get("a", (other, None), make) == b"2"  # equal is not the same: comparing would be dear
    assert kept.get("b", (one, None), make) == b"3"
    assert kept.get("c", (one, None), make) == b"4"
    assert kept.get("b", (one, None), make) == b"3"
    assert kept.get("a", (other, None), make) == b"5"  # it had to make room

"""How operations wait, in an event loop and without one."""

import asyncio
import threading

import pytest
from playwright.async_api import Error
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from raptor_exporter.browser import AwaitingTurn, BlockingTurn, BrowserProblem, DriverError, run_now
from raptor_exporter.browser.flights import Flights


async def forever():
    await asyncio.Event().wait()


async def answer(value):
    return value


def test_a_call_has_the_result_of_either_api():
    assert asyncio.run(AwaitingTurn(5).call(answer, 1)) == 1
    assert run_now(BlockingTurn(5).call(lambda: 1)) == 1


def test_a_call_that_never_ends_ends_with_the_operation():
    with pytest.raises(TimeoutError):
        asyncio.run(AwaitingTurn(0.01).call(forever))
    with pytest.raises(TimeoutError):
        asyncio.run(AwaitingTurn(60).call_within(0.01, forever))


def test_a_blocking_call_in_a_foreign_loop_is_cancelled_too():
    """As Playwright's synchronous API does it: the call makes one task and runs the loop until it is done."""
    loop = asyncio.new_event_loop()

    def blocking_call():
        task = loop.create_task(forever())
        asyncio._set_running_loop(None)
        try:
            return loop.run_until_complete(task)
        finally:
            asyncio._set_running_loop(loop)

    asyncio._set_running_loop(loop)
    try:
        with pytest.raises(TimeoutError):
            run_now(BlockingTurn(0.01).call(blocking_call))
        assert loop.get_task_factory() is None
    finally:
        asyncio._set_running_loop(None)
        loop.close()


@pytest.mark.parametrize(
    ("error", "timed_out"),
    [(Error("no: ws://h:1/devtools/browser/x"), False), (PlaywrightTimeoutError("slow"), True)],
)
def test_playwrights_errors_are_translated_without_urls_and_leave_no_trace_of_them(error, timed_out):
    def fail():
        raise error

    with pytest.raises(DriverError) as caught:
        run_now(BlockingTurn(5).call(fail))
    assert caught.value.timed_out is timed_out
    assert "devtools" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_call_log_is_left_out():
    def fail():
        raise Error("Timeout 5ms exceeded.\nCall log:\n  - <ws connecting> ws://h/")

    with pytest.raises(DriverError, match=r"^Timeout 5ms exceeded\.$"):
        run_now(BlockingTurn(5).call(fail))


def test_conversations_with_the_network_run_beside_a_foreign_loop():
    async def conversation():
        await asyncio.sleep(0)
        return threading.current_thread()

    assert run_now(BlockingTurn(5).talk(conversation())) is not threading.current_thread()
    with pytest.raises(TimeoutError):
        run_now(BlockingTurn(0.01).talk(forever()))
    assert asyncio.run(AwaitingTurn(5).talk(conversation())) is threading.current_thread()


def test_who_comes_second_joins_and_is_not_hurt_when_the_first_gives_up():
    async def story():
        flights = Flights()
        gate = asyncio.Event()
        starts = []

        async def work():
            starts.append(1)
            await gate.wait()
            return "done"

        first = asyncio.create_task(AwaitingTurn(5).join(flights, "k", work))
        second = asyncio.create_task(AwaitingTurn(5).join(flights, "k", work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert await second == "done"
        assert starts == [1]
        assert await AwaitingTurn(5).join(flights, "k", work) == "done"
        assert starts == [1, 1]

    asyncio.run(story())


def test_landing_ends_what_is_under_way():
    async def story():
        flights = Flights()
        joiner = asyncio.create_task(AwaitingTurn(60).join(flights, "k", forever))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await flights.land()
        with pytest.raises(BrowserProblem, match="closed in the middle"):
            await joiner

    asyncio.run(story())


def test_a_coroutine_that_would_have_to_wait_is_no_blocking_operation():
    with pytest.raises(RuntimeError, match="tried to wait"):
        run_now(asyncio.sleep(0))

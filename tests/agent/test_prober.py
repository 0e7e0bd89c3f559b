"""What the probe loop knows, and for how long it may be decided by."""

from __future__ import annotations

import asyncio

import pytest
from support.listeners import free_port
from support.planning import record, snapshot

from raptor_exporter.agent.prober import Prober
from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.config import ProbeConfig
from raptor_exporter.session import Endpoint


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dead():
    return Endpoint("ws", "127.0.0.1", free_port(), "/devtools/browser/x")


def probe_once(prober, config):
    """Let the loop do one pass."""

    async def run():
        done = asyncio.Event()
        prober.set_config(config)
        loop = asyncio.create_task(prober.loop(done.set))
        await asyncio.wait_for(done.wait(), 20)
        loop.cancel()

    asyncio.run(run())


def test_what_was_probed_may_be_decided_by_for_three_intervals(clock, dead):
    prober = Prober(lambda: snapshot([record("a", endpoint=dead)]), clock)
    assert prober.fresh is None
    probe_once(prober, ProbeConfig(interval=60.0))
    assert prober.fresh == prober.probes
    assert prober.fresh[dead].state is EndpointState.UNREACHABLE
    clock.now += 179.0
    assert prober.fresh == prober.probes
    clock.now += 60.0
    assert prober.fresh is None
    assert prober.probes is not None


def test_a_probe_that_is_repeated_is_fresh_again_and_the_row_goes_on(clock, dead):
    prober = Prober(lambda: snapshot([record("a", endpoint=dead)]), clock)
    probe_once(prober, ProbeConfig(interval=60.0))
    since = prober.probes[dead].unreachable_since
    clock.now += 5 * 3600.0  # suspended
    assert prober.fresh is None
    probe_once(prober, ProbeConfig(interval=61.0))
    assert prober.fresh[dead].unreachable_since == since


def test_without_probe_there_is_nothing_to_decide_by(clock, dead):
    prober = Prober(lambda: snapshot([record("a", endpoint=dead)]), clock)
    probe_once(prober, ProbeConfig(interval=60.0))
    prober.set_config(None)
    assert prober.fresh is None

"""A clock that jumps stops all deletions until it was steady for long enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import DAY, HOUR, MINUTE

from raptor_exporter.cleanup.clock import ClockGuard, boot_time

LIMIT = 10 * MINUTE


class Clocks:
    """A wall clock that can be set, and one that only goes on."""

    def __init__(self):
        self.boot = 1000.0
        self.offset = 1_800_000_000.0

    def wall(self):
        return self.boot + self.offset

    def pass_(self, seconds):
        self.boot += seconds

    def jump(self, seconds):
        self.offset += seconds


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def guard(clocks):
    return ClockGuard(clocks.wall, lambda: clocks.boot)


def test_a_steady_clock_refuses_nothing(clocks, guard):
    for _ in range(1000):
        clocks.pass_(HOUR)
        assert guard.breach(LIMIT) is None


@pytest.mark.parametrize("jump", [LIMIT + 1, -LIMIT - 1, DAY, -DAY, 365 * DAY, -365 * DAY])
def test_after_a_jump_in_either_direction_runs_wait_until_the_clock_was_steady_that_long(clocks, guard, jump):
    clocks.pass_(DAY)
    guard.observe()
    clocks.jump(jump)
    breach = guard.breach(LIMIT)
    assert breach.guard == "max_clock_jump"
    assert breach.message.startswith("max_clock_jump: the clock jumped by ")
    assert breach.message.endswith("more than 10m; runs go on when it was steady for 10m")
    clocks.pass_(LIMIT)
    assert guard.breach(LIMIT) is not None
    clocks.pass_(1)
    assert guard.breach(LIMIT) is None
    clocks.pass_(DAY)
    assert guard.breach(LIMIT) is None


@pytest.mark.parametrize("jump", [LIMIT - 1, -LIMIT + 1, 1.0, -1.0])
def test_smaller_jumps_are_no_reason(clocks, guard, jump):
    clocks.jump(jump)
    assert guard.breach(LIMIT) is None


def test_a_jump_and_its_way_back_are_both_in_doubt_until_steady(clocks, guard):
    clocks.jump(DAY)
    guard.observe()
    clocks.pass_(MINUTE)
    clocks.jump(-DAY)
    assert guard.breach(LIMIT) is not None
    clocks.pass_(LIMIT - MINUTE + 1)
    assert guard.breach(LIMIT) is not None  # the way back was a jump too
    clocks.pass_(MINUTE)
    assert guard.breach(LIMIT) is None


def test_several_jumps_that_are_small_alone_add_up_within_the_time(clocks, guard):
    for _ in range(3):
        clocks.pass_(MINUTE)
        clocks.jump(4 * MINUTE)
        guard.observe()
    assert guard.breach(LIMIT) is not None


def test_the_slow_correction_of_a_healthy_clock_never_adds_up(clocks, guard):
    for _ in range(3000):  # 500 ppm, the most that NTP slews by, for a day
        clocks.pass_(30)
        clocks.jump(30 * 500e-6)
        assert guard.breach(LIMIT) is None


def test_zero_switches_the_guard_off(clocks, guard):
    clocks.jump(DAY)
    assert guard.breach(0.0) is None
    assert guard.breach(LIMIT) is not None


def test_each_policy_has_its_own_limit(clocks, guard):
    clocks.jump(30 * MINUTE)
    guard.observe()
    clocks.pass_(20 * MINUTE)
    assert guard.breach(HOUR) is None
    assert guard.breach(10 * MINUTE) is None  # steady for 20 minutes
    clocks.jump(30 * MINUTE)
    assert guard.breach(10 * MINUTE) is not None
    assert guard.breach(HOUR) is None  # twice half an hour is no more than one hour


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 2 * HOUR), st.floats(-DAY, DAY).filter(lambda jump: abs(jump) > 1)),
        max_size=12,
    )
)
def test_whatever_the_clock_did_it_is_trusted_again_after_it_was_steady(steps):
    clocks = Clocks()
    guard = ClockGuard(clocks.wall, lambda: clocks.boot)
    for seconds, jump in steps:
        clocks.pass_(seconds)
        guard.observe()
        clocks.jump(jump)
        if abs(jump) > LIMIT:
            assert guard.breach(LIMIT) is not None
        guard.observe()
    clocks.pass_(LIMIT + 1)
    assert guard.breach(LIMIT) is None


def test_the_boot_clock_only_goes_forward():
    before = boot_time()
    assert boot_time() >= before > 0

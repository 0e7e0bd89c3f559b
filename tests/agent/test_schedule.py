"""Weeks of schedule in milliseconds: jitter within bounds, no drift, one run to catch up, never lost."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import DAY, HOUR, MINUTE

from raptor_exporter.agent.schedule import Schedule
from raptor_exporter.cleanup.policy import Expire, Policy


class Time:
    def __init__(self):
        self.now = 5_000.0

    def __call__(self):
        return self.now


def policy(name="p", interval=15 * MINUTE, **changes):
    return Policy(name, interval, expire=Expire(idle_for=changes.pop("idle_for", DAY)), **changes)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def schedule(time):
    return Schedule(time, random.Random(4).uniform)


def run_for(schedule, time, seconds, *, takes=0.0):
    """Run what is due as the agent does; returns the moments at which runs began, by policy."""
    end = time.now + seconds
    begun = {}
    while time.now < end:
        for name in schedule.due():
            begun.setdefault(name, []).append(time.now)
            time.now += takes
            schedule.rearm(name)
        time.now = max(time.now, min(time.now + schedule.pause(), end))
    return begun


@pytest.mark.parametrize(
    ("interval", "within"), [(MINUTE, MINUTE), (5 * MINUTE, 5 * MINUTE), (DAY, 5 * MINUTE)]
)
def test_the_first_run_is_at_a_random_time_within_the_interval_and_five_minutes(time, interval, within):
    waits = []
    for seed in range(300):
        schedule = Schedule(time, random.Random(seed).uniform)
        schedule.set([policy(interval=interval)])
        waits.append(schedule.wait("p"))
    assert 0 <= min(waits) < 0.05 * within
    assert 0.95 * within < max(waits) <= within


@pytest.mark.parametrize("interval", [MINUTE, 15 * MINUTE, HOUR, DAY])
def test_weeks_of_runs_are_an_interval_apart_by_ten_percent_and_do_not_drift(time, schedule, interval):
    schedule.set([policy(interval=interval)])
    begun = run_for(schedule, time, 2000 * interval)["p"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert all(0.9 * interval - 1e-6 <= gap <= 1.1 * interval + 1e-6 for gap in gaps)
    assert max(gaps) > 1.05 * interval
    assert min(gaps) < 0.95 * interval
    assert len(begun) in (1999, 2000, 2001)
    assert abs(begun[-1] - begun[0] - (len(begun) - 1) * interval) <= 0.1 * interval


def test_the_length_of_runs_adds_up_to_no_drift(time, schedule):
    schedule.set([policy(interval=MINUTE)])
    begun = run_for(schedule, time, 14 * DAY, takes=20.0)["p"]
    assert abs(len(begun) - 14 * DAY / MINUTE) <= 2


def test_after_a_stop_one_run_catches_up_and_not_many(time, schedule):
    schedule.set([policy(interval=HOUR)])
    run_for(schedule, time, DAY)
    time.now += 3 * DAY  # suspended
    assert schedule.due() == ["p"]
    schedule.rearm("p")
    assert schedule.due() == []
    assert 0.9 * HOUR <= schedule.wait("p") <= 1.1 * HOUR
    assert len(run_for(schedule, time, DAY)["p"]) in (23, 24, 25)


def test_a_run_that_is_longer_than_its_interval_is_followed_by_a_whole_interval(time, schedule):
    schedule.set([policy(interval=MINUTE)])
    begun = run_for(schedule, time, DAY, takes=150.0)["p"]
    gaps = [later - earlier - 150.0 for earlier, later in itertools.pairwise(begun)]
    assert all(0.9 * MINUTE <= gap <= 1.1 * MINUTE for gap in gaps)


def test_several_policies_keep_their_own_times(time, schedule):
    schedule.set([policy("a", MINUTE), policy("b", HOUR), policy("c", DAY)])
    begun = run_for(schedule, time, 28 * DAY)
    assert {name: round(len(moments), -1) for name, moments in begun.items()} == {
        "a": 40320,
        "b": 670,
        "c": 30,
    }


def test_a_policy_that_is_due_stays_due_until_it_is_rearmed(time, schedule):
    schedule.set([policy()])
    time.now += DAY
    assert schedule.due() == schedule.due() == ["p"]
    assert schedule.pause() < 0
    schedule.rearm("p")
    assert schedule.due() == []


def test_on_new_rules_unchanged_policies_keep_their_times_and_changed_ones_begin_anew(time, schedule):
    schedule.set([policy("same", DAY), policy("other", DAY), policy("gone", DAY)])
    run_for(schedule, time, HOUR)
    before = {name: schedule.wait(name) for name in ("same", "other", "gone")}
    schedule.set([policy("new", DAY), policy("other", DAY, idle_for=HOUR), policy("same", DAY)])
    assert schedule.wait("same") == before["same"]
    assert schedule.wait("gone") is None
    for name in ("other", "new"):
        assert 0 <= schedule.wait(name) <= 5 * MINUTE < before[name if name in before else "same"]


def test_a_policy_that_a_reload_took_away_can_be_rearmed_without_harm(time, schedule):
    schedule.set([policy()])
    schedule.set([])
    schedule.rearm("p")
    assert (schedule.due(), schedule.wait("p"), schedule.pause()) == ([], None, float("inf"))


def test_due_policies_come_in_the_order_of_the_rules(time, schedule):
    schedule.set([policy(name) for name in "dbca"])
    time.now += DAY
    assert schedule.due() == list("dbca")


@given(
    intervals=st.lists(st.floats(0.001, 30 * DAY), min_size=1, max_size=4),
    stops=st.lists(st.floats(0, 100 * DAY), max_size=20),
    seed=st.integers(0, 2**32),
)
def test_no_stop_of_any_length_loses_a_policy(intervals, stops, seed):
    time = Time()
    schedule = Schedule(time, random.Random(seed).uniform)
    schedule.set([policy(f"p{number}", interval) for number, interval in enumerate(intervals)])
    for stop in stops:
        time.now += stop
        for name in schedule.due():
            schedule.rearm(name)
        for number, interval in enumerate(intervals):
            assert schedule.wait(f"p{number}") <= max(1.1 * interval, 5 * MINUTE)
    time.now += 1.1 * max(intervals) + 5 * MINUTE
    assert schedule.due() == [f"p{number}" for number in range(len(intervals))]

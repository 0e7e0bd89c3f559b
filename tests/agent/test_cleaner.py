"""Policy runs on a clock that a test sets: what is refused, what fails, and that the schedule goes on."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
from dataclasses import replace

import pytest
from support.cleaning import IDLE, rules
from support.sessions import DAY, HOUR, MINUTE, write_session
from support.waiting import eventually_async

from raptor_exporter.agent.cleaner import Cleaner
from raptor_exporter.agent.refresher import Refresher
from raptor_exporter.agent.schedule import Schedule
from raptor_exporter.cleanup.clock import ClockGuard
from raptor_exporter.cleanup.policy import (
    EndpointState,
    Expire,
    Globs,
    Guards,
    Match,
    Mode,
    Policy,
    Rules,
    TrashRules,
    metadata_keys,
    needs_endpoints,
)
from raptor_exporter.stores import claiming
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.files import FileStore

NOW = 1_800_000_000.0


class World:
    """A cleaner with its store, on clocks of its own."""

    def __init__(self, store, rules_, *, refresh_timeout=20.0):
        self.store = store
        self.rules = rules_
        self.boot = 1000.0
        self.offset = NOW - 1000.0
        self.probes = None
        self.guard = ClockGuard(self.wall, lambda: self.boot)
        self.refresher = Refresher(store, lambda: self.rules, self.wanted, lambda: self.probes or {})
        self.cleaner = Cleaner(
            store,
            self.refresher,
            Schedule(lambda: self.boot, random.Random(1).uniform),
            self.guard,
            lambda: self.probes,
            refresh_timeout=lambda: refresh_timeout,
            wall=self.wall,
        )
        self.reports = []
        self.cleaner.on_run = self.reports.append
        self.cleaner.set_rules(rules_)

    def wall(self):
        return self.boot + self.offset

    def wanted(self):
        return Wanted(metadata_keys(self.rules), needs_endpoints(self.rules))

    def set_rules(self, rules_):
        self.rules = rules_
        self.cleaner.set_rules(rules_)

    async def go_on(self, seconds):
        """Let time pass, looking at the schedule as the loop does: at every due time, or each 30 s."""
        end = self.boot + seconds
        while self.boot < end:
            self.guard.observe()
            await self.cleaner.run_due()
            step = min(max(self.cleaner.schedule.pause(), 1.0), HOUR)
            self.boot = min(self.boot + step, end)

    @property
    def outcomes(self):
        return [report.outcome for report in self.reports]


def guarded(**changes):
    return rules(guards=Guards(min_age=0.0), **changes)


def old_session(store, name, **fields):
    return write_session(store, name, idle=30 * DAY, now=NOW, **fields)


def test_a_month_of_runs_deletes_each_session_in_its_time_and_empties_the_trash_in_its(store):
    world = World(store, guarded(interval=6 * HOUR, trash=TrashRules(retain=3 * DAY)))
    for days in range(12):
        write_session(store, f"s{days:02d}", idle=-days * DAY, now=NOW)  # accessed one a day from now on

    async def story():
        counts = []
        for _ in range(24):
            await world.go_on(DAY)
            counts.append((len(store.stems()), len(store.trash.sessions())))
        return counts

    counts = asyncio.run(story())
    left = [stems for stems, _ in counts]
    assert left[6] == 12
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert max(trash for _, trash in counts) in (3, 4)
    assert counts[-1] == (0, 0)
    figures = world.cleaner.figures[IDLE]
    assert set(world.outcomes) == {"success"}
    assert figures.deleted == {"idle": 12, "old": 0, "unmodified": 0, "unreachable": 0, "cap": 0}
    assert abs(figures.runs["success"] - 24 * 4) <= 1
    assert figures.last_success == figures.last_run


@pytest.mark.parametrize("jump", [40 * DAY, -40 * DAY])
def test_after_a_jump_of_the_clock_runs_are_refused_and_no_trash_is_emptied_until_it_was_steady(store, jump):
    world = World(
        store, guarded(interval=4 * MINUTE, expire=Expire(idle_for=HOUR), trash=TrashRules(retain=HOUR))
    )
    write_session(store, "first", idle=2 * HOUR, now=NOW)

    async def story():
        await world.go_on(10 * MINUTE)
        assert (store.stems(), len(store.trash.sessions())) == ([], 1)
        write_session(store, "fresh", now=world.wall())
        write_session(store, "second", idle=500 * DAY, now=NOW)
        before = len(world.reports)
        world.offset += jump
        await world.go_on(9 * MINUTE)
        refused = world.reports[before:]
        assert {report.outcome for report in refused} == {"refused"}
        assert {report.breach.guard for report in refused} == {"max_clock_jump"}
        assert (store.stems(), len(store.trash.sessions())) == (["fresh", "second"], 1)
        world.offset -= jump  # NTP mended it: a jump again
        await world.go_on(9 * MINUTE)
        assert store.stems() == ["fresh", "second"]
        await world.go_on(10 * MINUTE)
        assert world.reports[-1].outcome == "success"
        assert store.stems() == ["fresh"]
        await world.go_on(2 * HOUR)

    asyncio.run(story())
    figures = world.cleaner.figures[IDLE]
    assert figures.runs["refused"] >= 3
    assert figures.deleted["idle"] == 3
    assert {item.name for item in store.trash.sessions()} <= {"fresh"}  # the others are overdue


def test_a_store_that_goes_away_fails_its_runs_and_the_schedule_goes_on(store, tmp_path):
    world = World(store, guarded(interval=HOUR))
    old_session(store, "old")

    async def story():
        away = tmp_path / "away"
        shutil.move(store.path, away)
        await world.go_on(5 * HOUR)
        assert set(world.outcomes) == {"error"}
        assert len(world.outcomes) in (4, 5, 6)
        assert "no such directory" in world.reports[-1].error
        shutil.move(away, store.path)
        await world.go_on(3 * HOUR)

    asyncio.run(story())
    assert world.outcomes[-2:] == ["success", "success"]
    assert store.stems() == []
    figures = world.cleaner.figures[IDLE]
    assert figures.runs["error"] >= 4
    assert figures.last_outcome == "success"


def test_an_unexpected_error_in_a_run_is_logged_with_its_traceback_and_the_schedule_goes_on(
    store, monkeypatch, caplog
):
    world = World(store, guarded(interval=HOUR))
    old_session(store, "old")

    def broken(*_args, **_settings):
        raise ZeroDivisionError("a bug")

    async def story():
        with monkeypatch.context() as patch:
            patch.setattr("raptor_exporter.agent.cleaner.run_policy", broken)
            await world.go_on(3 * HOUR)
        await world.go_on(3 * HOUR)

    asyncio.run(story())
    assert world.outcomes[0] == "error"
    assert world.outcomes[-1] == "success"
    assert "unexpected ZeroDivisionError" in world.reports[0].error
    assert "a bug" in caplog.text
    assert store.stems() == []


class Gated(FileStore):
    """A store whose refresh hangs while the gate is shut, as a dead NFS mount does."""

    gate = threading.Event()
    entered = 0

    def refresh(self, previous, wanted):
        self.entered += 1
        self.gate.wait(20)
        return super().refresh(previous, wanted)


@pytest.fixture
def gated(store_dir):
    store = Gated(store_dir)
    store.gate = threading.Event()
    yield store
    store.gate.set()


def test_a_refresh_that_hangs_fails_the_run_and_holds_up_nobody(gated):
    old_session(gated, "old")
    world = World(gated, guarded(interval=HOUR), refresh_timeout=0.05)

    async def story():
        await world.go_on(2.5 * HOUR)
        assert set(world.outcomes) == {"error"}
        assert "hangs" in world.reports[0].error
        assert gated.entered == 1  # one refresh hangs, not one for each run
        gated.gate.set()
        await world.go_on(3 * HOUR)

    asyncio.run(story())
    assert world.outcomes[-1] == "success"
    assert gated.stems() == []


def test_a_rule_that_came_while_a_refresh_was_under_way_is_obeyed_by_the_run_after_it(gated):
    """That refresh did not read what the new rule asks for: all pinned sessions would look unpinned."""
    old_session(gated, "pinned", metadata={"pinned": "true"})
    old_session(gated, "other")
    world = World(gated, guarded(interval=MINUTE))

    async def story():
        refreshing = asyncio.create_task(world.refresher.refresh())
        await eventually_async(lambda: gated.entered)
        pinned = Match(metadata=(("pinned", Globs(("true",))),))
        world.set_rules(guarded(interval=MINUTE, protect=(pinned,), keep=None, name="new"))
        world.boot += HOUR
        running = asyncio.create_task(world.cleaner.run_due())
        await asyncio.sleep(0)
        gated.gate.set()
        await running
        await refreshing

    asyncio.run(story())
    assert world.outcomes == ["success"]
    assert gated.stems() == ["pinned"]


def test_a_policy_that_asks_for_endpoints_waits_for_the_first_full_probe(store):
    old_session(store, "old")
    chosen = guarded(interval=MINUTE, match=Match(endpoint=EndpointState.UNKNOWN))
    world = World(store, chosen)

    async def story():
        await world.go_on(HOUR)
        assert world.outcomes == []
        world.probes = {}
        await world.go_on(2 * MINUTE)

    asyncio.run(story())
    assert set(world.outcomes) == {"success"}
    assert store.stems() == []


def test_what_everybody_sees_is_fresh_right_after_a_run(store):
    path = old_session(store, "old")
    size = path.stat().st_size
    world = World(store, guarded(interval=MINUTE))
    asyncio.run(world.go_on(3 * MINUTE))
    snapshot = world.refresher.snapshot
    assert (len(snapshot.records), snapshot.trash_sessions, snapshot.trash_bytes) == (0, 1, size)
    assert world.refresher.plan.of(IDLE).deletions == {}


def test_a_run_in_flight_comes_to_a_stop_after_the_deletion_it_is_at(store, monkeypatch):
    for number in range(50):
        old_session(store, f"s{number:02d}")
    world = World(store, rules(interval=MINUTE))
    plain = claiming.Run.claim
    claimed = []

    def claim(run, chosen):
        claimed.append(chosen.name)
        if len(claimed) == 3:
            world.cleaner.stop()
        return plain(run, chosen)

    monkeypatch.setattr(claiming.Run, "claim", claim)
    asyncio.run(world.go_on(MINUTE))
    assert len(claimed) == 3
    assert world.outcomes == ["error"]
    assert world.reports[0].error == "stopped after 3 of 50"
    assert len(store.stems()) == 47
    assert len(store.trash.sessions()) == 3


def test_mode_plan_counts_no_deletion(store):
    old_session(store, "old")
    world = World(store, guarded(interval=HOUR, mode=Mode.PLAN))
    asyncio.run(world.go_on(DAY))
    figures = world.cleaner.figures[IDLE]
    assert set(world.outcomes) == {"success"}
    assert (sum(figures.deleted.values()), figures.deleted_bytes) == (0, 0)
    assert store.stems() == ["old"]


def test_policies_run_in_their_order_and_never_at_once(store):
    one = guarded(interval=MINUTE).policies[0]
    policies = tuple(replace(one, name=name) for name in ("c", "a", "b"))
    world = World(store, Rules(policies))
    running = []
    plain = world.cleaner._report

    async def report(policy, rules_):
        assert running == []
        running.append(policy.name)
        await asyncio.sleep(0)
        try:
            return await plain(policy, rules_)
        finally:
            running.clear()

    world.cleaner._report = report
    world.boot += DAY
    asyncio.run(world.cleaner.run_due())
    assert [report.policy for report in world.reports] == ["c", "a", "b"]


def test_a_policy_of_the_same_name_goes_on_counting_after_a_reload(store):
    world = World(store, guarded(interval=MINUTE))
    asyncio.run(world.go_on(10 * MINUTE))
    before = world.cleaner.figures[IDLE].runs["success"]
    world.set_rules(Rules((Policy(IDLE, MINUTE, expire=Expire(idle_for=DAY)),)))
    asyncio.run(world.go_on(10 * MINUTE))
    assert world.cleaner.figures[IDLE].runs["success"] > before

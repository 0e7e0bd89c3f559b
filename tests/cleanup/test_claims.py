"""Runs with so many sessions that two threads claim them."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time

import pytest
from support.cleaning import plan_now, results, run
from support.processes import child
from support.sessions import DAY, write_session
from support.waiting import eventually

from raptor_exporter.cleanup.claims import MANY
from raptor_exporter.cleanup.execute import recover
from raptor_exporter.stores.claiming import Run

SESSIONS = MANY + 501


@pytest.fixture
def many(store):
    """A store with so many old sessions, and one that stays."""
    for number in range(SESSIONS):
        write_session(store, f"old-{number:04}", idle=30 * DAY + number)
    write_session(store, "young", idle=0.0)
    return store


def _names(store):
    return set(store.stems())


def _trashed(store):
    return [item.name for item in store.trash.sessions()]


def test_each_goes_once_by_two_threads_the_oldest_of_each_first(many, monkeypatch):
    by_thread = {}
    claim = Run.claim
    barrier = threading.Barrier(2, timeout=30)

    def noted(self, chosen):
        mine = by_thread.setdefault(threading.current_thread().name, [])
        if not mine:
            barrier.wait()  # both are at work
        mine.append(chosen.name)
        return claim(self, chosen)

    monkeypatch.setattr(Run, "claim", noted)
    told = []
    report = run(many, plan_now(many), progress=told.append)
    assert report.outcome == "success"
    assert len(by_thread) == 2
    assert sorted(itertools.chain(*by_thread.values())) == sorted(_names_of_old())
    for mine in by_thread.values():
        assert mine == sorted(mine, reverse=True)
    assert told == list(range(1, SESSIONS + 1))
    assert report.deleted["idle"] == len(report.results) == SESSIONS
    assert report.deleted_bytes == sum(t.size for t in many.trash.sessions())
    assert _names(many) == {"young"}


def _names_of_old():
    return [f"old-{number:04}" for number in range(SESSIONS)]


def test_a_session_that_changed_is_spared_whichever_thread_comes_to_it(many):
    plan = plan_now(many)
    changed = {f"old-{number:04}" for number in range(0, SESSIONS, 7)}
    for name in changed:
        write_session(many, name, idle=0.0, metadata={"saved": "anew"})
    outcomes = results(run(many, plan))
    assert {name for name, result in outcomes.items() if result == "skipped"} == changed
    assert _names(many) == changed | {"young"}


def test_a_stop_ends_both_and_the_rest_stays(many):
    done = []
    report = run(many, plan_now(many), progress=done.append, stopping=lambda: len(done) >= 300)
    assert report.outcome == "error"
    assert report.error == f"stopped after {len(report.results)} of {SESSIONS}"
    assert 300 <= len(report.results) <= 301
    assert len(_names(many)) == SESSIONS + 1 - len(report.results)
    assert recover(many) == 0  # it was sealed


@pytest.mark.parametrize("where", ["main", "claims"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_either_thread_ends_both_and_loses_nothing(many, monkeypatch, where, error):
    claim = Run.claim
    main = threading.current_thread()

    def failing(self, chosen):
        outcome = claim(self, chosen)
        here = "main" if threading.current_thread() is main else "claims"
        if here == where and len(self.outcomes) > 200:
            raise error
        return outcome

    monkeypatch.setattr(Run, "claim", failing)
    with pytest.raises(error):
        run(many, plan_now(many))
    assert [t.name for t in threading.enumerate() if t.name == "claims"] == []
    assert len(_names(many)) + len(_trashed(many)) == SESSIONS + 1
    assert len(_names(many)) > 1


@pytest.fixture
def timer():
    """Set it, and a Ctrl-C comes after so many seconds."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_ctrl_c_while_one_waits_for_the_other_ends_that_first_and_is_not_swallowed(many, monkeypatch, timer):
    """An interrupted join() takes a thread for ended that still runs."""
    claim = Run.claim
    returned = threading.Event()
    late = []

    def slow(self, chosen):
        if threading.current_thread().name == "claims":
            time.sleep(0.002)
            if returned.is_set():
                late.append(chosen)
        return claim(self, chosen)

    monkeypatch.setattr(Run, "claim", slow)
    done = []

    def progress(number):
        done.append(number)
        if number == SESSIONS // 2 + 100:  # this thread has done its own half
            timer(0.05)

    with pytest.raises(KeyboardInterrupt):
        run(many, plan_now(many), progress=progress)
    returned.set()
    assert 0 < len(_names(many)) - 1 < SESSIONS // 2
    eventually(lambda: not any(t.name == "claims" for t in threading.enumerate()))
    assert late == []
    assert len(_names(many)) + len(_trashed(many)) == SESSIONS + 1


def test_ctrl_c_while_the_second_thread_starts_lets_no_claim_go_astray(many, monkeypatch, timer):
    start = threading.Thread.start
    delays = itertools.cycle([5e-6, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4])

    def interrupted(self):
        if self.name == "claims":
            timer(next(delays))
        start(self)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    stopped = 0
    for _ in range(12):
        with contextlib.suppress(KeyboardInterrupt):
            run(many, plan_now(many))
            stopped -= 1
        stopped += 1
        timer(0)
        # One that was interrupted before it began is listed for ever, without an ident.
        eventually(lambda: not any(t.name == "claims" and t.ident for t in threading.enumerate()))
        assert len(_names(many)) + len(_trashed(many)) == SESSIONS + 1
        if len(_names(many)) <= MANY:
            many.trash.restore(many.trash.sessions()[0].run)
    assert stopped > 0


def test_where_no_thread_is_to_be_had_one_does_it_all(many, monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    report = run(many, plan_now(many))
    assert (report.outcome, len(report.results)) == ("success", SESSIONS)
    assert _names(many) == {"young"}


def test_kill_9_with_two_claims_in_flight_loses_nothing(many):
    for _ in range(3):
        left = len(_names(many))
        with child(lambda: run(many, plan_now(many))) as process:
            eventually(lambda left=left: len(_names(many)) < left - 50, what="it is at work")
            process.kill()
        recover(many)
        assert len(_names(many)) + len(_trashed(many)) == SESSIONS + 1
        assert 1 < len(_names(many)) < left
    assert "young" in _names(many)

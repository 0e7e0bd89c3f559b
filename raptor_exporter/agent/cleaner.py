"""The policy runs: each on its time, one after the other, each on a fresh plan."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from raptor_exporter.agent.refresher import Refresher
from raptor_exporter.agent.schedule import Schedule
from raptor_exporter.agent.threads import in_thread
from raptor_exporter.cleanup.clock import ClockGuard
from raptor_exporter.cleanup.execute import ERROR, Report, recover, run_entry, run_policy
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import (
    Mode,
    Policy,
    Rules,
    asks_for_endpoints,
    metadata_keys,
    needs_endpoints,
)
from raptor_exporter.exceptions import StoreError
from raptor_exporter.metrics.figures import PolicyFigures
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.protocol import Store

logger = logging.getLogger(__name__)

_STUCK_PAUSE = 0.1  # seconds; a policy that waits for the first probe stays due all the while
_LONGEST_PAUSE = 30.0  # seconds; after a suspend the schedule is looked at within this


class Cleaner:
    """Runs policies when they are due, and keeps their figures.

    Args:
        store: the sessions.
        refresher: of their snapshot.
        schedule: when which policy is due.
        clock_guard: whether the wall clock can be trusted.
        probes: what the last full probe found; None before it, and once it is long out of date.
        refresh_timeout: how long a run waits for its refresh, in seconds.
        wall: the wall clock, POSIX seconds.
    """

    def __init__(
        self,
        store: Store,
        refresher: Refresher,
        schedule: Schedule,
        clock_guard: ClockGuard,
        probes: Callable[[], Probes | None],
        *,
        refresh_timeout: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._clock_guard = clock_guard
        self._probes = probes
        self._refresh_timeout = refresh_timeout
        self._wall = wall
        self._rules = Rules()
        self._wake = asyncio.Event()
        self._stopping = False
        self.schedule = schedule
        self.figures: dict[str, PolicyFigures] = {}
        self.running: str | None = None  # the policy at work
        self.idle = asyncio.Event()
        self.idle.set()
        self.on_run: Callable[[Report], None] = lambda _report: None

    def set_rules(self, rules: Rules) -> None:
        """Take new rules; a run in flight ends by the old ones, unchanged policies keep their times."""
        self._rules = rules
        self.schedule.set(rules.policies)
        self._wake.set()

    def stop(self) -> None:
        """Let the run in flight end after the deletion it is at."""
        self._stopping = True

    async def recover(self) -> None:
        """Finish what a crash left in the trash."""
        try:
            await in_thread(lambda: recover(self._store), "recover")
        except StoreError as error:
            logger.warning("the trash could not be looked at: %s", error)
        except Exception:  # the error boundary of the recovery: every run tries it again
            logger.exception("what a crash left could not be finished")

    async def loop(self) -> None:
        """Run policies as they get due, for ever."""
        while not self._stopping:
            ran = await self.run_due()
            self._clock_guard.observe()
            if ran:
                continue  # another may have got due meanwhile
            self._wake.clear()
            pause = self.schedule.pause()
            pause = min(pause if pause > 0 else _STUCK_PAUSE, _LONGEST_PAUSE)
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def run_due(self) -> bool:
        """Run what is due now, one policy after the other, and set its next time; whether any ran."""
        ran = False
        for name in self.schedule.due():
            policy = self._rules.policy(name)
            if policy is None or self._stopping:
                continue
            if asks_for_endpoints(self._rules, policy) and self._probes() is None:
                continue  # stays due: it waits for a full probe
            await self._run(policy)
            self.schedule.rearm(name)
            ran = True
        return ran

    async def _run(self, policy: Policy) -> None:
        self.running = policy.name
        self.idle.clear()
        started = time.monotonic()
        try:
            report = await self._report(policy, self._rules)
        except Exception as error:  # the error boundary of a run: the schedule goes on
            logger.exception("cleanup run failed", extra={"policy": policy.name})
            report = self._failed(policy, f"unexpected {type(error).__name__}, see the log", started)
        finally:
            self.running = None
            self.idle.set()
        self.figures.setdefault(policy.name, PolicyFigures()).add(report, self._wall())
        self.on_run(report)
        if report.mode is Mode.ENFORCE and not self._stopping:
            await self._refresh()  # what was deleted, and what the trash holds

    async def _refresh(self) -> bool:
        """Refresh; whether it came to an end in time."""
        try:
            await asyncio.wait_for(self._refresher.refresh(), self._refresh_timeout())
        except TimeoutError:
            return False
        return True

    async def _report(self, policy: Policy, rules: Rules) -> Report:
        started = time.monotonic()
        wanted = Wanted(metadata_keys(rules), needs_endpoints(rules))
        for _ in range(2):
            if not await self._refresh():
                return self._failed(policy, "the refresh before the run hangs", started)
            snapshot = self._refresher.snapshot
            if self._refresher.error is not None or snapshot is None:
                return self._failed(policy, self._refresher.error or "there was no refresh", started)
            if snapshot.wanted.covers(wanted):
                break
            # A refresh that was under way while the rules changed knows nothing of what they ask for:
            # what `protect` means to hold would look as if it fitted nothing.
        else:
            return self._failed(policy, "the configuration changed while the run began", started)
        probes = self._probes() or {}
        now = self._wall()  # before the guard looks, so that no jump lies between
        doubt = self._clock_guard.breach(policy.guards.max_clock_jump)

        def work() -> Report:
            decided = plan(snapshot, rules, now, probes)
            return run_policy(
                self._store, decided, policy.name, rules.trash, doubt=doubt, stopping=lambda: self._stopping
            )

        return await in_thread(work, f"cleanup-{policy.name}")

    def _failed(self, policy: Policy, error: str, started: float) -> Report:
        report = Report(policy.name, policy.mode, self._wall(), 0, 0, ERROR, error=error)
        report.duration = time.monotonic() - started
        fields = {k: v for k, v in run_entry(report).items() if k not in ("type", "at")}
        logger.warning("cleanup run", extra=fields)
        return report

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
from raptor_exporter.cleanup.policy import Policy, Rules, asks_for_endpoints
from raptor_exporter.exceptions import StoreError
from raptor_exporter.metrics.figures import PolicyFigures
from raptor_exporter.stores.files import FileStore

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0  # seconds; after a suspend the schedule is looked at within this


class Cleaner:
    """Runs policies when they are due, and keeps their figures."""

    def __init__(
        self,
        store: FileStore,
        refresher: Refresher,
        schedule: Schedule,
        clock_guard: ClockGuard,
        probes: Callable[[], Probes | None],
        *,
        refresh_timeout: Callable[[], float],
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._clock_guard = clock_guard
        self._probes = probes
        self._refresh_timeout = refresh_timeout
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

    async def loop(self) -> None:
        """Run policies as they get due, for ever."""
        while not self._stopping:
            for name in self.schedule.due():
                policy = self._rules.policy(name)
                if policy is None or self._stopping:
                    continue
                if asks_for_endpoints(policy) and self._probes() is None:
                    continue  # stays due: its first run waits for a full probe
                await self._run(policy)
                self.schedule.rearm(name)
            self._clock_guard.observe()
            self._wake.clear()
            pause = min(max(self.schedule.pause(), 1.0), _LONGEST_PAUSE)
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def _run(self, policy: Policy) -> None:
        self.running = policy.name
        self.idle.clear()
        started = time.monotonic()
        try:
            report = await self._report(policy, self._rules)
        except Exception as error:  # the error boundary of a run: the schedule goes on
            logger.exception("cleanup run failed", extra={"policy": policy.name})
            report = _failed(policy, f"unexpected {type(error).__name__}, see the log", started)
        finally:
            self.running = None
            self.idle.set()
        self.figures.setdefault(policy.name, PolicyFigures()).add(report, time.time())
        self.on_run(report)
        if report.results:
            await self._refresher.refresh()

    async def _report(self, policy: Policy, rules: Rules) -> Report:
        started = time.monotonic()
        try:
            await asyncio.wait_for(self._refresher.refresh(), self._refresh_timeout())
        except TimeoutError:
            return _failed(policy, "the refresh before the run hangs", started)
        snapshot = self._refresher.snapshot
        if self._refresher.error is not None or snapshot is None:
            return _failed(policy, self._refresher.error or "there was no refresh", started)
        probes = self._probes() or {}
        doubt = self._clock_guard.breach(policy.guards.max_clock_jump)

        def work() -> Report:
            decided = plan(snapshot, rules, time.time(), probes)
            return run_policy(
                self._store, decided, policy.name, rules.trash, doubt=doubt, stopping=lambda: self._stopping
            )

        return await in_thread(work, f"cleanup-{policy.name}")


def _failed(policy: Policy, error: str, started: float) -> Report:
    report = Report(policy.name, policy.mode, time.time(), 0, 0, ERROR, error=error)
    report.duration = time.monotonic() - started
    fields = {k: v for k, v in run_entry(report).items() if k not in ("type", "at")}
    logger.warning("cleanup run", extra=fields)
    return report

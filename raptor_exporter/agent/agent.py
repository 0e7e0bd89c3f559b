"""The agent: wires its loops together, shows itself to the HTTP face, and ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from raptor_exporter import __version__
from raptor_exporter.agent.cleaner import Cleaner
from raptor_exporter.agent.details import Details, Metadata
from raptor_exporter.agent.prober import Prober
from raptor_exporter.agent.refresher import Refresher
from raptor_exporter.agent.reloader import Reloader
from raptor_exporter.agent.schedule import Schedule
from raptor_exporter.agent.threads import in_thread
from raptor_exporter.cleanup.clock import ClockGuard, boot_time
from raptor_exporter.cleanup.execute import Report, run_entry
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.plan import Plan
from raptor_exporter.cleanup.policy import EndpointState, Policy, metadata_keys
from raptor_exporter.config import Config
from raptor_exporter.exceptions import StoreError
from raptor_exporter.metrics.cleanup import PlanCollector, RunCollector
from raptor_exporter.metrics.exporter import BuildCollector, ConfigCollector, process_collectors, revision
from raptor_exporter.metrics.probe import ProbeCollector
from raptor_exporter.metrics.store import SessionCollector, StoreCollector
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.files import FileStore
from raptor_exporter.web.view import Build, Collector, ConfigState, PolicyState, RunSummary, StoreState

logger = logging.getLogger(__name__)

_RUNS_SHOWN = 50
# SIGTERM is obeyed within 5 seconds, come what may.
_STOP_RUN_SECONDS = 2.0  # for a run in flight to come to a stop
_STOP_TASKS_SECONDS = 1.5  # for loops and server
# The schedule's clock and the wall clock are read one after the other, and the wall clock is steered: the
# same time comes out a little different at each look, and would seem to be a new one.
_SAME_TIME = 0.01  # seconds


class Agent:
    """Everything of the long-running process but its HTTP server.

    Args:
        store: the sessions.
        config: as it was read at the start.
        config_file: where from, or None.
        load: reads it again; raises ConfigError.
        reload_interval: seconds between looks at the file's content; 0: never.
    """

    def __init__(
        self,
        store: FileStore,
        config: Config,
        *,
        config_file: str | None = None,
        load: Callable[[], Config] | None = None,
        reload_interval: float = 30.0,
    ) -> None:
        self._store = store
        self._reload_interval = reload_interval
        self._reloader = Reloader(config_file, load or (lambda: config), config)
        self._clock_guard = ClockGuard()
        self._prober = Prober(lambda: self._refresher.snapshot)
        self._refresher = Refresher(
            store, lambda: self.config.rules, self._wanted, lambda: self._prober.probes or {}
        )
        self._cleaner = Cleaner(
            store,
            self._refresher,
            Schedule(boot_time),
            self._clock_guard,
            lambda: self._prober.fresh,
            refresh_timeout=lambda: 3 * self.config.store.refresh_interval,
        )
        self._cleaner.on_run = self._note_run
        self._next_runs: dict[str, float] = {}  # as they were told, POSIX seconds
        self._details = Details(store.read)
        self._runs: deque[RunSummary] = deque(maxlen=_RUNS_SHOWN)
        self._tasks: list[asyncio.Task[None]] = []
        self._side_tasks: set[asyncio.Task[object]] = set()
        self._first_refresh = asyncio.Event()
        self._reloading = asyncio.Lock()
        self.started_at = time.time()
        self.build = Build(__version__, revision(), platform.python_version())
        self.collectors: Sequence[Collector] = self._collectors()

    # -- what the HTTP face sees -----------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """The loops are alive."""
        return not any(task.done() for task in self._tasks)

    @property
    def ready(self) -> bool:
        """A first refresh is in."""
        return self._refresher.snapshot is not None

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._reloader.config

    @property
    def config_state(self) -> ConfigState:
        """How reading it went."""
        return ConfigState(self._reloader.file, self._reloader.loaded_at, self._reloader.errors)

    @property
    def store_state(self) -> StoreState:
        """How the store is."""
        return StoreState(
            self._store.place, self._is_up(), self._refresher.error, self._refresher.access.warnings
        )

    @property
    def snapshot(self) -> Snapshot | None:
        """The last good refresh."""
        return self._refresher.snapshot

    @property
    def plan(self) -> Plan | None:
        """What all policies would do with that snapshot."""
        return self._refresher.plan

    @property
    def probes(self) -> Probes:
        """What the last probe found."""
        return self._prober.probes or {}

    @property
    def policy_states(self) -> Mapping[str, PolicyState]:
        """By policy name."""
        return {policy.name: self._policy_state(policy) for policy in self.config.rules.policies}

    @property
    def runs(self) -> Sequence[RunSummary]:
        """The last runs, the newest first."""
        return tuple(self._runs)

    def metadata(self, names: Sequence[str]) -> Mapping[str, Metadata]:
        """Whole metadata, as far as it can be read now."""
        return self._details.metadata(names)

    async def reload(self) -> list[str]:
        """Read the configuration again; returns its errors, empty when it is in force."""
        async with self._reloading:
            if await in_thread(self._reloader.reload, "reload"):
                self._apply()
            return list(self._reloader.errors)

    # -- running ---------------------------------------------------------------------------------

    async def run(self, serve: Callable[[Agent], asyncio.Task[None]], stop: asyncio.Event) -> None:
        """Run all loops and the server that ``serve`` starts until ``stop`` is set.

        Raises:
            Exception: what the server failed with, if it did.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_on_signal)
        self._apply()
        server = serve(self)
        self._tasks = [
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in (
                ("refresh", self._refresh_loop()),
                ("cleanup", self._cleanup_loop()),
                ("probe", self._prober.loop(self._after_probe)),
                ("reload", self._reload_loop()),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, server, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(server)

    async def _end(self, server: asyncio.Task[None]) -> None:
        """Stop in reverse order; no failure hides another."""
        logger.info("stopping")
        self._cleaner.stop()
        failures = [
            task.exception() for task in (server, *self._tasks) if task.done() and not task.cancelled()
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cleaner.idle.wait(), _STOP_RUN_SECONDS)
        for task in (*self._tasks, server):
            task.cancel()
        await asyncio.wait({*self._tasks, server}, timeout=_STOP_TASKS_SECONDS)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _refresh_loop(self) -> None:
        while True:
            self._clock_guard.observe()
            await self._refresher.refresh()
            if self.ready:
                self._first_refresh.set()
            await asyncio.sleep(self.config.store.refresh_interval)

    async def _cleanup_loop(self) -> None:
        await self._first_refresh.wait()
        await self._cleaner.recover()
        self._runs.extend(await in_thread(self._read_journal, "journal"))
        self._cleaner.set_rules(self.config.rules)
        await self._cleaner.loop()

    async def _reload_loop(self) -> None:
        if not self._reload_interval:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._reload_interval)
            if await in_thread(self._reloader.has_changed, "reload"):
                await self.reload()

    def _reload_on_signal(self) -> None:
        self._beside(self.reload())

    def _apply(self) -> None:
        """Let every loop work by the configuration in force."""
        self._prober.set_config(self.config.probe)
        if self._first_refresh.is_set():
            self._cleaner.set_rules(self.config.rules)
            self._refresh_soon()

    def _after_probe(self) -> None:
        self._refresh_soon()

    def _refresh_soon(self) -> None:
        self._beside(self._refresher.refresh(anew=True))

    def _beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Start something that nobody waits for; it deals with its own errors."""
        task = asyncio.create_task(work)
        self._side_tasks.add(task)  # the loop itself holds its tasks but weakly
        task.add_done_callback(self._side_tasks.discard)

    # -- pieces ----------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        return Wanted(metadata_keys(self.config.rules), self.config.probe is not None)

    def _is_up(self) -> bool:
        return self._refresher.is_up(self.config.store.refresh_interval)

    def _probed_sessions(self) -> Mapping[EndpointState, int] | None:
        return self._prober.sessions if self._prober.configured else None

    def _policies(self) -> Sequence[Policy]:
        return self.config.rules.policies

    def _next_run(self, policy: str) -> float | None:
        wait = self._cleaner.schedule.wait(policy)
        if wait is None:
            return None
        at = time.time() + max(wait, 0.0)
        known = self._next_runs.get(policy)
        if known is None or abs(at - known) > _SAME_TIME:
            known = self._next_runs[policy] = at
        return known

    def _collectors(self) -> Sequence[Collector]:
        return (
            SessionCollector(lambda: self._refresher.snapshot),
            StoreCollector(self._refresher.figures, self._is_up, lambda: self._refresher.access.writable),
            ProbeCollector(self._probed_sessions, self._prober.durations),
            PlanCollector(self._policies, lambda: self._refresher.plan),
            RunCollector(self._policies, lambda: self._cleaner.figures, self._next_run),
            ConfigCollector(lambda: not self._reloader.errors, lambda: self._reloader.loaded_at),
            BuildCollector(),
            *process_collectors(),
        )

    def _policy_state(self, policy: Policy) -> PolicyState:
        figures = self._cleaner.figures.get(policy.name)
        next_run = self._next_run(policy.name)
        running = self._cleaner.running == policy.name
        if figures is None:
            return PolicyState(running=running, next_run=next_run)
        return PolicyState(
            running=running,
            last_run=figures.last_run,
            last_success=figures.last_success,
            last_outcome=figures.last_outcome,
            last_detail=figures.last_detail,
            next_run=next_run,
        )

    def _note_run(self, report: Report) -> None:
        self._runs.appendleft(_summary(run_entry(report)))

    def _read_journal(self) -> list[RunSummary]:
        found: list[RunSummary] = []
        with contextlib.suppress(StoreError):
            for entry in self._store.journal.newest_first():
                if entry.get("type") == "run":
                    with contextlib.suppress(KeyError, TypeError, ValueError):  # not written by us
                        found.append(_summary(entry))
                if len(found) == _RUNS_SHOWN:
                    break
        return found


def _summary(entry: Mapping[str, object]) -> RunSummary:
    return RunSummary(
        run=str(entry["run"] or ""),
        policy=str(entry["policy"]),
        mode=str(entry["mode"]),
        at=float(str(entry["at"])),
        outcome=str(entry["outcome"]),
        deleted=int(str(entry["deleted"])),
        skipped=int(str(entry["skipped"])),
        failed=int(str(entry["failed"])),
        bytes=int(str(entry["bytes"])),
        detail=None if entry["error"] is None else str(entry["error"]),
    )

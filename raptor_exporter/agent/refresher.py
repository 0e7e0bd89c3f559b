"""The refresh of the snapshot: in a thread, one at a time, never in the way of anybody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from raptor_exporter.agent.threads import in_thread
from raptor_exporter.cleanup.clock import boot_time
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.plan import Plan, plan
from raptor_exporter.cleanup.policy import Rules
from raptor_exporter.exceptions import StoreError
from raptor_exporter.metrics.figures import StoreFigures
from raptor_exporter.stores.access import Access
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.protocol import Store

logger = logging.getLogger(__name__)


class Refresher:
    """Keeps the last snapshot and what the policies would do with it.

    Attributes:
        snapshot: of the last good refresh.
        plan: of all policies, for the moment of that refresh.
        error: why the last refresh failed; None if it worked.
        access: what the agent may do with the store.
    """

    def __init__(
        self,
        store: Store,
        rules: Callable[[], Rules],
        wanted: Callable[[], Wanted],
        probes: Callable[[], Probes],
    ) -> None:
        self._store = store
        self._rules = rules
        self._wanted = wanted
        self._probes = probes
        self._running: asyncio.Task[None] | None = None
        self._good_at: float | None = None  # on the clock that suspend and NTP don't disturb
        self.figures = StoreFigures()
        self.snapshot: Snapshot | None = None
        self.plan: Plan | None = None
        self.error: str | None = None
        self.access = Access(writable=True)

    def is_up(self, interval: float) -> bool:
        """Whether the last refresh worked and is less than 3 intervals old. Seconds."""
        return self.error is None and self._good_at is not None and boot_time() - self._good_at < 3 * interval

    async def refresh(self, *, anew: bool = False) -> None:
        """Refresh now, or join the refresh that is under way. Its outcome is in the attributes.

        Args:
            anew: begin one after the one that is under way: something changed that it can't know.
        """
        if anew and self._running is not None:
            await asyncio.wait({self._running})
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._refresh())
        # A waiter that gives up must not take the refresh with it.
        await asyncio.shield(self._running)

    async def _refresh(self) -> None:
        started = time.monotonic()
        try:
            snapshot, decided, access = await in_thread(self._look, "refresh")
        except StoreError as error:
            self._fail(str(error))
        except Exception:  # the error boundary of the refresh: whatever it is, the agent lives
            logger.exception("refresh failed")
            self._fail("an unexpected error, see the log")
        else:
            if self.error is not None:
                logger.info("the store is back", extra={"store": self._store.place})
            self.snapshot, self.plan, self.error = snapshot, decided, None
            self._warn(access)
            self.figures.last_refresh = snapshot.taken_at
            self._good_at = boot_time()
        finally:
            self.figures.durations.observe(time.monotonic() - started)

    def _look(self) -> tuple[Snapshot, Plan, Access]:
        snapshot = self._store.refresh(self.snapshot, self._wanted())
        decided = plan(snapshot, self._rules(), snapshot.taken_at, self._probes())
        _ = snapshot.totals  # computed here, so that no scrape has to
        return snapshot, decided, self._store.access(snapshot)

    def _warn(self, access: Access) -> None:
        """Say it at the start, and again when it changes."""
        for warning in access.warnings:
            if warning not in self.access.warnings:
                logger.warning(warning, extra={"store": self._store.place})
        self.access = access

    def _fail(self, error: str) -> None:
        self.figures.errors += 1
        if error != self.error:  # once, not at every interval
            logger.error("the store can't be refreshed", extra={"error": error})
        self.error = error
        self.access = Access(writable=False)

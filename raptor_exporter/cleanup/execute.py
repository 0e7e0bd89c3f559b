"""Carry a plan out: guards, claims, trash, journal. The only way to delete by rule."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from raptor_exporter.cleanup.claims import claim_all
from raptor_exporter.cleanup.plan import Breach, Plan, PolicyPlan
from raptor_exporter.cleanup.policy import Mode, TrashRules
from raptor_exporter.exceptions import StoreError, StoreReplaced
from raptor_exporter.stores.base import (
    DELETED,
    FAILED,
    SKIPPED,
    SUPERSEDED,
    Chosen,
    Emptied,
    Outcome,
    Restored,
)
from raptor_exporter.stores.protocol import Store

logger = logging.getLogger(__name__)

SUCCESS = "success"
REFUSED = "refused"
ERROR = "error"
OUTCOMES = (SUCCESS, REFUSED, ERROR)

REASONS = ("idle", "old", "unmodified", "unreachable", "cap")

_SUSPICIOUS = 3  # so many can be saved anew between a plan and its run by chance

Progress = Callable[[int], None]


@dataclass(slots=True)
class Report:
    """What one run of one policy did."""

    policy: str
    mode: Mode
    at: float  # POSIX seconds
    candidates: int
    candidate_bytes: int
    outcome: str = SUCCESS
    run: str | None = None  # the folder in the trash; None where nothing was touched
    breach: Breach | None = None
    error: str | None = None
    results: list[tuple[Chosen, Outcome]] = field(default_factory=list)
    duration: float = 0.0  # seconds

    @property
    def deleted(self) -> Counter[str]:
        """Deletions by reason."""
        return Counter(chosen.reason for chosen, outcome in self.results if outcome.result == DELETED)

    @property
    def deleted_bytes(self) -> int:
        """What was moved to the trash."""
        return sum(chosen.identity.size for chosen, outcome in self.results if outcome.result == DELETED)

    def count(self, *results: str) -> int:
        """How many sessions ended in one of these results."""
        return sum(outcome.result in results for _, outcome in self.results)

    @property
    def skipped(self) -> int:
        """Chosen, but changed before the deletion, so spared."""
        return self.count(SKIPPED, SUPERSEDED)

    @property
    def failed(self) -> int:
        """Deletions that failed."""
        return self.count(FAILED)


def run_policy(
    store: Store,
    plan: Plan,
    policy: str,
    rules: TrashRules,
    *,
    doubt: Breach | None = None,
    progress: Progress = lambda _done: None,
    stopping: Callable[[], bool] = lambda: False,
    log_level: int = logging.INFO,
) -> Report:
    """Run one policy of a plan by its mode; every outcome ends in the report, none is raised.

    Args:
        store: where the plan's snapshot was taken.
        plan: made from a refresh just now.
        policy: the name of one of the plan's policies.
        rules: how long the trash keeps what is deleted.
        doubt: the clock guard's breach, if there is one.
        progress: called with the number of sessions done.
        stopping: asked between two deletions; True ends the run early.
        log_level: of the line about a success.
    """
    started = time.monotonic()
    chosen_by = plan.of(policy)
    report = Report(policy, chosen_by.policy.mode, plan.now, len(chosen_by.deletions), chosen_by.bytes)
    report.breach = doubt or chosen_by.breach
    try:
        # The one place where a dry run and a real one part.
        if report.mode is Mode.ENFORCE and report.breach is None:
            _enforce(store, plan, chosen_by, rules, report, progress, stopping)
        elif report.mode is Mode.ENFORCE:
            report.outcome = REFUSED
    except StoreReplaced as error:
        report.outcome, report.error = REFUSED, str(error)
    except StoreError as error:
        report.outcome, report.error = ERROR, str(error)
    except BaseException:
        # Ctrl-C, or an error in this program: what was claimed last may not have been verified.
        with contextlib.suppress(StoreError):
            recover(store)
        raise
    if report.outcome == SUCCESS and report.failed:
        first = next(outcome.error for _, outcome in report.results if outcome.result == FAILED)
        report.outcome, report.error = ERROR, f"{report.failed} deletions failed, the first with: {first}"
    if report.skipped == len(report.results) > _SUSPICIOUS:
        logger.warning(
            "every chosen session was spared as changed: are inodes and times stable on this file system?",
            extra={"policy": policy, "store": store.place},
        )
    report.duration = time.monotonic() - started
    _tell(store, report, log_level)
    return report


def _enforce(
    store: Store,
    plan: Plan,
    chosen_by: PolicyPlan,
    rules: TrashRules,
    report: Report,
    progress: Progress,
    stopping: Callable[[], bool],
) -> None:
    store.trash.check_store(plan.snapshot.store_id)
    recover(store)
    empty_trash(store, now=plan.now, retain=rules.retain)
    chosen = chosen_by.chosen()
    if chosen:
        with store.trash.run(report.policy, report.mode, plan.now, chosen, plan.snapshot.store_id) as run:
            report.run = run.header.run
            claim_all(run, chosen, report.results, progress, stopping)
        if len(report.results) < len(chosen):
            report.outcome, report.error = ERROR, f"stopped after {len(report.results)} of {len(chosen)}"
    if rules.max_bytes is not None:
        empty_trash(store, now=plan.now, max_bytes=rules.max_bytes)


def recover(store: Store) -> int:
    """Finish what crashed runs left, and tell the journal. Returns how many runs.

    Raises:
        StoreError: the trash can't be used.
    """
    finished = store.trash.recover()
    for header, chosen_by_name, outcomes in finished:
        size = sum(chosen.identity.size for chosen in chosen_by_name.values())
        report = Report(header.policy, Mode.ENFORCE, header.at, len(chosen_by_name), size, ERROR)
        report.run = header.run
        report.error = "the process ended before the run did; it was finished later"
        report.results = [(chosen_by_name[o.name], o) for o in outcomes if o.name in chosen_by_name]
        _tell(store, report)
    return len(finished)


def empty_trash(
    store: Store, *, now: float, retain: float | None = None, max_bytes: int | None = None
) -> Emptied:
    """Delete for good what is overdue (or everything), and tell the journal.

    Raises:
        StoreError: the trash can't be used.
    """
    emptied = store.trash.empty(now=now, retain=retain, max_bytes=max_bytes)
    if emptied.sessions or emptied.put_back:
        entry = {"type": "emptied", "at": now, **emptied._asdict()}
        _write(store, [entry])
        logger.info("emptied trash", extra=emptied._asdict())
    return emptied


def restore_from_trash(store: Store, wanted: str) -> Restored:
    """Bring back a run's sessions or one session, and tell the journal.

    Raises:
        KeyError: neither a run nor a session in the trash has that name.
        SessionConflict: a session of that name is in the store; nothing was changed.
        StoreError: the trash can't be used.
    """
    restored = store.trash.restore(wanted)
    now = time.time()
    if restored.names:
        _write(store, [{"type": "restored", "at": now, "name": name} for name in restored.names])
    return restored


def _tell(store: Store, report: Report, log_level: int = logging.INFO) -> None:
    """Log one line a run and one at debug a session; write both to the journal."""
    extra = run_entry(report)
    level = log_level if report.outcome == SUCCESS else logging.WARNING
    logger.log(level, "cleanup run", extra={k: v for k, v in extra.items() if k not in ("type", "at")})
    sessions = list(_session_entries(report))
    if logger.isEnabledFor(logging.DEBUG):
        for entry in sessions:
            logger.debug(
                "cleanup session", extra={"session": entry["name"], **{k: entry[k] for k in _LOGGED}}
            )
    _write(store, [*sessions, extra], optional=report.mode is Mode.PLAN)


_LOGGED = ("policy", "result", "reason", "detail")


def run_entry(report: Report) -> dict[str, Any]:
    """The journal's line about a run."""
    return {
        "type": "run",
        "at": report.at,
        "run": report.run,
        "policy": report.policy,
        "mode": str(report.mode),
        "outcome": report.outcome,
        "candidates": report.candidates,
        "deleted": report.count(DELETED),
        "bytes": report.deleted_bytes,
        "skipped": report.skipped,
        "failed": report.failed,
        "error": report.error or (report.breach.message if report.breach is not None else None),
        "seconds": round(report.duration, 3),
    }


def _session_entries(report: Report) -> Iterator[dict[str, Any]]:
    for chosen, outcome in report.results:
        yield {
            "type": "session",
            "at": report.at,
            "run": report.run,
            "name": chosen.name,
            "policy": report.policy,
            "result": outcome.result,
            "reason": chosen.reason,
            "detail": outcome.error or chosen.detail,
        }


def _write(store: Store, entries: list[dict[str, Any]], *, optional: bool = False) -> None:
    try:
        store.journal.append(entries)
    except StoreError as error:
        # What was done is done, and told by the log; a full disk must not turn it into a failure.
        # In mode plan the store may well be read-only.
        logger.log(logging.DEBUG if optional else logging.ERROR, "journal not written: %s", error)

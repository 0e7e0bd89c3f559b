"""The one-off clean-ups of the command line and of Python: policies too, along the same line."""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from raptor_exporter.cleanup.execute import Progress, Report, run_policy
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.plan import NO_PROBES, Plan, plan
from raptor_exporter.cleanup.policy import (
    DAY,
    NO_GUARDS,
    Expire,
    Globs,
    Match,
    Mode,
    Policy,
    Rules,
    metadata_keys,
    needs_endpoints,
)
from raptor_exporter.session import CORRUPT, INVALID_TIMESTAMP, REASONS
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.protocol import Store

EXPIRED = "expired"
INVALID = "invalid"
ALL = "all"
NAMED = "delete"

_ANY = Match(state="any")


def expired(base: Rules, max_age: float = 7 * DAY) -> Rules:
    """What was not accessed for ``max_age`` seconds, and what can't tell when it was."""
    expire = Expire(idle_for=max_age, invalid=frozenset({CORRUPT, INVALID_TIMESTAMP}))
    return _one(base, Policy(EXPIRED, DAY, _ANY, expire, mode=Mode.ENFORCE, guards=base.guards))


def invalid(base: Rules) -> Rules:
    """What fails one of the five checks."""
    match, expire = Match(state="invalid"), Expire(invalid=frozenset(REASONS))
    return _one(base, Policy(INVALID, DAY, match, expire, mode=Mode.ENFORCE, guards=base.guards))


def everything(base: Rules) -> Rules:
    """All sessions that can be read. Knows no guards."""
    expire = Expire(requested=True)
    return _one(base, Policy(ALL, DAY, _ANY, expire, mode=Mode.ENFORCE, guards=NO_GUARDS))


def named(base: Rules, names: Iterable[str]) -> Rules:
    """The sessions of these names (stems). Who names a session means it: neither guards nor protect hold."""
    match = Match(name=Globs(tuple(glob.escape(name) for name in names)), state="any")
    policy = Policy(NAMED, DAY, match, Expire(requested=True), mode=Mode.ENFORCE, guards=NO_GUARDS)
    return replace(_one(base, policy), protect=())


def _one(base: Rules, policy: Policy) -> Rules:
    """One policy beside the protect rules and the trash of the configuration."""
    return replace(base, policies=(policy,))


Ask = Callable[[Snapshot], Probes]


def look(
    store: Store,
    rules: Rules,
    *,
    ask: Ask | None = None,
    always: bool = False,
    previous: Snapshot | None = None,
    now: float,
) -> Plan:
    """Refresh, probe if some rule asks for it, and plan.

    Args:
        store: where the sessions are.
        rules: what to decide by.
        ask: probes a snapshot's endpoints; None where probing is not configured.
        always: probe also where no rule asks for it.
        previous: the last snapshot, so that only what changed is read.
        now: POSIX seconds that the plan is for.

    Raises:
        StoreError: the store can't be refreshed.
    """
    asking = ask if always or needs_endpoints(rules) else None
    snapshot = store.refresh(previous, Wanted(metadata_keys(rules), asking is not None))
    return plan(snapshot, rules, now, asking(snapshot) if asking is not None else NO_PROBES)


def clean(
    store: Store,
    rules: Rules,
    names: Iterable[str] | None = None,
    *,
    ask: Ask | None = None,
    clock: Callable[[], float] = time.time,
    progress: Progress = lambda _done: None,
    log_level: int = logging.INFO,
) -> Iterator[Report]:
    """Run the named policies (default: all) once, in the order of the rules, each on a fresh plan.

    ``log_level`` is that of the line about a success.

    Raises:
        StoreError: the store can't be refreshed.
    """
    chosen = None if names is None else set(names)
    snapshot = None
    for policy in rules.policies:
        if chosen is None or policy.name in chosen:
            decided = look(store, rules, ask=ask, previous=snapshot, now=clock())
            snapshot = decided.snapshot
            yield run_policy(store, decided, policy.name, rules.trash, progress=progress, log_level=log_level)

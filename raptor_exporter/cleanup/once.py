"""The one-off clean-ups of the command line and of Python: policies too, along the same line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from raptor_exporter.cleanup.execute import Progress, Report, run_policy
from raptor_exporter.cleanup.match import Probes
from raptor_exporter.cleanup.plan import NO_PROBES, plan
from raptor_exporter.cleanup.policy import (
    DAY,
    NO_GUARDS,
    Expire,
    Guards,
    Match,
    Mode,
    Policy,
    Rules,
    metadata_keys,
)
from raptor_exporter.session import CORRUPT, INVALID_TIMESTAMP, REASONS
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.files import FileStore

EXPIRED = "expired"
INVALID = "invalid"
ALL = "all"

DEFAULT_GUARDS = Guards()

_ANY = Match(state="any")


def expired(base: Rules, max_age: float = 7 * DAY, guards: Guards = DEFAULT_GUARDS) -> Rules:
    """What was not accessed for ``max_age`` seconds, and what can't tell when it was."""
    expire = Expire(idle_for=max_age, invalid=frozenset({CORRUPT, INVALID_TIMESTAMP}))
    return _one(base, Policy(EXPIRED, DAY, _ANY, expire, mode=Mode.ENFORCE, guards=guards))


def invalid(base: Rules, guards: Guards = DEFAULT_GUARDS) -> Rules:
    """What fails one of the five checks."""
    match, expire = Match(state="invalid"), Expire(invalid=frozenset(REASONS))
    return _one(base, Policy(INVALID, DAY, match, expire, mode=Mode.ENFORCE, guards=guards))


def everything(base: Rules) -> Rules:
    """All sessions that can be read. Knows no guards."""
    expire = Expire(requested=True)
    return _one(base, Policy(ALL, DAY, _ANY, expire, mode=Mode.ENFORCE, guards=NO_GUARDS))


def _one(base: Rules, policy: Policy) -> Rules:
    """One policy beside the protect rules and the trash of the configuration."""
    return replace(base, policies=(policy,))


def wanted(rules: Rules, *, endpoints: bool = False) -> Wanted:
    """What a refresh must read for these rules."""
    return Wanted(metadata_keys(rules), endpoints)


def clean(
    store: FileStore,
    rules: Rules,
    names: Iterable[str] | None = None,
    *,
    snapshot: Snapshot | None = None,
    probes: Probes = NO_PROBES,
    clock: Callable[[], float] = time.time,
    progress: Progress = lambda _done: None,
) -> Iterator[Report]:
    """Run the named policies (default: all) once, in the order of the rules, each on a fresh plan.

    Raises:
        StoreError: the store can't be refreshed.
    """
    chosen = None if names is None else set(names)
    for policy in rules.policies:
        if chosen is None or policy.name in chosen:
            snapshot = store.refresh(snapshot, wanted(rules, endpoints=bool(probes)))
            now_plan = plan(snapshot, rules, clock(), probes)
            yield run_policy(store, now_plan, policy.name, rules.trash, progress=progress)

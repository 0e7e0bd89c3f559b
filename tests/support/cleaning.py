"""Running policies over real directories, with hooks between the steps of a claim."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

from raptor_exporter.cleanup.execute import Report, run_policy
from raptor_exporter.cleanup.once import look
from raptor_exporter.cleanup.plan import Plan
from raptor_exporter.cleanup.policy import NO_GUARDS, Expire, Match, Mode, Policy, Rules, TrashRules
from raptor_exporter.stores import claiming
from raptor_exporter.stores.files import FileStore
from support.sessions import DAY

IDLE = "idle-week"


def rules(**changes) -> Rules:
    """One policy in mode enforce without guards: idle for a week goes, whatever state it is in."""
    trash = changes.pop("trash", TrashRules())
    protect = changes.pop("protect", ())
    settings = {
        "name": IDLE,
        "interval": 900.0,
        "match": Match(state="any"),
        "expire": Expire(idle_for=7 * DAY),
        "mode": Mode.ENFORCE,
        "guards": NO_GUARDS,
        **changes,
    }
    return Rules((Policy(**settings),), protect, trash)


def plan_now(store: FileStore, chosen: Rules | None = None, *, now: float | None = None) -> Plan:
    """Refresh and plan."""
    return look(store, chosen or rules(), now=time.time() if now is None else now)


def run(store: FileStore, plan: Plan | None = None, trash: TrashRules | None = None, **settings) -> Report:
    """Carry a plan out (by default one made now)."""
    plan = plan or plan_now(store)
    return run_policy(store, plan, plan.policies[0].policy.name, trash or TrashRules(), **settings)


def results(report: Report) -> dict[str, str]:
    """What became of each chosen session."""
    return {chosen.name: outcome.result for chosen, outcome in report.results}


def hook(monkeypatch, *, before_rename=None, after_rename=None) -> None:
    """Call something in the middle of each claim: after its first look, or before its second one."""

    def rename(source, target, **settings):
        if before_rename is not None:
            before_rename(source)
        os.rename(source, target, **settings)
        if after_rename is not None:
            after_rename(source)

    names = {name: getattr(os, name) for name in ("stat", "stat_result")}
    monkeypatch.setattr(claiming, "os", SimpleNamespace(rename=rename, **names))

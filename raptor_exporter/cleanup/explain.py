"""Why one session stays, goes, or went: from the plan, the trash and the journal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from raptor_exporter.cleanup.execute import recover
from raptor_exporter.cleanup.plan import DELETE, Plan
from raptor_exporter.cleanup.policy import Mode
from raptor_exporter.exceptions import UnsafeName
from raptor_exporter.names import safe_name
from raptor_exporter.stores.base import DELETED
from raptor_exporter.stores.protocol import Store
from raptor_exporter.units import format_duration


class Explanation(NamedTuple):
    """An answer in words, with its parts."""

    name: str
    policy: str | None
    action: str  # keep, delete, deleted, gone
    reason: str | None
    text: str
    live: bool  # in the store now


def explain(store: Store, plan: Plan, name: str) -> Explanation | None:
    """Explain a live session by the plan, a deleted one by the trash and the journal.

    Args:
        store: where the plan's snapshot was taken.
        plan: for now.
        name: what a session is called anywhere: its stem or its session name.

    Returns:
        the explanation, or None if nothing is known of the name.
    """
    decision = plan.decide(store.find(name) or name)
    if decision is None:
        return _explain_deleted(store, plan.now, name)
    if decision.policy is None:
        text = f"kept: {decision.detail}"
    elif decision.action == DELETE:
        policy_plan = plan.of(decision.policy)
        text = f"goes with the next run of {decision.policy} ({decision.reason}): {decision.detail}"
        if policy_plan.policy.mode is Mode.PLAN:
            text += "; the policy is in mode plan, so nothing is deleted"
        if policy_plan.breach is not None:
            text += f"; the run would be refused by {policy_plan.breach.message}"
    else:
        text = f"kept by {decision.policy}: {decision.detail}"
    return Explanation(decision.name, decision.policy, decision.action, decision.reason, text, live=True)


def _explain_deleted(store: Store, now: float, name: str) -> Explanation | None:
    recover(store)  # what a crashed run deleted is in the trash, but not yet in its list
    last = store.trash.last(name)
    if last is not None:
        return _deleted(
            last.name,
            now,
            {"at": last.deleted_at, "policy": last.policy, "reason": last.reason, "detail": last.detail},
            f"restore with: raptor-exporter trash restore {shlex.quote(name)}",
        )
    stems = (name, _safe(name))
    for entry in store.journal.newest_first():
        if entry.get("name") not in stems:
            continue
        if entry.get("type") == "restored" and _is_told(entry):
            ago = format_duration(now - entry["at"])
            text = f"restored from the trash {ago} ago, and gone since by no policy's doing"
            return Explanation(entry["name"], None, "gone", None, text, live=False)
        if entry.get("result") == DELETED and _is_told(entry, "policy", "reason", "detail"):
            return _deleted(entry["name"], now, entry, "it can't be restored: its trash was emptied")
    return None


def _safe(name: str) -> str:
    try:
        return safe_name(name)
    except UnsafeName:
        return name


def _is_told(entry: Mapping[str, Any], *texts: str) -> bool:
    """Whether a line of the journal has what it should: others may write to the file too."""
    return isinstance(entry.get("at"), int | float) and all(isinstance(entry.get(t), str) for t in texts)


def _deleted(name: str, now: float, entry: Mapping[str, Any], way_back: str) -> Explanation:
    ago = format_duration(now - entry["at"])
    policy, reason = entry["policy"], entry["reason"]
    text = f"deleted {ago} ago by {policy}, because {entry['detail']} ({reason}); {way_back}"
    return Explanation(name, policy, DELETED, reason, text, live=False)

"""What the pages and the API say, as plain values made from the agent's memory.

A document for everybody holds totals and policies; names, metadata and messages that could hold either
are only in the one for those who may see names.
"""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from raptor_exporter.cleanup.match import probed
from raptor_exporter.cleanup.plan import Decision, Plan
from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.redact import redact, redact_metadata
from raptor_exporter.stores.base import Snapshot
from raptor_exporter.stores.record import Record
from raptor_exporter.web.tiles import IDLE_BOUNDS
from raptor_exporter.web.view import AgentView, PolicyState

MOST_SESSIONS = 50_000  # in one answer; whoever needs more asks for pages

_NOT_YET = PolicyState()


def status(view: AgentView, *, names: bool) -> dict[str, Any]:
    """How the agent, its store and its policies are."""
    snapshot, state, config = view.snapshot, view.store_state, view.config_state
    hidden = "see the log"
    return {
        "version": view.build.version,
        "revision": view.build.revision,
        "python_version": view.build.python_version,
        "started_at": moment(view.started_at),
        "now": moment(time.time()),
        "healthy": view.healthy,
        "ready": view.ready,
        "names": names,
        "store": {
            "place": state.place if names else None,
            "up": state.up,
            "error": (redact(state.error) if names else hidden) if state.error else None,
            "warnings": list(state.warnings) if names else [hidden] * bool(state.warnings),
            "last_refresh": moment(snapshot.taken_at if snapshot else None),
        },
        **_totals(snapshot),
        "endpoints": _endpoints(view),
        "config": {
            "file": config.file if names else None,
            "built_in": config.file is None,
            "loaded_at": moment(config.loaded_at),
            "ok": not config.errors,
            "errors": [redact(e) for e in config.errors] if names else [hidden] * bool(config.errors),
        },
        "policies": _policies(view, names=names),
        "runs": [
            {
                "run": run.run,
                "policy": run.policy,
                "mode": run.mode,
                "at": moment(run.at),
                "outcome": run.outcome,
                "deleted": run.deleted,
                "skipped": run.skipped,
                "failed": run.failed,
                "bytes": run.bytes,
                "detail": redact(run.detail) if run.detail and names else None,
            }
            for run in view.runs
        ],
    }


def _totals(snapshot: Snapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {"sessions": None, "trash": None}
    totals = snapshot.totals
    accesses = totals.accesses
    return {
        "sessions": {
            "total": len(snapshot.records),
            "valid": totals.states["valid"],
            "invalid": totals.states["invalid"],
            "unreadable": totals.states["unreadable"],
            "reasons": dict(totals.reasons),
            "browsers": dict(totals.browsers),
            "bytes": totals.bytes,
            "oldest_access": moment(accesses[0] if accesses else None),
            "newest_access": moment(accesses[-1] if accesses else None),
            "idle": _idle(accesses),
        },
        "trash": {"sessions": snapshot.trash_sessions, "bytes": snapshot.trash_bytes},
    }


def _idle(accesses: array[float]) -> list[int]:
    """How many were accessed within each of the bounds, and how many before the last of them."""
    now = time.time()
    after = [len(accesses) - bisect_left(accesses, now - bound) for bound in IDLE_BOUNDS]
    return [after[0], *(b - a for a, b in pairwise(after)), len(accesses) - after[-1]]


def _endpoints(view: AgentView) -> dict[str, int] | None:
    if view.config.probe is None or view.snapshot is None:
        return None
    counts = {state.value: 0 for state in EndpointState}
    probes = view.probes
    for record in view.snapshot.records.values():
        known = probed(record, probes)
        if known is not None:
            counts[known.state] += 1
    return counts


def _policies(view: AgentView, *, names: bool) -> list[dict[str, Any]]:
    plan = view.plan
    plans = {p.policy.name: p for p in plan.policies} if plan is not None else {}
    rows = []
    for policy in view.config.rules.policies:
        state = view.policy_states.get(policy.name, _NOT_YET)
        planned = plans.get(policy.name)
        rows.append(
            {
                "name": policy.name,
                "mode": policy.mode.value,
                "interval_seconds": policy.interval,
                "owned": planned.owned if planned else None,
                "candidates": len(planned.deletions) if planned else None,
                "bytes": planned.bytes if planned else None,
                "cap_exceeded": planned.cap_exceeded if planned else False,
                "refusal": planned.breach.message if planned and planned.breach else None,
                "running": state.running,
                "last_run": moment(state.last_run),
                "last_outcome": state.last_outcome,
                "last_detail": redact(state.last_detail) if state.last_detail and names else None,
                "last_success": moment(state.last_success),
                "next_run": moment(state.next_run),
            }
        )
    return rows


def basis(view: AgentView) -> tuple[object, ...]:
    """The values that the long documents are made of; the same values make the same documents."""
    return (view.plan, view.snapshot, view.probes or None, view.config)


def sessions(
    view: AgentView, *, names: bool, offset: int = 0, limit: int = MOST_SESSIONS, whole: bool = True
) -> dict[str, Any]:
    """Every session by name with its fate, or only how many there are.

    ``whole``: with all metadata, not only with what the snapshot has of it.
    """
    plan = view.plan
    # A plan and the snapshot that it was made of belong together.
    snapshot = plan.snapshot if plan is not None else view.snapshot
    records = snapshot.records if snapshot is not None else {}
    document: dict[str, Any] = {
        "now": moment(time.time()),
        "names": names,
        "total": len(records),
        "offset": offset,
        "sessions": [],
    }
    if names:
        chosen = sorted(records)[offset : offset + limit]
        metadata = view.metadata(chosen) if whole else {}
        document["sessions"] = [
            _session(records[name], plan, view, metadata.get(name, records[name].metadata)) for name in chosen
        ]
    else:
        document.update(_totals(snapshot))
        document["sessions"] = []
    return document


def _session(
    record: Record, plan: Plan | None, view: AgentView, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    decision = plan.decide(record.name) if plan is not None else None
    endpoint = None
    if view.config.probe is not None:
        known = probed(record, view.probes)
        endpoint = known.state.value if known is not None else None
    return {
        "name": record.name,
        "state": record.state,
        "reason": record.reason,
        "browser_type": record.browser_type,
        "created_at": moment(record.created),
        "last_accessed": moment(record.accessed),
        "modified_at": moment(record.modified),
        "size_bytes": record.size,
        "address": record.endpoint.address if record.endpoint is not None else None,
        "endpoint": endpoint,
        "metadata": redact_metadata(metadata),
        "policy": decision.policy if decision else None,
        "action": decision.action if decision else None,
        "action_reason": decision.reason if decision else None,
        "detail": redact(decision.detail) if decision else None,
    }


def plan(view: AgentView, *, names: bool) -> dict[str, Any]:
    """What every policy would do now."""
    current = view.plan
    if current is None:
        return {"now": None, "names": names, "policies": [], "decisions": []}
    return {
        "now": moment(current.now),
        "names": names,
        "policies": [
            {
                "name": p.policy.name,
                "mode": p.policy.mode.value,
                "candidates": len(p.deletions),
                "bytes": p.bytes,
            }
            for p in current.policies
        ],
        "decisions": [_decision(d) for d in current.decisions()] if names else [],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "name": decision.name,
        "policy": decision.policy,
        "action": decision.action,
        "reason": decision.reason,
        "detail": redact(decision.detail),
    }


def moment(seconds: float | None) -> str | None:
    """A time as the API writes it: ISO 8601 in UTC, to the millisecond."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):  # outside of the calendar
        return None


def to_json(document: object) -> bytes:
    """A document as JSON."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        # File names that are no UTF-8 come as lone surrogates; only escaped they fit into JSON.
        return json.dumps(document, separators=(",", ":")).encode()

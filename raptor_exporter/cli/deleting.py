"""How every clean-up command goes: show what would be deleted, ask, do it, tell what was done."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from raptor_exporter.cli.app import App

if TYPE_CHECKING:
    from raptor_exporter.cleanup.execute import Report
    from raptor_exporter.cleanup.plan import Breach, Plan, PolicyPlan
    from raptor_exporter.cleanup.policy import Rules


def clean_up(
    app: App, rules: Rules, names: Iterable[str] | None, *, output: str, yes: bool, dry_run: bool
) -> int:
    """Run policies once. Returns the exit status: 1 if one was refused or a deletion failed.

    Raises:
        StoreError: the store can't be used.
        click.UsageError: nobody can be asked and ``yes`` is not given.
    """
    from raptor_exporter.cleanup.execute import SUCCESS
    from raptor_exporter.cleanup.once import clean, look
    from raptor_exporter.cleanup.policy import Mode
    from raptor_exporter.cli.output import confirm
    from raptor_exporter.cli.probing import asker

    chosen = [p.name for p in rules.policies] if names is None else list(names)
    ask = asker(app.config)
    plan = look(app.store, rules, ask=ask, now=time.time())
    plans = [p for p in plan.policies if p.policy.name in chosen]
    going = sum(len(p.deletions) for p in plans if p.policy.mode is Mode.ENFORCE and p.breach is None)
    for policy_plan in plans:
        _tell_spared(policy_plan)
    if dry_run:
        for policy_plan in plans:
            _tell_breach(policy_plan.policy.name, policy_plan.breach)
        _emit([_planned(plan, name) for name in chosen], output)
        return 0
    if going:
        confirm(f"Delete {going} sessions of {app.store.place}, into the trash?", yes=yes)
    with _progress(going) as advance:
        reports = list(clean(app.store, rules, chosen, ask=ask, progress=advance))
    _emit([_done(report, plan) for report in reports], output)
    for report in reports:
        if report.outcome != SUCCESS:
            _explain(report)
        else:
            _tell_breach(report.policy, report.breach)  # in mode plan
    return 0 if all(report.outcome == SUCCESS for report in reports) else 1


def _planned(plan: Plan, name: str) -> dict[str, Any]:
    policy_plan = plan.of(name)
    return {
        "name": name,
        "mode": str(policy_plan.policy.mode),
        "outcome": None,
        "candidates": len(policy_plan.deletions),
        "bytes": policy_plan.bytes,
        "deleted": 0,
        "skipped": 0,
        "failed": 0,
        "sessions": _chosen(plan, name),
    }


def _chosen(plan: Plan, policy: str) -> list[dict[str, Any]]:
    return [
        {"name": c.name, "result": "would be deleted", "reason": c.reason, "detail": c.detail}
        for c in plan.of(policy).chosen()
    ]


def _done(report: Report, plan: Plan) -> dict[str, Any]:
    from raptor_exporter.cleanup.policy import Mode

    return {
        "name": report.policy,
        "mode": str(report.mode),
        "outcome": report.outcome,
        "candidates": report.candidates,
        "bytes": report.deleted_bytes if report.results else report.candidate_bytes,
        "deleted": report.deleted.total(),
        "skipped": report.skipped,
        "failed": report.failed,
        "sessions": _chosen(plan, report.policy)
        if report.mode is Mode.PLAN
        else [
            {
                "name": chosen.name,
                "result": outcome.result,
                "reason": chosen.reason,
                "detail": outcome.error or chosen.detail,
            }
            for chosen, outcome in report.results
        ],
    }


def _emit(runs: list[dict[str, Any]], output: str) -> None:
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.units import format_size

    sessions = [{"policy": run["name"], **item} for run in runs for item in run["sessions"]]
    if output == "name":
        emit_list(sessions, output, {})
        return
    if output == "table" and sessions:
        columns = {
            "SESSION": lambda row: row["name"],
            "POLICY": lambda row: row["policy"],
            "RESULT": lambda row: row["result"],
            "REASON": lambda row: row["reason"],
            "WHY": lambda row: row["detail"],
        }
        emit_list(sessions, output, columns)
        click.echo()
    emit_list(
        runs,
        output,
        {
            "POLICY": lambda row: row["name"],
            "MODE": lambda row: row["mode"],
            "OUTCOME": lambda row: row["outcome"] or "dry run",
            "CANDIDATES": lambda row: str(row["candidates"]),
            "DELETED": lambda row: str(row["deleted"]),
            "SKIPPED": lambda row: str(row["skipped"]),
            "FAILED": lambda row: str(row["failed"]),
            "BYTES": lambda row: format_size(row["bytes"]),
        },
        right=("CANDIDATES", "DELETED", "SKIPPED", "FAILED", "BYTES"),
        empty="no policies",
    )


def _tell_spared(policy_plan: PolicyPlan) -> None:
    """Say of how many sessions min_age alone keeps the policy: who asks for a deletion would wonder."""
    from raptor_exporter.units import format_duration

    spared = policy_plan.fresh
    if spared:
        name, min_age = policy_plan.policy.name, format_duration(policy_plan.policy.guards.min_age)
        which = "session that" if spared == 1 else "sessions that"
        text = (
            f"{name}: min_age spares {spared} {which} changed in the last {min_age}; --force takes them too"
        )
        click.echo(text, err=True)


def _tell_breach(policy: str, breach: Breach | None) -> None:
    if breach is not None:
        click.echo(f"{policy}: a run would be refused by {breach.message}", err=True)


def _explain(report: Report) -> None:
    if report.breach is not None:
        message = f"refused by {report.breach.message}; look with --dry-run, go past the guard with --force"
    else:
        message = f"{report.outcome}: {report.error}"
    click.echo(f"Error: {report.policy}: {message}", err=True)


def _progress(total: int) -> Any:
    from raptor_exporter.cli.progress import progress

    return progress("deleting", total)

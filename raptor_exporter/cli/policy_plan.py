"""``policy plan``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, object_output, option
from raptor_exporter.cli.parameters import MOMENT, known_policies

if TYPE_CHECKING:
    from raptor_exporter.cleanup.plan import Plan


@click.command(
    epilog="""\b
Examples:
  raptor-exporter policy plan --config raptor.yaml
  raptor-exporter policy plan ci-sessions --at +7d
  raptor-exporter policy plan -o json | jq '.decisions[] | select(.action == "delete")'
""",
)
@click.argument("policies", nargs=-1, metavar="[POLICY]...")
@common
@object_output
@option("--at", type=MOMENT, metavar="+DURATION|TIME", help="Plan for then, such as +7d [default: now].")
def plan(app: App, policies: tuple[str, ...], output: str, *, at: float | None) -> None:
    """Say what the policies (default: all) would delete, now or then, and why. Changes nothing."""
    from raptor_exporter.cleanup.once import look
    from raptor_exporter.cli.output import emit_list, emit_object
    from raptor_exporter.cli.probing import asker

    names = known_policies(app.config, policies)
    now = time.time() if at is None else at
    decided = look(app.store, app.config.rules, ask=asker(app.config), now=now)
    if output == "table":
        _print_table(decided, names)
    elif output == "name":
        emit_list(({"name": c.name} for name in names for c in decided.of(name).chosen()), output, {})
    else:
        emit_object(_document(decided, names), output, [])
    for name in names:
        breach = decided.of(name).breach
        if breach is not None:
            click.echo(f"{name}: a run would be refused by {breach.message}", err=True)


def _document(decided: Plan, names: list[str]) -> dict[str, Any]:
    from raptor_exporter.session import format_timestamp

    return {
        "now": format_timestamp(decided.now),
        "policies": [_policy(decided, name) for name in names],
        "decisions": [d._asdict() for d in decided.decisions()],
    }


def _policy(decided: Plan, name: str) -> dict[str, Any]:
    policy_plan = decided.of(name)
    return {
        "name": name,
        "mode": str(policy_plan.policy.mode),
        "candidates": len(policy_plan.deletions),
        "bytes": policy_plan.bytes,
    }


def _print_table(decided: Plan, names: list[str]) -> None:
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.units import format_size

    going = [{"policy": name, "chosen": c} for name in names for c in decided.of(name).chosen()]
    if going:
        columns = {
            "SESSION": lambda row: row["chosen"].name,
            "POLICY": lambda row: row["policy"],
            "REASON": lambda row: row["chosen"].reason,
            "WHY": lambda row: row["chosen"].detail,
        }
        emit_list(going, "table", columns)
        click.echo()
    emit_list(
        [_policy(decided, name) for name in names],
        "table",
        {
            "POLICY": lambda row: row["name"],
            "MODE": lambda row: row["mode"],
            "OWNS": lambda row: str(decided.of(row["name"]).owned),
            "WOULD DELETE": lambda row: str(row["candidates"]),
            "BYTES": lambda row: format_size(row["bytes"]),
        },
        right=("OWNS", "WOULD DELETE", "BYTES"),
        empty="no policies are configured",
    )

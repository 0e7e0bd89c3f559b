"""A word of warning after something came back from the trash."""

from __future__ import annotations

import time

import click

from raptor_exporter.cli.app import App


def warn_of_policies(app: App, names: list[str]) -> None:
    """Say which of the restored sessions a policy would take again, and which policy."""
    if not names:
        return
    from raptor_exporter.cleanup.once import look
    from raptor_exporter.cleanup.plan import DELETE
    from raptor_exporter.cli.output import printable

    # Their files changed just now, which spares them for a minute only.
    plan = look(app.store, app.config.rules.without_guards(), now=time.time())
    for name in names:
        decision = plan.decide(name)
        if decision is not None and decision.action == DELETE:
            click.echo(
                f"Warning: {printable(name)} would be taken again by {decision.policy}: {decision.detail}; "
                "protect it or change the policy",
                err=True,
            )

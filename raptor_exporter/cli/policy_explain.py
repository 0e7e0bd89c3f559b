"""``policy explain``."""

from __future__ import annotations

import time

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, object_output


@click.command(
    epilog="""\b
Examples:
  raptor-exporter policy explain login
""",
)
@click.argument("name")
@common
@object_output
def explain(app: App, name: str, output: str) -> None:
    """Say why a session stays, when it goes, or why it went and how to take it back."""
    from raptor_exporter.cleanup.explain import explain as explain_session
    from raptor_exporter.cleanup.once import look
    from raptor_exporter.cli.output import emit_object, printable
    from raptor_exporter.cli.probing import asker

    plan = look(app.store, app.config.rules, ask=asker(app.config), now=time.time())
    found = explain_session(app.store, plan, name)
    if found is None:
        raise click.ClickException(
            f"{printable(name)}: no session of that name in {app.store.place}, its trash or its journal"
        )
    if output == "table":
        click.echo(printable(f"{found.name}: {found.text}"))
    else:
        emit_object(found._asdict(), output, [])

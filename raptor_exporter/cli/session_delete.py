"""``session delete``."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, dry_run, yes


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session delete login
  raptor-exporter session delete --yes ci-1 ci-2
""",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@common
@dry_run
@yes
@click.pass_context
def delete(ctx: click.Context, app: App, names: tuple[str, ...], *, dry_run: bool, yes: bool) -> None:
    """Delete sessions, into the trash. Their browsers live on: `session close` ends them.

    Who names a session means it: no guard and no `protect` holds.
    """
    from raptor_exporter.cli.deleting_named import delete_named

    ctx.exit(0 if delete_named(app, names, yes=yes, dry_run=dry_run) else 1)

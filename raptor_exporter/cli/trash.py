"""``trash``: what was deleted, and the way back."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, dry_run, listing, yes


@click.group(
    epilog="""\b
Examples:
  raptor-exporter trash list
  raptor-exporter trash restore login            the last deleted session of that name
  raptor-exporter trash restore 20261123T081500Z-ab12cd
""",
)
def trash() -> None:
    """List, restore and empty what was deleted."""


@trash.command(
    "list",
    epilog="""\b
Examples:
  raptor-exporter trash list
  raptor-exporter trash list -o json | jq '.[] | select(.policy == "expired") | .name'
""",
)
@common
@listing
def list_trash(app: App, output: str) -> None:
    """List the sessions in the trash, the oldest deletion first."""
    from raptor_exporter.cleanup.execute import recover
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.cli.wording import ago
    from raptor_exporter.session import format_timestamp
    from raptor_exporter.units import format_size

    recover(app.store)
    now = time.time()
    emit_list(
        [
            {
                "name": item.name,
                "run": item.run,
                "policy": item.policy,
                "reason": item.reason,
                "deleted_at": format_timestamp(item.deleted_at),
                "size_bytes": item.size,
            }
            for item in app.store.trash.sessions()
        ],
        output,
        {
            "NAME": lambda row: row["name"],
            "RUN": lambda row: row["run"],
            "POLICY": lambda row: row["policy"],
            "REASON": lambda row: row["reason"],
            "DELETED": lambda row: ago(row["deleted_at"], now),
            "SIZE": lambda row: format_size(row["size_bytes"]),
        },
        right=("SIZE",),
        empty="the trash is empty",
    )


@trash.command(
    epilog="""\b
Examples:
  raptor-exporter trash restore login            the last deleted session of that name
  raptor-exporter trash restore 20261123T081500Z-ab12cd
""",
)
@click.argument("names", nargs=-1, required=True, metavar="RUN_OR_NAME...")
@common
@click.pass_context
def restore(ctx: click.Context, app: App, names: tuple[str, ...]) -> None:
    """Bring back a run's sessions, or the last deleted session of a name.

    What comes back counts as accessed now. Nothing that is in the store is ever overwritten.
    """
    from raptor_exporter.cleanup.execute import recover, restore_from_trash
    from raptor_exporter.cli.output import printable
    from raptor_exporter.cli.restoring import warn_of_policies
    from raptor_exporter.exceptions import SessionConflict

    recover(app.store)
    wanted_once = list(dict.fromkeys(names))
    if _conflicts(app, wanted_once):
        ctx.exit(1)
    restored: list[str] = []
    failed = False
    for wanted in wanted_once:
        try:
            back = restore_from_trash(app.store, wanted)
        except KeyError:
            click.echo(
                f"Error: {printable(wanted)}: no run and no session of that name in the trash", err=True
            )
            failed = True
        except SessionConflict as error:
            click.echo(f"Error: {printable(wanted)}: {printable(str(error))}", err=True)
            failed = True
        else:
            restored += back.names
            for conflict in back.conflicts:
                click.echo(f"Error: {printable(wanted)}: {printable(conflict)}", err=True)
                failed = True
    for name in restored:
        click.echo(printable(name))
    warn_of_policies(app, restored)
    ctx.exit(1 if failed else 0)


def _conflicts(app: App, names: Sequence[str]) -> bool:
    """Whether something asked for is in the store again: then nothing at all is to come back."""
    from raptor_exporter.cli.output import printable
    from raptor_exporter.exceptions import SessionConflict

    found = False
    for wanted in names:
        try:
            app.store.trash.check_restorable(wanted)
        except KeyError:
            continue  # told when its turn comes
        except SessionConflict as error:
            click.echo(f"Error: {printable(wanted)}: {printable(str(error))}", err=True)
            found = True
    return found


@trash.command(
    epilog="""\b
Examples:
  raptor-exporter trash empty --dry-run
  raptor-exporter trash empty --yes
""",
)
@common
@dry_run
@yes
@click.pass_context
def empty(ctx: click.Context, app: App, *, dry_run: bool, yes: bool) -> None:
    """Delete everything in the trash for good; exit status 1 if something is left.

    A run at work keeps what it holds.
    """
    from raptor_exporter.cleanup.execute import empty_trash, recover
    from raptor_exporter.cli.output import confirm
    from raptor_exporter.units import format_size

    if not dry_run:
        recover(app.store)
    items = app.store.trash.sessions()
    size = format_size(sum(item.size for item in items))
    if not items:
        click.echo("the trash is empty", err=True)
        return
    if dry_run:
        click.echo(f"{len(items)} sessions ({size}) would be deleted for good", err=True)
        return
    confirm(f"Delete {len(items)} sessions ({size}) in the trash of {app.store.place} for good?", yes=yes)
    done = empty_trash(app.store, now=time.time())
    click.echo(f"deleted {done.sessions} sessions ({format_size(done.bytes)}) for good", err=True)
    if done.put_back:
        click.echo(f"put back {done.put_back} that had changed since their deletion", err=True)
    if done.left:
        click.echo(
            f"Error: {done.left} sessions are still in the trash: another process is at work on them, "
            "or they can't be deleted now, as the log says",
            err=True,
        )
        ctx.exit(1)

"""``session validate``."""

from __future__ import annotations

from typing import Any

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import all_or_named, common, every_session, listing


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session validate login && run-my-tests
  raptor-exporter session validate --all -o json
""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@every_session
@common
@listing
@click.pass_context
def validate(ctx: click.Context, app: App, names: tuple[str, ...], output: str, *, everything: bool) -> None:
    """Check session files; exit status 1 if one is invalid, unreadable or not there.

    Browsers are not contacted: `session probe` does that.
    """
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.cli.session_rows import session_rows
    from raptor_exporter.cli.wording import or_dash

    whole = all_or_named(ctx, names, everything=everything)
    rows = list(session_rows(app.store)) if whole else [_row(app, name) for name in names]
    emit_list(
        rows,
        output,
        {
            "NAME": lambda row: row["name"],
            "STATE": lambda row: or_dash(row["state"]),
            "REASON": lambda row: or_dash(row["reason"]),
        },
        empty=f"no sessions in {app.store.place}",
    )
    ctx.exit(0 if all(row["state"] == "valid" for row in rows) else 1)


def _row(app: App, name: str) -> dict[str, Any]:
    from raptor_exporter.cli.session_rows import missing_row, session_row

    stem = app.store.find(name)
    row = None if stem is None else session_row(app.store, stem)
    return missing_row(name) if row is None else row

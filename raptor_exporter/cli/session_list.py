"""``session list``."""

from __future__ import annotations

import time

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, listing


@click.command(
    "list",
    epilog="""\b
Examples:
  raptor-exporter session list
  raptor-exporter session list -o name | wc -l
  raptor-exporter session list -o json | jq '.[] | select(.state == "invalid") | .name'
""",
)
@common
@listing
def list_sessions(app: App, output: str) -> None:
    """List the sessions of a store with their state, browser and last access."""
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.cli.session_rows import session_rows
    from raptor_exporter.cli.wording import ago, or_dash, size_or_dash

    now = time.time()
    if output == "name":
        emit_list([{"name": name} for name in app.store.stems()], output, {})
        return
    zone = app.store.timezone
    emit_list(
        session_rows(app.store),
        output,
        {
            "NAME": lambda row: row["name"],
            "STATE": lambda row: row["state"],
            "REASON": lambda row: or_dash(row["reason"]),
            "BROWSER": lambda row: or_dash(row["browser_type"]),
            "ADDRESS": lambda row: or_dash(row["address"]),
            "LAST ACCESS": lambda row: ago(row["last_accessed"], now, zone),
            "SIZE": lambda row: size_or_dash(row["size_bytes"]),
        },
        right=("SIZE",),
        empty=f"no sessions in {app.store.place}",
    )

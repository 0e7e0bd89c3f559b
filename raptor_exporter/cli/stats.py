"""``stats``."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, nameless_output


@click.command(
    "stats",
    epilog="""\b
Examples:
  raptor-exporter stats
  raptor-exporter stats -o json | jq .invalid
""",
)
@common
@nameless_output
def stats(app: App, output: str) -> None:
    """Count the sessions of a store by state, their bytes, and their oldest and newest access."""
    from raptor_exporter.cli.output import emit_object
    from raptor_exporter.session import INVALID, UNREADABLE, VALID, format_timestamp
    from raptor_exporter.stores.base import Wanted
    from raptor_exporter.units import format_size

    snapshot = app.store.refresh(None, Wanted())
    totals = snapshot.totals
    accesses = totals.accesses
    oldest, newest = (accesses[0], accesses[-1]) if accesses else (None, None)
    value = {
        "sessions": len(snapshot.records),
        "valid": totals.states[VALID],
        "invalid": dict(totals.reasons),
        "unreadable": totals.states[UNREADABLE],
        "bytes": totals.bytes,
        "oldest_access": None if oldest is None else format_timestamp(oldest),
        "newest_access": None if newest is None else format_timestamp(newest),
    }
    emit_object(
        value,
        output,
        [
            ("store", app.store.place),
            ("sessions", str(value["sessions"])),
            ("valid", str(value["valid"])),
            ("invalid", str(totals.states[INVALID])),
            *((f"  {reason}", str(count)) for reason, count in totals.reasons.items() if count),
            ("unreadable", str(value["unreadable"])),
            ("bytes", f"{totals.bytes} ({format_size(totals.bytes)})"),
            ("oldest access", str(value["oldest_access"] or "-")),
            ("newest access", str(value["newest_access"] or "-")),
        ],
    )

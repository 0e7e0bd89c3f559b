"""``session show``."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, object_output, option


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session show login
  raptor-exporter session show login -o json | jq .metadata
""",
)
@click.argument("name")
@common
@object_output
@option(
    "--reveal",
    is_flag=True,
    help="Show the CDP URL and page URLs in whole. Whoever reads them owns the browser.",
)
def show(app: App, name: str, output: str, *, reveal: bool) -> None:
    """Show what a session file says, and whether it is valid."""
    from raptor_exporter.cli.output import emit_object
    from raptor_exporter.cli.session_rows import session_row

    stem = app.store.find(name)
    row = None if stem is None else session_row(app.store, stem)
    if row is None:
        raise click.ClickException(f"there is no session {name!r} in {app.store.place}")
    if reveal:
        row = _revealed(app, row)
    emit_object(row, output, _lines(row, time.time(), app))


def _revealed(app: App, row: dict[str, Any]) -> dict[str, Any]:
    """The same with nothing cut; its CDP URL stands beside the address that is part of it."""
    from raptor_exporter.exceptions import UnreadableSession
    from raptor_exporter.session import parse_object

    try:
        document = parse_object(app.store.read(row["name"]) or b"") or {}
    except UnreadableSession:
        document = {}
    cdp_url, metadata = document.get("cdp_url"), document.get("metadata")
    whole = {
        "cdp_url": cdp_url if isinstance(cdp_url, str) else None,
        "metadata": metadata if isinstance(metadata, dict) else None,
    }
    return {**row, **whole}


def _lines(row: dict[str, Any], now: float, app: App) -> list[tuple[str, str]]:
    from raptor_exporter.cli.wording import ago, or_dash, size_or_dash

    zone = app.store.timezone
    state, reason = row["state"], row["reason"]
    lines = [
        ("Name", row["name"]),
        ("Session id", or_dash(row["session_id"])),
        ("State", state if reason in (None, state) else f"{state} ({reason})"),
        ("Browser", or_dash(row["browser_type"])),
        ("Address", or_dash(row["address"])),
        ("Created", _moment(row["created_at"], ago(row["created_at"], now, zone))),
        ("Last access", _moment(row["last_accessed"], ago(row["last_accessed"], now, zone))),
        ("Size", size_or_dash(row["size_bytes"])),
    ]
    if "cdp_url" in row:
        lines.append(("CDP URL", or_dash(row["cdp_url"])))
    for key, value in (row["metadata"] or {}).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append((f"metadata.{key}", text))
    return lines


def _moment(timestamp: str | None, age: str) -> str:
    return age if timestamp is None or age == timestamp else f"{timestamp} ({age})"

"""``session probe``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import all_or_named, common, every_session, listing

if TYPE_CHECKING:
    from raptor_exporter.probe import ProbeResult
    from raptor_exporter.session import Endpoint


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session probe login
  raptor-exporter session probe --all -o json | jq '.[] | select(.endpoint == "unreachable") | .name'
""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@every_session
@common
@listing
@click.pass_context
def probe(ctx: click.Context, app: App, names: tuple[str, ...], output: str, *, everything: bool) -> None:
    """Ask browsers whether they are alive and still the ones of their sessions.

    Only hosts that `probe.allowed_hosts` of the configuration lists are called; without one, this
    machine alone. Exit status 1 if a named session is invalid or not there, whatever its browser says.
    """
    from raptor_exporter.cli.output import emit_list
    from raptor_exporter.cli.wording import or_dash

    whole = all_or_named(ctx, names, everything=everything)
    rows = _rows(app, app.store.stems() if whole else None, names)
    emit_list(
        rows,
        output,
        {
            "NAME": lambda row: row["name"],
            "ADDRESS": lambda row: or_dash(row["address"]),
            "ENDPOINT": lambda row: or_dash(row["endpoint"]),
            "DETAIL": lambda row: or_dash(row["detail"]),
        },
        empty=f"no sessions in {app.store.place}",
    )
    ctx.exit(0 if whole or all(row["state"] == "valid" for row in rows) else 1)


def _rows(app: App, stems: list[str] | None, names: tuple[str, ...]) -> list[dict[str, Any]]:
    from raptor_exporter.cli.endpoints import endpoint_of
    from raptor_exporter.cli.session_rows import missing_row, session_row

    found = [(name, app.store.find(name)) for name in names] if stems is None else [(s, s) for s in stems]
    rows: list[tuple[dict[str, Any], Endpoint | None]] = []
    for name, stem in found:
        row = None if stem is None else session_row(app.store, stem)
        if stem is not None and row is not None:
            rows.append((row, endpoint_of(app, stem)))
        elif stems is None:  # else it was deleted since it was listed
            rows.append((missing_row(name), None))
    results = _ask(app, {endpoint for _, endpoint in rows if endpoint is not None})
    return [{**row, **_told(row, None if e is None else results[e])} for row, e in rows]


def _told(row: dict[str, Any], result: ProbeResult | None) -> dict[str, Any]:
    if result is not None:
        return {"endpoint": result.state.value, "detail": result.detail}
    why = (
        "there is no such session" if row["state"] is None else f"its file names no address: {row['reason']}"
    )
    return {"endpoint": None, "detail": "its file can't be read now" if row["state"] == "unreadable" else why}


def _ask(app: App, endpoints: set[Endpoint]) -> dict[Endpoint, ProbeResult]:
    import asyncio

    from raptor_exporter.cli.progress import progress
    from raptor_exporter.config import ProbeConfig
    from raptor_exporter.probe import probe_endpoints

    config = app.config.probe or ProbeConfig()
    with progress("probing", len(endpoints)) as advance:
        return asyncio.run(
            probe_endpoints(
                endpoints,
                timeout=config.timeout,
                concurrency=config.concurrency,
                allowed_hosts=config.allowed_hosts,
                progress=lambda done, total: advance(len(endpoints) * done // total),
            )
        )

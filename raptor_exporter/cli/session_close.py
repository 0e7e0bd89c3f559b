"""``session close``."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, yes


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session close login
  raptor-exporter session close --yes ci-1 ci-2
""",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@common
@yes
@click.pass_context
def close(ctx: click.Context, app: App, names: tuple[str, ...], *, yes: bool) -> None:
    """End the browsers of sessions, then delete the sessions, into the trash.

    A browser that was replaced by another one counts as ended, and the other one is left alone. A
    session whose browser could not be ended stays.
    """
    from raptor_exporter.cli.deleting_named import delete_named
    from raptor_exporter.cli.output import confirm, printable

    found = {name: app.store.find(name) for name in dict.fromkeys(names)}
    for name, stem in found.items():
        if stem is None:
            _complain(f"there is no session {name!r} in {app.store.place}")
    stems = list(dict.fromkeys(stem for stem in found.values() if stem is not None))
    if stems:
        what = f"the browser of {printable(stems[0])}" if len(stems) == 1 else f"{len(stems)} browsers"
        confirm(
            f"End {what}, and move the session files in {app.store.place} to the trash?",
            yes=yes,
            remedy="give --yes",
        )
    ended = [stem for stem in stems if _end(app, stem)]
    deleted = delete_named(app, ended, yes=True) if ended else True
    ctx.exit(0 if deleted and ended == stems and None not in found.values() else 1)


def _end(app: App, stem: str) -> bool:
    """End one browser; False, and told why, if its session has to stay."""
    import asyncio

    from raptor_exporter.chromium.ending import end_browser
    from raptor_exporter.chromium.profiles import discard_profile_of
    from raptor_exporter.cli.endpoints import endpoint_of
    from raptor_exporter.cli.output import printable
    from raptor_exporter.exceptions import BrowserNotEnded

    before = app.store.identify(stem)
    endpoint = endpoint_of(app, stem)
    if endpoint is None:
        _complain(
            f"{stem} stays: its file names no browser that could be ended (`session delete` deletes it)"
        )
        return False
    try:
        ended = asyncio.run(end_browser(endpoint))
    except BrowserNotEnded as error:
        _complain(f"{stem} stays: {error}")
        return False
    click.echo(f"{printable(stem)}: {ended.detail}", err=True)
    discard_profile_of(endpoint.port, endpoint.path)
    if app.store.identify(stem) != before:
        _complain(f"{stem} stays: it was saved again meanwhile, perhaps with another browser")
        return False
    return True


def _complain(message: str) -> None:
    from raptor_exporter.cli.output import printable

    click.echo(f"Error: {printable(message)}", err=True)

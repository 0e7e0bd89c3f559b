"""Sessions that a user names are deleted without guards, and told one by one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from raptor_exporter.cli.app import App


def delete_named(app: App, names: Sequence[str], *, yes: bool, dry_run: bool = False) -> bool:
    """Move the named sessions to the trash. False if one was not there or could not be deleted.

    Raises:
        StoreError: the store can't be used.
        click.UsageError: nobody can be asked and ``yes`` is not given.
    """
    from raptor_exporter.cli.output import confirm, printable

    found = {name: app.store.find(name) for name in names}
    for name, stem in found.items():
        if stem is None:
            _complain(f"there is no session {name!r} in {app.store.place}")
    stems = list(dict.fromkeys(stem for stem in found.values() if stem is not None))
    if dry_run:
        done = set(stems)
    elif stems:
        what = printable(stems[0]) if len(stems) == 1 else f"{len(stems)} sessions"
        confirm(f"Delete {what} of {app.store.place}, into the trash?", yes=yes)
        done = _delete(app, stems)
    else:
        done = set()
    for stem in stems:
        if stem in done:
            click.echo(f"{printable(stem)} {'would be deleted' if dry_run else 'deleted'}")
    return None not in found.values() and len(done) == len(stems)


def _delete(app: App, stems: list[str]) -> set[str]:
    """Those that were deleted; of the others it is told why not."""
    from raptor_exporter.cleanup import once

    why = dict.fromkeys(stems, "it can't be read now")
    done: set[str] = set()
    for report in once.clean(app.store, once.named(app.config.rules, stems)):
        if report.error is not None:
            why = dict.fromkeys(stems, report.error)
        for chosen, outcome in report.results:
            if outcome.result == "deleted":
                done.add(chosen.name)
            else:
                why[chosen.name] = outcome.error or f"it was {outcome.result}: another program changed it"
    for stem in stems:
        if stem not in done:
            _complain(f"{stem} was not deleted: {why[stem]}")
    return done


def _complain(message: str) -> None:
    from raptor_exporter.cli.output import printable

    click.echo(f"Error: {printable(message)}", err=True)

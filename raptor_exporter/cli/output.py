"""Data to stdout: tables for people, JSON for programs. Nothing in it can move a terminal's cursor."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

Row = Mapping[str, Any]

# Wide enough for any table: what goes into a pipe must not be folded.
_PIPE_WIDTH = 100_000

_HEARD_WITHIN = 0.1  # seconds


def printable(text: str) -> str:
    """Text with every character that isn't printable as an escape: control, bidi, undecodable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def emit_list(
    rows: Iterable[Row],
    output: str,
    columns: Mapping[str, Callable[[Row], str]],
    *,
    right: Sequence[str] = (),
    empty: str = "nothing",
) -> None:
    """Print rows as a table of ``columns`` (heading → cell), one JSON array, JSON lines or names.

    Args:
        rows: with a ``name`` each.
        output: table, json, jsonl or name.
        columns: of the table.
        right: headings of columns that are aligned to the right.
        empty: what to say on stderr for a table without rows.
    """
    if output == "json":
        click.echo(json.dumps(list(rows), indent=2))
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row))
    elif output == "name":
        for row in rows:
            click.echo(printable(str(row["name"])))
    else:
        _table(list(rows), columns, right, empty)


def emit_object(value: Row, output: str, lines: Iterable[tuple[str, str]]) -> None:
    """Print one JSON object, its ``name``, or the same for people as labelled lines."""
    if output in ("json", "jsonl"):
        click.echo(json.dumps(value, indent=2 if output == "json" else None))
        return
    if output == "name":
        click.echo(printable(str(value["name"])))
        return
    pairs = [(printable(label), printable(text)) for label, text in lines]
    width = max((len(label) for label, _ in pairs), default=0)
    for label, text in pairs:
        click.echo(f"{label:<{width}}  {text}".rstrip())


def _table(
    rows: list[Row], columns: Mapping[str, Callable[[Row], str]], right: Sequence[str], empty: str
) -> None:
    if not rows:
        click.echo(empty, err=True)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        width=None if terminal else _PIPE_WIDTH,
        no_color=True if os.environ.get("NO_COLOR") else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(columns):
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=number == 0,
            overflow="ellipsis" if number == 0 else "fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell(row))) for cell in columns.values()))
    if terminal:
        console.print(table)
    else:
        with console.capture() as capture:
            console.print(table)
        for line in capture.get().splitlines():
            click.echo(line.rstrip())


def confirm(question: str, *, yes: bool, remedy: str = "give --yes, or --dry-run to look first") -> None:
    """Ask before something is deleted.

    Raises:
        click.UsageError: there is no terminal to ask on and no ``--yes``.
        click.ClickException: the answer was no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"there is no terminal to ask on: {remedy}")
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    # A Ctrl-C in the instant before a read that blocks would only be heard after the answer.
    while not select.select([sys.stdin], [], [], _HEARD_WITHIN)[0]:
        continue
    answer = sys.stdin.readline()
    if not answer:  # Ctrl-D is no yes
        click.echo(err=True)
    if answer.strip().lower() not in ("y", "yes"):
        raise click.ClickException("not confirmed: nothing was deleted")

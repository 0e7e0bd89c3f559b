"""``session``: look at, save, restore and end single sessions."""

from __future__ import annotations

import click

from raptor_exporter.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    commands={
        "list": ("raptor_exporter.cli.session_list:list_sessions", "List the sessions of a store."),
    },
)
def session() -> None:
    """Look at, save, restore and end sessions."""

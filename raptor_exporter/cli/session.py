"""``session``: look at, save, restore and end single sessions."""

from __future__ import annotations

import click

from raptor_exporter.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    commands={
        "list": ("raptor_exporter.cli.session_list:list_sessions", "List the sessions of a store."),
        "show": ("raptor_exporter.cli.session_show:show", "Show what a session file says."),
        "validate": ("raptor_exporter.cli.session_validate:validate", "Check session files."),
        "save": ("raptor_exporter.cli.session_save:save", "Save a running browser."),
        "restore": ("raptor_exporter.cli.session_restore:restore", "Find the tab of a session again."),
        "probe": ("raptor_exporter.cli.session_probe:probe", "Ask browsers whether they are alive."),
        "launch": ("raptor_exporter.cli.session_launch:launch", "Start a browser and save it."),
        "close": ("raptor_exporter.cli.session_close:close", "End browsers and delete their sessions."),
        "delete": ("raptor_exporter.cli.session_delete:delete", "Delete sessions, into the trash."),
    },
)
def session() -> None:
    """Look at, save, restore and end sessions."""

"""Where a session's browser is, for commands that call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raptor_exporter.cli.app import App

if TYPE_CHECKING:
    from raptor_exporter.session import Endpoint


def endpoint_of(app: App, stem: str) -> Endpoint | None:
    """The endpoint in a session's file; None if the file has none, is gone or can't be read."""
    from raptor_exporter.exceptions import UnreadableSession
    from raptor_exporter.session import check

    try:
        data = app.store.read(stem)
    except UnreadableSession:
        return None
    return None if data is None else check(data, app.store.timezone).endpoint

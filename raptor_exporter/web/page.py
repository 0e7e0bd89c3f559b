"""The status page: rendered whole by the server, kept fresh by its script."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

import jinja2
from markupsafe import Markup, escape

from raptor_exporter.units import format_duration, format_size
from raptor_exporter.web import documents, tiles
from raptor_exporter.web.view import AgentView

FIRST_ROWS: Final = 100  # of the sessions table, for those without scripts; the script brings the others
_HOUR = 3_600
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by their kind, and nothing to see


class StatusPage:
    """Renders the page from the same documents that the API serves."""

    def __init__(self) -> None:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("raptor_exporter.web", "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters.update(
            ago=relative,
            until=until,
            idle=idle,
            size=format_size,
            count=count,
            visible=visible,
        )
        self._template = environment.get_template("status.html")

    def render(self, view: AgentView, *, names: bool) -> bytes:
        """The page as UTF-8."""
        status = documents.status(view, names=names)
        text = self._template.render(
            now=time.time(),
            status=status,
            sessions=documents.sessions(view, names=names, limit=FIRST_ROWS, whole=False),
            first_rows=FIRST_ROWS,
            health=tiles.health(status),
            messages=tiles.messages(status),
            tiles=tiles.tiles(status),
            modes={p["name"]: p["mode"] for p in status["policies"]},
            next_runs={p["name"]: p["next_run"] for p in status["policies"]},
            revision=_revision(view),
        )
        return text.encode("utf-8", "replace")


def _revision(view: AgentView) -> str:
    """Changes whenever the table of sessions may have."""
    plan, snapshot = view.plan, view.snapshot
    return f"{snapshot.taken_at if snapshot else 0}/{plan.now if plan else 0}/{view.config_state.loaded_at}"


def relative(when: str, now: float) -> str:
    """How far a moment is away: ``3h5m ago``, ``in 8m``."""
    away = _seconds(when) - now
    if away >= 1:
        return f"in {span(away)}"
    return "now" if away > -1 else f"{span(-away)} ago"


def until(when: str, now: float) -> str:
    """How far off something is that is due: never in the past, for then it waits for its turn."""
    return relative(when, now) if _seconds(when) > now else "now"


def span(seconds: float) -> str:
    """A duration as short as it stays true: ``45s``, ``7m``, ``2d6h``."""
    return "0s" if seconds < 1 else format_duration(seconds, parts=1 if seconds < _HOUR else 2)


def idle(when: str | None, now: float) -> str:
    """How long ago a session was accessed."""
    if when is None:
        return "—"
    age = now - _seconds(when)
    return "in the future" if age < 0 else span(age)


def _seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()


def count(number: int | None) -> str:
    """A number with its thousands apart; a dash where it isn't known yet."""
    return "—" if number is None else f"{number:,}"


def visible(text: str) -> Markup:
    """A text in which characters that hide, reorder or break what follows are shown by their numbers."""
    last = len(text) - 1
    return escape(
        "".join(
            c
            if c.isprintable() and c not in _FILLERS and (c != " " or 0 < place < last)
            else f"\\u{ord(c):04x}"
            for place, c in enumerate(text)
        )
    )

"""The status page: rendered whole by the server, kept fresh by its script."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

import jinja2

from raptor_exporter.web import documents
from raptor_exporter.web.view import AgentView

FIRST_ROWS: Final = 100  # of the sessions table, for those without scripts; the script brings the others

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, ready to send."""

    body: bytes
    gzipped: bytes
    content_type: str
    etag: str


def load_assets() -> Mapping[str, Asset]:
    """Every file in ``static``, by the path that it is served at."""
    assets = {}
    for file in (resources.files(__package__) / "static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _CONTENT_TYPES:
            body = file.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            assets[f"/static/{file.name}"] = Asset(
                body, gzip.compress(body, mtime=0), _CONTENT_TYPES[suffix], etag
            )
    return assets


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
        self._template = environment.get_template("status.html")

    def render(self, view: AgentView, *, names: bool) -> bytes:
        """The page as UTF-8."""
        status = documents.status(view, names=names)
        sessions = documents.sessions(view, names=names, limit=FIRST_ROWS)
        text = self._template.render(status=status, sessions=sessions, first_rows=FIRST_ROWS)
        # File names that are no UTF-8 come as lone surrogates, which no page can hold.
        return text.encode("utf-8", "replace")

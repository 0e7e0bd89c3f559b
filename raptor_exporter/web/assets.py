"""Scripts, style sheets and icons of the page, ready to send."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

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

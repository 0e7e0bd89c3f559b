"""Session files as other tools write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path


def ago(**span) -> str:
    """An aware timestamp so long ago: ``ago(days=7.01)``."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def document(name: str = "login", **fields) -> dict:
    """The six fields of a valid session, with some of them changed."""
    return {
        "session_id": name,
        "cdp_url": "ws://127.0.0.1:9222/devtools/browser/3f0c0ffe-secret",
        "browser_type": "chromium",
        "created_at": "2024-11-28T10:00:00",
        "last_accessed": "2024-11-28T15:30:00",
        "metadata": {"env": "ci"},
        **fields,
    }


def write_session(store: Path, name: str = "login", **fields) -> Path:
    """Write a valid session, with some of its fields changed, to the file of that stem."""
    return write_file(store, name, json.dumps(document(name, **fields)))


def write_file(store: Path, stem: str, content: str | bytes) -> Path:
    store.mkdir(parents=True, exist_ok=True)
    path = store / f"{stem}.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_session(path: Path) -> dict:
    return json.loads(path.read_text())

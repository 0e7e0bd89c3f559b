"""Session files as tests need them: valid by default, of any age, or broken in a chosen way."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR

ABSENT = object()  # as a field's value: the key is left out


def timestamp(seconds: float) -> str:
    """POSIX seconds as a session file writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def session_fields(name: str, *, idle: float = 0.0, age: float | None = None, now=None, **fields) -> dict:
    """The object of a valid session, accessed ``idle`` and created ``age`` seconds ago.

    Further fields replace its own or are added; ``ABSENT`` takes one away.
    """
    now = time.time() if now is None else now
    document = {
        "session_id": name,
        "cdp_url": "ws://127.0.0.1:9/devtools/browser/0f0f0f0f-0000-4000-8000-000000000000",
        "browser_type": "chromium",
        "created_at": timestamp(now - (idle if age is None else age)),
        "last_accessed": timestamp(now - idle),
        "metadata": {},
        **fields,
    }
    return {key: value for key, value in document.items() if value is not ABSENT}


def write_session(
    store, name: str, *, idle: float = 0.0, age=None, changed=None, now=None, data=None, mode=0o600, **fields
) -> Path:
    """Write ``<store>/<name>.json``; returns its path.

    Args:
        store: the directory, or a FileStore.
        name: the stem of the file, and its session_id unless that is given.
        idle: seconds since the last access.
        age: seconds since its creation; by default since the last access.
        changed: seconds since the file's mtime; by default as long as ``idle``.
        now: POSIX seconds that all these are counted from.
        data: the file's bytes (or text) instead of a session's.
        mode: of the file.
        fields: replace or add fields; ``ABSENT`` leaves one out.
    """
    now = time.time() if now is None else now
    path = Path(os.fspath(getattr(store, "path", store))) / f"{name}.json"
    if data is None:
        data = json.dumps(session_fields(name, idle=idle, age=age, now=now, **fields))
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
    moment = round((now - (idle if changed is None else changed)) * 1e9)
    os.utime(path, ns=(moment, moment))
    return path


def read_session(store, name: str) -> dict:
    """The object in a session's file."""
    path = Path(os.fspath(getattr(store, "path", store))) / f"{name}.json"
    return json.loads(path.read_bytes())

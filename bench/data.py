"""Stores of session files as they are in the field: 400 bytes each, of many ages."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

DAY = 86_400.0
BROWSERS = ("chromium",) * 8 + ("firefox", "webkit")
OLDEST = 14 * DAY  # ages are spread evenly, so half of the sessions are older than 7 days


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory for stores, removed at the end; ``BENCH_DIR`` says where it is made."""
    path = Path(tempfile.mkdtemp(prefix="raptor-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def make_store(path: Path, sessions: int) -> Path:
    """Write so many session files; their mtimes are their last accesses."""
    path.mkdir(mode=0o700)
    chance, now = random.Random(13), time.time()
    for number in range(sessions):
        idle = OLDEST * (number + 0.5) / max(sessions, 1)
        accessed = now - idle
        document = {
            "session_id": f"session-{number:07}",
            "cdp_url": f"ws://127.0.0.1:{9000 + number % 50}/devtools/browser/{chance.getrandbits(128):032x}",
            "browser_type": BROWSERS[number % len(BROWSERS)],
            "created_at": _iso(accessed - chance.random() * DAY),
            "last_accessed": _iso(accessed),
            "metadata": {
                "env": "ci",
                "repo": f"repo-{number % 20}",
                "page_url": f"https://example.org/{number}",
                "page_title": "Example Domain",
            },
        }
        file = path / f"session-{number:07}.json"
        file.write_text(json.dumps(document, indent=2))
        os.utime(file, (accessed, accessed))
    return path


def copy_store(source: Path, target: Path) -> Path:
    """The same files at another place."""
    subprocess.run(["cp", "-a", source, target], check=True)
    return target


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()

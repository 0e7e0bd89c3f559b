"""Records and snapshots made by hand, for tests of the planner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raptor_exporter.session import Endpoint
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.record import Kind, Record, packed

NOW = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


def browser(port: int = 9222) -> Endpoint:
    """Where some browser listens."""
    return Endpoint("ws", "127.0.0.1", port, "/devtools/browser/x")


def record(
    name: str,
    *,
    idle: float | None = 0.0,
    age: float | None = None,
    unmodified: float = HOUR,
    size: int = 100,
    state: str = "valid",
    reason: str | None = None,
    browser_type: str | None = "chromium",
    endpoint: Endpoint | None = None,
    metadata: Mapping[str, str] | None = None,
    now: float = NOW,
) -> Record:
    """A session by its ages in seconds at ``now``; a negative age lies in the future."""
    if state == "invalid" and reason is None:
        reason = "corrupt"
    age = idle if age is None else age
    return Record(
        name,
        size,
        packed(1 + sum(name.encode()), int((now - unmodified) * 1e9), stamp=1),
        Kind(state, reason, browser_type, endpoint, dict(metadata or {})),
        accessed=None if idle is None else now - idle,
        created=None if age is None else now - age,
    )


def snapshot(records: Iterable[Record], *, now: float = NOW) -> Snapshot:
    """A store that holds these sessions."""
    keys = frozenset({"env", "repo", "pinned"})
    return Snapshot({r.name: r for r in records}, now, (1, 1), Wanted(keys, endpoints=True))

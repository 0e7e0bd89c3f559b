"""Stores written as YAML for people to read: a configuration, sessions, and the plan that follows.

about: what the store teaches, in a sentence
config: |                 # the configuration, as a user would write it
  version: 1
sessions:
  login:                  # every key has a default: a valid session, accessed and changed an hour ago
    accessed: 3h          # ago; "in 3h" lies ahead; a timestamp stands as it is
    created: 2d           # by default as accessed
    modified: 1h          # the file's mtime; by default as accessed
    metadata: {env: ci}
    browser_type: firefox
    browser: 2            # which browser it is in; by default each is in its own
    probe: unreachable 2h # what the last probe said of that browser, and since when
    size: 10KiB           # of its file
    fields: {cdp_url: ""} # keys of the session file as they stand
    content: "not JSON"   # the whole file
plan:
  login: [ci, idle, "the reason in words"]      # policy or nobody; keep or the reason
over_cap: [ci]            # policies that keep or protect hold over their cap
refused: {ci: max_delete_ratio}
"""

from __future__ import annotations

import json
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from raptor_exporter.cleanup.plan import Plan, plan
from raptor_exporter.cleanup.policy import EndpointState, Probed, metadata_keys
from raptor_exporter.config import parse_config
from raptor_exporter.session import Endpoint
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.files import FileStore
from raptor_exporter.units import parse_duration, parse_size

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
_KEYS = frozenset(
    [
        "accessed",
        "created",
        "modified",
        "metadata",
        "browser_type",
        "browser",
        "probe",
        "size",
        "fields",
        "content",
    ]
)


def load(path: Path) -> dict[str, Any]:
    """One store as written."""
    return yaml.safe_load(path.read_text())


def planned(story: dict[str, Any], config: str, directory: Path) -> Plan:
    """Lay the sessions down as real files, refresh, and plan by the configuration."""
    directory.mkdir(exist_ok=True)
    probes: dict[Endpoint, Probed] = {}
    for name, session in story["sessions"].items():
        _write(directory, name, session or {}, probes)
    checked = parse_config(config, "raptor.yaml")
    store = FileStore(directory, timezone=checked.store.timezone)
    snapshot = store.refresh(None, Wanted(metadata_keys(checked.rules), endpoints=True))
    return plan(snapshot, checked.rules, NOW, probes)


def recipe(page: str, heading: str) -> str:
    """The configuration below a heading of a page."""
    section = page.split(f"\n### {heading}\n")[1].split("\n### ", maxsplit=1)[0]
    return section.split("```yaml\n")[1].split("```")[0]


def outcome(decided: Plan) -> dict[str, Any]:
    """A plan in the form of these files."""
    found: dict[str, Any] = {
        "plan": {d.name: [d.policy or "nobody", d.reason or d.action, d.detail] for d in decided.decisions()}
    }
    over = [p.policy.name for p in decided.policies if p.cap_exceeded]
    refused = {p.policy.name: p.breach.guard for p in decided.policies if p.breach}
    return found | ({"over_cap": over} if over else {}) | ({"refused": refused} if refused else {})


def expected(story: dict[str, Any]) -> dict[str, Any]:
    """What a store says of its plan."""
    return {key: story[key] for key in ("plan", "over_cap", "refused") if key in story}


def _write(directory: Path, name: str, session: dict[str, Any], probes: dict[Endpoint, Probed]) -> None:
    unknown = set(session) - _KEYS
    assert not unknown, f"{name}: unknown keys {unknown}"
    accessed = session.get("accessed", "1h")
    port = 10_000 + int(session.get("browser", zlib.crc32(name.encode()) % 10_000))
    endpoint = Endpoint("ws", "127.0.0.1", port, "/devtools/browser/x")
    fields = {
        "session_id": name,
        "cdp_url": f"ws://{endpoint.address}{endpoint.path}",
        "browser_type": session.get("browser_type", "chromium"),
        "created_at": _timestamp(session.get("created", accessed)),
        "last_accessed": _timestamp(accessed),
        "metadata": session.get("metadata", {}),
    } | session.get("fields", {})
    data = session.get("content", json.dumps(fields)).encode()
    data += b" " * (parse_size(session["size"]) - len(data) if "size" in session else 0)
    path = directory / f"{name}.json"
    path.write_bytes(data)
    modified = _seconds(session.get("modified", accessed))
    os.utime(path, (modified, modified))
    if "probe" in session:
        state, _, since = session["probe"].partition(" ")
        first = NOW - parse_duration(since) if since else None
        probes[endpoint] = Probed(EndpointState(state), first)


def _timestamp(when: str) -> str:
    return when if "T" in when else datetime.fromtimestamp(_seconds(when), UTC).isoformat()


def _seconds(when: str) -> float:
    if "T" in when:
        return NOW - 3600.0
    ahead = when.startswith("in ")
    age = parse_duration(when.removeprefix("in "))
    return NOW + age if ahead else NOW - age

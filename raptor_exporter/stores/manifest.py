"""`manifest.json` of a run in the trash: what it chose, what became of it. JSON, one object a line.

The first line is written and fsynced before anything is touched; the second, appended at the end,
seals the run. Later lines tell of single sessions. A line that a crash tore counts as not written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raptor_exporter.stores.base import Chosen, Identity, Outcome, RunHeader

FILE = "manifest.json"


@dataclass(slots=True)
class Manifest:
    """A run as its manifest tells it."""

    header: RunHeader
    chosen: dict[str, Chosen]
    sealed: bool = False
    results: dict[str, str] = field(default_factory=dict)  # of those that were not deleted
    superseded: dict[str, tuple[Identity, float]] = field(default_factory=dict)  # as claimed, and when

    def identity(self, name: str) -> Identity | None:
        """What the claimed file must still be for its emptying to lose nothing."""
        if name in self.superseded:
            return self.superseded[name][0]
        chosen = self.chosen.get(name)
        return None if chosen is None else chosen.identity

    def deleted_at(self, name: str) -> float:
        """POSIX seconds from which retention counts."""
        return self.superseded[name][1] if name in self.superseded else self.header.at


def first_line(header: RunHeader, chosen: Sequence[Chosen], store_id: tuple[int, ...]) -> bytes:
    """The plan of a run."""
    return _line(
        {
            "version": 1,
            "run": header.run,
            "policy": header.policy,
            "mode": header.mode,
            "at": header.at,
            "store": store_id,
            "sessions": [(c.name, *c.identity, c.reason, c.detail) for c in chosen],
        }
    )


def seal_line(outcomes: Sequence[Outcome]) -> bytes:
    """The outcomes of a run; deletions, which are the rule, are left out."""
    return _line({"sealed": True, "outcomes": {o.name: o.result for o in outcomes if o.result != "deleted"}})


def superseded_line(name: str, identity: Identity, at: float) -> bytes:
    """A claimed file that changed and can't be put back: retention starts anew."""
    return _line({"superseded": name, "identity": identity, "at": at})


def parse(data: bytes) -> Manifest | None:
    """A manifest from its bytes, or None if not even the plan was written whole."""
    lines = [_object(line) for line in data.split(b"\n")]
    try:
        manifest = _plan(lines[0])
    except (KeyError, TypeError, ValueError):
        return None
    for line in lines[1:]:
        if line is not None:
            _apply(manifest, line)
    return manifest


def _plan(plan: Mapping[str, Any] | None) -> Manifest:
    if plan is None:
        raise ValueError("torn")
    header = RunHeader(str(plan["run"]), str(plan["policy"]), str(plan["mode"]), float(plan["at"]))
    chosen = {}
    for name, inode, mtime_ns, size, reason, detail in plan["sessions"]:
        chosen[name] = Chosen(name, Identity(inode, mtime_ns, size), reason, detail)
    return Manifest(header, chosen)


def _apply(manifest: Manifest, line: Mapping[str, Any]) -> None:
    if line.get("sealed") is True:
        manifest.sealed = True
        manifest.results.update(line.get("outcomes", {}))
    elif "superseded" in line:
        manifest.superseded[line["superseded"]] = (Identity(*line["identity"]), line["at"])


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"

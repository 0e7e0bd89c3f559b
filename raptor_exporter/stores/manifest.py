"""`manifest.json` of a run in the trash: what it chose, what became of it. JSON, one object a line.

The first line is written and fsynced before anything is touched; the second, appended at the end,
seals the run. Later lines tell of single sessions. A line that a crash tore, or that is none of ours,
counts as not written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raptor_exporter.stores.base import DELETED, FAILED, SUPERSEDED, Chosen, Outcome, RunHeader, StoreId
from raptor_exporter.stores.lines import json_line
from raptor_exporter.stores.record import Identity

FILE = "manifest.json"


_LATEST = 253_402_300_799.0  # the end of the calendar, POSIX seconds


@dataclass(slots=True)
class Manifest:
    """A run as its manifest tells it."""

    header: RunHeader
    store: StoreId  # device and inode of the directory that it was written in
    chosen: dict[str, Chosen]
    sealed: bool = False
    results: dict[str, str] = field(default_factory=dict)  # of those that were not deleted
    superseded: dict[str, tuple[Identity, float]] = field(default_factory=dict)  # as claimed, and when

    @property
    def settled(self) -> bool:
        """Nothing is left to be looked at again."""
        return self.sealed and FAILED not in self.results.values()

    def knows(self, name: str) -> bool:
        """Whether a file of this name in the run's folder is the run's."""
        return name in self.chosen or name in self.superseded

    def is_as_claimed(self, name: str, found: Identity, store: StoreId) -> bool:
        """Whether a file in the run's folder is what was claimed, so that its end loses nothing.

        In a store that was copied to another place its inodes are others, and say nothing.
        """
        if name in self.superseded:
            expected = self.superseded[name][0]
        elif name in self.chosen:
            expected = self.chosen[name].identity
        else:
            return False
        return expected == found if store == self.store else expected[1:] == found[1:]

    def is_superseded(self, name: str) -> bool:
        """Whether a newer session had the name when this one could not be put back."""
        return name in self.superseded or self.results.get(name) == SUPERSEDED

    def deleted_at(self, name: str) -> float:
        """POSIX seconds from which retention counts."""
        return self.superseded[name][1] if name in self.superseded else self.header.at


def first_line(header: RunHeader, chosen: Sequence[Chosen], store: StoreId) -> bytes:
    """The plan of a run."""
    return json_line(
        {
            "version": 1,
            "run": header.run,
            "policy": header.policy,
            "mode": header.mode,
            "at": header.at,
            "store": store,
            "sessions": [(c.name, *c.identity, c.reason, c.detail) for c in chosen],
        }
    )


def seal_line(outcomes: Sequence[Outcome]) -> bytes:
    """The outcomes of a run; deletions, which are the rule, are left out."""
    return json_line(
        {"sealed": True, "outcomes": {o.name: o.result for o in outcomes if o.result != DELETED}}
    )


def superseded_line(name: str, identity: Identity, at: float) -> bytes:
    """A claimed file that changed and can't be put back: retention starts anew."""
    return json_line({"superseded": name, "identity": identity, "at": at})


def ends_settled(tail: bytes) -> bool:
    """Whether the end of a manifest is a whole seal that leaves nothing to be looked at again."""
    _, end, last = tail.rstrip(b"\n").rpartition(b"\n")
    if not end or not last.startswith(b'{"sealed":true') or FAILED.encode() in last:
        return False
    return _object(last) is not None


def parse(data: bytes) -> Manifest | None:
    """A manifest from its bytes, or None if no plan was written whole. Never raises."""
    manifest = None
    for line in filter(None, map(_object, data.split(b"\n"))):
        try:
            if manifest is None:
                manifest = _plan(line)
            else:
                _apply(manifest, line)
        except (KeyError, TypeError, ValueError):
            continue  # somebody else's words
    return manifest


def _plan(plan: Mapping[str, Any]) -> Manifest:
    header = RunHeader(_text(plan["run"]), _text(plan["policy"]), _text(plan["mode"]), _moment(plan["at"]))
    chosen = {}
    for name, inode, mtime_ns, size, reason, detail in plan["sessions"]:
        identity = _identity((inode, mtime_ns, size))
        chosen[_text(name)] = Chosen(name, identity, _text(reason), _text(detail))
    return Manifest(header, tuple(map(_number, plan["store"])), chosen)


def _apply(manifest: Manifest, line: Mapping[str, Any]) -> None:
    if line.get("sealed") is True:
        outcomes = line["outcomes"]
        if not isinstance(outcomes, dict):
            raise TypeError
        manifest.results = {name: _text(result) for name, result in outcomes.items()}
        manifest.sealed = True
    elif "superseded" in line:
        name, identity, at = line["superseded"], line["identity"], line["at"]
        manifest.superseded[_text(name)] = (_identity(identity), _moment(at))


def _identity(value: Sequence[object]) -> Identity:
    inode, mtime_ns, size = map(_number, value)
    return Identity(inode, mtime_ns, size)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _moment(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > _LATEST:
        raise ValueError
    return float(value)


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

"""Refreshes and deletions of whole stores, beside find, cat and the naive way."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.data import DAY, copy_store
from bench.measure import Row, Times, at_least, at_most, in_turns, medians, once
from bench.naive import PlainManager
from raptor_exporter.cleanup.execute import SUCCESS, run_policy
from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import (
    NO_GUARDS,
    Expire,
    Globs,
    Keep,
    Match,
    Mode,
    Policy,
    Rules,
    metadata_keys,
)
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.files import FileStore

RULES = Rules(
    (
        Policy(
            "everything",
            3600.0,
            Match(metadata=(("env", Globs(("ci", "preview-*"))),)),
            Expire(idle_for=7 * DAY),
            keep=Keep(1, "repo"),
            mode=Mode.ENFORCE,
            guards=NO_GUARDS,
        ),
    )
)
WANTED = Wanted(metadata_keys(RULES))
NAIVE = "glob, json, fromisoformat for each"


def refreshes(path: Path, sessions: int) -> Iterator[Row]:
    """Cold and warm refreshes: list, read, check and count every session."""
    store = FileStore(path)
    rounds = 9 if sessions <= 10_000 else 5 if sessions <= 100_000 else 3
    cold, cat, slow = in_turns(
        rounds,
        lambda: store.refresh(None, WANTED).totals,
        lambda: read_all(path),
        lambda: PlainManager(path).figures(),
    )
    # Below, the start of two processes is all there is to see; above, growth is what is held.
    held = 10_000 <= sessions <= 100_000
    yield at_most("cold refresh", sessions, cold, cat, "find, xargs cat", 0.7 if held else None)
    yield at_least("cold refresh", sessions, cold, slow, NAIVE, 4 if held else None)
    snapshot = store.refresh(None, WANTED)
    warm, find = in_turns(
        2 * rounds,
        lambda: store.refresh(snapshot, WANTED),
        lambda: _shell(f"find {path} -printf '%s %T@ %i\\n' > /dev/null"),
    )
    yield at_most(
        "warm refresh, nothing changed", sessions, warm, find, "find -printf", 1.4 if held else None
    )


def planning(path: Path, sessions: int) -> Iterator[Row]:
    """What the policies cost at every refresh."""
    store = FileStore(path)
    snapshot = store.refresh(None, WANTED)
    warm, planned = in_turns(
        7,
        lambda: store.refresh(snapshot, WANTED),
        lambda: plan(snapshot, RULES, snapshot.taken_at),
    )
    yield at_most("plan of a policy with keep per group", sessions, planned, warm, "warm refresh", None)


def deletions(path: Path, sessions: int) -> Iterator[Row]:
    """Half of the store goes: refresh, plan, claim, verify, seal, journal; and on copies by find."""
    if sessions > 100_000:
        return  # making four copies of each takes too long
    yield from _deletions(path, sessions, "half deleted", settled=True)
    if sessions == 100_000:
        yield from _deletions(path, sessions, "half of a copy made just now deleted", settled=False)


def _deletions(path: Path, sessions: int, what: str, *, settled: bool) -> Iterator[Row]:
    """Settled: on the disk, as whatever is older than a minute; else still to be written there."""
    limit = datetime.fromtimestamp(time.time() - 7 * DAY, UTC).isoformat()
    taken: dict[str, list[Times]] = {"agent": [], "command": [], "find": [], "naive": []}
    for number, (side, times) in itertools.product(range(3 if sessions > 10_000 else 5), taken.items()):
        copy = copy_store(path, path.with_name(f"{path.name}-{side}-{number}-{settled}"))
        if settled:
            os.sync()
        store = FileStore(copy)
        known = store.refresh(None, WANTED) if side == "agent" else None
        work: dict[str, Callable[[], object]] = {
            "agent": partial(_delete_by_policy, store, known),
            "command": partial(_delete_by_policy, store, None),
            "find": partial(_shell, f"find {copy} -name '*.json' ! -newermt {limit} -delete"),
            "naive": partial(PlainManager(copy).clean_expired, 7),
        }
        times.append(once(work[side]))
    agent, command, find, slow = map(medians, taken.values())
    held = sessions == 100_000  # what the targets are for
    find_delete = "find -newermt -delete"
    yield at_most(f"{what} by the agent", sessions, agent, find, find_delete, 2 if held else None)
    yield at_least(f"{what} by the agent", sessions, agent, slow, NAIVE, 3 if held else None)
    yield at_least(f"{what} from cold", sessions, command, slow, NAIVE, None)


def _delete_by_policy(store: FileStore, known: Snapshot | None) -> None:
    snapshot = store.refresh(known, WANTED)
    report = run_policy(store, plan(snapshot, RULES, time.time()), "everything", RULES.trash)
    deleted = report.deleted.total()
    if report.outcome != SUCCESS or not 0.49 < deleted / len(snapshot.records) < 0.51:
        raise RuntimeError(f"{report.outcome}, {deleted} deleted: {report.error}")


def read_all(path: Path) -> None:
    """Every session file, by processes that do nothing else."""
    _shell(f"find {path} -name '*.json' -print0 | xargs -0 cat > /dev/null")


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True)

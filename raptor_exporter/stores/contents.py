"""What a run's folder in the trash holds."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import NamedTuple

from raptor_exporter.session import MAX_FILE_BYTES, check
from raptor_exporter.stores import posix, runs
from raptor_exporter.stores.base import SUPERSEDED, Trashed
from raptor_exporter.stores.runs import HeldRun


class Usage(NamedTuple):
    """What the trash holds."""

    sessions: int
    bytes: int


def used(folder: int) -> Usage:
    """How much a run's folder holds."""
    sizes = [status.st_size for _, status in runs.claimed(folder) if stat.S_ISREG(status.st_mode)]
    return Usage(len(sizes), sum(sizes))


def trashed(run: HeldRun, session_id_of: str | None) -> Iterator[Trashed]:
    """The sessions of a sealed run.

    Args:
        run: held, so that nobody takes them away meanwhile.
        session_id_of: the one whose session_id is read too.
    """
    plan = run.manifest
    if plan is None or not plan.sealed:
        return
    for name, status in runs.claimed(run.folder):
        if not stat.S_ISREG(status.st_mode) or not plan.knows(name):
            continue
        chosen = plan.chosen.get(name)
        reason, detail = (chosen.reason, chosen.detail) if chosen is not None else ("", "")
        if plan.is_superseded(name):
            reason, detail = SUPERSEDED, "changed while it was deleted, and saved anew since"
        session_id = _session_id(run.folder, name) if name == session_id_of else None
        yield Trashed(
            name,
            run.run,
            plan.header.policy,
            reason,
            detail,
            plan.deleted_at(name),
            status.st_size,
            session_id,
        )


def _session_id(folder: int, name: str) -> str | None:
    try:
        with posix.opened(runs.claimed_name(name), posix.READ_FLAGS, dir_fd=folder) as fd:
            return check(posix.read_up_to(fd, MAX_FILE_BYTES, 0)).session_id
    except OSError:
        return None

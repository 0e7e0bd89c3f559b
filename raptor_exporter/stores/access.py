"""What a process may do with a store, and the remedy where that is too little or too much."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from raptor_exporter.session import UNREADABLE
from raptor_exporter.stores.base import Snapshot

_REMEDY = "run as the owner of the files, or share them by group with RAPTOR_GROUP_ACCESS=1 on both sides"


class Access(NamedTuple):
    """Whether sessions can be deleted, and what an operator should mend."""

    writable: bool
    warnings: tuple[str, ...] = ()


def look_at_access(path: Path, snapshot: Snapshot) -> Access:
    """Ask the kernel what this process may do; nothing is written to find out."""
    try:
        mode = path.stat().st_mode
        writable = os.access(path, os.W_OK | os.X_OK, effective_ids=True)
    except OSError:
        return Access(writable=False)  # the refresh tells why
    warnings = []
    if not writable:
        warnings.append(
            f"the store is not writable for uid {os.geteuid()}, so nothing can be deleted: {_REMEDY}"
        )
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        warnings.append(
            "every user of this machine can write to the store: make it 0700, or 2770 for a group"
        )
    unreadable = snapshot.totals.states[UNREADABLE]
    if unreadable:
        warnings.append(
            f"{unreadable} session files can't be read by uid {os.geteuid()} or are over 1 MiB, "
            f"and are never deleted: {_REMEDY}"
        )
    return Access(writable, tuple(warnings))

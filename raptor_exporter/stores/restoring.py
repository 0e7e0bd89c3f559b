"""From a run's folder in the trash back into the store, never over a newer session."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raptor_exporter.exceptions import SessionBusy, SessionConflict, StoreError
from raptor_exporter.names import SUFFIX
from raptor_exporter.session import check
from raptor_exporter.stores import posix, runs
from raptor_exporter.stores.base import Restored, Trashed
from raptor_exporter.stores.runs import HeldRun

if TYPE_CHECKING:
    from raptor_exporter.stores.files import FileStore

logger = logging.getLogger(__name__)


def check_free(directory: int, chosen: Sequence[Trashed]) -> None:
    """See that nothing in the store has the names of what is to come back.

    Raises:
        SessionConflict: something has.
    """
    there = [t.name for t in chosen if runs.look(t.name + SUFFIX, directory) is not None]
    if there:
        listed = ", ".join(sorted(there)[:5])
        message = (
            f"{len(there)} of {len(chosen)} are in the store again ({listed}): "
            "nothing was restored; delete or rename them there first"
        )
        raise SessionConflict(message)


def restore_all(store: FileStore, directory: int, run: HeldRun, names: list[str]) -> Restored:
    """Move sessions of a run back into the store, and let them count as accessed now."""
    restored = Restored([], [])
    for name in names:
        try:
            if _restore_file(directory, run, name):
                restored.names.append(name)
        except FileExistsError:
            restored.conflicts.append(f"{name}{SUFFIX} came into the store meanwhile: it was not restored")
        except OSError as error:
            restored.conflicts.append(f"{name}{SUFFIX} was not restored: {error.strerror}")
    posix.sync_folder(directory)
    try:
        for name in restored.names:
            _mark_accessed(store, name)
    except SessionBusy as error:  # the others would wait as long
        logger.warning("restored with their old last_accessed: %s", error)
    return restored


def _restore_file(directory: int, run: HeldRun, name: str) -> bool:
    claimed = runs.claimed_name(name)
    try:
        # Before it is visible, so that no run in flight can take it by its old age.
        os.utime(claimed, dir_fd=run.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except PermissionError:
        logger.warning("restored with its old mtime: its owner is another user", extra={"session": name})
    posix.rename_noreplace(claimed, name + SUFFIX, run.folder, directory)
    return True


def _mark_accessed(store: FileStore, name: str) -> None:
    try:
        data = store.read(name)
        if data is not None and check(data, store.timezone).accessed is not None:
            store.mark_accessed(name, time.time())
    except SessionBusy:
        raise
    except StoreError as error:
        logger.warning("restored with its old last_accessed: %s", error)

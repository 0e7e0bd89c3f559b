"""One operation on a store in a process of its own, to be killed or failed at a system call.

``python tests/chaos/operations.py NAME STORE``: everything is imported and prepared, then a marker call
stands before the operation and one after it, for strace to count between.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support.sessions import session_fields

from raptor_exporter.agent.reloader import Reloader
from raptor_exporter.cleanup.execute import SUCCESS, empty_trash, recover, restore_from_trash, run_policy
from raptor_exporter.cleanup.once import look
from raptor_exporter.cleanup.policy import DAY, NO_GUARDS, Expire, Match, Mode, Policy, Rules, TrashRules
from raptor_exporter.config import load_config
from raptor_exporter.exceptions import ConfigError, SessionException, StoreError, UnsafeName
from raptor_exporter.stores.files import FileStore

RULES = Rules(
    (
        Policy(
            "week", 900.0, Match(state="any"), Expire(idle_for=7 * DAY), mode=Mode.ENFORCE, guards=NO_GUARDS
        ),
    )
)
FORESEEN = 3  # exit status of an operation that failed with one of our own errors


def _save_new(store: FileStore) -> None:
    store.save("new", session_fields("new", metadata={"version": "new"}))


def _save_over(store: FileStore) -> None:
    store.save("young-0", session_fields("young-0", metadata={"version": "new"}))


def _mark(store: FileStore) -> None:
    store.touch("young-0")
    store.mark_accessed("young-0", time.time() + 1)


def _delete(store: FileStore) -> None:
    store.delete("young-0")


def _clean(store: FileStore) -> None:
    report = run_policy(store, look(store, RULES, now=time.time()), "week", TrashRules())
    if report.outcome != SUCCESS:
        raise StoreError(str(report.error))


def _restore(store: FileStore) -> None:
    try:
        (run,) = os.listdir(store.path / ".raptor" / "trash")
    except OSError as error:  # a call of this script, not of what it tries
        raise StoreError(str(error)) from error
    try:
        restore_from_trash(store, run)
    except KeyError as error:
        raise StoreError(f"the trash has no {error} that can be read") from error


def _empty(store: FileStore) -> None:
    empty_trash(store, now=time.time())


def _recover(store: FileStore) -> None:
    recover(store)


def _reload(store: FileStore) -> None:
    file = str(store.path.parent / "raptor.yaml")
    reloader = Reloader(file, lambda: load_config(file), load_config(file))
    if not reloader.reload():
        raise StoreError(str(reloader.errors))


OPERATIONS: dict[str, Callable[[FileStore], None]] = {
    "save_new": _save_new,
    "save_over": _save_over,
    "mark": _mark,
    "delete": _delete,
    "clean": _clean,
    "restore": _restore,
    "empty": _empty,
    "recover": _recover,
    "reload": _reload,
}


def _rehearse(store: FileStore, operation: Callable[[FileStore], None]) -> None:
    """Do it once on a copy, so that nothing is imported any more when it counts."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "base"
        shutil.copytree(store.path.parent, copy)
        operation(FileStore(copy / store.path.name))


def main(name: str, path: str) -> int:
    store, operation = FileStore(Path(path)), OPERATIONS[name]
    _rehearse(store, operation)
    os.sched_yield()  # the marker: nothing else in here makes this call
    try:
        operation(store)
    except (StoreError, SessionException, UnsafeName, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return FORESEEN
    finally:
        os.sched_yield()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

"""One of many processes that save, restore and delete the same sessions: ``python -m support.writers``.

What it did is printed as one JSON array of ``[what, name, token, started, ended]``, in nanoseconds of
the clock that all processes share.
"""

from __future__ import annotations

import json
import random
import sys
import time

from raptor_exporter import SessionManager
from raptor_exporter.stores.files import FileStore
from support.documents import document

NAMES = 50
SHARED = 25  # are saved by every process; each of the others by one alone


def main(store: str, seconds: float, number: int, processes: int) -> None:
    chance = random.Random(number)
    manager, files = SessionManager(store), FileStore(store)
    events = []
    mine: dict[str, str] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        index = chance.randrange(NAMES)
        name = f"session-{index:02}"
        may_save = index < SHARED or index % processes == number
        what = chance.choice(["save", "save", "restore", "restore", "restore", "read", "delete"])
        started = time.monotonic_ns()
        token = f"{number}-{started}"
        if what == "save" and may_save:
            files.save(
                name, document(name, metadata={"token": token, "ballast": "x" * chance.randrange(9000)})
            )
            mine[name] = token
        elif what == "restore":
            if files.touch(name):
                files.mark_accessed(name, time.time())
        elif what == "delete":
            manager.delete_session(name)
        else:
            what = "read"
        events.append((what, name, token, started, time.monotonic_ns()))
        check(manager, files, name, mine.get(name) if index >= SHARED else None)
    json.dump(events, sys.stdout)


def check(manager: SessionManager, files: FileStore, name: str, last: str | None) -> None:
    """A session is whole or not there; of one that is saved here alone, it is the last save or nothing."""
    reason = manager.check_session(name)
    assert reason in (None, "not_found"), f"{name} is {reason}"
    data = files.read(name)
    if data is not None:
        found = json.loads(data)["metadata"]["token"]
        assert last is None or found == last, f"{name} has {found}, not the last save {last}"


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

"""kill -9 and errors at every system call of save, delete, clean-up, restore, emptying and reload."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from support.faults import CHANGING, ERRORS, READING, places, with_fault
from support.processes import child
from support.sessions import DAY, write_session

from raptor_exporter.cleanup.execute import recover, run_policy
from raptor_exporter.cleanup.once import look
from raptor_exporter.cleanup.policy import TrashRules
from raptor_exporter.stores.files import FileStore

HERE = Path(__file__).parent
SCRIPT = HERE / "operations.py"
OLD = tuple(f"old-{number}" for number in range(3))
YOUNG = ("young-0", "young-1")
EVERYTHING = Counter((name, "first") for name in OLD + YOUNG)
CONFIGURATION = "version: 1\npolicies:\n  - {name: week, interval: 1h, expire: {idle_for: 7d}}\n"
# Of each call how many of the errors are tried; CHAOS_ERRORS=5 tries all.
ERRORS_A_CALL = int(os.environ.get("CHAOS_ERRORS", "2"))
OPERATIONS = ("save_new", "save_over", "mark", "delete", "clean", "restore", "empty", "recover", "reload")


def _prepare(base: Path, operation: str) -> FileStore:
    base.mkdir()
    (base / "raptor.yaml").write_text(CONFIGURATION)
    store = FileStore(base / "store")
    store.create()
    for name in OLD:
        write_session(store, name, idle=30 * DAY, metadata={"version": "first"})
    for name in YOUNG:
        write_session(store, name, idle=DAY, metadata={"version": "first"})
    if operation in ("restore", "empty"):
        _clean(store)
    if operation == "recover":
        with child(lambda: _clean(store, dies_after=2)) as crashed:
            assert crashed.wait() == -signal.SIGKILL
    return store


def _clean(store: FileStore, dies_after: int = 0) -> None:
    from operations import RULES  # beside this file, on the path of the processes that it starts

    def progress(done: int) -> None:
        if done == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    report = run_policy(store, look(store, RULES, now=time.time()), "week", TrashRules(), progress=progress)
    assert report.outcome == "success", report.error


@pytest.fixture(autouse=True)
def _operations_are_found(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def _versions(paths) -> Counter:
    """(name, version) of each session file; a torn one fails."""
    found = Counter()
    for path in paths:
        document = json.loads(path.read_bytes())
        found[document["session_id"], document["metadata"]["version"]] += 1
    return found


def _in_store(store: FileStore) -> Counter:
    return _versions(store.path.glob("*.json"))


def _in_trash(store: FileStore) -> Counter:
    runs = (store.path / ".raptor" / "trash").glob("*/*.json")
    return _versions(path for path in runs if path.name != "manifest.json")


def _losses(store: FileStore, operation: str) -> list[str]:
    """What is wrong now: a session that is nowhere, twice there, or not what it must be."""
    kept, trashed = _in_store(store), _in_trash(store)
    both = kept + trashed
    wrong = []
    if operation == "save_new":
        both.pop(("new", "new"), None)
    elif operation == "save_over":
        if both.pop(("young-0", "new"), 0):
            both["young-0", "first"] += 1
    elif operation == "delete":
        both["young-0", "first"] = 1
    elif operation == "empty":
        wrong += [f"{name} vanished from the store" for name in YOUNG if (name, "first") not in kept]
        both = both | EVERYTHING
    if both != EVERYTHING:
        wrong.append(f"{dict(kept)} in the store and {dict(trashed)} in the trash")
    if (store.path.parent / "raptor.yaml").read_text() != CONFIGURATION:
        wrong.append("the configuration changed")
    return wrong


def _goes_on(store: FileStore, operation: str) -> list[str]:
    """The next one comes along, finishes what is to be finished, and all operations work again."""
    recover(store)
    if wrong := _losses(store, operation):
        return wrong
    _clean(store)
    store.save("next", {"session_id": "next", "metadata": {"version": "next"}})
    if not store.delete("next"):
        return ["a session that was saved afterwards is gone"]
    still = [name for name in OLD if (name, "first") in _in_store(store)]
    # What a restore or a recovery brought back may have been touched, and is young then.
    if still and operation not in ("restore", "recover"):
        return [f"{still} are overdue and were not deleted by the next run"]
    return _losses(store, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_any_system_call_loses_nothing(operation, tmp_path, tally):
    log = tmp_path / "strace"
    first = _prepare(tmp_path / "first", operation)
    chosen = places(SCRIPT, (operation, str(first.path)), CHANGING, log)
    losses = []
    for place in chosen:
        store = _prepare(tmp_path / str(place), operation)
        done = with_fault(SCRIPT, (operation, str(store.path)), place, "signal=KILL", log)
        assert done.returncode == -signal.SIGKILL, f"{place}: {done.returncode} {done.stderr}"
        wrong = _losses(store, operation) or _goes_on(store, operation)
        losses += [f"{place}: {what}" for what in wrong]
    tally(f"kill -9 at a system call of {operation}", len(chosen), len(losses))
    assert chosen
    assert losses == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_of_any_system_call_loses_nothing_and_is_told(operation, tmp_path, tally):
    log = tmp_path / "strace"
    first = _prepare(tmp_path / "first", operation)
    chosen = places(SCRIPT, (operation, str(first.path)), CHANGING + READING, log)
    losses, trials = [], 0
    errors = itertools.cycle(ERRORS)
    for place in chosen:
        for error in itertools.islice(errors, ERRORS_A_CALL):
            trials += 1
            store = _prepare(tmp_path / f"{place}-{error}", operation)
            done = with_fault(SCRIPT, (operation, str(store.path)), place, f"error={error}", log)
            if done.returncode not in (0, 3):
                losses.append(f"{place} {error}: unforeseen: {done.stderr[-1500:]}")
            wrong = _losses(store, operation) or _goes_on(store, operation)
            losses += [f"{place} {error}: {what}" for what in wrong]
    tally(f"an error at a system call of {operation}", trials, len(losses))
    assert losses == []

"""A store that another user may write to: what that user plants there gains no power of ours."""

from __future__ import annotations

import contextlib
import json
import os
import time

import pytest
from support.cleaning import plan_now, results, run
from support.mounts import needs_root
from support.processes import become, child
from support.sessions import DAY, write_session

from raptor_exporter.cleanup.execute import empty_trash, recover
from raptor_exporter.exceptions import SessionConflict, StoreError
from raptor_exporter.stores.files import FileStore

NOBODY = 65534
RUN = "20200101T000000Z-abcdef"

pytestmark = needs_root


@pytest.fixture
def shared(open_dir):
    """A store that everybody may write to, and root's own file beside it."""
    store = open_dir / "sessions"
    store.mkdir()
    store.chmod(0o777)
    own = open_dir / "own"
    own.mkdir(mode=0o700)
    write_session(own, "root", idle=30 * DAY)
    return FileStore(store), own


def _as_nobody(function):
    def work():
        become(NOBODY)
        function()

    with child(work) as process:
        assert process.wait() == 0


def _state(own):
    return [(e.name, e.stat().st_ino, e.stat().st_mtime_ns, e.stat().st_uid) for e in os.scandir(own)]


def test_a_planted_run_neither_deletes_nor_gives_away_what_it_names(shared):
    store, own = shared
    before = _state(own)
    write_session(store, "mine", idle=0)

    def plant():
        folder = store.path / ".raptor" / "trash" / RUN
        folder.mkdir(parents=True)
        (folder / "root.json").symlink_to(own / "root.json")
        (folder / "up.json").symlink_to(store.path)
        (folder / "mine.json").write_text("{}")
        status = (own.parent).stat()
        chosen = [[name, 1, 1, 1, "idle", "planted"] for name in ("root", "up", "mine", "../own/root")]
        plan = {
            "version": 1, "run": RUN, "policy": "p", "mode": "enforce", "at": 1.0,
            "store": [status.st_dev, status.st_ino], "sessions": chosen,
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(plan) + "\n")

    _as_nobody(plant)
    recover(store)
    for name in ("root", "up", "../own/root", "mine", RUN):
        with contextlib.suppress(KeyError, SessionConflict, StoreError):
            store.trash.restore(name)
    empty_trash(store, now=time.time())
    assert _state(own) == before
    assert json.loads((store.path / "mine.json").read_text())["session_id"] == "mine"


def test_folders_of_another_user_are_worked_in_but_nothing_is_followed_out_of_them(shared):
    store, own = shared
    before = _state(own)

    def plant():
        (store.path / ".raptor").mkdir(mode=0o777)
        (store.path / ".raptor" / "trash").symlink_to(own, target_is_directory=True)
        (store.path / ".raptor" / "journal.jsonl").symlink_to(own / "root.json")
        (store.path / ".raptor" / "lock").symlink_to(own / "new")

    _as_nobody(plant)
    write_session(store, "old", idle=30 * DAY)
    report = run(store, plan_now(store))
    assert report.outcome == "error"
    assert (store.path / "old.json").exists()
    assert _state(own) == before


def test_a_session_swapped_by_another_user_between_plan_and_run_is_spared(shared):
    store, own = shared
    before = _state(own)
    write_session(store, "old", idle=30 * DAY)
    plan = plan_now(store)

    def swap():
        (store.path / "old.json").unlink()
        (store.path / "old.json").symlink_to(own / "root.json")

    _as_nobody(swap)
    assert results(run(store, plan)) == {"old": "skipped"}
    assert (store.path / "old.json").is_symlink()
    assert _state(own) == before

"""Links planted and swapped in the store while it is refreshed, cleaned up and restored."""

from __future__ import annotations

import contextlib
import itertools
import os
import time

import pytest
from support.agent import running_agent
from support.cleaning import plan_now, results, run
from support.processes import child
from support.sessions import DAY, read_session, write_session
from support.waiting import eventually

from raptor_exporter.cleanup.execute import empty_trash
from raptor_exporter.exceptions import StoreError

ROUNDS = 60


@pytest.fixture
def outside(tmp_path):
    """A file that is none of ours, old enough to be deleted if it were."""
    place = tmp_path / "outside"
    place.mkdir()
    return write_session(place, "precious", idle=30 * DAY)


def _state(path):
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_mode


def _swap_for_ever(directory, target):
    """The victim is a session, a symlink, a hard link, a directory and a FIFO, in turns."""
    victim = directory / "victim.json"
    aside = directory / ".swap"
    for kind in itertools.cycle(("file", "symlink", "hardlink", "directory", "fifo")):
        with contextlib.suppress(OSError):
            if kind == "file":
                write_session(directory, "swap-source", idle=30 * DAY).rename(aside)
            elif kind == "symlink":
                aside.symlink_to(target)
            elif kind == "hardlink":
                os.link(target, aside)
            elif kind == "directory":
                aside.mkdir()
            else:
                os.mkfifo(aside)
            if victim.is_dir() and not victim.is_symlink():
                victim.rmdir()
            elif aside.is_dir() and not aside.is_symlink():
                victim.unlink(missing_ok=True)
            aside.rename(victim)


def test_swapping_a_session_for_links_while_runs_go_on_never_reaches_a_foreign_file(store, outside):
    before = _state(outside)
    with child(lambda: _swap_for_ever(store.path, outside)):
        for number in range(ROUNDS):
            write_session(store, f"old-{number}", idle=30 * DAY)
            with contextlib.suppress(StoreError):
                report = run(store, plan_now(store))
                assert results(report)[f"old-{number}"] == "deleted"
                with contextlib.suppress(KeyError):
                    store.trash.restore("victim")
                if number % 10 == 9:
                    empty_trash(store, now=time.time())
            assert outside.exists()
            assert outside.read_bytes() == before[0]


def test_a_hard_link_to_a_foreign_file_is_deleted_and_restored_without_a_change_to_that_file(store, outside):
    os.link(outside, store.path / "linked.json")
    content, inode, _, mode = _state(outside)
    assert results(run(store, plan_now(store))) == {"linked": "deleted"}
    store.trash.restore("linked")
    assert read_session(store, "linked")["session_id"] == "precious"
    # Its other name may see another mtime (it is the same file until it is rewritten), and nothing else.
    assert (outside.read_bytes(), outside.stat().st_ino, outside.stat().st_mode) == (content, inode, mode)


def test_a_session_that_is_a_hard_link_is_replaced_by_a_save_not_written_through(store, outside):
    os.link(outside, store.path / "precious.json")
    before = _state(outside)
    store.save("precious", {"last_accessed": "2030-01-01T00:00:00+00:00"})
    assert store.mark_accessed("precious", 2e9)
    assert _state(outside)[0] == before[0]
    assert (store.path / "precious.json").stat().st_ino != outside.stat().st_ino


@pytest.mark.parametrize("place", [".raptor", ".raptor/trash", ".raptor/tmp"])
def test_a_folder_of_ours_that_is_a_link_elsewhere_is_not_followed(store, outside, tmp_path, place):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs").write_text("x")
    link = store.path / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    write_session(store, "old", idle=30 * DAY)
    report = run(store, plan_now(store))
    assert report.outcome == "error"
    assert os.listdir(elsewhere) == ["theirs"]
    assert (store.path / "old.json").exists()


def test_a_store_that_everybody_can_write_is_warned_of_at_the_start(store_dir):
    store_dir.chmod(0o777)
    with running_agent("--store", str(store_dir)) as agent:
        eventually(lambda: any("every user of this machine can write" in line for line in agent.log))
        assert agent.end() == 0

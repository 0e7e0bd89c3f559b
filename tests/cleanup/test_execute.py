"""A deletion claims, verifies and only then counts: whatever happens in between loses nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from support.cleaning import IDLE, hook, plan_now, results, rules, run
from support.mounts import fill, needs_root
from support.processes import NOBODY, become, child, die_here, stop_here
from support.sessions import DAY, HOUR, read_session, write_session

from raptor_exporter.cleanup.execute import recover, restore_from_trash
from raptor_exporter.cleanup.policy import Guards, Mode, TrashRules
from raptor_exporter.exceptions import SessionConflict, StoreError
from raptor_exporter.stores import posix
from raptor_exporter.stores.base import Emptied
from raptor_exporter.stores.files import FileStore


def save_by_rename(store, name, **fields):
    """As our own writers save."""
    aside = store.path / "elsewhere"
    aside.mkdir(exist_ok=True)
    os.rename(write_session(aside, name, **fields), store.path / f"{name}.json")


def save_in_place(store, name, **fields):
    """As other tools save: truncate and write."""
    write_session(store, name, **fields)


def trashed(store):
    return {item.name: item.reason for item in store.trash.sessions()}


def journal(store, kind):
    return [entry for entry in store.journal.newest_first() if entry["type"] == kind]


@pytest.fixture
def old(store):
    write_session(store, "old", idle=30 * DAY)
    return store


@pytest.fixture
def small_disk(mounts):
    """A store on a file system of 1 MiB, and the way to fill it."""
    store = FileStore(mounts.tmpfs("1m"))
    return store, lambda: fill(store.path)


# -- the plain way -----------------------------------------------------------------------------------


def test_a_deleted_session_is_in_the_trash_with_its_manifest_and_the_journal_tells_why(old):
    write_session(old, "new", idle=HOUR)
    bytes_before = (old.path / "old.json").read_bytes()

    report = run(old)

    assert (report.outcome, results(report), old.stems()) == ("success", {"old": "deleted"}, ["new"])
    assert report.deleted_bytes == len(bytes_before)
    folder = old.path / ".raptor" / "trash" / report.run
    assert (folder / "old.json").read_bytes() == bytes_before
    plan, seal = map(json.loads, (folder / "manifest.json").read_text().split("\n", 1))
    status = (folder / "old.json").stat()
    directory = old.path.stat()
    assert plan["store"] == [directory.st_dev, directory.st_ino]
    assert plan["sessions"] == [
        ["old", status.st_ino, status.st_mtime_ns, status.st_size, "idle", "idle 30d, more than 7d"]
    ]
    assert seal == {"sealed": True, "outcomes": {}}
    (told,) = journal(old, "session")
    assert (told["name"], told["policy"], told["reason"], told["result"]) == ("old", IDLE, "idle", "deleted")
    (told,) = journal(old, "run")
    assert (told["outcome"], told["deleted"], told["mode"]) == ("success", 1, "enforce")


def _modes_after_a_run(store, umask):
    """Those of the folders and of the files that a run makes beside the sessions."""
    before = os.umask(umask)
    try:
        report = run(store)
    finally:
        os.umask(before)
    home = store.path / ".raptor"
    folders = [home, home / "trash", home / "tmp", home / "trash" / report.run]
    files = [home / "lock", home / "journal.jsonl", home / "trash" / report.run / "manifest.json"]
    return tuple({oct(made.stat().st_mode & 0o7777) for made in part} for part in (folders, files))


def test_what_is_made_beside_the_sessions_is_private_whatever_the_umask(old):
    assert _modes_after_a_run(old, umask=0o022) == ({"0o700"}, {"0o600"})


def test_a_group_can_share_trash_and_journal_whatever_the_umask(monkeypatch, store_dir):
    monkeypatch.setenv("RAPTOR_GROUP_ACCESS", "1")
    store = FileStore(store_dir)
    write_session(store, "old", idle=30 * DAY)
    assert _modes_after_a_run(store, umask=0o077) == ({"0o2770"}, {"0o660"})


def test_a_group_that_comes_in_later_is_let_in_and_never_shut_out_again(monkeypatch, store_dir):
    write_session(store_dir, "first", idle=30 * DAY)
    run(FileStore(store_dir))
    home = store_dir / ".raptor"
    kept = [home, home / "trash", home / "tmp", home / "lock", home / "journal.jsonl"]
    monkeypatch.setenv("RAPTOR_GROUP_ACCESS", "1")
    write_session(store_dir, "second", idle=30 * DAY)
    run(FileStore(store_dir))
    shared = [oct(path.stat().st_mode & 0o7777) for path in kept]
    assert shared == ["0o2770", "0o2770", "0o2770", "0o660", "0o660"]
    monkeypatch.delenv("RAPTOR_GROUP_ACCESS")
    write_session(store_dir, "third", idle=30 * DAY)
    run(FileStore(store_dir))
    assert [oct(path.stat().st_mode & 0o7777) for path in kept] == shared


def test_mode_plan_deletes_nothing_and_makes_no_trash(old):
    report = run(old, plan_now(old, rules(mode=Mode.PLAN)))
    assert (report.outcome, report.candidates, report.results, old.stems()) == ("success", 1, [], ["old"])
    assert not (old.path / ".raptor" / "trash").exists()


@needs_root
def test_mode_plan_works_on_a_store_that_is_read_only(old, mounts):
    store = FileStore(mounts.read_only(old.path))
    report = run(store, plan_now(store, rules(mode=Mode.PLAN)))
    assert (report.outcome, report.candidates) == ("success", 1)
    assert store.trash.sessions() == []


@needs_root
def test_a_run_on_a_read_only_store_is_an_error_that_says_so(old, mounts):
    store = FileStore(mounts.read_only(old.path))
    report = run(store)
    assert (report.outcome, report.results) == ("error", [])
    assert "Read-only file system" in report.error


@needs_root
def test_the_trash_of_a_store_that_is_read_only_can_be_listed(old, mounts):
    run(old)
    assert [t.name for t in FileStore(mounts.read_only(old.path)).trash.sessions()] == ["old"]


@pytest.mark.parametrize("name", ["manifest", "a b", "-", "x" * 250, "é" * 125, "caf\udce9", "*", "lock"])
def test_any_name_that_a_file_can_have_is_deleted_and_restored(store, name):
    write_session(store, name, session_id="s", idle=30 * DAY)
    report = run(store)
    assert (results(report), store.stems()) == ({name: "deleted"}, [])
    assert [t.name for t in store.trash.sessions()] == [name]
    assert restore_from_trash(store, name).names == [name]
    assert store.stems() == [name]
    assert read_session(store, name)["session_id"] == "s"


def test_a_session_called_manifest_is_no_manifest_after_a_crash(store):
    write_session(store, "manifest", idle=30 * DAY)
    plan = plan_now(store)
    with child(lambda: crash_after_claims(store, plan)) as process:
        assert process.wait() == -9
    recover(store)
    assert trashed(store) == {"manifest": "idle"}


# -- between the plan and the claim ------------------------------------------------------------------


@pytest.mark.parametrize("save", [save_by_rename, save_in_place])
def test_a_session_saved_after_the_plan_is_spared(old, save):
    plan = plan_now(old)
    save(old, "old", metadata={"saved": "anew"})
    report = run(old, plan)
    assert (results(report), report.skipped, report.outcome) == ({"old": "skipped"}, 1, "success")
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert trashed(old) == {}


def test_a_session_whose_restore_began_after_the_plan_is_spared(old):
    plan = plan_now(old)
    old.touch("old")
    assert results(run(old, plan)) == {"old": "skipped"}
    assert old.stems() == ["old"]


def test_a_session_that_somebody_else_deleted_is_gone_and_no_failure(old):
    plan = plan_now(old)
    (old.path / "old.json").unlink()
    report = run(old, plan)
    assert (results(report), report.outcome, report.skipped, report.failed) == (
        {"old": "gone"},
        "success",
        0,
        0,
    )


@pytest.mark.parametrize("foreign", ["directory", "symlink", "fifo"])
def test_what_took_a_sessions_name_and_is_no_file_is_left_alone(old, tmp_path, foreign):
    plan = plan_now(old)
    path = old.path / "old.json"
    path.unlink()
    outside = write_session(tmp_path, "outside", idle=30 * DAY)
    {
        "directory": path.mkdir,
        "symlink": lambda: path.symlink_to(outside),
        "fifo": lambda: os.mkfifo(path),
    }[foreign]()
    assert results(run(old, plan)) == {"old": "skipped"}
    assert path.is_symlink() or path.exists()
    assert outside.exists()


# -- between the first look and the rename -----------------------------------------------------------


@pytest.mark.parametrize("save", [save_by_rename, save_in_place])
def test_a_session_saved_between_look_and_claim_is_put_back(old, monkeypatch, save):
    plan = plan_now(old)
    hook(monkeypatch, before_rename=lambda _: save(old, "old", metadata={"saved": "anew"}))
    report = run(old, plan)
    assert (results(report), report.skipped) == ({"old": "skipped"}, 1)
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert trashed(old) == {}


def test_a_session_deleted_between_look_and_claim_is_gone(old, monkeypatch):
    plan = plan_now(old)
    hook(monkeypatch, before_rename=lambda name: os.unlink(old.path / name))
    assert results(run(old, plan)) == {"old": "gone"}


@pytest.mark.parametrize("foreign", ["directory", "symlink"])
def test_what_takes_the_name_between_look_and_claim_is_put_back_whatever_it_is(old, monkeypatch, foreign):
    plan = plan_now(old)
    path = old.path / "old.json"

    def replace(_):
        path.unlink()
        path.mkdir() if foreign == "directory" else path.symlink_to("/nonexistent")

    hook(monkeypatch, before_rename=replace)
    assert results(run(old, plan)) == {"old": "skipped"}
    assert path.is_dir() if foreign == "directory" else path.is_symlink()


# -- between the rename and the second look ----------------------------------------------------------


def test_a_session_saved_twice_around_the_claim_keeps_its_newest_save_and_the_trash_the_other(
    old, monkeypatch
):
    plan = plan_now(old)
    hook(
        monkeypatch,
        before_rename=lambda _: save_by_rename(old, "old", metadata={"save": "1"}),
        after_rename=lambda _: save_by_rename(old, "old", metadata={"save": "2"}),
    )
    report = run(old, plan)
    assert (results(report), report.skipped) == ({"old": "superseded"}, 1)
    assert read_session(old, "old")["metadata"] == {"save": "2"}
    assert trashed(old) == {"old": "superseded"}
    folder = old.path / ".raptor" / "trash" / report.run
    assert read_session(folder, "old")["metadata"] == {"save": "1"}


def test_a_session_saved_after_its_claim_is_another_session(old, monkeypatch):
    plan = plan_now(old)
    hook(monkeypatch, after_rename=lambda _: save_by_rename(old, "old", metadata={"saved": "anew"}))
    assert results(run(old, plan)) == {"old": "deleted"}
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert trashed(old) == {"old": "idle"}


def test_a_writer_that_holds_the_file_open_at_the_claim_is_put_back(old, monkeypatch):
    plan = plan_now(old)
    with open(old.path / "old.json", "r+b") as writer:

        def write(_):
            writer.write(b'{"late": 1}')
            writer.flush()

        hook(monkeypatch, after_rename=write)
        assert results(run(old, plan)) == {"old": "skipped"}
    assert (old.path / "old.json").read_bytes().startswith(b'{"late": 1}')


def test_what_a_writer_wrote_after_the_claim_comes_back_when_the_trash_is_emptied(old):
    with open(old.path / "old.json", "r+b") as writer:
        assert results(run(old)) == {"old": "deleted"}
        writer.write(b'{"late": 1}')
    emptied = old.trash.empty(now=time.time())
    assert (emptied.sessions, emptied.put_back) == (0, 1)
    assert (old.path / "old.json").read_bytes().startswith(b'{"late": 1}')
    assert trashed(old) == {}


def test_what_a_writer_wrote_after_the_claim_stays_in_the_trash_where_a_newer_save_has_the_name(old):
    with open(old.path / "old.json", "r+b") as writer:
        run(old)
        writer.write(b'{"late": 1}')
    save_by_rename(old, "old", metadata={"saved": "anew"})
    now = time.time()
    emptied = old.trash.empty(now=now + 8 * DAY, retain=7 * DAY)
    assert (emptied.sessions, emptied.put_back) == (0, 0)
    assert trashed(old) == {"old": "superseded"}
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    # Its retention began anew; after that it is gone for good.
    assert old.trash.empty(now=now + 6 * DAY, retain=7 * DAY).sessions == 0
    assert old.trash.empty(now=now + 8 * DAY, retain=7 * DAY).sessions == 1
    assert trashed(old) == {}


# -- crashes -----------------------------------------------------------------------------------------


def crash_after_claims(store, plan):
    with store.trash.run(IDLE, "enforce", plan.now, plan.policies[0].chosen(), plan.snapshot.store_id) as r:
        for chosen in plan.policies[0].chosen():
            r.claim(chosen)
        die_here()


def crash_in_claim(store, plan, monkeypatch, **hooks):
    """A run in a process that is killed between two steps of its claim."""
    with monkeypatch.context() as patch:
        hook(patch, **hooks)
        with child(lambda: run(store, plan)) as process:
            assert process.wait() == -9


def test_a_crash_between_claim_and_verify_is_finished_by_the_next_run(old, monkeypatch):
    crash_in_claim(old, plan_now(old), monkeypatch, after_rename=lambda _: die_here())
    assert old.stems() == []
    assert trashed(old) == {}  # not before it was verified

    assert recover(old) == 1

    assert trashed(old) == {"old": "idle"}
    (told,) = journal(old, "run")
    assert (told["outcome"], told["deleted"]) == ("error", 1)
    assert "the process ended" in told["error"]
    assert [e["result"] for e in journal(old, "session")] == ["deleted"]
    assert recover(old) == 0


@pytest.mark.parametrize("save", [save_by_rename, save_in_place])
def test_a_crash_before_the_verification_of_a_changed_session_puts_it_back(old, monkeypatch, save):
    crash_in_claim(
        old,
        plan_now(old),
        monkeypatch,
        before_rename=lambda _: save(old, "old", metadata={"saved": "anew"}),
        after_rename=lambda _: die_here(),
    )
    assert old.stems() == []
    run(old)
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert trashed(old) == {}


def test_a_crash_before_the_verification_of_a_session_saved_twice_keeps_both(old, monkeypatch):
    def save_and_die(_):
        save_by_rename(old, "old", metadata={"save": "2"})
        die_here()

    crash_in_claim(
        old,
        plan_now(old),
        monkeypatch,
        before_rename=lambda _: save_by_rename(old, "old", metadata={"save": "1"}),
        after_rename=save_and_die,
    )
    recover(old)
    recover(old)
    assert read_session(old, "old")["metadata"] == {"save": "2"}
    assert trashed(old) == {"old": "superseded"}
    assert [e["result"] for e in journal(old, "session")] == ["superseded"]


def test_a_crash_before_the_first_claim_leaves_everything_and_is_finished(old, monkeypatch):
    crash_in_claim(old, plan_now(old), monkeypatch, before_rename=lambda _: die_here())
    assert recover(old) == 1
    assert (old.stems(), trashed(old)) == (["old"], {})


def test_a_crash_while_the_folder_was_made_aside_leaves_nothing_in_the_trash(old, monkeypatch):
    monkeypatch.setattr(posix, "append", lambda *_: die_here())
    plan = plan_now(old)
    with child(lambda: run(old, plan)) as process:
        assert process.wait() == -9
    monkeypatch.undo()
    assert os.listdir(old.path / ".raptor" / "trash") == []
    assert results(run(old)) == {"old": "deleted"}


def test_stale_folders_that_crashed_runs_left_aside_are_removed(old, monkeypatch):
    monkeypatch.setattr(posix, "append", lambda *_: die_here())
    plan = plan_now(old)
    with child(lambda: run(old, plan)) as process:
        process.wait()
    monkeypatch.undo()
    (aside,) = (old.path / ".raptor" / "tmp").iterdir()
    hours_ago = time.time() - 2 * HOUR
    os.utime(aside, (hours_ago, hours_ago))
    run(old)
    assert list((old.path / ".raptor" / "tmp").iterdir()) == []


def test_emptying_in_the_gap_of_a_crash_deletes_nothing_that_was_not_verified(old, monkeypatch):
    crash_in_claim(
        old,
        plan_now(old),
        monkeypatch,
        before_rename=lambda _: save_in_place(old, "old", metadata={"saved": "anew"}),
        after_rename=lambda _: die_here(),
    )
    assert old.trash.empty(now=time.time() + 365 * DAY).sessions == 0
    recover(old)
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}


def test_a_restore_in_the_gap_of_a_crash_waits_for_the_verification(old, monkeypatch, command):
    crash_in_claim(
        old,
        plan_now(old),
        monkeypatch,
        before_rename=lambda _: save_in_place(old, "old", metadata={"saved": "anew"}),
        after_rename=lambda _: die_here(),
    )
    with pytest.raises(KeyError):
        old.trash.restore("old")
    result = command("trash", "restore", "old", "--store", old.path)  # it recovers first
    assert result.status == 1
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert trashed(old) == {}


@pytest.mark.parametrize("meddle", ["empty", "restore", "recover"])
def test_others_leave_a_run_alone_that_is_between_claim_and_verify(old, monkeypatch, meddle):
    write_session(old, "older", idle=60 * DAY)
    plan = plan_now(old)
    hook(monkeypatch, after_rename=lambda _: stop_here())
    with child(lambda: run(old, plan)) as process:
        process.wait_stopped()
        other = FileStore(old.path)
        if meddle == "empty":
            assert other.trash.empty(now=time.time() + 365 * DAY) == Emptied(left=1)
        elif meddle == "recover":
            assert other.trash.recover() == []
        else:
            with pytest.raises(SessionConflict, match="another process is at work"):
                other.trash.restore("older")
        os.kill(process.pid, 18)  # on to the second claim
        process.wait_stopped()
        assert process.go_on() == 0
    assert trashed(old) == {"old": "idle", "older": "idle"}


def test_a_run_that_is_interrupted_verifies_what_it_held_and_tells_the_journal(old, monkeypatch):
    plan = plan_now(old)

    def interrupt(_):
        raise KeyboardInterrupt

    hook(
        monkeypatch,
        before_rename=lambda _: save_in_place(old, "old", metadata={"saved": "anew"}),
        after_rename=interrupt,
    )
    with pytest.raises(KeyboardInterrupt):
        run(old, plan)
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert [e["outcome"] for e in journal(old, "run")] == ["error"]


def test_a_run_that_is_asked_to_stop_ends_after_the_deletion_it_is_at(store):
    for number in range(5):
        write_session(store, f"s{number}", idle=30 * DAY)
    asked = []

    def stopping():
        asked.append(None)
        return len(asked) > 2

    report = run(store, stopping=stopping)
    assert (report.outcome, report.error) == ("error", "stopped after 2 of 5")
    assert (len(store.stems()), len(trashed(store))) == (3, 2)
    assert recover(store) == 0  # it was sealed


# -- refused links, copies ---------------------------------------------------------------------------


@pytest.fixture
def no_renameat2(monkeypatch):
    """As on SMB and FUSE, where the kernel call is not supported for the file system."""

    class Libc:
        @staticmethod
        def renameat2(*_):
            posix.ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(posix, "_libc", Libc)


@pytest.fixture
def no_links(monkeypatch):
    """As under protected_hardlinks for another user's file."""

    def refuse(*_args, **_settings):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(posix.os, "link", refuse)


def test_put_back_goes_by_a_link_where_renameat2_is_missing(old, monkeypatch, no_renameat2):
    plan = plan_now(old)
    hook(monkeypatch, before_rename=lambda _: save_in_place(old, "old", metadata={"saved": "anew"}))
    assert results(run(old, plan)) == {"old": "skipped"}
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    assert (old.path / "old.json").stat().st_nlink == 1


@needs_root
def test_put_back_goes_by_a_copy_where_links_are_refused_too(old, monkeypatch, no_renameat2, no_links):
    plan = plan_now(old)
    path = old.path / "old.json"

    def save(_):
        save_in_place(old, "old", metadata={"saved": "anew"}, mode=0o640)
        os.chown(path, 12345, 12345)

    hook(monkeypatch, before_rename=save)
    assert results(run(old, plan)) == {"old": "skipped"}
    assert read_session(old, "old")["metadata"] == {"saved": "anew"}
    status = path.stat()
    assert (status.st_uid, status.st_gid, oct(status.st_mode & 0o777)) == (12345, 12345, "0o640")
    assert trashed(old) == {}


@pytest.mark.parametrize("ways", ["link", "copy"])
def test_no_way_of_putting_back_overwrites_a_newer_save(old, monkeypatch, no_renameat2, request, ways):
    if ways == "copy":
        request.getfixturevalue("no_links")
    plan = plan_now(old)
    hook(
        monkeypatch,
        before_rename=lambda _: save_by_rename(old, "old", metadata={"save": "1"}),
        after_rename=lambda _: save_by_rename(old, "old", metadata={"save": "2"}),
    )
    assert results(run(old, plan)) == {"old": "superseded"}
    assert read_session(old, "old")["metadata"] == {"save": "2"}
    assert trashed(old) == {"old": "superseded"}


@needs_root
def test_another_users_file_is_put_back_by_an_unprivileged_process(monkeypatch, no_renameat2, open_dir):
    """The kernel itself refuses the link: another user's file that this process can't write."""
    assert Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1"
    store = FileStore(open_dir)
    open_dir.chmod(0o777)
    write_session(store, "old", idle=30 * DAY)
    plan = plan_now(store)

    def work():
        become(NOBODY)
        hook(monkeypatch, before_rename=lambda _: stop_here())
        assert results(run(store, plan)) == {"old": "skipped"}

    with child(work) as process:
        process.wait_stopped()
        save_by_rename(store, "old", metadata={"saved": "anew"}, mode=0o644)
        assert process.go_on() == 0
    assert read_session(store, "old")["metadata"] == {"saved": "anew"}
    assert (store.path / "old.json").stat().st_uid == NOBODY  # all that such a process can do
    assert trashed(store) == {}


# -- two agents, another store -----------------------------------------------------------------------


def test_two_agents_on_one_store_delete_each_session_once(store):
    for number in range(60):
        write_session(store, f"s{number:02d}", idle=30 * DAY)
    plan = plan_now(store)
    with child(lambda: run(FileStore(store.path), plan)) as one, child(lambda: run(store, plan)) as other:
        assert (one.wait(), other.wait()) == (0, 0)
    told = journal(store, "run")
    assert [entry["outcome"] for entry in told] == ["success", "success"]
    assert sum(entry["deleted"] for entry in told) == 60
    assert sum(entry["skipped"] + entry["failed"] for entry in told) == 0
    assert len(store.trash.sessions()) == 60
    assert store.stems() == []


def test_two_processes_that_empty_the_trash_disturb_neither_each_other_nor_a_run(store):
    for number in range(20):
        write_session(store, f"s{number:02d}", idle=30 * DAY)
        run(store)
    write_session(store, "last", idle=30 * DAY)
    plan = plan_now(store)

    def empty():
        FileStore(store.path).trash.empty(now=time.time())

    with child(empty) as one, child(empty) as other, child(lambda: run(store, plan)) as runs:
        assert (one.wait(), other.wait(), runs.wait()) == (0, 0, 0)
    store.trash.empty(now=time.time())
    assert os.listdir(store.path / ".raptor" / "trash") == []


def test_a_store_that_was_replaced_since_the_plan_is_refused(old, tmp_path):
    plan = plan_now(old)
    os.rename(old.path, tmp_path / "moved")
    old.path.mkdir()
    copy = write_session(old, "old", idle=30 * DAY)
    report = run(old, plan)
    assert (report.outcome, report.results) == ("refused", [])
    assert "another directory than the one that was planned on" in report.error
    assert copy.exists()
    assert not (old.path / ".raptor" / "trash").exists()


def test_the_trash_of_a_store_that_was_replaced_is_not_emptied_by_a_run_on_the_old_plan(old, tmp_path):
    other = FileStore(tmp_path / "other")
    other.create()
    write_session(other, "precious", idle=90 * DAY)
    run(other, plan_now(other, now=time.time() - 30 * DAY))
    assert trashed(other) == {"precious": "idle"}
    plan = plan_now(old)
    os.rename(old.path, tmp_path / "moved")
    os.rename(other.path, old.path)
    assert run(old, plan).outcome == "refused"
    assert trashed(old) == {"precious": "idle"}


def test_a_store_replaced_under_a_run_loses_nothing_of_the_new_one(old, monkeypatch, tmp_path):
    write_session(old, "older", idle=60 * DAY)
    plan = plan_now(old)
    moved = tmp_path / "moved"

    def replace(_):
        if not moved.exists():
            os.rename(old.path, moved)
            old.path.mkdir()
            write_session(old, "old", idle=30 * DAY)
            write_session(old, "older", idle=60 * DAY)

    hook(monkeypatch, before_rename=replace)
    run(old, plan)
    assert old.stems() == ["old", "older"]
    assert trashed(FileStore(moved)) == {"old": "idle", "older": "idle"}


def test_trash_that_was_copied_with_its_store_is_not_taken_for_changed(old, tmp_path):
    """A backup keeps times and sizes; its inodes are others, and say nothing."""
    run(old)
    copy = tmp_path / "copy"
    shutil.copytree(old.path, copy)
    store = FileStore(copy)
    assert trashed(store) == {"old": "idle"}
    size = store.trash.sessions()[0].size
    assert store.trash.empty(now=time.time()) == Emptied(1, size)
    assert store.stems() == []


# -- full disks, other file systems ------------------------------------------------------------------


@needs_root
def test_a_full_disk_gives_up_the_oldest_trash_to_write_the_manifest(small_disk):
    store, fill_disk = small_disk
    for name in ("first", "second"):
        write_session(store, name, idle=30 * DAY, metadata={"padding": "x" * 20_000})
        run(store)
    write_session(store, "third", idle=30 * DAY)
    plan = plan_now(store)
    fill_disk()
    report = run(store, plan)
    assert (report.outcome, results(report)) == ("success", {"third": "deleted"})
    assert trashed(store) == {"second": "idle", "third": "idle"}


@needs_root
def test_a_full_disk_without_trash_to_give_up_fails_the_run_and_loses_nothing(small_disk):
    store, fill_disk = small_disk
    write_session(store, "old", idle=30 * DAY)
    plan = plan_now(store)
    fill_disk()
    report = run(store, plan)
    assert (report.outcome, report.results) == ("error", [])
    assert "No space left on device" in report.error
    assert store.stems() == ["old"]


@needs_root
def test_a_disk_that_is_full_when_the_run_is_sealed_gives_up_the_oldest_trash(small_disk):
    store, fill_disk = small_disk
    write_session(store, "first", idle=30 * DAY, metadata={"padding": "x" * 20_000})
    run(store)
    names = [f"{number:03d}-{'x' * 60}" for number in range(100)]
    for name in names:
        write_session(store, name, idle=30 * DAY)
    plan = plan_now(store)
    for name in names:
        store.touch(name)  # spared ones are what fills the seal
    filled = []
    report = run(store, plan, progress=lambda done: filled or filled.append(fill_disk()))
    assert report.outcome == "success"
    assert set(results(report).values()) == {"skipped"}
    assert trashed(store) == {}


def test_a_run_that_can_not_be_sealed_is_an_error_and_finished_later(old, monkeypatch):
    plan = plan_now(old)
    plain = posix.append
    calls = []

    def full(fd, data):
        calls.append(data)
        if b"sealed" in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(fd, data)

    monkeypatch.setattr(posix, "append", full)
    report = run(old, plan)
    monkeypatch.undo()
    assert (report.outcome, results(report)) == ("error", {"old": "deleted"})
    assert "the next run finishes it" in report.error
    assert recover(old) == 1
    assert trashed(old) == {"old": "idle"}


@needs_root
def test_a_raptor_folder_that_is_another_file_system_is_refused_with_the_reason(old, mounts):
    mounts.tmpfs("1m", at=old.path / ".raptor")
    report = run(old)
    assert (report.outcome, report.results) == ("error", [])
    assert "on another file system than the sessions" in report.error
    assert old.stems() == ["old"]


def test_a_journal_that_can_not_be_written_is_logged_and_takes_nothing_back(old, monkeypatch, caplog):
    def full(*_):
        raise StoreError("the journal of x can't be written: No space left on device")

    monkeypatch.setattr(old.journal, "append", full)
    report = run(old)
    assert (report.outcome, results(report)) == ("success", {"old": "deleted"})
    assert "journal not written" in caplog.text
    assert trashed(old) == {"old": "idle"}


def test_a_file_system_that_can_not_sync_a_folder_is_good_enough(old, monkeypatch):
    plain = os.fsync

    def fsync(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        plain(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    assert (run(old).outcome, restore_from_trash(old, "old")) == ("success", (["old"], []))
    assert old.save("new", {"session_id": "new"}) == "new"
    assert old.delete("new")


# -- guards and trash --------------------------------------------------------------------------------


def test_a_refused_run_deletes_and_empties_nothing(store):
    write_session(store, "gone", idle=60 * DAY)
    run(store, plan_now(store, now=time.time() - 30 * DAY))
    for number in range(12):
        write_session(store, f"s{number}", idle=30 * DAY)
    plan = plan_now(store, rules(guards=Guards(min_age=0.0)))
    report = run(store, plan)
    assert (report.outcome, report.breach.guard, report.results) == ("refused", "max_delete_ratio", [])
    assert len(store.stems()) == 12
    assert trashed(store) == {"gone": "idle"}
    assert journal(store, "run")[0]["error"].startswith(
        "max_delete_ratio: idle-week would delete 12 of all 12"
    )


def test_trash_none_is_gone_for_good_by_the_next_run_also_when_the_clock_was_set_back(old):
    none = TrashRules(retain=0.0)
    run(old, trash=none)
    assert trashed(old) == {"old": "idle"}
    run(old, plan_now(old, now=time.time() - 3 * DAY), trash=none)
    assert trashed(old) == {}


def test_a_run_holds_the_trash_to_its_bytes_the_oldest_first(store):
    for name, moment in (("a", 30), ("b", 20), ("c", 10)):
        write_session(store, name, idle=60 * DAY, metadata={"padding": "x" * 1000})
        run(store, plan_now(store, now=time.time() - moment), trash=TrashRules(retain=DAY))
    size = sum(t.size for t in store.trash.sessions())
    run(store, trash=TrashRules(max_bytes=size))
    assert sorted(trashed(store)) == ["a", "b", "c"]
    run(store, trash=TrashRules(max_bytes=size - 1))
    assert sorted(trashed(store)) == ["b", "c"]
    (told,) = journal(store, "emptied")
    assert told["sessions"] == 1


def test_a_failed_deletion_fails_the_run_and_the_others_go_on(store, monkeypatch):
    write_session(store, "a", idle=30 * DAY)
    write_session(store, "b", idle=20 * DAY)

    def refuse(name):
        if name == "a.json":
            raise OSError(errno.EIO, "Input/output error")

    hook(monkeypatch, before_rename=refuse)
    report = run(store)
    assert (report.outcome, results(report)) == ("error", {"a": "failed", "b": "deleted"})
    assert report.error == "1 deletions failed, the first with: Input/output error"
    assert store.stems() == ["a"]

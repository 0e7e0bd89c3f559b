"""The way back, retention, and everything odd that can stand in the trash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from support.cleaning import hook, plan_now, results, rules, run
from support.mounts import needs_root
from support.processes import NOBODY, become, child, stop_here
from support.sessions import ABSENT, DAY, HOUR, read_session, timestamp, write_session

from raptor_exporter.cleanup.execute import recover, restore_from_trash
from raptor_exporter.cleanup.policy import Expire
from raptor_exporter.exceptions import SessionConflict, StoreError
from raptor_exporter.session import parse_timestamp
from raptor_exporter.stores import manifest, posix, runs
from raptor_exporter.stores.base import Emptied
from raptor_exporter.stores.files import FileStore


def look_at_all_and_stop(store):
    """In a process of its own: hold every run as somebody who only reads."""
    with posix.opened(trash_of(store), posix.DIRECTORY_FLAGS) as trash:
        for _ in runs.held(trash, runs.names(trash), writing=False):
            stop_here()


def names(store):
    return [item.name for item in store.trash.sessions()]


def trash_of(store):
    return store.path / ".raptor" / "trash"


@pytest.fixture
def deleted(store):
    """A store with one session in its trash."""
    write_session(store, "login", idle=30 * DAY, age=90 * DAY, metadata={"env": "ci"})
    run(store)
    return store


@pytest.fixture
def folder(deleted):
    (path,) = trash_of(deleted).iterdir()
    return path


# -- the way back ------------------------------------------------------------------------------------


def test_what_comes_back_counts_as_accessed_now_and_is_otherwise_as_it_was(deleted, folder):
    before = json.loads((folder / "login.json").read_bytes())
    (folder / "login.json").chmod(0o640)
    since = time.time()
    assert restore_from_trash(deleted, "login") == (["login"], [])
    after = read_session(deleted, "login")
    accessed = after.pop("last_accessed")
    del before["last_accessed"]
    assert after == before
    assert since - 1 <= parse_timestamp(accessed) <= time.time()
    status = (deleted.path / "login.json").stat()
    assert status.st_mtime >= since - 1
    assert status.st_mode & 0o777 == 0o640
    assert names(deleted) == []


@needs_root
def test_what_comes_back_keeps_its_owner(deleted, folder):
    os.chown(folder / "login.json", NOBODY, NOBODY)
    restore_from_trash(deleted, "login")
    status = (deleted.path / "login.json").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)


def test_the_next_run_does_not_take_again_what_was_restored(deleted):
    restore_from_trash(deleted, "login")
    assert results(run(deleted)) == {}
    assert deleted.stems() == ["login"]


@pytest.mark.parametrize(
    "broken", [{"cdp_url": ABSENT}, {"browser_type": "opera"}, {"created_at": "yesterday"}]
)
def test_an_invalid_session_that_can_tell_its_access_counts_as_accessed_too(store, broken):
    write_session(store, "broken", idle=30 * DAY, **broken)
    assert results(run(store)) == {"broken": "deleted"}
    restore_from_trash(store, "broken")
    assert results(run(store)) == {}


def test_a_corrupt_file_comes_back_byte_for_byte(store):
    write_session(store, "torn", idle=30 * DAY, data=b'{"session_id": "torn", \xff')
    policy = rules(expire=Expire(unmodified_for=DAY))
    run(store, plan_now(store, policy))
    restore_from_trash(store, "torn")
    assert (store.path / "torn.json").read_bytes() == b'{"session_id": "torn", \xff'
    assert results(run(store, plan_now(store, policy))) == {}


def test_a_run_comes_back_whole(store):
    for name in ("a", "b", "c"):
        write_session(store, name, idle=30 * DAY)
    report = run(store)
    assert restore_from_trash(store, report.run) == (["a", "b", "c"], [])
    assert (store.stems(), names(store)) == (["a", "b", "c"], [])
    told = [e["name"] for e in store.journal.newest_first() if e["type"] == "restored"]
    assert sorted(told) == ["a", "b", "c"]


def test_a_name_brings_back_the_last_deleted_session_of_that_name(store):
    now = time.time()
    for days, text in ((3, "first"), (1, "last"), (2, "middle")):
        write_session(store, "login", idle=300 * DAY, metadata={"which": text})
        run(store, plan_now(store, now=now - days * DAY))
    assert restore_from_trash(store, "login").names == ["login"]
    assert read_session(store, "login")["metadata"] == {"which": "last"}
    assert len(names(store)) == 2


def test_a_session_is_found_in_the_trash_by_its_session_name_too(store):
    write_session(store, "teamlogin", session_id="team/login", idle=30 * DAY)
    run(store)
    with pytest.raises(KeyError):
        restore_from_trash(store, "team.login")
    assert restore_from_trash(store, "team/login").names == ["teamlogin"]


@pytest.mark.parametrize("wanted", ["nobody", "", "..", "../../etc/passwd", "\ud800", "x" * 300, "a\0b"])
def test_a_name_that_is_not_in_the_trash_is_told(deleted, wanted):
    with pytest.raises(KeyError):
        restore_from_trash(deleted, wanted)
    assert names(deleted) == ["login"]


@pytest.mark.parametrize("how", ["name", "run"])
def test_restoring_over_a_session_that_is_there_changes_nothing(store, how):
    write_session(store, "a", idle=30 * DAY)
    write_session(store, "b", idle=30 * DAY)
    report = run(store)
    path = write_session(store, "a", metadata={"saved": "anew"})
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(SessionConflict, match=r"in the store again \(a\): nothing was restored"):
        restore_from_trash(store, "a" if how == "name" else report.run)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert (store.stems(), names(store)) == (["a"], ["a", "b"])


def test_two_processes_that_restore_one_session_bring_it_back_once(deleted):
    def restore():
        try:
            FileStore(deleted.path).trash.restore("login")
        except (KeyError, SessionConflict):
            os._exit(3)

    with child(restore) as one, child(restore) as other:
        assert sorted((one.wait(), other.wait())) == [0, 3]
    assert deleted.stems() == ["login"]
    assert read_session(deleted, "login")["session_id"] == "login"


def test_a_session_that_is_saved_while_its_run_comes_back_is_a_conflict_and_the_others_return(
    store, monkeypatch
):
    for name in ("a", "b"):
        write_session(store, name, idle=30 * DAY)
    report = run(store)
    plain = posix.rename_noreplace

    def late(source, target, *fds):
        if target == "a.json":
            write_session(store, "a", metadata={"saved": "anew"})
        plain(source, target, *fds)

    monkeypatch.setattr(posix, "rename_noreplace", late)
    restored = restore_from_trash(store, report.run)
    assert restored.names == ["b"]
    assert restored.conflicts == ["a.json came into the store meanwhile: it was not restored"]
    assert read_session(store, "a")["metadata"] == {"saved": "anew"}
    assert names(store) == ["a"]


@needs_root
def test_a_restore_works_by_another_user_of_the_group_though_not_all_can_be_kept(open_dir, caplog):
    open_dir.chmod(0o777)
    store = FileStore(open_dir)
    write_session(store, "login", idle=30 * DAY, mode=0o644)
    with child(lambda: (become(NOBODY), run(FileStore(open_dir)))) as process:
        assert process.wait() == 0
    assert names(store) == ["login"]
    with child(lambda: (become(NOBODY), FileStore(open_dir).trash.restore("login"))) as process:
        assert process.wait() == 0
    assert store.stems() == ["login"]
    assert (open_dir / "login.json").stat().st_uid == 0


# -- retention ---------------------------------------------------------------------------------------


def test_retention_counts_from_the_deletion_to_its_exact_edge(store):
    now = time.time()
    write_session(store, "login", idle=300 * DAY)
    run(store, plan_now(store, now=now))
    assert store.trash.empty(now=now + 7 * DAY - 0.001, retain=7 * DAY).sessions == 0
    assert store.trash.empty(now=now + 7 * DAY, retain=7 * DAY).sessions == 1
    assert list(trash_of(store).iterdir()) == []


def test_a_clock_that_was_set_back_empties_nothing(deleted):
    assert deleted.trash.empty(now=time.time() - 365 * DAY, retain=HOUR).sessions == 0
    assert names(deleted) == ["login"]


def test_what_was_deleted_in_the_future_stays(store):
    write_session(store, "login", idle=300 * DAY)
    run(store, plan_now(store, now=time.time() + 30 * DAY))
    assert store.trash.empty(now=time.time(), retain=DAY).sessions == 0


def test_emptying_takes_the_overdue_runs_alone(store):
    now = time.time()
    for name, days in (("a", 9), ("b", 8), ("c", 6)):
        write_session(store, name, idle=300 * DAY)
        run(store, plan_now(store, now=now - days * DAY))
    assert store.trash.empty(now=now, retain=7 * DAY).sessions == 2
    assert names(store) == ["c"]


def test_bytes_over_the_limit_go_oldest_first_and_a_full_limit_is_none_too_many(store):
    now = time.time()
    sizes = {}
    for name, days in (("b", 3), ("a", 2), ("c", 1)):
        write_session(store, name, idle=300 * DAY, metadata={"padding": "x" * 100})
        sizes[name] = (store.path / f"{name}.json").stat().st_size
        run(store, plan_now(store, now=now - days * DAY))
    assert store.trash.empty(now=now, max_bytes=sum(sizes.values())).sessions == 0
    assert store.trash.empty(now=now, max_bytes=sum(sizes.values()) - 1) == Emptied(1, sizes["b"])
    assert names(store) == ["a", "c"]
    assert store.trash.empty(now=now, max_bytes=0).sessions == 2


def test_the_snapshot_tells_what_the_trash_holds(store):
    plan = plan_now(store)
    assert (plan.snapshot.trash_sessions, plan.snapshot.trash_bytes) == (0, 0)
    write_session(store, "login", idle=30 * DAY)
    size = (store.path / "login.json").stat().st_size
    run(store)
    snapshot = plan_now(store).snapshot
    assert (snapshot.trash_sessions, snapshot.trash_bytes) == (1, size)
    restore_from_trash(store, "login")
    assert plan_now(store).snapshot.trash_sessions == 0


# -- odd things --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plant",
    [
        lambda path, away: path.symlink_to(away),
        lambda path, _: path.write_text("no folder"),
        lambda path, _: os.mkfifo(path),
    ],
    ids=["symlink", "file", "fifo"],
)
@pytest.mark.parametrize("place", [".raptor", ".raptor/trash"])
def test_what_stands_where_a_folder_of_ours_should_stops_deletions_and_no_reading(
    store, tmp_path, plant, place
):
    away = tmp_path / "away"
    away.mkdir()
    write_session(away, "outside", idle=30 * DAY)
    write_session(store, "old", idle=30 * DAY)
    path = store.path / place
    path.parent.mkdir(exist_ok=True)
    plant(path, away)

    plan = plan_now(store)
    assert (plan.snapshot.trash_sessions, plan.snapshot.trash_bytes) == (None, None)
    assert list(plan.of("idle-week").deletions) == ["old"]
    report = run(store, plan)
    assert (report.outcome, report.results, store.stems()) == ("error", [], ["old"])
    with pytest.raises(StoreError):
        store.trash.sessions()
    assert [p.name for p in away.iterdir()] == ["outside.json"]


def test_folders_and_files_in_the_trash_that_are_no_runs_are_never_touched(deleted):
    trash = trash_of(deleted)
    write_session(trash, "loose")
    (trash / "mine").mkdir()
    write_session(trash / "mine", "private")
    (trash / "20260101T000000Z-abcdef").symlink_to(trash / "mine")
    recover(deleted)
    assert names(deleted) == ["login"]
    assert deleted.trash.empty(now=time.time()).sessions == 1
    assert sorted(p.name for p in trash.iterdir()) == ["20260101T000000Z-abcdef", "loose.json", "mine"]
    assert (trash / "mine" / "private.json").exists()
    assert deleted.stems() == []


def test_foreign_files_in_a_runs_folder_are_left_where_they_are(deleted, folder, tmp_path):
    outside = write_session(tmp_path, "outside", idle=30 * DAY)
    write_session(folder, "planted")
    (folder / "link.json").symlink_to(outside)
    os.mkfifo(folder / "pipe.json")
    (folder / "dir.json").mkdir()
    (folder / "notes.txt").write_text("mine")
    assert names(deleted) == ["login"]
    assert deleted.trash.empty(now=time.time()).sessions == 1
    left = sorted(p.name for p in folder.iterdir())
    assert left == ["dir.json", "link.json", "manifest.json", "notes.txt", "pipe.json", "planted.json"]
    assert outside.exists()
    assert deleted.stems() == []


@pytest.mark.parametrize(
    "plant",
    [
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 40),
    ],
    ids=["fifo", "directory", "symlink", "huge"],
)
def test_one_run_with_an_odd_manifest_stops_nothing_else(deleted, folder, plant, caplog):
    write_session(deleted, "other", idle=30 * DAY)
    run(deleted)
    (folder / "manifest.json").unlink()
    plant(folder / "manifest.json")

    assert names(deleted) == ["other"]
    assert recover(deleted) == 0
    assert deleted.trash.empty(now=time.time()).sessions == 1
    assert (folder / "login.json").exists()
    assert "passed over a run in the trash" in caplog.text
    write_session(deleted, "more", idle=30 * DAY)
    assert results(run(deleted)) == {"more": "deleted"}


@needs_root
def test_another_users_run_that_can_not_be_opened_stops_nothing_else(open_dir):
    open_dir.chmod(0o777)
    store = FileStore(open_dir)
    write_session(store, "mine", idle=30 * DAY, mode=0o644)
    with child(lambda: (become(NOBODY), run(FileStore(open_dir)))) as process:
        assert process.wait() == 0
    write_session(store, "roots", idle=30 * DAY)
    report = run(store)
    os.chown(trash_of(store) / report.run, 0, 0)

    def look():
        become(NOBODY)
        other = FileStore(open_dir)
        assert names(other) == ["mine"]
        assert other.trash.empty(now=time.time()).sessions == 1

    with child(look) as process:
        assert process.wait() == 0
    assert names(store) == ["roots"]


WORDS = [
    b"",
    b"\0" * 4096,
    b"{",
    b"[]",
    b"null",
    b'{"name": "a web application", "icons": []}',
    b'{"version":1,"run":"x"}',
    b'{"version":1,"run":"x","policy":"p","mode":"enforce","at":"now","store":[1,2],"sessions":[]}',
    b'{"version":1,"run":"x","policy":"p","mode":"enforce","at":1e999,"store":[1,2],"sessions":[]}',
    b'{"version":1,"run":"x","policy":"p","mode":"enforce","at":1,"store":[1,2],"sessions":[["login",1]]}',
    b'{"version":1,"run":"x","policy":"p","mode":"enforce","at":1,"store":[1,2],"sessions":{"a":1}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
def test_a_run_whose_manifest_tells_nothing_gives_back_what_it_holds(deleted, folder, words):
    (folder / "manifest.json").write_bytes(words)
    assert recover(deleted) == 1
    assert deleted.stems() == ["login"]
    assert names(deleted) == []
    assert recover(deleted) == 0
    deleted.trash.empty(now=time.time())
    assert list(trash_of(deleted).iterdir()) == []


def test_a_run_whose_manifest_tells_nothing_keeps_what_a_newer_session_has_the_name_of(deleted, folder):
    (folder / "manifest.json").write_bytes(b"{")
    write_session(deleted, "login", metadata={"saved": "anew"})
    recover(deleted)
    size = (folder / "manifest.json").stat().st_size
    recover(deleted)
    assert (folder / "manifest.json").stat().st_size == size  # told once
    assert [(t.name, t.reason) for t in deleted.trash.sessions()] == [("login", "superseded")]
    assert read_session(deleted, "login")["metadata"] == {"saved": "anew"}
    assert deleted.trash.empty(now=time.time()).sessions == 1


def test_a_torn_seal_is_no_seal(deleted, folder):
    plan = (folder / "manifest.json").read_bytes().splitlines()[0]
    (folder / "manifest.json").write_bytes(plan + b'\n{"sealed":tru')
    assert names(deleted) == []
    assert recover(deleted) == 1
    assert names(deleted) == ["login"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"sealed":true,"outcomes":[]}',
        b'{"sealed":true}',
        b'{"superseded":["login"],"identity":[1,2,3],"at":1}',
        b'{"superseded":"login","identity":[1,2],"at":1}',
        b'{"superseded":"login","identity":[1,2,3],"at":NaN}',
        b'{"superseded":"login"}',
        b"7",
        b"\xff\xfe",
    ],
)
def test_foreign_lines_of_a_manifest_are_passed_over(deleted, folder, line):
    with open(folder / "manifest.json", "ab") as file:
        file.write(line + b"\n")
    assert [(t.name, t.reason) for t in deleted.trash.sessions()] == [("login", "idle")]
    assert deleted.trash.empty(now=time.time()).sessions == 1


def test_a_deletion_that_could_not_be_verified_is_looked_at_again_by_the_next_run(store, monkeypatch):
    write_session(store, "old", idle=30 * DAY)
    plan = plan_now(store)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(posix, "rename_noreplace", refuse)
        hook(patch, before_rename=lambda _: write_session(store, "old", metadata={"saved": "anew"}))
        report = run(store, plan)
    assert (report.outcome, results(report)) == ("error", {"old": "failed"})
    assert store.stems() == []
    run(store)
    assert read_session(store, "old")["metadata"] == {"saved": "anew"}
    assert names(store) == []


def test_an_emptying_that_crashed_between_its_last_two_steps_leaves_no_folder_for_ever(deleted, folder):
    shutil.rmtree(folder)
    folder.mkdir()
    deleted.trash.empty(now=time.time())
    assert not folder.exists()


def test_run_names_sort_by_time_and_are_told_apart():
    made = {runs.new_name(1_700_000_000.0) for _ in range(100)}
    assert len(made) == 100
    assert max(made) < runs.new_name(1_700_000_001.0)
    assert all(name.startswith("20231114T221320Z-") for name in made)


def test_a_manifest_keeps_names_that_are_no_utf_8(store):
    write_session(store, "caf\udce9", session_id="café", idle=30 * DAY)
    run(store)
    (folder,) = trash_of(store).iterdir()
    plan = manifest.parse((folder / "manifest.json").read_bytes())
    assert list(plan.chosen) == ["caf\udce9"]


def test_an_access_in_the_future_is_not_moved_back_by_a_restore(store):
    future = timestamp(time.time() + 400 * DAY)
    write_session(store, "ahead", idle=30 * DAY, last_accessed=future, created_at=timestamp(0))
    run(store, plan_now(store, rules(expire=Expire(older_than=DAY))))
    restore_from_trash(store, "ahead")
    assert read_session(store, "ahead")["last_accessed"] == future


@needs_root
def test_root_makes_nothing_in_another_users_store_that_its_owner_could_not_use(store):
    os.chown(store.path, NOBODY, NOBODY)
    os.chown(write_session(store, "old", idle=30 * DAY), NOBODY, NOBODY)
    report = run(store)
    store.save("new", {"session_id": "new"})
    home = store.path / ".raptor"
    made = [home, *home.rglob("*"), store.path / "new.json"]
    assert trash_of(store) / report.run / "manifest.json" in made
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(NOBODY, NOBODY)}


def test_a_run_whose_folder_was_taken_away_tells_so_and_leaves_its_sessions(store, monkeypatch):
    write_session(store, "old", idle=30 * DAY)
    hook(monkeypatch, before_rename=lambda _: shutil.rmtree(store.path / ".raptor"))
    report = run(store)
    assert (report.outcome, results(report), store.stems()) == ("error", {"old": "failed"}, ["old"])


def test_settled_runs_are_told_by_their_last_line_and_others_by_all(store, monkeypatch):
    for number in range(3):
        write_session(store, f"s{number}", idle=30 * DAY)
        run(store)
    parsed = []
    plain = manifest.parse
    monkeypatch.setattr(manifest, "parse", lambda data: parsed.append(data) or plain(data))
    assert recover(store) == 0
    assert parsed == []
    newest = max(trash_of(store).iterdir())
    with open(newest / "manifest.json", "ab") as file:
        file.write(b'{"sealed":tru')
    assert recover(store) == 0
    assert len(parsed) == 1


def test_a_stuck_lock_delays_a_restore_once_and_brings_the_sessions_back(store, monkeypatch, caplog):
    for number in range(5):
        write_session(store, f"s{number}", idle=30 * DAY)
    report = run(store)
    plain, waits = posix.flocked, []

    def flocked(fd, what):
        waits.append(what)
        return plain(fd, what, wait=0.05)

    monkeypatch.setattr(posix, "flocked", flocked)

    def hold():
        with store.locked():
            stop_here()

    with child(hold) as process:
        process.wait_stopped()
        waits.clear()
        assert restore_from_trash(store, report.run).names == [f"s{number}" for number in range(5)]
    assert len(waits) == 2  # for the first session, and for the journal
    assert "restored with their old last_accessed" in caplog.text
    assert store.stems() == [f"s{number}" for number in range(5)]


# -- with others at the same trash -------------------------------------------------------------------


@pytest.mark.parametrize("change", ["empty", "restore"])
def test_those_who_only_look_share_a_run_and_a_change_waits_for_them(deleted, change):
    with child(lambda: look_at_all_and_stop(deleted)) as reader:
        reader.wait_stopped()
        assert names(deleted) == ["login"]
        assert deleted.trash.recover() == []
        threading.Timer(0.3, os.kill, (reader.pid, signal.SIGCONT)).start()
        if change == "empty":
            assert deleted.trash.empty(now=time.time()).sessions == 1
        else:
            assert deleted.trash.restore("login").names == ["login"]
        assert names(deleted) == []


def test_what_another_process_brought_back_while_this_one_waited_is_told(deleted, monkeypatch):
    wait = posix.flock_after_readers

    def late(fd):
        monkeypatch.setattr(posix, "flock_after_readers", wait)
        assert deleted.trash.restore("login").names == ["login"]
        os.rename(deleted.path / "login.json", deleted.path / "elsewhere")  # taken away once more
        return wait(fd)

    monkeypatch.setattr(posix, "flock_after_readers", late)
    with pytest.raises(SessionConflict, match="another process has just restored or emptied login"):
        deleted.trash.restore("login")


def test_a_reader_that_hangs_keeps_a_run_and_that_is_told(deleted, monkeypatch):
    monkeypatch.setattr(posix.flock_after_readers, "__kwdefaults__", {"wait": 0.2})
    with child(lambda: look_at_all_and_stop(deleted)) as reader:
        reader.wait_stopped()
        assert deleted.trash.empty(now=time.time()) == Emptied(left=1)
        with pytest.raises(SessionConflict, match="can't be used now: another process is at work"):
            deleted.trash.restore("login")
        os.kill(reader.pid, signal.SIGCONT)
    assert names(deleted) == ["login"]


def test_one_that_can_not_be_deleted_keeps_no_other_and_is_counted(store, monkeypatch, caplog):
    for name in ("a", "b", "c"):
        write_session(store, name, idle=30 * DAY)
    run(store)
    unlink = os.unlink

    def refusing(path, *arguments, **options):
        if path == "b.json":
            raise PermissionError(1, "Operation not permitted", path)
        unlink(path, *arguments, **options)

    monkeypatch.setattr(os, "unlink", refusing)
    done = store.trash.empty(now=time.time())
    assert (done.sessions, done.left) == (2, 1)
    assert names(store) == ["b"]
    assert [r.getMessage() for r in caplog.records].count("trash that can't be emptied now") == 1
    monkeypatch.undo()
    assert store.trash.empty(now=time.time()).sessions == 1
    assert list(trash_of(store).iterdir()) == []

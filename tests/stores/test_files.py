"""The store in a directory: which files are sessions, who finds which, and writes that lose nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from types import SimpleNamespace

import pytest
from support.mounts import needs_root
from support.processes import NOBODY, become, child, stop_here
from support.sessions import DAY, HOUR, read_session, session_fields, timestamp, write_session

from raptor_exporter.exceptions import SessionConflict, StoreError, UnreadableSession, UnsafeName
from raptor_exporter.session import check, parse_timestamp
from raptor_exporter.stores import home, posix
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.record import Identity


def refresh(store, previous=None, wanted=Wanted()):  # noqa: B008  # it is immutable
    return store.refresh(previous, wanted)


def states(store):
    return {name: record.state for name, record in refresh(store).records.items()}


# -- what is a session -------------------------------------------------------------------------------


def test_only_regular_files_directly_in_the_store_that_end_in_json_and_show_themselves_are_sessions(
    store, tmp_path
):
    away = write_session(tmp_path, "away")
    for name in ("plain", "-", "a b", "Ünïcode", "x.y", "caf\udce9"):
        write_session(store, name)
    write_session(store, ".hidden")
    write_session(store, "")
    write_session(store, "upper").rename(store.path / "upper.JSON")
    write_session(store, "text").rename(store.path / "text.json.txt")
    (store.path / "link.json").symlink_to(away)
    (store.path / "folder.json").mkdir()
    write_session(store.path / "folder.json", "inside")
    os.mkfifo(store.path / "pipe.json")
    expected = sorted(["plain", "-", "a b", "Ünïcode", "x.y", "caf\udce9"])
    assert store.stems() == expected
    assert sorted(states(store)) == expected
    assert store.usage()[0] == len(expected)
    assert {store.find(name) for name in ("link", "folder", "pipe", ".hidden", "", "upper")} == {None}
    assert [store.read(name) for name in ("link", "folder", "pipe")] == [None] * 3
    assert [store.delete(name) for name in ("link", "folder", "pipe", ".hidden")] == [False] * 4
    assert [store.touch(name) for name in ("link", "folder", "pipe")] == [False] * 3
    assert away.exists()


@pytest.mark.parametrize(
    "name", ["../away", "folder/inside", "/etc/passwd", "..", ".", "a\0b", "\ud800", "x" * 251, "é" * 126, ""]
)
def test_no_name_reaches_out_of_the_store(store, tmp_path, name):
    write_session(tmp_path, "away")
    assert store.find(name) is None
    assert store.read(name) is None
    assert store.identify(name) is None
    assert store.touch(name) is False
    assert store.delete(name) is False
    assert store.mark_accessed(name, time.time()) is False
    assert (tmp_path / "away.json").exists()


def test_a_name_finds_the_stem_then_the_safe_name_that_holds_it_and_else_nothing(store):
    write_session(store, "teamlogin", session_id="team/login")
    write_session(store, "other", session_id="team.other")
    write_session(store, "both", session_id="anything")
    assert store.find("teamlogin") == "teamlogin"
    assert store.find("team/login") == "teamlogin"
    assert store.find("team.login") is None  # its safe name is another session's file
    assert store.find("both") == "both"
    assert store.find("anything") is None
    assert store.find("///") is None


def test_at_the_longest_name_that_a_file_can_have(store):
    name = "é" * 125  # 250 bytes
    assert store.save(name, {"session_id": name}) == name
    assert store.find(name) == name
    with pytest.raises(UnsafeName):
        store.save(name + "x", {})
    assert store.find(name + "x") is None


# -- saving ------------------------------------------------------------------------------------------


def test_a_session_belongs_to_the_name_that_it_was_saved_under(store):
    assert (
        store.save("test/../../../etc/passwd", {"session_id": "test/../../../etc/passwd"}) == "testetcpasswd"
    )
    before = (store.path / "testetcpasswd.json").read_bytes()
    for other in ("testetcpasswd", "test/etc/passwd"):
        with pytest.raises(SessionConflict, match="belongs to the session 'test"):
            store.save(other, {"session_id": other})
    assert (store.path / "testetcpasswd.json").read_bytes() == before


def test_a_file_that_belongs_to_nobody_can_be_taken(store):
    write_session(store, "corrupt", data=b"{")
    write_session(store, "nameless", session_id=7)
    for name in ("corrupt", "nameless"):
        assert store.save(name, {"session_id": name}) == name
        assert read_session(store, name)["session_id"] == name


@needs_root
def test_unknown_keys_mode_and_owner_stay_when_a_file_is_rewritten(store):
    path = write_session(store, "login", mode=0o640, theirs={"n": 1.50}, idle=DAY)
    os.chown(path, 1234, 2345)
    for rewrite in (
        lambda: store.save("login", session_fields("login", metadata={"mine": 1})),
        lambda: store.mark_accessed("login", time.time() + 5),
    ):
        rewrite()
        status = path.stat()
        assert (oct(status.st_mode & 0o7777), status.st_uid, status.st_gid) == ("0o640", 1234, 2345)
        assert b'{"n": 1.5}' in path.read_bytes()
    assert list(read_session(store, "login"))[-1] == "theirs"
    assert read_session(store, "login")["metadata"] == {"mine": 1}


@needs_root
def test_where_the_owner_can_not_be_kept_the_file_is_not_rewritten(open_dir):
    open_dir.chmod(0o777)
    path = write_session(open_dir, "theirs", mode=0o666)
    before = path.read_bytes(), path.stat()

    def work():
        become(NOBODY)
        store = FileStore(open_dir)
        for rewrite in (
            lambda: store.save("theirs", {"session_id": "theirs"}),
            lambda: store.mark_accessed("theirs", time.time()),
        ):
            with pytest.raises(SessionConflict, match="with its mode and owner kept"):
                rewrite()
        assert os.listdir(open_dir / ".raptor" / "tmp") == []

    with child(work) as process:
        assert process.wait() == 0
    assert (path.read_bytes(), path.stat()) == before


def test_new_files_are_private_whatever_the_umask(store):
    before = os.umask(0)
    try:
        store.save("login", {"session_id": "login"})
    finally:
        os.umask(before)
    assert (store.path / "login.json").stat().st_mode & 0o777 == 0o600


def test_marking_an_access_moves_it_forward_only_and_touches_nothing_else(store):
    now = time.time()
    data = b'{"last_accessed": "2024-11-28T15:30:00", "n": 1e999, "big": 12345678901234567890123}'
    path = write_session(store, "a", data=data)
    assert store.mark_accessed("a", now)
    text = path.read_text()
    assert '"n": 1e999' in text
    assert '"big": 12345678901234567890123' in text
    assert abs(parse_timestamp(json.loads(text)["last_accessed"]) - now) < 1e-3
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert store.mark_accessed("a", now - 100)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert not store.mark_accessed("nobody", now)
    write_session(store, "torn", data=b"{")
    assert not store.mark_accessed("torn", now)


def test_what_another_program_wrote_between_reading_and_replacing_is_kept(store, monkeypatch):
    write_session(store, "a", metadata={"n": 0})
    plain, races = home.write_temporary, []

    def race(*arguments):
        if len(races) < 3:
            races.append(write_session(store, "a", metadata={"n": len(races) + 1}, idle=HOUR))
        return plain(*arguments)

    monkeypatch.setattr(home, "write_temporary", race)
    now = time.time()
    assert store.mark_accessed("a", now)
    assert len(races) == 3
    found = read_session(store, "a")
    assert found["metadata"] == {"n": 3}
    assert abs(parse_timestamp(found["last_accessed"]) - now) < 1e-3
    assert os.listdir(store.path / ".raptor" / "tmp") == []


def test_a_file_that_never_stands_still_is_given_up_with_a_word(store, monkeypatch):
    write_session(store, "a")
    plain = home.write_temporary

    def race(*arguments):
        write_session(store, "a", changed=-time.perf_counter())
        return plain(*arguments)

    monkeypatch.setattr(home, "write_temporary", race)
    with pytest.raises(SessionConflict, match="keeps being changed by another program"):
        store.mark_accessed("a", time.time() + 60)
    assert os.listdir(store.path / ".raptor" / "tmp") == []


def test_two_that_save_a_new_name_at_once_do_not_overwrite_each_other(store, monkeypatch):
    plain = posix.rename_noreplace
    calls = []

    def race(source, target, *fds):
        if not calls:
            calls.append(write_session(store, "new", session_id="somebody-else"))
        plain(source, target, *fds)

    monkeypatch.setattr(posix, "rename_noreplace", race)
    with pytest.raises(SessionConflict, match="belongs to the session 'somebody-else'"):
        store.save("new", {"session_id": "new"})
    assert read_session(store, "new")["session_id"] == "somebody-else"


def test_a_file_that_is_just_being_written_in_place_is_neither_free_nor_corrupt(store):
    """Between truncating and writing it is empty, as other tools write it."""
    path = write_session(store, "ab", session_id="a b")
    text = path.read_text()
    done = threading.Event()

    def rewrite():
        while not done.is_set():
            with path.open("w") as file:
                time.sleep(0.03)
                file.write(text)
            time.sleep(0.02)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(15):
            with pytest.raises(SessionConflict, match="belongs to the session 'a b'"):
                store.save("ab", session_fields("ab"))
            assert store.find("a b") == "ab"
            assert check(store.read_settled("ab")).reason is None
            assert store.mark_accessed("ab", 0.0)
    finally:
        done.set()
        writer.join()
    assert path.read_text() == text


def test_what_stays_corrupt_is_taken_after_a_moment(store):
    (store.path / "a.json").write_text("{")
    assert store.read_settled("a") == b"{"
    assert store.save("a", session_fields("a")) == "a"
    assert check(store.read("a")).reason is None


def test_a_name_that_something_else_has_is_not_written_through_or_over(store, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (store.path / "link.json").symlink_to(outside)
    (store.path / "folder.json").mkdir()
    os.mkfifo(store.path / "pipe.json")
    for name in ("link", "folder", "pipe"):
        with pytest.raises(SessionConflict, match="is no regular file"):
            store.save(name, {"session_id": name})
    assert outside.read_text() == "precious"


def test_a_session_over_a_mebibyte_is_not_written(store):
    write_session(store, "a", metadata={"n": 1})
    before = (store.path / "a.json").read_bytes()
    with pytest.raises(SessionConflict, match="too large"):
        store.save("a", {"session_id": "a", "metadata": {"text": "x" * (1 << 20)}})
    assert (store.path / "a.json").read_bytes() == before


@needs_root
def test_a_raptor_folder_on_another_file_system_is_told(store, mounts):
    mounts.tmpfs("1m", at=store.path / ".raptor")
    with pytest.raises(SessionConflict, match="on another file system than the sessions"):
        store.save("a", {"session_id": "a"})
    assert store.stems() == []


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(store, monkeypatch):
    path = write_session(store, "a")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(posix, "write_all", full)
    with pytest.raises(SessionConflict, match="No space left on device"):
        store.save("a", {"session_id": "a"})
    assert path.read_bytes() == before
    assert os.listdir(store.path / ".raptor" / "tmp") == []


def test_savers_in_many_processes_lose_no_update(store):
    """Each adds a key of its own to one file; all are in it at the end."""

    def add(which):
        other = FileStore(store.path)
        for number in range(15):
            other.save("shared", {"session_id": "shared", f"k{which}-{number}": number})

    with child(lambda: add(1)) as one, child(lambda: add(2)) as two, child(lambda: add(3)) as three:
        assert [process.wait() for process in (one, two, three)] == [0, 0, 0]
    assert len(read_session(store, "shared")) == 1 + 3 * 15


def test_a_stuck_process_with_the_lock_fails_a_save_with_a_word_and_no_reading(store, monkeypatch):
    write_session(store, "a")
    plain = posix.flocked
    monkeypatch.setattr(posix, "flocked", lambda fd, what: plain(fd, what, wait=0.1))

    def hold():
        with store.locked():
            stop_here()

    with child(hold) as process:
        process.wait_stopped()
        with pytest.raises(StoreError, match="locked by another process"):
            store.save("a", {"session_id": "a"})
        assert store.touch("a")
        assert (store.find("a"), store.stems()) == ("a", ["a"])
    assert store.save("a", {"session_id": "a"}) == "a"


# -- refreshing --------------------------------------------------------------------------------------


def test_a_refresh_reads_only_what_changed(store, monkeypatch):
    for name in ("a", "b", "c"):
        write_session(store, name, idle=HOUR)
    first = refresh(store)
    write_session(store, "b", idle=HOUR, metadata={"n": 1})
    opened = []
    plain = os.open

    def counted(path, *arguments, **settings):
        if str(path).endswith(".json"):
            opened.append(path)
        return plain(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", counted)
    second = refresh(store, first)
    assert opened == ["b.json"]
    assert second.records["a"] is first.records["a"]
    assert second.records["b"] != first.records["b"]


def test_a_file_that_changed_just_before_it_was_read_is_read_once_more(store):
    """A coarse clock may give the next change the same time, and a writer may keep the size."""
    path = write_session(store, "a", browser_type="firefox")
    first = refresh(store)
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"firefox", b"firef0x"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = refresh(store, first)
    assert (first.records["a"].state, second.records["a"].state) == ("valid", "invalid")


def test_where_a_file_system_tells_no_change_times_every_refresh_reads(store, monkeypatch):
    """Some FUSE file systems say 0, which must not pass for "as it was"."""
    path = write_session(store, "a", idle=HOUR, browser_type="firefox")
    status = path.stat()
    plain_fstat, plain_scandir = os.fstat, os.scandir

    def timeless(status):
        names = [name for name in dir(status) if name.startswith("st_")]
        return SimpleNamespace(**{name: getattr(status, name) for name in names} | {"st_ctime_ns": 0})

    @contextlib.contextmanager
    def scandir(place):
        with plain_scandir(place) as entries:
            yield [
                SimpleNamespace(
                    name=entry.name,
                    stat=lambda entry=entry, **options: timeless(entry.stat(**options)),
                    is_file=entry.is_file,
                )
                for entry in entries
            ]

    monkeypatch.setattr(os, "fstat", lambda fd: timeless(plain_fstat(fd)))
    monkeypatch.setattr(os, "scandir", scandir)
    first = refresh(store)
    path.write_bytes(path.read_bytes().replace(b"firefox", b"firef0x"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = refresh(store, first)
    assert (first.records["a"].state, second.records["a"].state) == ("valid", "invalid")


def test_a_file_whose_permissions_change_is_read_again(store):
    path = write_session(store, "a", idle=HOUR)
    first = refresh(store)
    path.chmod(0o640)
    assert refresh(store, first).records["a"] is not first.records["a"]


def test_a_file_over_a_mebibyte_is_unreadable_and_no_longer_when_it_shrank(store):
    path = write_session(store, "a", data=b" " * (1 << 20) + b"{}", idle=HOUR)
    first = refresh(store)
    assert first.records["a"].state == "unreadable"
    with pytest.raises(UnreadableSession, match="over 1 MiB"):
        store.read("a")
    with pytest.raises(UnreadableSession):
        store.delete("a")
    assert path.exists()
    write_session(store, "a", idle=HOUR)
    assert refresh(store, first).records["a"].state == "valid"


@needs_root
def test_what_may_not_be_read_is_unreadable_and_comes_back(open_dir):
    open_dir.chmod(0o777)
    path = write_session(open_dir, "closed", idle=HOUR)

    def work():
        become(NOBODY)
        store = FileStore(open_dir)
        first = refresh(store)
        assert (first.records["closed"].state, first.records["closed"].size > 0) == ("unreadable", True)
        with pytest.raises(UnreadableSession):
            store.delete("closed")
        stop_here()
        assert refresh(store, first).records["closed"].state == "valid"

    with child(work) as process:
        process.wait_stopped()
        path.chmod(0o644)
        assert process.go_on() == 0


@needs_root
def test_a_directory_that_may_be_listed_and_not_searched_has_unreadable_sessions(open_dir):
    write_session(open_dir, "a")
    open_dir.chmod(0o744)

    def work():
        become(NOBODY)
        store = FileStore(open_dir)
        assert states(store) == {"a": "unreadable"}
        for look in (lambda: store.find("a"), lambda: store.touch("a"), store.usage):
            with pytest.raises(StoreError, match="permission denied"):
                look()

    with child(work) as process:
        assert process.wait() == 0


def test_a_store_that_was_replaced_is_read_anew(store, tmp_path):
    path = write_session(store, "a", idle=HOUR)
    first = refresh(store)
    moved = tmp_path / "moved"
    os.rename(store.path, moved)
    store.path.mkdir()
    os.link(moved / path.name, path)  # the very same file
    second = refresh(store, first)
    assert second.store_id != first.store_id
    assert second.records["a"] is not first.records["a"]


@pytest.mark.parametrize(
    ("place", "message"),
    [("none", "no such directory"), ("file", "not a directory"), ("file/x", "not a dir")],
)
def test_a_store_that_is_not_there_is_told_with_a_remedy(tmp_path, place, message):
    (tmp_path / "file").write_text("x")
    store = FileStore(tmp_path / place)
    for look in (store.stems, store.usage, lambda: refresh(store), lambda: store.save("a", {})):
        with pytest.raises(StoreError, match=message):
            look()


def test_times_far_away_break_nothing(store):
    write_session(store, "old", last_accessed="0001-01-01T00:00:00Z", created_at="0001-01-01T00:00:00Z")
    write_session(store, "new", last_accessed="9999-12-31T23:59:59Z", created_at=timestamp(0))
    for name, moment in (("old", -(2**31)), ("new", 2**33)):
        os.utime(store.path / f"{name}.json", (moment, moment))
    assert states(store) == {"old": "valid", "new": "valid"}
    assert refresh(store).totals.states["valid"] == 2


@pytest.mark.parametrize("moment", [-(2**31) + 1, -1, 0, 2**33, 9_223_372_036, 9_223_372_037, 12_000_000_000])
def test_a_file_is_told_from_others_in_every_year_that_a_file_system_knows(store, moment):
    """Nanoseconds outgrow 64 bits in 2262."""
    path = write_session(store, "a")
    os.utime(path, ns=(moment * 10**9 + 5, moment * 10**9 + 5))
    status = path.stat()
    assert status.st_mtime_ns == moment * 10**9 + 5  # the file system under the test knows it
    first = refresh(store)
    assert first.records["a"].identity == Identity.of(status)
    assert refresh(store, first).records["a"] is first.records["a"]
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert (
        refresh(store, first).records["a"].identity == Identity.of(path.stat()) != first.records["a"].identity
    )

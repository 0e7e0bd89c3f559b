"""The journal keeps whole lines, whoever else writes, dies or fills the disk."""

from __future__ import annotations

import json
import os
import time

import pytest
from support.mounts import fill, needs_root
from support.processes import child, stop_here

from raptor_exporter.exceptions import StoreError
from raptor_exporter.stores import home, posix
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.journal import Journal


def numbers(store, kind="n"):
    return [entry[kind] for entry in store.journal.newest_first()]


def path_of(store):
    return store.path / ".raptor" / "journal.jsonl"


def test_the_last_entry_comes_first(store):
    store.journal.append([{"n": 1}, {"n": 2}])
    store.journal.append([{"n": 3}])
    assert numbers(store) == [3, 2, 1]


def test_a_store_without_a_journal_has_no_entries_and_gets_none_by_looking(store):
    assert numbers(store) == []
    assert not path_of(store).parent.exists()


@pytest.mark.parametrize("size", [1, 100, 65_530, 65_536, 70_000, 200_000])
def test_lines_of_any_length_are_read_backwards_whole(store, size):
    store.journal.append({"n": number, "text": "é" * size} for number in range(4))
    assert [(e["n"], len(e["text"])) for e in store.journal.newest_first()] == [
        (number, size) for number in (3, 2, 1, 0)
    ]


def test_torn_and_foreign_lines_are_passed_over(store):
    store.journal.append([{"n": 1}])
    with open(path_of(store), "ab") as file:
        file.write(b"\n\n[1]\nnull\n\xff\xfe\n" + b"[" * 100_000 + b'\n{"n": 2, "torn')
    store.journal.append([{"n": 3}])
    assert numbers(store) == [3, 1]


def test_processes_that_append_at_once_lose_no_line(store):
    def append(which):
        journal = FileStore(store.path).journal
        for number in range(40):
            journal.append([{"n": [which, number]}, {"n": [which, number, "second"]}])

    processes = [child(lambda which=which: append(which)) for which in range(4)]
    entered = [process.__enter__() for process in processes]
    try:
        assert [process.wait() for process in entered] == [0] * 4
    finally:
        for process in processes:
            process.__exit__(None, None, None)
    found = numbers(store)[::-1]
    assert len(found) == 4 * 40 * 2
    for which in range(4):
        mine = [n for n in found if n[0] == which]
        assert mine == [e for number in range(40) for e in ([which, number], [which, number, "second"])]
    # Entries of one append stand together.
    assert all(found[i + 1] == [*found[i], "second"] for i in range(0, len(found), 2))


def test_the_journal_stays_within_its_bound_and_keeps_the_newest(store):
    store.journal = Journal(store, max_bytes=10_000)
    for number in range(1000):
        store.journal.append([{"n": number, "padding": "x" * 50}])
        assert path_of(store).stat().st_size <= 10_000
    found = numbers(store)
    assert found == list(range(999, 999 - len(found), -1))
    assert len(found) > 40
    assert os.listdir(store.path / ".raptor" / "tmp") == []
    assert path_of(store).stat().st_mode & 0o777 == 0o600


def test_one_append_that_is_over_the_bound_alone_is_cut_too(store):
    store.journal = Journal(store, max_bytes=1000)
    store.journal.append({"n": number, "padding": "x" * 50} for number in range(100))
    assert path_of(store).stat().st_size <= 1000
    assert numbers(store)[0] == 99


def test_a_single_line_over_the_bound_leaves_an_empty_journal_and_no_error(store):
    store.journal = Journal(store, max_bytes=1000)
    store.journal.append([{"n": 1, "padding": "x" * 5000}])
    store.journal.append([{"n": 2}])
    assert numbers(store) == [2]


def test_processes_that_append_while_it_is_shortened_lose_no_line_of_the_newer_half(store):
    def append(which):
        other = FileStore(store.path)
        other.journal = Journal(other, max_bytes=4000)
        for number in range(60):
            other.journal.append([{"n": [which, number], "padding": "x" * 40}])

    with child(lambda: append(1)) as one, child(lambda: append(2)) as two:
        assert (one.wait(), two.wait()) == (0, 0)
    found = numbers(store)[::-1]
    for which in (1, 2):
        mine = [number for w, number in found if w == which]
        assert mine == list(range(60 - len(mine), 60)), "no hole between those that are left"
    assert len(found) >= 20


@needs_root
def test_a_full_disk_leaves_the_journal_as_it_was(mounts):
    store = FileStore(mounts.tmpfs("256k"))
    store.journal.append([{"n": 1}])
    before = path_of(store).read_bytes()
    fill(store.path)
    with pytest.raises(StoreError, match="No space left on device"):
        store.journal.append({"n": number, "padding": "x" * 100} for number in range(200))
    assert path_of(store).read_bytes() == before


@pytest.mark.parametrize(
    "plant",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/null", path)],
    ids=["fifo", "directory", "symlink"],
)
def test_what_stands_in_its_place_is_an_error_and_hangs_nobody(store, plant):
    path_of(store).parent.mkdir()
    plant(path_of(store))
    with pytest.raises(StoreError, match="journal"):
        store.journal.append({"n": number, "padding": "x" * 1000} for number in range(200))
    with pytest.raises(StoreError, match="journal"):
        numbers(store)


def test_a_process_that_is_stuck_with_the_lock_delays_a_writer_and_no_more(store, monkeypatch):
    def hold():
        with store.locked():
            stop_here()

    store.journal.append([{"n": 1}])
    plain = posix.flocked
    monkeypatch.setattr(posix, "flocked", lambda fd, what: plain(fd, what, wait=0.2))
    with child(hold) as process:
        process.wait_stopped()
        with pytest.raises(StoreError, match=r"is locked by another process for more than 0\.2 s"):
            store.journal.append([{"n": 2}])
        assert numbers(store) == [1]  # reading takes no lock
    store.journal.append([{"n": 3}])  # the kernel frees a dead process's lock
    assert numbers(store) == [3, 1]


def test_stale_temporary_files_are_removed_and_what_can_not_be_stays_without_an_error(store):
    store.save("a", {"session_id": "a"})
    temporary = store.path / ".raptor" / "tmp"
    old = time.time() - 7200
    (temporary / "stale").write_text("x")
    (temporary / "folder").mkdir()
    (temporary / "folder" / "manifest.json").write_text("{}")
    (temporary / "foreign").mkdir()
    (temporary / "foreign" / "deep").mkdir()
    (temporary / "link").symlink_to("/nonexistent")
    (temporary / "fresh").write_text("x")
    for name in ("stale", "folder", "foreign", "link"):
        os.utime(temporary / name, (old, old), follow_symlinks=False)
    store.save("a", {"session_id": "a"})
    assert sorted(os.listdir(temporary)) == ["foreign", "fresh"]


def test_the_lock_is_no_link_to_elsewhere_and_no_fifo(store, tmp_path):
    (store.path / ".raptor").mkdir()
    lock = store.path / ".raptor" / home.LOCK
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        store.save("a", {"session_id": "a"})
    assert not (tmp_path / "elsewhere").exists()
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(StoreError, match="no regular file"):
        store.save("a", {"session_id": "a"})
    lock.unlink()
    assert store.save("a", {"session_id": "a"}) == "a"
    assert json.loads((store.path / "a.json").read_text()) == {"session_id": "a"}

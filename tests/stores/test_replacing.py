"""A file is replaced only if it still is the one that was read, whatever others write in between."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest
from support.processes import child
from support.sessions import read_session, session_fields

from raptor_exporter.exceptions import StoreError
from raptor_exporter.stores import posix
from raptor_exporter.stores.files import FileStore


def save(store, name, generation, how):
    fields = session_fields(name, metadata={"generation": generation, "padding": "x" * generation})
    path = store.path / f"{name}.json"
    if how == "rename":
        aside = store.path / "aside"
        aside.write_text(json.dumps(fields))
        os.rename(aside, path)
    else:
        path.write_text(json.dumps(fields))


def generation(store):
    return read_session(store, "a")["metadata"]["generation"]


def tidy(store):
    return os.listdir(store.path / ".raptor" / "tmp") == []


@pytest.fixture
def between(monkeypatch):
    """Calls something right before each exchange, the first so many times."""

    def install(*deeds):
        plain = posix.exchange
        left = list(deeds)

        def exchange(*arguments):
            if left:
                left.pop(0)()
            return plain(*arguments)

        monkeypatch.setattr(posix, "exchange", exchange)

    return install


@pytest.mark.parametrize("how", ["rename", "place"])
@pytest.mark.parametrize("deeds", [1, 2, 3, 4, 5])
def test_what_others_write_between_any_two_steps_is_kept_and_merged_with(store, between, how, deeds):
    save(store, "a", 0, how)
    between(*(lambda number=number: save(store, "a", number + 1, how) for number in range(deeds)))
    now = time.time() + 60
    assert store.mark_accessed("a", now)
    assert generation(store) == deeds
    assert read_session(store, "a")["last_accessed"].startswith(
        time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now))
    )
    assert tidy(store)


def test_a_file_that_is_deleted_in_between_stays_deleted(store, between):
    save(store, "a", 0, "place")
    between(lambda: os.unlink(store.path / "a.json"))
    assert store.mark_accessed("a", time.time()) is False
    assert store.stems() == []
    assert tidy(store)


def test_what_is_taken_away_while_it_changes_back_is_put_where_it_was(store, between, tmp_path):
    """A cleanup that claims our half-done file finds it changed and puts it back; the newer save lives."""
    save(store, "a", 0, "place")
    between(
        lambda: save(store, "a", 1, "rename"),
        lambda: os.rename(store.path / "a.json", tmp_path / "claimed"),
    )
    assert store.mark_accessed("a", time.time() + 60)
    assert generation(store) == 1
    assert tidy(store)


@pytest.mark.parametrize("foreign", ["symlink", "directory"])
def test_what_is_no_file_and_took_the_name_in_between_stays(store, between, foreign):
    save(store, "a", 0, "place")
    path = store.path / "a.json"

    def plant():
        path.unlink()
        path.mkdir() if foreign == "directory" else path.symlink_to("/nonexistent")

    between(plant)
    assert store.mark_accessed("a", time.time()) is False
    assert path.is_dir() if foreign == "directory" else path.is_symlink()
    assert tidy(store)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS])
def test_where_files_can_not_change_places_a_look_and_a_rename_must_do(store, monkeypatch, code):
    class Libc:
        @staticmethod
        def renameat2(*_):
            posix.ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(posix, "_libc", Libc)
    save(store, "a", 3, "place")
    assert store.mark_accessed("a", time.time() + 60)
    assert generation(store) == 3
    assert store.save("new", {"session_id": "new"}) == "new"
    assert tidy(store)


@pytest.mark.parametrize("how", ["rename", "place"])
def test_a_thousand_saves_of_another_tool_survive_as_many_accesses(store, how):
    save(store, "a", 0, how)
    size = 400  # of each file, so that only the identity tells them apart

    def mark():
        other = FileStore(store.path)
        moment = time.time()
        while True:
            moment += 1
            try:
                other.mark_accessed("a", moment)
            except StoreError:
                continue

    with child(mark):
        for number in range(1, 1001):
            save(store, "a", number % size, how)
            deadline = time.monotonic() + 5
            while _generation_now(store) != number % size:
                # While two files change back the older one may show for some microseconds, never for good.
                assert time.monotonic() < deadline, f"save {number} is lost"


def _generation_now(store):
    try:
        return generation(store)
    except (ValueError, FileNotFoundError):
        return None

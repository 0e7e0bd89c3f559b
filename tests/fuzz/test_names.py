"""Damaged names: no session name, and nothing on a command line, reaches a file outside of the store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fuzzing import cases, judged
from support.sessions import session_fields, write_session

from raptor_exporter.exceptions import SessionConflict, StoreError, UnreadableSession, UnsafeName
from raptor_exporter.names import could_be_stem, safe_name
from raptor_exporter.stores.files import FileStore

SEEDS = Path(__file__).with_name("names.txt").read_bytes().splitlines()
WORDS = (
    *(
        b"/",
        b"../",
        b"..",
        b".",
        b"~",
        b"\x00",
        b"\n",
        b"\r",
        b"\x1b[2J",
        b"\xc2\x9b31m",
        b"-",
        b"--",
        b"_",
        b"$(id)",
        b"`id`",
    ),
    *(
        b".json",
        b".raptor",
        b"*",
        b"?",
        b"[a]",
        b"%2e%2e%2f",
        b"\\",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
        b"a" * 260,
    ),
    *(
        "日本".encode(),
        "é".encode(),
        "e\u0301".encode(),
        "²".encode(),
        "\u2060".encode(),
        b" ",
        b"login",
        b"secret",
    ),
)
REFUSED = (UnsafeName, UnreadableSession, SessionConflict, StoreError)


def _names(sample):
    for case in cases(SEEDS, WORDS, sample):
        yield os.fsdecode(case)  # what the command line makes of its bytes


def _safe(name):
    kept = "".join(c for c in name if c.isalnum() or c in "-_")
    return kept if 0 < len(kept.encode()) <= 250 else None


@pytest.fixture
def surrounded(tmp_path):
    """A store with forbidden files around it, and a way to tell that they are as they were."""
    outside = {}
    for path in (tmp_path / "secret.json", tmp_path / "deep" / "secret.json", tmp_path / "deep" / "secret"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
        outside[path] = path.stat()
    place = tmp_path / "deep" / "store"
    place.mkdir()
    write_session(place, "login")
    (place / "link.json").symlink_to(tmp_path / "secret.json")
    (place / "folder.json").mkdir()

    def unharmed():
        for path, before in outside.items():
            after = path.stat()
            assert (after.st_ino, after.st_mtime_ns, after.st_size) == (
                before.st_ino,
                before.st_mtime_ns,
                before.st_size,
            ), path
        assert sorted(os.listdir(tmp_path)) == ["deep", "secret.json"]
        assert sorted(os.listdir(tmp_path / "deep")) == ["secret", "secret.json", "store"]
        assert (place / "link.json").is_symlink()
        assert (place / "folder.json").is_dir()

    return FileStore(place), unharmed


def test_a_safe_name_keeps_letters_digits_dash_and_underscore_in_order():
    for name in _names(5000):
        with judged(name):
            expected = _safe(name)
            try:
                assert safe_name(name) == expected
            except UnsafeName:
                assert expected is None
            else:
                assert could_be_stem(expected)
                assert "/" not in expected
                assert not expected.startswith(".")


def test_reading_and_deleting_by_any_name_touches_sessions_of_the_store_alone(surrounded):
    store, unharmed = surrounded
    for number, name in enumerate(_names(600)):
        with judged(name):
            try:
                stem = store.find(name)
            except REFUSED:
                stem = None
            if stem is not None:
                assert stem in ("login", "secret")  # the session there, as its stem or its session_id
            for operation in (store.read, store.identify, store.touch, store.delete):
                try:
                    result = operation(name)
                except REFUSED:
                    result = None
                assert not result or name == "login"
        write_session(store, "login")
        if number % 100 == 0:
            unharmed()
    unharmed()


def test_saving_under_any_name_writes_one_file_in_the_store(surrounded):
    store, unharmed = surrounded
    for number, name in enumerate(_names(400)):
        with judged(name):
            expected = _safe(name)
            fields = session_fields("x") | {"session_id": name}
            try:
                stem = store.save(name, fields)
            except REFUSED:
                continue
            assert stem in (expected, name)
            path = store.path / f"{stem}.json"
            assert path.is_file()
            assert not path.is_symlink()
            if stem != "login":
                path.unlink()
        if number % 100 == 0:
            unharmed()
    unharmed()

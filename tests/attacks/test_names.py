"""Names that lead out of the store: none of them reads, writes or deletes anything there."""

from __future__ import annotations

import contextlib
import os

import pytest
from support.sessions import DAY, write_session

from raptor_exporter import SyncSessionManager
from raptor_exporter.exceptions import SessionConflict, SessionException, StoreError, UnsafeName
from raptor_exporter.stores.files import FileStore

REFUSED = (SessionException, UnsafeName, SessionConflict, StoreError)
WAYS_OUT = [
    "../outside/precious",
    "../outside/precious.json",
    "a/../../outside/precious",
    "./../outside/precious",
    "..",
    ".",
    "/",
    "//{outside}/precious",
    "{outside}/precious",
    "file://{outside}/precious",
    "~/precious",
    "..\\outside\\precious",
    "%2e%2e%2foutside%2fprecious",
    "..%00/precious",
    "..\0/outside/precious",
    "../outside/precious\0",
    "\u2025/outside/precious",
    "\uff0e\uff0e/outside/precious",
    ".raptor/lock",
    ".raptor/../../outside/precious",
    "link/precious",
]


@pytest.fixture
def world(store_dir, tmp_path):
    """A store, and beside it a session that nobody may touch."""
    outside = tmp_path / "outside"
    outside.mkdir()
    write_session(outside, "precious", idle=30 * DAY)
    (store_dir / "link").symlink_to(outside, target_is_directory=True)
    return store_dir, outside


def _state(outside):
    return [(e.name, e.stat().st_ino, e.stat().st_mtime_ns) for e in os.scandir(outside)]


@pytest.mark.parametrize("name", WAYS_OUT)
def test_no_method_reaches_a_file_outside_by_its_name(world, name):
    store_dir, outside = world
    name = name.format(outside=outside)
    before = _state(outside)
    manager, files = SyncSessionManager(store_dir), FileStore(store_dir)
    assert not manager.validate_session(name)
    for look in (manager.get_session_info, manager.delete_session, files.find, files.read, files.touch):
        with contextlib.suppress(*REFUSED):
            assert not look(name), look.__name__
    with contextlib.suppress(*REFUSED):
        assert not files.mark_accessed(name, 2e9)
    with contextlib.suppress(*REFUSED):
        stem = files.save(name, {"session_id": name})
        assert os.path.dirname(stem) == ""
        assert (store_dir / f"{stem}.json").is_file()
    with pytest.raises((KeyError, *REFUSED)):
        files.trash.restore(name)
    assert _state(outside) == before


@pytest.mark.parametrize("name", [name for name in WAYS_OUT if "\0" not in name])
def test_no_command_reaches_a_file_outside_by_its_name(world, name, command):
    store_dir, outside = world
    name = name.format(outside=outside)
    before = _state(outside)
    store = ("--store", str(store_dir))
    for words in (("session", "show"), ("session", "delete", "--yes"), ("trash", "restore"), ("explain",)):
        status, _, err = command(*words, *store, "--", name)
        assert status != 0, words
        assert err
        assert "Traceback" not in err
    assert _state(outside) == before

"""`stats` and `session list`: what is in a store, for people and for programs."""

from __future__ import annotations

import importlib
import json
import os

import pytest
from support.mounts import needs_root
from support.processes import NOBODY, become, child
from support.sessions import ABSENT, DAY, HOUR, session_fields, timestamp, write_session

from raptor_exporter.cli import main
from raptor_exporter.session import parse_timestamp

NOW = 1_800_000_000.0


@pytest.fixture
def full(store_dir):
    """A store with something of everything."""
    write_session(store_dir, "valid", idle=HOUR, now=NOW, metadata={"env": "ci", "n": 5, "l": [1]})
    write_session(
        store_dir, "older", idle=3 * DAY, now=NOW, browser_type="webkit", cdp_url="https://b.example/x"
    )
    write_session(store_dir, "corrupt", data=b"[]")
    write_session(store_dir, "nameless", session_id="")
    write_session(store_dir, "lost", cdp_url=ABSENT)
    write_session(store_dir, "timeless", created_at="yesterday")
    write_session(store_dir, "opera", browser_type="opera")
    write_session(store_dir, "huge", data=b" " * ((1 << 20) + 1))
    write_session(store_dir, ".hidden")
    (store_dir / "link.json").symlink_to(store_dir / "valid.json")
    os.mkfifo(store_dir / "pipe.json")
    (store_dir / "folder.json").mkdir()
    (store_dir / "notes.txt").write_text("mine")
    return store_dir


def test_stats_as_json_are_exactly_these(full, command):
    result = command("stats", "--store", full, "-o", "json")
    files = [p for p in full.glob("[!.]*.json") if p.is_file() and not p.is_symlink()]
    assert (result.status, result.err) == (0, "")
    assert result.json == {
        "sessions": 8,
        "valid": 2,
        "invalid": {
            "corrupt": 1,
            "missing_session_id": 1,
            "missing_cdp_url": 1,
            "invalid_timestamp": 1,
            "invalid_browser_type": 1,
        },
        "unreadable": 1,
        "bytes": sum(p.stat().st_size for p in files),
        "oldest_access": result.json["oldest_access"],
        "newest_access": result.json["newest_access"],
    }
    assert parse_timestamp(result.json["oldest_access"]) == NOW - 3 * DAY
    assert parse_timestamp(result.json["newest_access"]) == NOW - HOUR
    assert command("stats", "--store", full, "-o", "jsonl").jsonl == [result.json]


def test_stats_for_people_tell_the_same(full, command):
    lines = command("stats", "--store", full).out.splitlines()
    words = {line.rpartition("  ")[0].strip(): line.rpartition("  ")[2] for line in lines}
    assert (words["sessions"], words["valid"], words["invalid"], words["corrupt"]) == ("8", "2", "5", "1")


def test_an_empty_store_has_no_accesses(store_dir, command):
    found = command("stats", "--store", store_dir, "-o", "json").json
    assert (found["sessions"], found["bytes"]) == (0, 0)
    assert (found["oldest_access"], found["newest_access"]) == (None, None)
    assert set(found["invalid"].values()) == {0}
    assert os.listdir(store_dir) == [], "looking makes nothing"


@pytest.mark.parametrize(
    "arguments", [("stats",), ("session", "list"), ("trash", "list"), ("policy", "plan")]
)
def test_looking_at_a_store_that_is_missing_is_status_1_and_makes_none(tmp_path, command, arguments):
    result = command(*arguments, "--store", tmp_path / "none")
    assert (result.status, result.out) == (1, "")
    assert "no such directory" in result.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("arguments", [("stats",), ("session", "list"), ("trash", "list")])
def test_a_store_that_is_a_file_is_status_1(tmp_path, command, arguments):
    (tmp_path / "file").write_text("x")
    result = command(*arguments, "--store", tmp_path / "file")
    assert (result.status, result.out) == (1, "")
    assert "not a directory" in result.err


def test_the_list_as_json_is_one_array_by_name_with_all_that_is_known(full, command):
    result = command("session", "list", "--store", full, "-o", "json")
    assert (result.status, result.err) == (0, "")
    rows = {row["name"]: row for row in result.json}
    assert list(rows) == sorted(rows)
    assert len(rows) == len(result.json) == 8
    fields = session_fields("valid", idle=HOUR, now=NOW)
    assert rows["valid"] == {
        "name": "valid",
        "session_id": "valid",
        "state": "valid",
        "reason": None,
        "browser_type": "chromium",
        "created_at": fields["created_at"],
        "last_accessed": fields["last_accessed"],
        "size_bytes": (full / "valid.json").stat().st_size,
        "address": "127.0.0.1:9",
        "metadata": {"env": "ci", "n": 5, "l": [1]},
    }
    assert rows["older"]["address"] == "b.example:443"
    reasons = {name: (row["state"], row["reason"]) for name, row in rows.items()}
    assert reasons["corrupt"] == ("invalid", "corrupt")
    assert reasons["nameless"] == ("invalid", "missing_session_id")
    assert reasons["lost"] == ("invalid", "missing_cdp_url")
    assert reasons["timeless"] == ("invalid", "invalid_timestamp")
    assert reasons["opera"] == ("invalid", "invalid_browser_type")
    assert reasons["huge"][0] == "unreadable"
    unknown = {key: value for key, value in rows["corrupt"].items() if value is None}
    assert set(unknown) == {
        "session_id",
        "browser_type",
        "created_at",
        "last_accessed",
        "address",
        "metadata",
    }
    assert "devtools" not in result.out


def test_the_list_in_lines_and_names_and_for_people(full, command):
    array = command("session", "list", "--store", full, "-o", "json").json
    assert command("session", "list", "--store", full, "-o", "jsonl").jsonl == array
    names = command("session", "list", "--store", full, "-o", "name").out.splitlines()
    assert names == [row["name"] for row in array]
    table = command("session", "list", "--store", full).out
    assert table.splitlines()[0].split()[:3] == ["NAME", "STATE", "REASON"]
    assert len(table.splitlines()) == 9
    assert "devtools" not in table


def test_naive_timestamps_stand_as_they_are_in_the_file(store_dir, command):
    write_session(store_dir, "seed", created_at="2024-11-28T10:00:00", last_accessed="2024-11-28T15:30:00")
    (row,) = command("session", "list", "--store", store_dir, "-o", "json").json
    assert (row["created_at"], row["last_accessed"]) == ("2024-11-28T10:00:00", "2024-11-28T15:30:00")


def test_names_that_a_terminal_would_obey_are_escaped(store_dir, command):
    for name in ("red\x1b[31m", "new\nline", "caf\udce9", "rtl\u202e"):
        write_session(store_dir, name, session_id="s", last_accessed=timestamp(NOW))
    names = command("session", "list", "--store", store_dir, "-o", "name").out.splitlines()
    assert len(names) == 4
    assert all(name.isprintable() for name in names)
    rows = command("session", "list", "--store", store_dir, "-o", "json").json
    assert {row["name"] for row in rows} == {"red\x1b[31m", "new\nline", "caf\udce9", "rtl\u202e"}
    json.dumps(rows)


@needs_root
def test_a_store_that_may_not_be_read_is_status_1_and_no_traceback(open_dir):
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    listed = open_dir / "listed"
    listed.mkdir()
    write_session(listed, "a")
    listed.chmod(0o744)  # its names may be read, and nothing else

    def look():
        become(NOBODY)
        for arguments in (["stats"], ["session", "list", "-o", "json"], ["session", "list", "-o", "name"]):
            assert main([*arguments, "--store", str(closed)]) == 1
            assert main([*arguments, "--store", str(listed)]) == 0

    # What is imported late must be there before this process becomes somebody else.
    for module in ("session", "session_list", "session_rows", "stats", "wording"):
        importlib.import_module(f"raptor_exporter.cli.{module}")
    with child(look) as process:
        assert process.wait() == 0

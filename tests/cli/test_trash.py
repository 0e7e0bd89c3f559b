"""`trash`: what was deleted, the way back, and the end of it."""

import json
import time
from datetime import datetime

import pytest
from support.mounts import needs_root
from support.sessions import DAY, HOUR, read_session, write_session


@pytest.fixture
def trash(command, store_dir):
    """Runs a trash command on the store."""
    return lambda *arguments: command("trash", *arguments, "--store", store_dir)


@pytest.fixture
def deleted(command, store_dir):
    """Two sessions that a cleanup took, and a way to take more."""

    def take(*names):
        for name in names:
            write_session(store_dir, name, idle=8 * DAY, metadata={"of": name}, extra=[1, 2])
        assert command("cleanup", "expired", "--yes", "--store", store_dir).status == 0

    take("login", "mail")
    return take


def stems(store_dir):
    return {path.stem for path in store_dir.glob("*.json")}


def test_an_empty_trash_lists_nothing_in_every_form(trash):
    assert (trash("list").status, trash("list").out) == (0, "")
    assert trash("list", "-o", "json").json == []
    assert trash("list", "-o", "jsonl").out == trash("list", "-o", "name").out == ""


def test_a_deleted_session_is_listed_with_its_run_policy_reason_time_and_size(trash, deleted, store_dir):
    rows = trash("list", "-o", "json").json
    assert [list(row) for row in rows] == [
        ["name", "run", "policy", "reason", "deleted_at", "size_bytes"]
    ] * 2
    assert [(row["name"], row["policy"], row["reason"]) for row in rows] == [
        ("login", "expired", "idle"),
        ("mail", "expired", "idle"),
    ]
    (run,) = {row["run"] for row in rows}
    in_trash = store_dir / ".raptor" / "trash" / run / "login.json"
    assert rows[0]["size_bytes"] == in_trash.stat().st_size
    assert abs(datetime.fromisoformat(rows[0]["deleted_at"]).timestamp() - time.time()) < 60
    assert trash("list", "-o", "name").out == "login\nmail\n"
    assert "login" in trash("list").out


def test_a_session_comes_back_by_name_accessed_now_and_otherwise_as_it_was(trash, deleted, store_dir):
    (kept,) = store_dir.glob(".raptor/trash/*/login.json")
    before = json.loads(kept.read_text())
    started = time.time()
    result = trash("restore", "login")
    assert (result.status, result.out) == (0, "login\n")
    after = read_session(store_dir, "login")
    assert {**after, "last_accessed": None} == {**before, "last_accessed": None}
    assert datetime.fromisoformat(after["last_accessed"]).timestamp() >= started - 1e-3
    assert stems(store_dir) == {"login"}
    assert trash("list", "-o", "name").out == "mail\n"


def test_a_whole_run_comes_back_by_its_name(trash, deleted, store_dir):
    run = trash("list", "-o", "json").json[0]["run"]
    result = trash("restore", run)
    assert (result.status, sorted(result.out.split())) == (0, ["login", "mail"])
    assert stems(store_dir) == {"login", "mail"}
    assert trash("list", "-o", "json").json == []


def test_the_last_deleted_of_a_name_comes_back(trash, deleted, store_dir):
    write_session(store_dir, "login", idle=9 * DAY, metadata={"of": "the second"})
    deleted()
    assert trash("restore", "login").status == 0
    assert read_session(store_dir, "login")["metadata"] == {"of": "the second"}


def test_nothing_is_restored_over_a_session_that_is_there(trash, deleted, store_dir):
    path = write_session(store_dir, "login", idle=HOUR, metadata={"of": "the new one"})
    before, trashed = path.read_bytes(), trash("list", "-o", "json").json
    result = trash("restore", "login")
    assert (result.status, result.out) == (1, "")
    assert "login" in result.err
    assert path.read_bytes() == before
    assert trash("list", "-o", "json").json == trashed


def test_what_is_not_in_the_trash_is_status_1_and_the_others_come_back(trash, deleted, store_dir):
    result = trash("restore", "nobody", "mail", "../../etc/passwd")
    assert (result.status, result.out) == (1, "mail\n")
    assert "nobody: no run and no session of that name in the trash" in result.err
    assert stems(store_dir) == {"mail"}


def test_what_comes_back_is_not_taken_again_by_the_same_cleanup(trash, deleted, command, store_dir):
    trash("restore", "login")
    result = command("cleanup", "expired", "--force", "--yes", "-o", "json", "--store", store_dir)
    assert (result.status, result.json[0]["candidates"]) == (0, 0)


def test_a_policy_that_would_take_it_again_is_named(trash, deleted, command, store_dir, tmp_path):
    config = tmp_path / "raptor.yaml"
    config.write_text("version: 1\npolicies: [{name: old, interval: 1h, expire: {older_than: 1d}}]")
    result = command("trash", "restore", "login", "--store", store_dir, "--config", config)
    assert (result.status, result.out) == (0, "login\n")
    assert "login would be taken again by old: created 8d ago, more than 1d" in result.err


def test_emptying_asks_and_takes_all_for_good(trash, deleted, store_dir):
    assert trash("empty").status == 2
    result = trash("empty", "--dry-run")
    assert result.status == 0
    assert "2 sessions" in result.err
    assert len(trash("list", "-o", "json").json) == 2
    assert trash("empty", "--yes").status == 0
    assert trash("list", "-o", "json").json == []
    assert list(store_dir.glob(".raptor/trash/*/*.json")) == []
    assert trash("empty").status == 0  # there is nothing to ask about
    assert trash("restore", "login").status == 1


@needs_root
def test_what_can_not_be_emptied_or_restored_is_status_1_and_told(command, deleted, store_dir, mounts):
    place = mounts.read_only(store_dir)
    emptied = command("trash", "empty", "--yes", "--store", place)
    assert emptied.status == 1
    assert "Error: 2 sessions are still in the trash: " in emptied.err
    assert "Read-only file system" in emptied.err
    restored = command("trash", "restore", "login", "--store", place)
    assert (restored.status, restored.out) == (1, "")
    assert "can't be used now: another process is at work on it, or see the log" in restored.err
    assert command("trash", "list", "-o", "name", "--store", place).out == "login\nmail\n"


def test_a_missing_store_is_status_1_and_is_not_made(trash, store_dir):
    store_dir.rmdir()
    for arguments in (["list"], ["restore", "x"], ["empty", "--yes"]):
        assert trash(*arguments).status == 1
    assert not store_dir.exists()

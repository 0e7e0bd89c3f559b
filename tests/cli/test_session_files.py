"""`session show`, `validate` and `delete`: what needs no browser."""

import json
import os
import pty
import subprocess
import sys

import pytest
from support.command import arguments_of, environment
from support.sessions import HOUR, write_session

SECRET_URL = "ws://127.0.0.1:9222/devtools/browser/3f0c0ffe-secret"
PAGE_URL = "https://ann:pw@example.com/inbox?token=t#mail"


@pytest.fixture
def login(store_dir):
    metadata = {"env": "ci", "page_url": PAGE_URL, "retries": 3}
    return write_session(store_dir, "login", idle=HOUR, cdp_url=SECRET_URL, metadata=metadata)


KEYS = [
    "name",
    "session_id",
    "state",
    "reason",
    "browser_type",
    "created_at",
    "last_accessed",
    "size_bytes",
    "address",
    "metadata",
]


# Makes its standard input the terminal of its session, so that Ctrl-C reaches the command.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class TestShow:
    def test_json_is_one_object_with_nothing_secret_in_it(self, command, store_dir, login):
        result = command("session", "show", "login", "-o", "json", "--store", store_dir)
        assert (result.status, result.err) == (0, "")
        row = result.json
        assert list(row) == KEYS
        assert (row["name"], row["session_id"], row["state"], row["reason"]) == (
            "login",
            "login",
            "valid",
            None,
        )
        assert (row["address"], row["size_bytes"]) == ("127.0.0.1:9222", login.stat().st_size)
        assert row["metadata"] == {"env": "ci", "page_url": "https://example.com/inbox", "retries": 3}

    def test_for_people_it_is_lines_with_nothing_secret_in_them(self, command, store_dir, login):
        result = command("session", "show", "login", "--store", store_dir)
        assert result.status == 0
        assert "Address            127.0.0.1:9222\n" in result.out
        assert "metadata.page_url  https://example.com/inbox\n" in result.out
        assert "(1h ago)" in result.out
        for secret in ("secret", "token", "ann", "#mail", "/devtools/"):
            assert secret not in result.out + result.err

    @pytest.mark.parametrize("key", ["session_id", "browser_type", "created_at", "last_accessed"])
    @pytest.mark.parametrize("verb", ["show", "list", "validate"])
    def test_a_cdp_url_in_a_field_of_another_kind_is_no_less_secret(self, command, store_dir, key, verb):
        write_session(store_dir, "odd", **{key: SECRET_URL})
        named = [] if verb == "list" else ["odd"]
        for output in ("json", "table"):
            result = command("session", verb, *named, "-o", output, "--store", store_dir)
            assert "odd" in result.out
            assert "/devtools/" not in result.out + result.err

    def test_reveal_alone_shows_all_of_it(self, command, store_dir, login):
        row = command("session", "show", "login", "--reveal", "-o", "json", "--store", store_dir).json
        assert (row["cdp_url"], row["metadata"]["page_url"]) == (SECRET_URL, PAGE_URL)
        out = command("session", "show", "login", "--reveal", "--store", store_dir).out
        assert SECRET_URL in out
        assert PAGE_URL in out

    def test_a_name_finds_the_session_as_in_python(self, command, store_dir):
        write_session(store_dir, "teststaging", session_id="test/staging")
        for name in ("teststaging", "test/staging"):
            row = command("session", "show", name, "-o", "json", "--store", store_dir).json
            assert (row["name"], row["session_id"]) == ("teststaging", "test/staging")
        assert command("session", "show", "test.staging", "--store", store_dir).status == 1

    def test_an_invalid_session_is_shown_with_its_reason_and_what_is_known(self, command, store_dir):
        write_session(store_dir, "old", cdp_url="", metadata=None)
        write_session(store_dir, "broken", data="{")
        row = command("session", "show", "old", "-o", "json", "--reveal", "--store", store_dir).json
        assert (row["state"], row["reason"], row["session_id"]) == ("invalid", "missing_cdp_url", "old")
        assert (row["address"], row["metadata"], row["cdp_url"]) == (None, None, "")
        row = command("session", "show", "broken", "-o", "json", "--store", store_dir).json
        assert (row["state"], row["reason"], row["session_id"]) == ("invalid", "corrupt", None)

    def test_an_unreadable_session_is_told_apart(self, command, store_dir):
        write_session(store_dir, "huge", data=" " * (2 << 20))
        row = command("session", "show", "huge", "-o", "json", "--reveal", "--store", store_dir).json
        assert (row["state"], row["reason"], row["size_bytes"]) == ("unreadable", "unreadable", 2 << 20)

    def test_control_characters_of_a_file_do_not_reach_the_terminal(self, command, store_dir):
        write_session(store_dir, "login", metadata={"x\x1b[2J": "a\x1b]0;b\x07\u202e"})
        result = command("session", "show", "login", "--store", store_dir)
        assert result.out.isascii()
        assert "\x1b" not in result.out
        assert "\\x1b[2J" in result.out

    def test_what_is_not_there_is_an_error(self, command, store_dir):
        result = command("session", "show", "nobody", "--store", store_dir)
        assert (result.status, result.out) == (1, "")
        assert result.err == f"Error: there is no session 'nobody' in {store_dir}\n"


class TestValidate:
    def test_valid_sessions_exit_0(self, command, store_dir, login):
        result = command("session", "validate", "login", "--store", store_dir)
        assert (result.status, result.out) == (0, "NAME   STATE  REASON\nlogin  valid  -\n")

    @pytest.mark.parametrize(
        ("fields", "state", "reason"),
        [
            ({"data": "[]"}, "invalid", "corrupt"),
            ({"browser_type": "opera"}, "invalid", "invalid_browser_type"),
            ({"data": " " * (2 << 20)}, "unreadable", "unreadable"),
        ],
    )
    def test_one_that_is_not_valid_exits_1(self, command, store_dir, login, fields, state, reason):
        write_session(store_dir, "bad", **fields)
        result = command("session", "validate", "login", "bad", "-o", "json", "--store", store_dir)
        assert result.status == 1
        assert [(row["name"], row["state"], row["reason"]) for row in result.json] == [
            ("login", "valid", None),
            ("bad", state, reason),
        ]
        assert [list(row) for row in result.json] == [KEYS, KEYS]

    def test_one_that_is_not_there_exits_1(self, command, store_dir):
        result = command("session", "validate", "nobody", "-o", "jsonl", "--store", store_dir)
        assert result.status == 1
        (row,) = result.jsonl
        assert row == {**dict.fromkeys(KEYS), "name": "nobody", "reason": "not_found"}

    def test_all_checks_every_session(self, command, store_dir, login):
        assert command("session", "validate", "--all", "--store", store_dir).status == 0
        write_session(store_dir, "bad", data="{")
        result = command("session", "validate", "--all", "-o", "name", "--store", store_dir)
        assert (result.status, result.out) == (1, "bad\nlogin\n")

    def test_an_empty_store_is_valid(self, command, store_dir):
        assert command("session", "validate", "--all", "-o", "json", "--store", store_dir).json == []

    @pytest.mark.parametrize("arguments", [(), ("login", "--all")])
    def test_what_to_check_must_be_clear(self, command, store_dir, login, arguments):
        result = command("session", "validate", *arguments, "--store", store_dir)
        assert result.status == 2
        assert "name the sessions, or give --all" in result.err

    def test_a_missing_store_is_an_error(self, command, tmp_path):
        result = command("session", "validate", "--all", "--store", tmp_path / "nowhere")
        assert result.status == 1
        assert "no such directory" in result.err


class TestDelete:
    def test_named_sessions_go_into_the_trash_past_guards_and_protect(self, command, store_dir, tmp_path):
        config = tmp_path / "raptor.yaml"
        config.write_text(
            "version: 1\ncleanup: {guards: {max_delete_ratio: 0.01, min_age: 1h}, protect: [{name: '*'}]}\n"
        )
        names = [f"s{number:02}" for number in range(12)]
        for name in names:
            write_session(store_dir, name)
        result = command("session", "delete", "--yes", *names, "--store", store_dir, "--config", config)
        assert (result.status, result.err) == (0, "")
        assert result.out.splitlines() == [f"{name} deleted" for name in names]
        assert list(store_dir.glob("*.json")) == []
        trashed = command("trash", "list", "-o", "json", "--store", store_dir).json
        assert [(row["name"], row["reason"]) for row in trashed] == [(name, "requested") for name in names]
        assert command("trash", "restore", "s03", "--store", store_dir).status == 0
        assert (store_dir / "s03.json").exists()

    def test_names_are_no_globs(self, command, store_dir, login):
        write_session(store_dir, "[l]ogin*")
        result = command("session", "delete", "--yes", "[l]ogin*", "--store", store_dir)
        assert result.out == "[l]ogin* deleted\n"
        assert login.exists()
        assert command("session", "delete", "--yes", "*", "--store", store_dir).status == 1
        assert login.exists()

    def test_one_that_is_not_there_fails_in_part(self, command, store_dir, login):
        result = command("session", "delete", "--yes", "nobody", "login", "login", "--store", store_dir)
        assert (result.status, result.out) == (1, "login deleted\n")
        assert result.err == f"Error: there is no session 'nobody' in {store_dir}\n"

    def test_an_invalid_session_can_be_deleted_and_an_unreadable_one_never(self, command, store_dir):
        write_session(store_dir, "bad", data="{")
        huge = write_session(store_dir, "huge", data=" " * (2 << 20))
        result = command("session", "delete", "--yes", "bad", "huge", "--store", store_dir)
        assert (result.status, result.out) == (1, "bad deleted\n")
        assert result.err == "Error: huge was not deleted: it can't be read now\n"
        assert huge.exists()

    def test_without_a_terminal_it_needs_yes_but_not_where_nothing_would_be_deleted(
        self, command, store_dir, login
    ):
        result = command("session", "delete", "login", "--store", store_dir)
        assert result.status == 2
        assert "there is no terminal to ask on: give --yes" in result.err
        assert login.exists()
        assert command("session", "delete", "nobody", "--store", store_dir).status == 1

    def test_a_dry_run_deletes_nothing_and_asks_nothing(self, command, store_dir, login):
        result = command("session", "delete", "login", "--dry-run", "--store", store_dir)
        assert (result.status, result.out) == (0, "login would be deleted\n")
        assert login.exists()
        assert not (store_dir / ".raptor").exists()

    @pytest.mark.parametrize(
        ("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1), ("\x03", 130)]
    )
    def test_on_a_terminal_it_asks(self, store_dir, login, answer, status):
        controller, terminal = pty.openpty()
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                ON_TERMINAL,
                *arguments_of("session", "delete", "login", "--store", store_dir),
            ],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=environment(),
            start_new_session=True,
        )
        os.close(terminal)
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(controller, 1000)
        assert b"Delete login of" in asked
        os.write(controller, answer.encode())
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            # Pressed between Python's last look for signals and its read, Ctrl-C is not seen before the next.
            os.write(controller, answer.encode())
            process.communicate(timeout=60)
        os.close(controller)
        assert process.returncode == status
        assert login.exists() is (status != 0)


def test_help_of_every_command_has_an_example(command):
    for name in ("show", "validate", "save", "restore", "delete"):
        result = command("session", name, "--help")
        assert result.status == 0
        assert f"raptor-exporter session {name}" in result.out.partition("Examples:")[2]


def test_json_of_show_survives_any_metadata(command, store_dir):
    metadata = {"deep": [{"a": None}], "url": "wss://h:1/devtools/browser/x", "page_url": 5}
    write_session(store_dir, "login", metadata=metadata)
    row = json.loads(command("session", "show", "login", "-o", "json", "--store", store_dir).out)
    assert row["metadata"]["deep"] == [{"a": None}]
    assert row["metadata"]["page_url"] == 5
    assert "/x" not in row["metadata"]["url"]

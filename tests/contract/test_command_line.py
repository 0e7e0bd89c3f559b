"""The command line as scripts rely on it: statuses, streams, shapes, precedence, confirmation, secrets."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import subprocess
import time
from datetime import datetime

import pytest
from support.command import arguments_of, environment, run_command
from support.sessions import ABSENT, DAY, HOUR, read_session, write_session

REASONS = ["corrupt", "missing_session_id", "missing_cdp_url", "invalid_timestamp", "invalid_browser_type"]
ROW = [
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
SECRETS = ["5ec4e7", "t0ken", "us3r", "pa55", "qu3ry", "fragm3nt"]
CDP_URL = "ws://us3r:pa55@127.0.0.1:9/devtools/browser/5ec4e7?token=t0ken"
PAGE_URL = "https://us3r:pa55@shop.example/cart?qu3ry=1#fragm3nt"

LISTINGS = [
    ("session", "list"),
    ("session", "validate", "--all"),
    ("session", "probe", "--all"),
    ("cleanup", "expired", "--dry-run"),
    ("cleanup", "invalid", "--dry-run"),
    ("cleanup", "all", "--dry-run"),
    ("cleanup", "run", "--dry-run"),
    ("trash", "list"),
]
OBJECTS = [("session", "show", "login"), ("policy", "plan"), ("policy", "explain", "login"), ("stats",)]
OF_A_STORE = [
    *LISTINGS,
    *OBJECTS,
    ("metrics",),
    ("session", "delete", "login", "--dry-run"),
    ("session", "delete", "login", "--yes"),
    ("session", "close", "login", "--yes"),
    ("session", "restore", "login"),
    ("session", "save", "login", "--cdp-url", "http://127.0.0.1:9"),
    ("session", "launch", "login"),
    ("cleanup", "all", "--yes"),
    ("cleanup", "run", "--yes"),
    ("trash", "restore", "login"),
    ("trash", "empty", "--yes"),
]
GROUPS = [(), ("session",), ("cleanup",), ("policy",), ("trash",)]
COMMANDS = [
    ("serve",),
    *[
        ("session", c)
        for c in ["list", "show", "validate", "probe", "delete", "launch", "save", "restore", "close"]
    ],
    *[("cleanup", c) for c in ["expired", "invalid", "all", "run"]],
    *[("policy", c) for c in ["check", "plan", "explain", "schema"]],
    *[("trash", c) for c in ["list", "restore", "empty"]],
    ("stats",),
    ("metrics",),
]


def spelled(words):
    return " ".join(words) or "nothing"


@pytest.fixture
def full(store_dir):
    """A store with something of everything."""
    metadata = {"env": "ci", "page_url": PAGE_URL, "page_title": "Shop", "n": 5, "pinned": True}
    write_session(store_dir, "login", idle=HOUR, cdp_url=CDP_URL, metadata=metadata)
    write_session(store_dir, "old", idle=9 * DAY)
    write_session(store_dir, "fox", idle=20 * DAY, browser_type="firefox", cdp_url="wss://grid.example/x")
    write_session(store_dir, "corrupt", idle=2 * HOUR, data="{")
    write_session(store_dir, "no-id", idle=2 * HOUR, session_id=ABSENT)
    write_session(store_dir, "no-url", idle=2 * HOUR, cdp_url=5)
    write_session(store_dir, "no-time", changed=2 * HOUR, last_accessed="yesterday")
    write_session(store_dir, "opera", idle=2 * HOUR, browser_type="opera")
    write_session(store_dir, "huge", data=" " * ((1 << 20) + 1))
    return store_dir


@pytest.fixture
def run(command, full, monkeypatch):
    monkeypatch.setenv("RAPTOR_STORE", str(full))
    return command


# --- the frame: help, version, usage


@pytest.mark.parametrize("words", [*GROUPS, *COMMANDS], ids=spelled)
def test_every_command_has_help_on_stdout(command, words):
    result = command(*words, "--help")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"Usage: {' '.join(['raptor-exporter', *words])} ")
    assert max(map(len, result.out.splitlines())) <= 110


@pytest.mark.parametrize("words", COMMANDS, ids=spelled)
def test_every_command_shows_examples_of_itself(command, words):
    text = command(*words, "--help").out
    assert f"  raptor-exporter {' '.join(words)}" in text.split("Examples:\n")[1]


@pytest.mark.parametrize("words", COMMANDS, ids=spelled)
def test_every_command_takes_the_common_options_and_every_option_names_its_variable(command, words):
    text = " ".join(command(*words, "--help").out.split())
    assert {"--store", "--config", "--log.level", "--log.format"} <= set(re.findall(r"--[a-z.-]+", text))
    # Click keeps a command's help option as it was first asked for, with -h or without.
    options = re.split(r" (?:-h, )?--help Show", text.split(" Options: ")[1])[0]
    for name in re.findall(r"(?:^| )(?:-o, )?(--[a-z][a-z.-]+) (?=[A-Z+\[])", options):
        variable = "RAPTOR_" + re.sub(r"[.-]", "_", name.removeprefix("--")).upper()
        assert f"env var: {variable}" in options, name


def test_the_version_is_told(command):
    from raptor_exporter import __version__

    result = command("--version")
    assert (result.status, result.err) == (0, "")
    assert __version__ in result.out


@pytest.mark.parametrize("words", GROUPS, ids=spelled)
def test_a_group_alone_is_a_usage_error_with_its_help_on_stderr(command, words):
    result = command(*words)
    assert (result.status, result.out) == (2, "")
    assert "Commands:" in result.err


@pytest.mark.parametrize(
    "line",
    [
        "nope",
        "session nope",
        "cleanup nope",
        "policy nope",
        "trash nope",
        "--nope",
        "session list --nope",
        "session list extra",
        "session show",
        "session show a b",
        "session delete --yes",
        "session close --yes",
        "session validate",
        "session validate --all login",
        "session probe",
        "session probe --all login",
        "session save login",
        "session save login --cdp-url nope",
        "session save login --cdp-url ftp://h/x",
        "session save login --cdp-url",
        "session launch",
        "session restore",
        "session list -o yaml",
        "session list -o",
        "session list --log.level loud",
        "session list --log.format xml",
        "session list --store s3://bucket/x",
        "session list --store https://us3r:pa55@h/x",
        "session list --store ",
        "cleanup expired --max-age 7",
        "cleanup expired --max-age -7d",
        "cleanup expired --max-age 1.5d",
        "cleanup expired --max-age week",
        "cleanup expired --max-age ",
        "cleanup expired extra",
        "cleanup invalid --max-age 7d",
        "cleanup all --force",
        "cleanup run nope",
        "cleanup run expired nope --dry-run",
        "cleanup run --dry-run --enforce nope",
        "policy plan nope",
        "policy plan --at nope",
        "policy plan --at +nope",
        "policy plan --at 7d",
        "policy plan --at ",
        "policy explain",
        "policy schema extra",
        "policy check a b",
        "trash restore",
        "trash list extra",
        "stats extra",
        "metrics extra",
        "metrics --textfile a --push http://127.0.0.1:9",
        "serve extra",
        "serve --web.listen-address nope:port",
        "serve --web.listen-address 127.0.0.1:99999",
        "serve --config.reload-interval 5",
        "--store /tmp session list",
        "session --store /tmp list",
        "-o json session list",
    ],
)
def test_what_is_not_understood_is_status_2_with_a_line_on_stderr(run, line):
    result = run(*line.split(" "))
    assert (result.status, result.out) == (2, "")
    assert "Error: " in result.err
    assert "Traceback" not in result.err
    assert not any(secret in result.err for secret in SECRETS)


# --- the store


@pytest.mark.parametrize("words", OF_A_STORE, ids=spelled)
def test_a_missing_store_is_status_1_and_is_not_made(command, tmp_path, words):
    missing = tmp_path / "missing"
    result = command(*words, "--store", missing)
    assert (result.status, result.out) == (1, "")
    assert str(missing) in result.err
    assert "Traceback" not in result.err
    assert not missing.exists()


@pytest.mark.parametrize("words", [("session", "list"), ("stats",), ("cleanup", "all", "--yes")], ids=spelled)
def test_nor_is_the_default_store_made(command, tmp_path, words):
    result = command(*words)
    assert result.status == 1
    assert not (tmp_path / "home" / ".raptor").exists()


def test_a_file_in_the_stores_place_is_status_1(command, tmp_path):
    (tmp_path / "file").write_text("")
    result = command("session", "list", "--store", tmp_path / "file")
    assert (result.status, result.out) == (1, "")


def test_an_option_beats_the_variable_beats_the_file_beats_the_default(command, tmp_path, monkeypatch):
    places = {name: tmp_path / name for name in ("default", "file", "variable", "option")}
    places["default"] = tmp_path / "home" / ".raptor" / "sessions"
    for name, place in places.items():
        place.mkdir(parents=True)
        write_session(place, name)
    config = tmp_path / "raptor.yaml"
    config.write_text(f"version: 1\nstore: {{url: {places['file']}}}\n")
    other = tmp_path / "other.yaml"
    other.write_text(f"version: 1\nstore: {{url: {places['option']}}}\n")

    def names(*options):
        return command("session", "list", "-o", "name", *options).out.split()

    assert names() == ["default"]
    assert names("--config", config) == ["file"]
    monkeypatch.setenv("RAPTOR_CONFIG", str(config))
    assert names() == ["file"]
    assert names("--config", other) == ["option"]
    monkeypatch.setenv("RAPTOR_STORE", str(places["variable"]))
    assert names() == ["variable"]
    assert names("--config", other) == ["variable"]
    assert names("--store", places["option"]) == ["option"]
    assert names("--store", f"file://{places['option']}") == ["option"]
    monkeypatch.setenv("RAPTOR_STORE", "")
    assert names() == ["file"]


@pytest.mark.parametrize(
    "text", [None, "", "version: 2\n", "version: 1\nnope: 1\n", "[", "version: 1\nversion: 1\n"]
)
@pytest.mark.parametrize(
    "words", [("session", "list"), ("cleanup", "run", "--yes"), ("policy", "check"), ("serve",)]
)
def test_a_wrong_configuration_is_status_2_with_its_place(command, full, tmp_path, words, text):
    config = tmp_path / "raptor.yaml"
    if text is not None:
        config.write_text(text)
    result = command(*words, "--config", config, "--store", full)
    assert (result.status, result.out) == (2, "")
    assert re.match(rf"{re.escape(str(config))}:\d+:\d+: ", result.err)
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RAPTOR_OUTPUT", "yaml", ("session", "list")),
        ("RAPTOR_LOG_LEVEL", "loud", ("session", "list")),
        ("RAPTOR_LOG_FORMAT", "xml", ("session", "list")),
        ("RAPTOR_MAX_AGE", "x", ("cleanup", "expired")),
        ("RAPTOR_YES", "perhaps", ("cleanup", "all")),
        ("RAPTOR_AT", "x", ("policy", "plan")),
        ("RAPTOR_STORE", "s3://b", ("session", "list")),
        ("RAPTOR_CDP_URL", "x", ("session", "save", "login")),
        ("RAPTOR_WEB_LISTEN_ADDRESS", "x", ("serve",)),
        ("RAPTOR_CONFIG_RELOAD_INTERVAL", "x", ("serve",)),
    ],
)
def test_a_variable_is_read_as_its_option_is(run, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    result = run(*words)
    assert (result.status, result.out) == (2, "")


def test_variables_act_as_their_options(run, full, monkeypatch):
    monkeypatch.setenv("RAPTOR_OUTPUT", "json")
    assert len(run("session", "list").json) == 9
    assert run("session", "list", "-o", "name").out.split()[0] == "corrupt"
    assert run("stats").json["sessions"] == 9
    monkeypatch.setenv("RAPTOR_DRY_RUN", "1")
    assert run("cleanup", "all").status == 0
    monkeypatch.setenv("RAPTOR_MAX_AGE", "10d")
    monkeypatch.setenv("RAPTOR_OUTPUT", "name")
    assert "old" not in run("cleanup", "expired").out.split()
    assert "old" in run("cleanup", "expired", "--max-age", "8d").out.split()
    monkeypatch.setenv("RAPTOR_DRY_RUN", "false")
    monkeypatch.setenv("RAPTOR_YES", "true")
    assert run("session", "delete", "old").status == 0
    assert not (full / "old.json").exists()
    monkeypatch.setenv("RAPTOR_ALL", "1")
    assert run("session", "validate").status == 1
    assert run("session", "validate", "login").status == 0
    monkeypatch.setenv("RAPTOR_REVEAL", "1")
    assert "5ec4e7" in run("session", "show", "login", "-o", "json").out
    monkeypatch.setenv("RAPTOR_LOG_LEVEL", "DEBUG")
    assert run("session", "list").status == 0


# --- shapes


def test_a_session_as_json(run, full):
    rows = {row["name"]: row for row in run("session", "list", "-o", "json").json}
    assert list(rows) == sorted(p.stem for p in full.glob("*.json"))
    assert all(list(row)[: len(ROW)] == ROW for row in rows.values())
    assert rows["login"] == {
        "name": "login",
        "session_id": "login",
        "state": "valid",
        "reason": None,
        "browser_type": "chromium",
        "created_at": read_session(full, "login")["created_at"],
        "last_accessed": read_session(full, "login")["last_accessed"],
        "size_bytes": (full / "login.json").stat().st_size,
        "address": "127.0.0.1:9",
        "metadata": {
            "env": "ci",
            "page_url": "https://shop.example/cart",
            "page_title": "Shop",
            "n": 5,
            "pinned": True,
        },
    }
    assert {name: (row["state"], row["reason"]) for name, row in rows.items()} == {
        "login": ("valid", None),
        "old": ("valid", None),
        "fox": ("valid", None),
        "corrupt": ("invalid", "corrupt"),
        "no-id": ("invalid", "missing_session_id"),
        "no-url": ("invalid", "missing_cdp_url"),
        "no-time": ("invalid", "invalid_timestamp"),
        "opera": ("invalid", "invalid_browser_type"),
        "huge": ("unreadable", "unreadable"),
    }
    unknown = {
        key: rows["corrupt"][key] for key in ROW if key not in ("name", "state", "reason", "size_bytes")
    }
    assert set(unknown.values()) == {None}
    assert (rows["no-id"]["session_id"], rows["no-url"]["address"]) == (None, None)
    assert rows["fox"]["address"] == "grid.example:443"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://127.0.0.1:9222/x", "127.0.0.1:9222"),
        ("ws://h/x", "h:80"),
        ("http://h", "h:80"),
        ("wss://h/x", "h:443"),
        ("https://h/", "h:443"),
        ("http://[::1]:9222/", "[::1]:9222"),
        ("ws://u:p@h:1/x", "h:1"),
    ],
)
def test_an_address_is_the_host_and_port_of_its_browser(command, store_dir, url, address):
    write_session(store_dir, "s", cdp_url=url)
    assert command("session", "show", "s", "-o", "json", "--store", store_dir).json["address"] == address


@pytest.mark.parametrize("words", LISTINGS, ids=spelled)
def test_what_is_listed_comes_as_a_table_an_array_lines_and_names(run, words):
    array = run(*words, "-o", "json")
    lines = run(*words, "-o", "jsonl")
    names = run(*words, "-o", "name")
    table = run(*words)
    assert len({array.status, lines.status, names.status, table.status}) == 1
    assert isinstance(array.json, list)
    assert lines.jsonl == array.json
    assert all(isinstance(value, dict) for value in array.json)
    if words[0] == "session":
        assert names.out.splitlines() == [row["name"] for row in array.json]
    assert (array.err, lines.err, names.err) == ("", "", "")
    assert table.out == "" or table.out.splitlines()[0].isupper()


@pytest.mark.parametrize("words", OBJECTS, ids=spelled)
def test_what_is_one_thing_comes_as_one_object(run, words):
    value = run(*words, "-o", "json").json
    line = run(*words, "-o", "jsonl").out
    assert isinstance(value, dict)
    assert line.count("\n") == 1
    assert json.loads(line).keys() == value.keys()


def test_an_empty_store_gives_empty_documents(command, store_dir):
    def run(*words):
        return command(*words, "--store", store_dir)

    for words in (("session", "list"), ("session", "validate", "--all"), ("trash", "list")):
        assert run(*words, "-o", "json").json == []
        for output in ("jsonl", "name"):
            assert (run(*words, "-o", output).status, run(*words, "-o", output).out) == (0, "")
        table = run(*words)
        assert (table.status, table.out) == (0, "")
        assert table.err
    assert run("stats", "-o", "json").json == {
        "sessions": 0,
        "valid": 0,
        "invalid": dict.fromkeys(REASONS, 0),
        "unreadable": 0,
        "bytes": 0,
        "oldest_access": None,
        "newest_access": None,
    }
    assert os.listdir(store_dir) == []


def test_stats(run, full):
    assert run("stats", "-o", "json").json == {
        "sessions": 9,
        "valid": 3,
        "invalid": dict.fromkeys(REASONS, 1),
        "unreadable": 1,
        "bytes": sum(p.stat().st_size for p in full.glob("*.json")),
        "oldest_access": run("stats", "-o", "json").json["oldest_access"],
        "newest_access": run("stats", "-o", "json").json["newest_access"],
    }
    value = run("stats", "-o", "json").json
    for key, name in (("oldest_access", "fox"), ("newest_access", "login")):
        wanted = datetime.fromisoformat(read_session(full, name)["last_accessed"])
        assert datetime.fromisoformat(value[key]) == wanted


def test_the_plan_has_every_session_once(run, full):
    value = run("policy", "plan", "-o", "json").json
    assert sorted(value) == ["decisions", "now", "policies"]
    assert abs(datetime.fromisoformat(value["now"]).timestamp() - time.time()) < 600
    assert [sorted(p) for p in value["policies"]] == [["bytes", "candidates", "mode", "name"]] * 2
    assert [(p["name"], p["mode"], p["candidates"]) for p in value["policies"]] == [
        ("expired", "plan", 2),
        ("invalid", "plan", 5),
    ]
    decisions = {d["name"]: d for d in value["decisions"]}
    assert len(decisions) == len(value["decisions"]) == 9
    assert all(list(d) == ["name", "policy", "action", "reason", "detail"] for d in decisions.values())
    found = {name: (d["policy"], d["action"], d["reason"]) for name, d in decisions.items()}
    assert found == {
        "login": ("expired", "keep", None),
        "old": ("expired", "delete", "idle"),
        "fox": ("expired", "delete", "idle"),
        **dict.fromkeys(
            ("corrupt", "no-id", "no-url", "no-time", "opera"), ("invalid", "delete", "unmodified")
        ),
        "huge": (None, "keep", None),
    }


@pytest.mark.parametrize("at", ["+7d", "+1w", "+6d23h30m", "2100-01-01", "2100-01-01T00:00:00Z"])
def test_the_plan_for_later(run, at):
    decisions = {
        d["name"]: d["action"] for d in run("policy", "plan", "--at", at, "-o", "json").json["decisions"]
    }
    assert decisions["login"] == "delete"


# --- validate, show


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["login"], 0),
        (["login", "old", "fox"], 0),
        (["login", "corrupt"], 1),
        (["no-id"], 1),
        (["no-url"], 1),
        (["no-time"], 1),
        (["opera"], 1),
        (["huge"], 1),
        (["nobody"], 1),
        (["login", "nobody"], 1),
        (["../login"], 1),
        ([""], 1),
        (["--all"], 1),
    ],
)
def test_validate_says_whether_all_are_valid(run, names, status):
    result = run("session", "validate", *names, "-o", "json")
    assert result.status == status
    if names != ["--all"]:
        assert [row["name"] for row in result.json] == names


def test_validate_names_not_found_as_the_reason(run):
    assert [(r["name"], r["reason"]) for r in run("session", "validate", "nobody", "-o", "json").json] == [
        ("nobody", "not_found")
    ]


@pytest.mark.parametrize("name", ["nobody", "..", "../sessions/login", "", "login.json", "LOGIN", "x" * 300])
@pytest.mark.parametrize(
    "words", [("session", "show"), ("session", "restore"), ("policy", "explain")], ids=spelled
)
def test_a_session_that_is_not_there_is_status_1(run, words, name):
    result = run(*words, name)
    assert (result.status, result.out) == (1, "")
    assert "Error: " in result.err


@pytest.mark.parametrize(
    "words", [("session", "delete", "--yes"), ("session", "close", "--yes"), ("trash", "restore")]
)
def test_nor_can_it_be_deleted_closed_or_brought_back(run, words):
    result = run(*words, "nobody")
    assert (result.status, result.out) == (1, "")
    assert "nobody" in result.err


# --- secrets


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "name"])
@pytest.mark.parametrize("words", [*LISTINGS, *OBJECTS[:3]], ids=spelled)
def test_nothing_shows_a_url_whole(run, words, output):
    result = run(*words, "-o", output)
    assert not [secret for secret in SECRETS if secret in result.out + result.err]


@pytest.mark.parametrize("output", ["table", "json"])
def test_reveal_alone_shows_them(run, output):
    shown = run("session", "show", "login", "--reveal", "-o", output).out
    assert CDP_URL in shown
    assert PAGE_URL in shown


def test_no_failure_shows_them(run, full):
    for words in (
        ("session", "restore", "login"),
        ("session", "close", "login", "--yes"),
        ("session", "probe", "login"),
        ("session", "save", "x", "--cdp-url", CDP_URL),
        ("metrics", "--push", "http://us3r:pa55@127.0.0.1:9/?token=t0ken"),
        ("metrics",),
    ):
        for level in ("warn", "debug"):
            result = run(*words, "--log.level", level)
            assert not [s for s in SECRETS if s in result.out + result.err], words
    journal = full / ".raptor" / "journal.jsonl"
    assert not journal.exists() or not [s for s in SECRETS if s in journal.read_text()]


# --- deleting


DELETING = [
    ("session", "delete", "login"),
    ("session", "close", "login"),
    ("cleanup", "expired"),
    ("cleanup", "invalid"),
    ("cleanup", "all"),
    ("cleanup", "run", "--enforce"),
]


@pytest.mark.parametrize("words", DELETING, ids=spelled)
def test_without_a_terminal_deleting_needs_yes(run, full, words):
    before = sorted(os.listdir(full))
    result = run(*words)
    assert (result.status, result.out) == (2, "")
    assert "--yes" in result.err
    assert [n for n in sorted(os.listdir(full)) if n != ".raptor"] == before


@pytest.mark.parametrize("words", DELETING, ids=spelled)
def test_a_dry_run_needs_none_and_changes_nothing(run, full, words):
    if words[:2] == ("session", "close"):
        words = ("session", "delete", "login", "old")
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in full.glob("*.json")}
    for more in ((), ("--yes",)):
        result = run(*words, "--dry-run", *more)
        assert result.status == 0
        assert result.out
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in full.glob("*.json")} == before
    assert run("trash", "list", "-o", "json").json == []


@pytest.mark.parametrize(
    "words",
    [
        ("cleanup", "expired", "--max-age", "1000d"),
        ("cleanup", "all"),
        ("cleanup", "invalid"),
        ("cleanup", "run"),
        ("cleanup", "run", "--enforce"),
        ("trash", "empty"),
    ],
    ids=spelled,
)
def test_where_nothing_would_be_deleted_nobody_is_asked(command, store_dir, words):
    if words[1] != "all":
        write_session(store_dir, "fresh")
    result = command(*words, "--store", store_dir)
    assert result.status == 0
    assert command("session", "list", "-o", "name", "--store", store_dir).out.split() in (["fresh"], [])


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("cleanup", "expired"), {"old", "fox", "corrupt", "no-time"}),
        (("cleanup", "expired", "--max-age", "10d"), {"fox", "corrupt", "no-time"}),
        (
            ("cleanup", "expired", "--max-age", "30m"),
            {"login", "old", "fox", "corrupt", "no-id", "no-url", "no-time", "opera"},
        ),
        (("cleanup", "invalid"), {"corrupt", "no-id", "no-url", "no-time", "opera"}),
        (("cleanup", "all"), {"login", "old", "fox", "corrupt", "no-id", "no-url", "no-time", "opera"}),
        (("cleanup", "run"), set()),
        (("cleanup", "run", "--enforce"), {"old", "fox", "corrupt", "no-id", "no-url", "no-time", "opera"}),
        (("cleanup", "run", "--enforce", "expired"), {"old", "fox"}),
        (("session", "delete", "login", "corrupt"), {"login", "corrupt"}),
    ],
    ids=lambda value: spelled(value) if isinstance(value, tuple) else "",
)
def test_each_way_of_deleting_takes_its_own_into_the_trash(run, full, words, gone):
    names = {p.stem for p in full.glob("*.json")}
    result = run(*words, "--yes")
    assert (result.status, result.err) == (0, "")
    assert names - {p.stem for p in full.glob("*.json")} == gone
    rows = run("trash", "list", "-o", "json").json
    assert {row["name"] for row in rows} == gone
    assert all(list(row) == ["name", "run", "policy", "reason", "deleted_at", "size_bytes"] for row in rows)
    assert (full / "huge.json").exists()


def test_deleting_in_part_is_status_1_and_does_the_rest(run, full):
    result = run("session", "delete", "login", "nobody", "old", "--yes")
    assert result.status == 1
    assert "nobody" in result.err
    assert not (full / "login.json").exists()
    assert not (full / "old.json").exists()


def test_an_unreadable_session_is_not_deleted_by_name_either(run, full):
    result = run("session", "delete", "huge", "--yes")
    assert (result.status, result.out) == (1, "")
    assert (full / "huge.json").exists()


def test_a_guard_refuses_with_its_key_and_force_goes_past_it(command, store_dir, tmp_path):
    for index in range(12):
        write_session(store_dir, f"s{index}", idle=9 * DAY)
    config = tmp_path / "raptor.yaml"
    config.write_text(
        "version: 1\ncleanup: {mode: enforce, guards: {max_delete_ratio: 0.5}}\n"
        "policies: [{name: idle, interval: 1h, expire: {idle_for: 7d}}]\n"
    )

    def run(*words):
        return command(*words, "--store", store_dir, "--config", config)

    for words in (("cleanup", "expired"), ("cleanup", "run"), ("cleanup", "run", "idle")):
        refused = run(*words, "--yes")
        assert refused.status == 1
        assert "max_delete_ratio" in refused.err
        dry = run(*words, "--dry-run")
        assert dry.status == 0
        assert "max_delete_ratio" in dry.err
        assert len(list(store_dir.glob("*.json"))) == 12
    assert run("policy", "plan").status == 0
    assert run("cleanup", "expired", "--yes", "--force").status == 0
    assert list(store_dir.glob("*.json")) == []


def test_a_file_that_just_changed_is_spared_with_a_word_and_force_takes_it(command, store_dir):
    def run(*words):
        return command(*words, "--store", store_dir)

    write_session(store_dir, "s", idle=9 * DAY, changed=0)
    for words in (
        ("expired", "--yes"),
        ("expired",),
        ("expired", "--dry-run"),
        ("run", "--enforce", "--yes"),
    ):
        result = run("cleanup", *words)
        assert result.status == 0
        assert "min_age" in result.err
        assert (store_dir / "s.json").exists()
    assert "min_age" in run("policy", "explain", "s").out
    assert run("cleanup", "expired", "--yes", "--force")[::2] == (0, "")
    assert not (store_dir / "s.json").exists()
    for words in (("session", "delete", "s"), ("cleanup", "all")):
        write_session(store_dir, "s", changed=0)
        assert run(*words, "--yes").status == 0
        assert not (store_dir / "s.json").exists()


def test_protect_holds_for_every_cleanup_and_not_for_a_name(command, store_dir, tmp_path):
    write_session(store_dir, "pinned", idle=90 * DAY, metadata={"pinned": "true"})
    write_session(store_dir, "other", idle=90 * DAY)
    config = tmp_path / "raptor.yaml"
    config.write_text(
        "version: 1\ncleanup: {mode: enforce, protect: [{metadata: {pinned: 'true'}}]}\n"
        "policies: [{name: idle, interval: 1h, expire: {idle_for: 7d}}]\n"
    )

    def run(*words):
        result = command(*words, "--yes", "--store", store_dir, "--config", config)
        assert result.status == 0
        return sorted(p.stem for p in store_dir.glob("*.json"))

    for words in (
        ("cleanup", "expired"),
        ("cleanup", "run"),
        ("cleanup", "all"),
        ("cleanup", "run", "--force"),
    ):
        assert run(*words) == ["pinned"]
        write_session(store_dir, "other", idle=90 * DAY)
    assert run("session", "delete", "pinned") == ["other"]


# --- the trash


def test_what_comes_back_is_as_it_was_and_counts_as_accessed_now(run, full):
    path = full / "old.json"
    path.write_text(path.read_text()[:-1] + ', "theirs": [1, {"x": null}]}')
    path.chmod(0o640)
    before = read_session(full, "old")
    assert run("session", "delete", "old", "--yes").status == 0
    result = run("trash", "restore", "old")
    assert result.status == 0
    after = read_session(full, "old")
    moved = datetime.fromisoformat(after.pop("last_accessed")).timestamp()
    assert abs(moved - time.time()) < 600
    before.pop("last_accessed")
    assert after == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("trash", "list", "-o", "json").json == []


def test_nothing_in_the_store_is_overwritten(run, full):
    assert run("session", "delete", "old", "--yes").status == 0
    new = write_session(full, "old", idle=5)
    before = new.read_bytes()
    for what in ("old", run("trash", "list", "-o", "json").json[0]["run"]):
        result = run("trash", "restore", what)
        assert (result.status, result.out) == (1, "")
        assert new.read_bytes() == before
        assert [row["name"] for row in run("trash", "list", "-o", "json").json] == ["old"]


def test_a_run_comes_back_whole_and_emptying_empties_all(run, full):
    assert run("cleanup", "invalid", "--yes").status == 0
    name = run("trash", "list", "-o", "json").json[0]["run"]
    assert run("trash", "restore", name).status == 0
    assert len(list(full.glob("*.json"))) == 9
    assert run("cleanup", "invalid", "--yes", "--force").status == 0
    assert run("trash", "empty").status == 2
    assert run("trash", "empty", "--dry-run").status == 0
    assert len(run("trash", "list", "-o", "json").json) == 5
    assert run("trash", "empty", "--yes").status == 0
    assert run("trash", "list", "-o", "json").json == []
    assert run("trash", "restore", name).status == 1


def test_explain_follows_a_session_into_the_trash(run):
    assert "expired" in run("policy", "explain", "old").out
    assert "idle" in run("policy", "explain", "old").out
    assert run("cleanup", "run", "--enforce", "--yes").status == 0
    gone = run("policy", "explain", "old")
    assert gone.status == 0
    for word in ("expired", "idle", "trash restore old"):
        assert word in gone.out


# --- metrics, schema, check


def test_metrics_to_stdout_and_to_a_file_are_the_same_families(run, tmp_path):
    shown = run("metrics")
    target = tmp_path / "raptor.prom"
    written = run("metrics", "--textfile", target)
    assert (shown.status, shown.err, written.status, written.out) == (0, "", 0, "")
    assert re.findall(r"^# TYPE .*", shown.out, re.MULTILINE) == re.findall(
        r"^# TYPE .*", target.read_text(), re.MULTILINE
    )
    assert 'raptor_sessions{state="valid"} 3.0' in shown.out
    assert "raptor_cleanup_candidates" in shown.out
    assert "_total" not in shown.out.replace("raptor_store_refresh_errors_total", "")
    assert os.listdir(tmp_path).count("raptor.prom") == 1
    assert not [n for n in os.listdir(tmp_path) if n.startswith(".raptor.prom")]


def test_metrics_tell_what_a_probe_found_where_one_is_configured(command, store_dir, tmp_path):
    for name in ("a", "b"):
        write_session(store_dir, name, cdp_url="ws://127.0.0.1:1/devtools/browser/x")
    write_session(store_dir, "c", cdp_url="ws://elsewhere.example:1/devtools/browser/x")
    config = tmp_path / "c.yaml"
    config.write_text("version: 1\nprobe: {timeout: 500ms}\n")
    shown = command("metrics", "--store", store_dir, "--config", config).out
    for result, count in (("reachable", 0), ("unreachable", 2), ("unknown", 1)):
        assert f'raptor_session_endpoints{{result="{result}"}} {count}.0\n' in shown
    assert "raptor_probe_duration_seconds_count 1.0\n" in shown
    assert "endpoints{" not in command("metrics", "--store", store_dir).out


def test_metrics_that_cannot_be_delivered_are_status_1(run, tmp_path):
    for words in (("--textfile", tmp_path / "no" / "x.prom"), ("--push", "http://127.0.0.1:9")):
        result = run("metrics", *words)
        assert (result.status, result.out) == (1, "")
        assert result.err.count("\n") == 1


def test_the_schema_is_json_on_stdout_and_needs_no_store(command):
    result = command("policy", "schema")
    assert (result.status, result.err) == (0, "")
    assert result.json["type"] == "object"


# --- streams and processes


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
@pytest.mark.parametrize(
    "words", [("session", "list"), ("session", "list", "-o", "json"), ("metrics",)], ids=spelled
)
def test_a_full_disk_behind_stdout_is_status_1_in_one_line(full, words):
    with open("/dev/full", "w") as sink:
        done = subprocess.run(
            arguments_of(*words, "--store", full),
            stdout=sink,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, f"Error: {os.strerror(errno.ENOSPC)}\n")


def test_a_reader_that_has_enough_is_no_error(full):
    process = subprocess.Popen(
        arguments_of("session", "list", "-o", "json", "--store", full),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def test_names_of_any_alphabet_go_to_any_terminal(store_dir):
    write_session(store_dir, "日本 é")
    write_session(store_dir, "a\x1b[31m\nb")
    os.rename(store_dir / "日本 é.json", os.fsencode(store_dir) + b"/by\xfftes.json")
    for output in ("table", "json", "jsonl", "name"):
        result = run_command(
            "session",
            "list",
            "-o",
            output,
            "--store",
            store_dir,
            env=environment(LC_ALL="C", PYTHONIOENCODING="ascii"),
        )
        assert (result.status, result.err) == (0, "")
        assert "\x1b" not in result.out


def test_logs_go_to_stderr_in_the_format_that_is_asked_for(full):
    result = run_command(
        "session", "restore", "login", "--store", full, "--log.level", "debug", "--log.format", "json"
    )
    assert (result.status, result.out) == (1, "")
    lines = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert lines
    assert "Traceback" not in result.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_agent_ends_with_status_0_on_a_signal_and_makes_no_named_store(tmp_path, number):
    process = subprocess.Popen(
        arguments_of("serve", "--store", tmp_path / "later", "--web.listen-address", "127.0.0.1:0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    for line in process.stderr:
        if "listening" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert not (tmp_path / "later").exists()


def test_the_agent_makes_the_default_store(tmp_path):
    process = subprocess.Popen(
        arguments_of("serve", "--web.listen-address", "127.0.0.1:0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(HOME=str(tmp_path)),
    )
    for line in process.stderr:
        if "listening" in line:
            break
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert (tmp_path / ".raptor" / "sessions").stat().st_mode & 0o777 == 0o700


def test_ctrl_c_is_status_130(full):
    """Also in the instant before the answer is read."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        arguments_of("cleanup", "all", "--store", full),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment(),
    )
    os.close(terminal)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(controller, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    os.close(controller)
    assert len(list(full.glob("*.json"))) == 9

"""Sessions of an attacker in everything that shows sessions: no secret, nothing that a terminal obeys."""

from __future__ import annotations

import re
import urllib.error

import pytest
from support.agent import running_agent
from support.sessions import DAY, write_session
from support.waiting import eventually

SECRETS = (
    "pathsecret",
    "usersecret",
    "passwordsecret",
    "querysecret",
    "fragmentsecret",
    "pageuser",
    "pagequery",
)
CDP_URL = "ws://usersecret:passwordsecret@127.0.0.1:9/devtools/browser/pathsecret?querysecret#fragmentsecret"
PAGE_URL = "https://pageuser@example.org/shown?pagequery#fragmentsecret"
HOSTILE = {
    "screen\x1b[2J\x1b]0;owned\x07": "clears the screen and names the window",
    "c1\x9b31mred": "the same in one character",
    "line\nlevel=error msg=forged": "a line of its own",
    "bidi\u202egnp.exe": "turns the direction",
    "=cmd|' ''!A0": "a formula in a spreadsheet",
    "<script>alert(1)</script>": "HTML",
    "-rf": "an option",
    "undecodable\udcff": "no UTF-8",
    'quote"and,comma': "separators",
}
# What may stand in an output: printable text, and the ends of lines.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
LISTINGS = (
    ("session", "list"),
    ("session", "validate", "--all"),
    ("stats",),
    ("policy", "plan"),
    ("trash", "list"),
)


def _hostile_store(store, **changes):
    for name in HOSTILE:
        metadata = {"page_url": PAGE_URL, "page_title": f"title of {name}", "env": "ci"}
        stem = name.replace("/", "_")
        fields = {"session_id": f"id of {name}", "cdp_url": CDP_URL, "metadata": metadata, **changes}
        write_session(store, stem, idle=30 * DAY, **fields)
    write_session(store, "broken", idle=30 * DAY, cdp_url="ftp://passwordsecret@h/pathsecret")


def _check(text, what):
    for secret in SECRETS:
        assert secret not in text, f"{what} shows {secret}"
    found = OBEYED.search(text)
    assert found is None, (
        f"{what} holds {found[0]!r} in {text[max(0, found.start() - 80) : found.end() + 20]!r}"
    )


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "name"])
@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_listings_of_hostile_sessions_show_no_secret_and_move_no_cursor(words, form, command, store_dir):
    _hostile_store(store_dir)
    command("cleanup", "expired", "--store", store_dir, "--yes")
    _hostile_store(store_dir)
    result = command(*words, "--store", store_dir, "-o", form)
    assert result.status in (0, 1, 2)
    _check(result.out, f"{words} -o {form}")
    _check(result.err, f"{words} -o {form}, on stderr")


@pytest.mark.parametrize("name", HOSTILE)
def test_commands_that_name_a_hostile_session_show_no_secret_and_move_no_cursor(name, command, store_dir):
    _hostile_store(store_dir)
    stem = name.replace("/", "_")
    for words in (
        ("session", "show"),
        ("session", "validate"),
        ("policy", "explain"),
        ("session", "restore"),
        ("session", "probe"),
        ("session", "delete", "--yes"),
        ("session", "show"),
        ("trash", "restore"),
        ("session", "delete", "--yes"),
    ):
        result = command(*words, "--store", store_dir, "--log.level", "debug", "--", stem)
        assert result.status in (0, 1), result
        _check(result.out + result.err, words)
    for path in (store_dir / ".raptor").rglob("*.json*"):
        if path.name in ("manifest.json", "journal.jsonl"):
            _check(path.read_text(), path.name)


def test_the_agents_log_pages_metrics_and_journal_show_no_secret_and_move_no_cursor(store_dir, tmp_path):
    _hostile_store(store_dir)
    configuration = tmp_path / "raptor.yaml"
    configuration.write_text(
        "version: 1\nstore: {refresh_interval: 1s}\nprobe: {interval: 1s, timeout: 1s}\n"
        "cleanup: {mode: enforce, guards: {max_delete_ratio: 1.0}}\n"
        "policies: [{name: idle, interval: 1s, match: {state: any}, expire: {idle_for: 7d}}]\n"
    )
    paths = ("/metrics", "/", "/api/v1/status", "/api/v1/sessions", "/api/v1/plan", "/%1b[2J", "/-/reload")
    arguments = ("--store", str(store_dir), "--config", str(configuration), "--log.level", "debug")
    with running_agent(*arguments) as agent:

        def deleted():
            for path in paths:
                try:
                    text = agent.get(path)
                except urllib.error.HTTPError as error:
                    text = error.read().decode()
                _check(text.replace("\t", " "), path)
            return agent.value("raptor_cleanup_deleted_sessions_total", policy="idle", reason="idle")

        eventually(deleted, within=60)
        assert agent.end() == 0
        _check("\n".join(agent.log), "the log")
    for path in (store_dir / ".raptor").rglob("*.json*"):
        if path.name in ("manifest.json", "journal.jsonl"):
            _check(path.read_text(), path.name)

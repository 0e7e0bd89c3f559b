"""`policy explain`: why a live session stays or goes, and why and how a deleted one went."""

from __future__ import annotations

import json

import pytest
from support.cleaning import hook, plan_now, run
from support.processes import child, die_here
from support.sessions import DAY, HOUR, write_session

from raptor_exporter.cleanup.policy import Keep
from raptor_exporter.cleanup.wording import place
from raptor_exporter.stores.files import FileStore

CONFIG = """
version: 1
cleanup: {mode: enforce, guards: {max_delete_ratio: 1, min_age: 0s}, protect: [{name: pinned}]}
policies:
  - name: ci-sessions
    interval: 15m
    match: {name: "ci-*"}
    expire: {idle_for: 24h}
    keep: {last: 3, per: metadata.repo}
  - name: rest
    interval: 1h
    match: {exclude: {name: "mine-*"}}
    expire: {idle_for: 30d, older_than: 90d}
    mode: plan
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def explain(command, store_dir, config):
    def run(name, *arguments):
        result = command("policy", "explain", name, "--store", store_dir, "--config", config, *arguments)
        assert (result.status, result.err) == (0, "")
        return result.json if arguments else result.out.strip()

    return run


@pytest.fixture
def cleanup(command, store_dir, config):
    return lambda *arguments: command(
        "cleanup", *arguments, "--yes", "--store", store_dir, "--config", config
    )


def test_a_kept_session_is_told_its_clock_and_its_place_among_the_last(store_dir, explain):
    for name, idle in (("ci-1", 1 * HOUR), ("ci-2", 3 * HOUR), ("ci-3", 40 * HOUR)):
        write_session(store_dir, name, idle=idle + 1, metadata={"repo": "shop"})
    assert explain("ci-2") == (
        "ci-2: kept by ci-sessions: 2nd of the last 3 metadata.repo=shop; idle 3h of 1d; "
        "expires in 20h59m unless accessed"
    )
    assert (
        explain("ci-3") == "ci-3: kept by ci-sessions: 3rd of the last 3 metadata.repo=shop; idle 1d16h of 1d"
    )


def test_a_group_that_is_a_url_is_not_shown_in_whole(store_dir, explain):
    url = "https://me:secret@shop.example/cart?token=secret"
    write_session(store_dir, "ci-1", metadata={"repo": url})
    assert "secret" not in explain("ci-1")


def test_a_group_that_is_a_page_is_shown_as_its_metadata_is():
    shown = place(1, Keep(1, "page_url"), "about:blank?secret#secret")
    assert shown == "1st of the last 1 metadata.page_url=about:blank"


def test_a_session_that_goes_is_told_by_which_policy_for_which_reason_and_whether_it_really_does(
    store_dir, explain
):
    for number in range(4):
        write_session(store_dir, f"ci-{number}", idle=(number + 2) * DAY)
    assert explain("ci-3").startswith(
        "ci-3: goes with the next run of ci-sessions (idle): idle 5d, more than 1d"
    )
    write_session(store_dir, "other", idle=31 * DAY)
    assert explain("other").endswith("; the policy is in mode plan, so nothing is deleted")
    found = explain("other", "-o", "json")
    assert (found["name"], found["policy"], found["action"], found["reason"], found["live"]) == (
        "other",
        "rest",
        "delete",
        "idle",
        True,
    )


def test_sessions_that_nothing_deletes_are_told_why(store_dir, explain):
    write_session(store_dir, "mine-1", idle=400 * DAY)
    write_session(store_dir, "pinned", idle=400 * DAY)
    write_session(store_dir, "huge", data=b" " * (1 << 21))
    assert explain("mine-1") == "mine-1: kept: no policy matches it"
    assert explain("pinned").startswith("pinned: kept by rest: protected by protect[0]; idle 1y35d of 30d")
    assert explain("huge") == "huge: kept: it can't be read now, so it is never deleted"


def test_a_deleted_session_is_told_when_by_whom_why_and_the_way_back(store_dir, cleanup, explain, command):
    for number in range(4):
        write_session(store_dir, f"ci-{number}", idle=(number + 2) * DAY)
    assert cleanup("run").status == 0
    text = explain("ci-3")
    assert text.startswith("ci-3: deleted ")
    assert text.endswith(
        " ago by ci-sessions, because idle 5d, more than 1d (idle); "
        "restore with: raptor-exporter trash restore ci-3"
    )
    assert explain("ci-3", "-o", "json") | {"text": ""} == {
        "name": "ci-3",
        "policy": "ci-sessions",
        "action": "deleted",
        "reason": "idle",
        "text": "",
        "live": False,
    }
    assert command("trash", "empty", "--yes", "--store", store_dir).status == 0
    assert explain("ci-3").endswith("(idle); it can't be restored: its trash was emptied")


def test_a_deleted_session_is_found_by_its_session_name(store_dir, cleanup, explain):
    write_session(store_dir, "citeam", session_id="ci/team", idle=40 * DAY)
    assert cleanup("expired").status == 0
    assert explain("ci/team").endswith("restore with: raptor-exporter trash restore ci/team")


def test_what_a_crashed_run_deleted_can_be_explained(store_dir, command):
    write_session(store_dir, "old", idle=40 * DAY)
    store = FileStore(store_dir)
    plan = plan_now(store)

    def work():
        with pytest.MonkeyPatch.context() as patch:
            hook(patch, after_rename=lambda _: die_here())
            run(store, plan)

    with child(work) as process:
        assert process.wait() == -9
    result = command("policy", "explain", "old", "--store", store_dir)
    assert result.status == 0
    assert result.out.startswith("old: deleted ")
    assert "finished a run that had crashed" in result.err


def test_a_session_that_was_restored_and_then_lost_is_not_laid_at_a_policys_door(
    store_dir, cleanup, explain, command
):
    path = write_session(store_dir, "old", idle=40 * DAY)
    assert cleanup("expired").status == 0
    assert command("trash", "restore", "old", "--store", store_dir).status == 0
    path.unlink()
    assert explain("old").endswith("and gone since by no policy's doing")


def test_a_name_that_nobody_knows_is_status_1(store_dir, command, config):
    result = command("policy", "explain", "nobody", "--store", store_dir, "--config", config)
    assert (result.status, result.out) == (1, "")
    assert "nobody: no session of that name" in result.err


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "old", "result": "deleted"},
        {"name": "old", "result": "deleted", "at": "now", "policy": "p", "reason": "r", "detail": "d"},
        {"name": "old", "result": "deleted", "at": 1, "policy": None, "reason": "r", "detail": "d"},
        {"name": ["old"], "type": "restored"},
        {"name": "old", "type": "restored", "at": None},
    ],
)
def test_foreign_lines_of_the_journal_are_no_reason(store_dir, command, config, entry):
    home = store_dir / ".raptor"
    home.mkdir()
    (home / "journal.jsonl").write_text(json.dumps(entry) + "\n")
    result = command("policy", "explain", "old", "--store", store_dir, "--config", config)
    assert result.status == 1
    assert "no session of that name" in result.err

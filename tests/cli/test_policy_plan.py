"""`policy plan` and `policy explain`: the planner on the command line, which changes nothing."""

import json
import os
import time
from datetime import UTC, datetime

import pytest

from raptor_exporter.cli import main

HOUR = 3600.0
CONFIG = """
version: 1
cleanup: {protect: [{name: pinned}]}
policies:
  - name: ci
    interval: 15m
    match: {name: "ci-*"}
    expire: {idle_for: 1d}
    mode: enforce
  - name: broken
    interval: 15m
    match: {state: invalid}
    expire: {unmodified_for: 1h}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("RAPTOR_CONFIG", "RAPTOR_STORE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "store").mkdir()
    (tmp_path / "raptor.yaml").write_text(CONFIG)
    return tmp_path


def session(place, name, hours, content=None):
    moment = time.time() - hours * HOUR
    stamp = datetime.fromtimestamp(moment, UTC).isoformat()
    fields = {
        "session_id": name,
        "cdp_url": f"ws://127.0.0.1:9222/devtools/browser/{name}",
        "browser_type": "chromium",
        "created_at": stamp,
        "last_accessed": stamp,
        "metadata": {},
    }
    path = place / "store" / f"{name}.json"
    path.write_text(json.dumps(fields) if content is None else content)
    os.utime(path, (moment, moment))
    return path.stat().st_size


def run(place, capsys, command, *arguments):
    places = ["--store", str(place / "store"), "--config", str(place / "raptor.yaml")]
    status = main(["policy", command, *arguments, *places])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_plan_as_json_decides_on_every_session_once(place, capsys):
    size = session(place, "ci-old", 30)
    session(place, "ci-used", 2)
    session(place, "pinned", 900)
    broken = session(place, "broken", 2, "null")
    status, out, err = run(place, capsys, "plan", "-o", "json")
    value = json.loads(out)
    assert (status, err) == (0, "")
    assert abs(datetime.fromisoformat(value["now"]).timestamp() - time.time()) < 60
    assert value["policies"] == [
        {"name": "ci", "mode": "enforce", "candidates": 1, "bytes": size},
        {"name": "broken", "mode": "plan", "candidates": 1, "bytes": broken},
    ]
    assert [(d["name"], d["policy"], d["action"], d["reason"]) for d in value["decisions"]] == [
        ("broken", "broken", "delete", "unmodified"),
        ("ci-old", "ci", "delete", "idle"),
        ("ci-used", "ci", "keep", None),
        ("pinned", None, "keep", None),
    ]
    assert all(d["detail"] for d in value["decisions"])
    assert {path.name for path in (place / "store").iterdir()} == {
        "broken.json",
        "ci-old.json",
        "ci-used.json",
        "pinned.json",
    }


def test_a_plan_for_later_is_made_for_then(place, capsys):
    session(place, "ci-used", 2)
    for at, candidates in [("+21h", 0), ("+23h", 1), ("2099-01-01T00:00:00Z", 1)]:
        status, out, _ = run(place, capsys, "plan", "-o", "json", "--at", at)
        assert (status, json.loads(out)["policies"][0]["candidates"]) == (0, candidates)


def test_a_named_policy_is_shown_alone_and_decisions_stay_whole(place, capsys):
    session(place, "ci-old", 30)
    session(place, "broken", 2, "null")
    status, out, _ = run(place, capsys, "plan", "broken", "-o", "json")
    value = json.loads(out)
    assert status == 0
    assert [p["name"] for p in value["policies"]] == ["broken"]
    assert [d["name"] for d in value["decisions"]] == ["broken", "ci-old"]
    _, table, _ = run(place, capsys, "plan", "broken")
    assert "ci-old" not in table
    assert "unmodified for 2h, more than 1h (corrupt)" in table


@pytest.mark.parametrize("arguments", [["nope"], ["--at", "tomorrow"], ["--at", "+7 days"], ["-o", "yaml"]])
def test_what_is_not_understood_is_a_usage_error(place, capsys, arguments):
    status, out, err = run(place, capsys, "plan", *arguments)
    assert (status, out) == (2, "")
    assert "Error: " in err


def test_a_missing_store_is_status_1_and_is_not_made(place, capsys):
    (place / "store").rmdir()
    for command in (["plan"], ["explain", "x"]):
        status, out, err = run(place, capsys, *command)
        assert (status, out) == (1, "")
        assert str(place / "store") in err
    assert not (place / "store").exists()


def test_a_wrong_configuration_is_status_2_with_its_place(place, capsys):
    (place / "raptor.yaml").write_text("version: 1\npolicies: [{name: a}]\n")
    status, out, err = run(place, capsys, "plan")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        (
            f"{place}/raptor.yaml:2:12: policies[0].interval: is missing, "
            "accepted is a duration such as 30s, 15m, 1h30m, 7d or 2w"
        ),
        f"{place}/raptor.yaml:2:12: policies[0].expire: is missing, accepted is expire or cap, or both",
    ]


def test_a_run_that_would_be_refused_is_told_and_is_no_failure_of_the_plan(place, capsys):
    for number in range(11):
        session(place, f"ci-{number}", 30)
    status, _, err = run(place, capsys, "plan")
    assert status == 0
    assert err == (
        "ci: a run would be refused by max_delete_ratio: ci would delete 11 of all 11 sessions (100.0%), "
        "at most 50.0% are allowed\n"
    )


def test_explain_names_the_policy_and_the_reason(place, capsys):
    session(place, "ci-old", 30)
    assert run(place, capsys, "explain", "ci-old") == (
        0,
        "ci-old: goes with the next run of ci (idle): idle 1d6h, more than 1d\n",
        "",
    )
    status, out, err = run(place, capsys, "explain", "nobody")
    assert (status, out) == (1, "")
    assert "nobody: no session of that name" in err

"""Policies from outside: which sessions a configuration takes, and what a run makes of it."""

from __future__ import annotations

import json

import pytest
from support.listeners import answering, free_port, http_answer, silent
from support.sessions import DAY, HOUR, read_session, write_session

OLD = {"idle": 2 * DAY}
FRESH = {"idle": HOUR}
BROKEN = {"data": "{", "idle": 2 * DAY}
IDLE = {"expire": {"idle_for": "1d"}}
UNMODIFIED = {"expire": {"unmodified_for": "1d"}}


def rule(name="p", **parts):
    return {"name": name, "interval": "1h", **parts}


def tagged(value, **more):
    return {**OLD, "metadata": {"k": value}, **more}


def ladder(count, step=HOUR, **more):
    return {f"s{number}": {"idle": (number + 1) * step, **more} for number in range(count)}


CASES = {
    "idle": ({"a": OLD, "b": FRESH}, [rule(**IDLE)], {"a": "idle"}),
    "old": ({"a": {**FRESH, "age": 9 * DAY}}, [rule(expire={"older_than": "7d"})], {"a": "old"}),
    "idle comes before old and unmodified": (
        {"a": {"idle": 9 * DAY}},
        [rule(expire={"unmodified_for": "1d", "older_than": "7d", "idle_for": "7d"})],
        {"a": "idle"},
    ),
    "old comes before unmodified": (
        {"a": {**FRESH, "age": 9 * DAY, "changed": 9 * DAY}},
        [rule(expire={"unmodified_for": "1d", "older_than": "7d"})],
        {"a": "old"},
    ),
    "a timestamp in the future expires nothing": (
        {"a": {"idle": -HOUR, "age": -HOUR, "changed": -HOUR}},
        [rule(expire={"unmodified_for": "1s", "older_than": "1s", "idle_for": "1s"})],
        {},
    ),
    "the first match owns": (
        {"a": OLD, "b": OLD},
        [rule("mild", match={"name": "a"}, expire={"idle_for": "90d"}), rule("strict", **IDLE)],
        {"b": "idle"},
    ),
    "what one excludes goes to the next": (
        {"golden-1": OLD},
        [rule("x", match={"exclude": {"name": "golden-*"}}, **IDLE), rule("y", **IDLE)],
        {"golden-1": "idle"},
    ),
    "all keys of an exclude must fit": (
        {"a": tagged("v"), "b": OLD},
        [rule(match={"exclude": {"name": "*", "metadata": {"k": "v"}}}, **IDLE)],
        {"b": "idle"},
    ),
    "a match is of valid sessions": ({"a": BROKEN}, [rule(match={"name": "*"}, **UNMODIFIED)], {}),
    "an exclude is of any": (
        {"a": BROKEN, "b": BROKEN},
        [rule(match={"state": "any", "exclude": {"name": "a"}}, **UNMODIFIED)],
        {"b": "unmodified"},
    ),
    "a name is the stem": (
        {"stem": {**OLD, "session_id": "other/name"}},
        [rule(match={"name": "other*"}, **IDLE)],
        {},
    ),
    "globs are case-sensitive": ({"CI-1": OLD}, [rule(match={"name": "ci-*"}, **IDLE)], {}),
    "a session without the key fits no glob": (
        {"a": OLD},
        [rule(match={"metadata": {"k": "*"}}, **IDLE)],
        {},
    ),
    "keep the last": (ladder(5, DAY * 2), [rule(keep={"last": 3}, **IDLE)], {"s3": "idle", "s4": "idle"}),
    "keep counts fresh ones too": ({"a": FRESH, "b": OLD}, [rule(keep={"last": 1}, **IDLE)], {"b": "idle"}),
    "keep the last of each text": (
        {"a": tagged(5), "b": tagged("5", idle=3 * DAY), "c": tagged("6", idle=4 * DAY)},
        [rule(keep={"last": 1, "per": "metadata.k"}, **IDLE)],
        {"b": "idle"},
    ),
    "those without the key are one group": (
        {"a": OLD, "b": {"idle": 3 * DAY}, "c": tagged("x", idle=4 * DAY)},
        [rule(keep={"last": 1, "per": "metadata.k"}, **IDLE)],
        {"b": "idle"},
    ),
    "a cap evicts the least recently accessed": (
        ladder(4),
        [rule(cap={"sessions": 2})],
        {"s2": "cap", "s3": "cap"},
    ),
    "a cap counts what expire leaves": (
        {**ladder(3), "x": OLD},
        [rule(cap={"sessions": 3}, **IDLE)],
        {"x": "idle"},
    ),
    "keep beats cap": (ladder(5), [rule(cap={"sessions": 1}, keep={"last": 4})], {"s4": "cap"}),
    "of equals the name that sorts first goes first": (
        {name: {"idle": 2 * DAY, "now": 1_700_000_000} for name in "cab"},
        [rule(cap={"sessions": 1})],
        {"a": "cap", "b": "cap"},
    ),
    "what changed in the last minute is spared": (
        {"a": {**OLD, "changed": 20}, "b": {**OLD, "changed": 90}},
        [rule(**IDLE)],
        {"b": "idle"},
    ),
    "min_age of a policy": ({"a": {**OLD, "changed": 90}}, [rule(guards={"min_age": "1h"}, **IDLE)], {}),
}


@pytest.fixture
def configured(tmp_path):
    def write(policies, cleanup=None, **more):
        file = tmp_path / "raptor.yaml"
        file.write_text(json.dumps({"version": 1, "policies": policies, "cleanup": cleanup or {}, **more}))
        return file

    return write


def decided(command, store, file, *arguments):
    """Name → reason of those that go, after a look that every session was judged once."""
    done = command("policy", "plan", "--store", store, "--config", file, "-o", "json", *arguments)
    assert done.status == 0, done.err
    decisions = done.json["decisions"]
    assert sorted(d["name"] for d in decisions) == sorted(path.stem for path in store.glob("*.json"))
    return {d["name"]: d["reason"] for d in decisions if d["action"] == "delete"}


@pytest.mark.parametrize("case", CASES)
def test_which_sessions_go_and_why(command, store_dir, configured, case):
    sessions, policies, wanted = CASES[case]
    for name, form in sessions.items():
        write_session(store_dir, name, **form)
    assert decided(command, store_dir, configured(policies)) == wanted


@pytest.mark.parametrize(
    ("value", "glob", "fits"),
    [
        ("ci", "ci", True),
        ("CI", "ci", False),
        ("preview-7", ["ci", "preview-*"], True),
        ("b", "[a-c]", True),
        (5, "5", True),
        (5.5, "5.5", True),
        (True, "true", True),
        (True, "True", False),
        (None, "null", True),
        ([1, 2], "[[]1, 2]", True),
        ("", "*", True),
        ("", "?", False),
        ('"5"', "5", False),
    ],
)
def test_metadata_is_compared_as_text(command, store_dir, configured, value, glob, fits):
    write_session(store_dir, "a", **tagged(value))
    file = configured([rule(match={"metadata": {"k": glob}}, **IDLE)])
    assert bool(decided(command, store_dir, file)) is fits


def test_protect_beats_every_policy_and_its_default_state_is_valid(command, store_dir, configured):
    write_session(store_dir, "pinned", **OLD, metadata={"pinned": True})
    write_session(store_dir, "broken", **BROKEN)
    write_session(store_dir, "kept", **BROKEN)
    protect = [{"metadata": {"pinned": "true"}}, {"name": "broken"}, {"name": "kept", "state": "invalid"}]
    file = configured([rule(match={"state": "any"}, **UNMODIFIED)], {"protect": protect})
    assert decided(command, store_dir, file) == {"broken": "unmodified"}


def test_a_plan_may_look_ahead(command, store_dir, configured):
    write_session(store_dir, "a", **FRESH)
    file = configured([rule(**IDLE)])
    assert decided(command, store_dir, file) == {}
    assert decided(command, store_dir, file, "--at", "+7d") == {"a": "idle"}


def test_an_unreadable_session_is_never_taken(command, store_dir, configured):
    write_session(store_dir, "big", data=b"{" + b" " * (1 << 20) + b"}", idle=9 * DAY)
    file = configured([rule(match={"state": "any"}, cap={"sessions": 1}, **UNMODIFIED)])
    assert decided(command, store_dir, file) == {}
    command("cleanup", "all", "--store", store_dir, "--yes")
    assert (store_dir / "big.json").exists()


def browser(path):
    answer = json.dumps({"Browser": "Chrome/1", "webSocketDebuggerUrl": f"ws://127.0.0.1:1{path}"})
    return answering(http_answer(answer))


def test_endpoints_are_reachable_unreachable_or_unknown(command, store_dir, configured):
    def write(name, port, host="127.0.0.1", path="/devtools/browser/A"):
        write_session(store_dir, name, **OLD, cdp_url=f"ws://{host}:{port}{path}")

    with browser("/devtools/browser/A") as good, silent() as hung, answering(http_answer("?")) as garbage:
        write("same", good.port)
        write("by-name", good.port, host="localhost")
        write("another", good.port, path="/devtools/browser/B")
        write("dead", free_port())
        write("hung", hung.port)
        write("garbage", garbage.port)
        write("not-allowed", 9222, host="10.0.0.1")
        write_session(store_dir, "no-address", **BROKEN)
        states = {
            "reachable": {"same", "by-name"},
            "unreachable": {"another", "dead"},
            "unknown": {"hung", "garbage", "not-allowed"},
        }
        probe = {"timeout": "300ms"}
        for state, names in states.items():
            file = configured([rule(match={"state": "any", "endpoint": state}, **UNMODIFIED)], probe=probe)
            assert set(decided(command, store_dir, file)) == names
        file = configured(
            [rule(match={"state": "any"}, **UNMODIFIED)],
            {"protect": [{"endpoint": "reachable"}]},
            probe=probe,
        )
        assert set(decided(command, store_dir, file)) == {"another", "dead", "no-address"}
        calls = len(good.requests)
        nobody = {**probe, "allowed_hosts": []}
        file = configured([rule(match={"endpoint": "unknown"}, **UNMODIFIED)], probe=nobody)
        assert {"same", "dead"} <= set(decided(command, store_dir, file))
        assert len(good.requests) == calls


def many(store, count, prefix="s", **form):
    for number in range(count):
        write_session(store, f"{prefix}{number:02}", **(form or OLD))


def left(store):
    return len(list(store.glob("*.json")))


@pytest.mark.parametrize(
    ("policies", "cleanup", "arguments", "deleted"),
    [
        ([rule(**IDLE)], {}, (), 0),
        ([rule(**IDLE)], {}, ("--enforce",), 3),
        ([rule(**IDLE)], {"mode": "enforce"}, (), 3),
        ([rule(**IDLE)], {"mode": "enforce"}, ("--dry-run",), 0),
        ([rule(mode="plan", **IDLE)], {"mode": "enforce"}, (), 0),
        ([rule(mode="enforce", **IDLE)], {}, (), 3),
        ([rule("x", match={"name": "s00"}, **IDLE), rule(**IDLE)], {"mode": "enforce"}, ("p",), 2),
    ],
)
def test_a_run_obeys_the_mode(command, store_dir, configured, policies, cleanup, arguments, deleted):
    many(store_dir, 3)
    file = configured(policies, cleanup)
    done = command("cleanup", "run", *arguments, "--store", store_dir, "--config", file, "--yes")
    assert (done.status, left(store_dir)) == (0, 3 - deleted)
    assert len(command("trash", "list", "--store", store_dir, "-o", "json").json) == deleted


@pytest.mark.parametrize(
    ("going", "staying", "guards", "arguments", "refused"),
    [
        (10, 0, {}, (), False),
        (11, 0, {}, (), True),
        (11, 11, {}, (), False),
        (12, 11, {}, (), True),
        (12, 11, {}, ("--force",), False),
        (12, 0, {"max_delete_ratio": 1}, (), False),
        (11, 20, {"max_delete_ratio": 0}, (), True),
    ],
)
def test_more_than_half_of_the_store_is_refused(
    command, store_dir, configured, going, staying, guards, arguments, refused
):
    many(store_dir, going)
    many(store_dir, staying, "z", **FRESH)
    file = configured([rule(**IDLE)], {"mode": "enforce", "guards": guards})
    done = command("cleanup", "run", *arguments, "--store", store_dir, "--config", file, "--yes")
    assert (done.status, left(store_dir)) == ((1, going + staying) if refused else (0, staying))
    assert ("max_delete_ratio" in done.err) is refused


@pytest.mark.parametrize("arguments", [("--dry-run",), ()], ids=["dry run", "mode plan"])
def test_a_breach_without_a_deletion_is_only_told(command, store_dir, configured, arguments):
    many(store_dir, 11)
    file = configured([rule(**IDLE)])
    done = command("cleanup", "run", *arguments, "--store", store_dir, "--config", file)
    assert (done.status, left(store_dir)) == (0, 11)
    assert "max_delete_ratio" in done.out + done.err


def test_one_refusal_holds_no_other_policy_up(command, store_dir, configured):
    many(store_dir, 12)
    write_session(store_dir, "x", **OLD)
    policies = [rule("a", match={"name": "s*"}, **IDLE), rule("b", match={"name": "x"}, **IDLE)]
    file = configured(policies, {"mode": "enforce"})
    done = command("cleanup", "run", "--store", store_dir, "--config", file, "--yes")
    assert (done.status, left(store_dir)) == (1, 12)
    assert not (store_dir / "x.json").exists()


def test_usage_errors_delete_nothing(command, store_dir, configured):
    many(store_dir, 3)
    file = configured([rule(**IDLE)], {"mode": "enforce"})
    run = ("cleanup", "run", "--store", store_dir, "--config", file)
    for arguments in ((*run, "p", "nobody", "--yes"), run, ("cleanup", "all", "--store", store_dir)):
        assert (command(*arguments).status, left(store_dir)) == (2, 3)


def test_one_offs_take_their_own_and_name_their_reasons(command, store_dir):
    write_session(store_dir, "old", idle=8 * DAY)
    write_session(store_dir, "young", idle=6 * DAY)
    write_session(store_dir, "corrupt", data="{", idle=HOUR)
    write_session(store_dir, "no-time", idle=HOUR, created_at="yesterday")
    write_session(store_dir, "no-url", idle=HOUR, cdp_url="")
    left_by = {"expired": ["no-url", "young"], "invalid": ["young"], "all": []}
    for what, names in left_by.items():
        assert command("cleanup", what, "--store", store_dir, "--yes").status == 0
        assert sorted(path.stem for path in store_dir.glob("*.json")) == names
    trash = command("trash", "list", "--store", store_dir, "-o", "json").json
    assert {row["name"]: row["reason"] for row in trash} == {
        "old": "idle",
        "corrupt": "invalid",
        "no-time": "invalid",
        "no-url": "invalid",
        "young": "requested",
    }
    assert all(list(row) == ["name", "run", "policy", "reason", "deleted_at", "size_bytes"] for row in trash)


def test_protect_holds_for_one_offs_but_not_for_a_named_session(command, store_dir, configured):
    many(store_dir, 2, idle=8 * DAY)
    file = configured([], {"protect": [{"name": "s00"}]})
    for what in ("expired", "all"):
        command("cleanup", what, "--store", store_dir, "--config", file, "--yes")
        assert [path.stem for path in store_dir.glob("*.json")] == ["s00"]
    assert command("session", "delete", "s00", "--store", store_dir, "--config", file, "--yes").status == 0
    assert left(store_dir) == 0


def test_what_is_restored_counts_as_accessed_now_and_is_otherwise_as_it_was(command, store_dir):
    path = write_session(store_dir, "a", **OLD, mode=0o640, extra={"x": [1]}, metadata={"n": 5})
    before = read_session(store_dir, "a")
    command("session", "delete", "a", "--store", store_dir, "--yes")
    assert command("trash", "restore", "a", "--store", store_dir).status == 0
    after = read_session(store_dir, "a")
    assert after.pop("last_accessed") > before.pop("last_accessed")
    assert (after, path.stat().st_mode & 0o777) == (before, 0o640)


def test_a_restore_over_a_session_changes_nothing_even_beside_others(command, store_dir):
    many(store_dir, 3)
    command("cleanup", "all", "--store", store_dir, "--yes")
    run = command("trash", "list", "--store", store_dir, "-o", "json").json[0]["run"]
    mine = write_session(store_dir, "s01", idle=0).read_bytes()
    for wanted in (["s01"], [run], ["s00", "s01"], ["s02", "nobody", "s01"]):
        assert command("trash", "restore", *wanted, "--store", store_dir).status == 1
        assert [path.stem for path in store_dir.glob("*.json")] == ["s01"]
        assert (store_dir / "s01.json").read_bytes() == mine
    (store_dir / "s01.json").unlink()
    assert command("trash", "restore", run, "--store", store_dir).status == 0
    assert left(store_dir) == 3


def test_without_a_trash_the_next_run_makes_it_final(command, store_dir, configured):
    many(store_dir, 3)
    file = configured([rule(**IDLE)], {"mode": "enforce", "trash": "none"})
    for _ in range(2):
        command("cleanup", "run", "--store", store_dir, "--config", file, "--yes")
    assert command("trash", "list", "--store", store_dir, "-o", "json").json == []


def test_a_trash_over_its_size_gives_up_the_oldest_first(command, store_dir, configured):
    size = write_session(store_dir, "a", **OLD).stat().st_size
    file = configured([rule(**IDLE)], {"mode": "enforce", "trash": {"max_bytes": 2 * size}})
    for name in "abcd":
        write_session(store_dir, name, **OLD)
        command("cleanup", "run", "--store", store_dir, "--config", file, "--yes")
    command("cleanup", "run", "--store", store_dir, "--config", file, "--yes")
    trash = command("trash", "list", "--store", store_dir, "-o", "json").json
    assert [row["name"] for row in trash] == ["c", "d"]


def test_an_explanation_names_policy_and_reason(command, store_dir, configured):
    write_session(store_dir, "a", **OLD)
    file = configured([rule("nightly", **IDLE)])
    done = command("policy", "explain", "a", "--store", store_dir, "--config", file)
    assert done.status == 0
    assert "nightly" in done.out
    assert "idle" in done.out
    assert command("policy", "explain", "nobody", "--store", store_dir, "--config", file).status == 1

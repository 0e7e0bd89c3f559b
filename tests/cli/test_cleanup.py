"""`cleanup`: deletes by policy into the trash, with guards and protect, and tells what it did and why."""

import json

import pytest
from support.sessions import DAY, HOUR, write_session

POLICIES = """
version: 1
cleanup: {protect: [{name: pinned}]}
policies:
  - name: idle
    interval: 1h
    match: {name: "a*"}
    expire: {idle_for: 1d}
    mode: enforce
  - name: rest
    interval: 1h
    expire: {idle_for: 1d}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text(POLICIES)
    return path


@pytest.fixture
def cleanup(command, store_dir, config):
    """Runs a cleanup command on the store by the configuration."""
    return lambda *arguments: command("cleanup", *arguments, "--store", store_dir, "--config", config)


def stems(store_dir):
    return {path.stem for path in store_dir.glob("*.json")}


def fill(store_dir, count, letter="a"):
    for number in range(count):
        write_session(store_dir, f"{letter}{number:02}", idle=2 * DAY)


def journal_of(store_dir):
    lines = (store_dir / ".raptor" / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class TestRun:
    def test_each_policy_runs_by_its_mode(self, cleanup, store_dir):
        for name in ("a1", "b1", "pinned"):
            write_session(store_dir, name, idle=2 * DAY)
        write_session(store_dir, "a2", idle=HOUR)
        result = cleanup("run", "--yes", "-o", "json")
        assert (result.status, result.err) == (0, "")
        assert [(r["name"], r["mode"], r["outcome"], r["candidates"], r["deleted"]) for r in result.json] == [
            ("idle", "enforce", "success", 1, 1),
            ("rest", "plan", "success", 1, 0),
        ]
        assert result.json[0]["sessions"] == [
            {"name": "a1", "result": "deleted", "reason": "idle", "detail": "idle 2d, more than 1d"}
        ]
        assert stems(store_dir) == {"a2", "b1", "pinned"}

    def test_enforce_carries_out_a_policy_in_mode_plan_this_once(self, cleanup, store_dir):
        write_session(store_dir, "b1", idle=2 * DAY)
        assert cleanup("run", "rest", "--yes").status == 0
        assert stems(store_dir) == {"b1"}
        assert cleanup("run", "rest", "--enforce", "--yes").status == 0
        assert stems(store_dir) == set()
        write_session(store_dir, "b1", idle=2 * DAY)
        assert cleanup("run", "rest", "--yes").status == 0
        assert stems(store_dir) == {"b1"}

    def test_enforce_and_a_name_leave_the_other_policies_alone(self, cleanup, store_dir):
        for name in ("a1", "b1"):
            write_session(store_dir, name, idle=2 * DAY)
        assert cleanup("run", "rest", "--enforce", "--yes").status == 0
        assert stems(store_dir) == {"a1"}

    def test_a_dry_run_tells_the_same_and_changes_nothing(self, cleanup, store_dir):
        write_session(store_dir, "a1", idle=2 * DAY)
        before = sorted(store_dir.iterdir())
        result = cleanup("run", "--dry-run", "-o", "json")
        assert result.status == 0
        assert result.json[0]["sessions"] == [
            {"name": "a1", "result": "would be deleted", "reason": "idle", "detail": "idle 2d, more than 1d"}
        ]
        assert (result.json[0]["deleted"], result.json[0]["outcome"]) == (0, None)
        assert sorted(store_dir.iterdir()) == before

    def test_without_a_terminal_it_needs_yes_where_something_would_go(self, cleanup, store_dir):
        assert cleanup("run").status == 0
        write_session(store_dir, "b1", idle=2 * DAY)  # of a policy in mode plan
        assert cleanup("run").status == 0
        write_session(store_dir, "a1", idle=2 * DAY)
        result = cleanup("run")
        assert (result.status, result.out) == (2, "")
        assert "--yes" in result.err
        assert stems(store_dir) == {"a1", "b1"}

    def test_a_refused_run_deletes_nothing_and_names_the_guard_its_figures_and_the_way_on(
        self, cleanup, store_dir
    ):
        fill(store_dir, 11)
        result = cleanup("run", "idle", "-o", "json")
        assert (result.status, result.json[0]["outcome"], result.json[0]["deleted"]) == (1, "refused", 0)
        for part in ("max_delete_ratio", "11 of all 11", "50.0%", "--force"):
            assert part in result.err
        assert len(stems(store_dir)) == 11
        assert journal_of(store_dir)[-1]["outcome"] == "refused"

    def test_force_goes_past_the_guard(self, cleanup, store_dir):
        fill(store_dir, 11)
        write_session(store_dir, "a-just-saved", idle=2 * DAY, changed=0)
        assert cleanup("run", "idle", "--force", "--yes").status == 0
        assert stems(store_dir) == set()

    def test_a_breach_in_a_dry_run_or_in_mode_plan_is_told_and_no_failure(self, cleanup, store_dir):
        fill(store_dir, 11)
        result = cleanup("run", "idle", "--dry-run")
        assert result.status == 0
        assert "would be refused by max_delete_ratio" in result.err
        for path in store_dir.glob("*.json"):
            path.rename(store_dir / f"b{path.name}")
        result = cleanup("run", "rest")
        assert result.status == 0
        assert "would be refused by max_delete_ratio" in result.err

    def test_an_unknown_policy_is_a_usage_error_before_anything_runs(self, cleanup, store_dir):
        write_session(store_dir, "a1", idle=2 * DAY)
        result = cleanup("run", "idle", "nope", "--yes")
        assert (result.status, result.out) == (2, "")
        assert "nope" in result.err
        assert "idle, rest" in result.err
        assert stems(store_dir) == {"a1"}

    def test_without_a_file_the_built_in_policies_run_in_mode_plan(self, command, store_dir):
        write_session(store_dir, "old", idle=8 * DAY)
        write_session(store_dir, "broken", data="{", changed=2 * HOUR)
        result = command("cleanup", "run", "-o", "json", "--store", store_dir)
        assert result.status == 0
        assert [(r["name"], r["mode"], r["candidates"]) for r in result.json] == [
            ("expired", "plan", 1),
            ("invalid", "plan", 1),
        ]
        assert stems(store_dir) == {"old", "broken"}

    def test_names_alone_are_the_sessions(self, cleanup, store_dir):
        write_session(store_dir, "a1", idle=3 * DAY)
        write_session(store_dir, "a2", idle=2 * DAY)
        assert cleanup("run", "--dry-run", "-o", "name").out == "a1\na2\n"
        rows = cleanup("run", "--dry-run", "-o", "jsonl").jsonl
        assert [row["name"] for row in rows] == ["idle", "rest"]

    def test_a_missing_store_is_status_1_and_is_not_made(self, cleanup, store_dir):
        store_dir.rmdir()
        for arguments in (["run"], ["expired"], ["invalid"], ["all"]):
            assert cleanup(*arguments, "--yes").status == 1
        assert not store_dir.exists()


class TestExpired:
    def test_it_deletes_what_was_idle_too_long_and_what_cannot_tell(self, command, store_dir):
        write_session(store_dir, "idle", idle=8 * DAY)
        write_session(store_dir, "at-six", idle=6 * DAY)
        write_session(store_dir, "corrupt", data="{", changed=HOUR)
        write_session(store_dir, "no-time", idle=HOUR, last_accessed="yesterday")
        write_session(store_dir, "no-created", idle=HOUR, created_at="yesterday")
        write_session(store_dir, "no-address", idle=HOUR, cdp_url="")
        write_session(store_dir, "no-address-idle", idle=8 * DAY, cdp_url="")
        result = command("cleanup", "expired", "--yes", "-o", "json", "--store", store_dir)
        assert result.status == 0
        assert {s["name"]: s["reason"] for s in result.json[0]["sessions"]} == {
            "idle": "idle",
            "no-address-idle": "idle",
            "corrupt": "invalid",
            "no-time": "invalid",
            "no-created": "invalid",
        }
        assert stems(store_dir) == {"at-six", "no-address"}

    @pytest.mark.parametrize(("age", "left"), [("8d", {"old"}), ("6d23h", set()), ("0", set())])
    def test_max_age_is_how_long(self, command, store_dir, age, left):
        write_session(store_dir, "old", idle=7 * DAY)
        assert command("cleanup", "expired", "--max-age", age, "--yes", "--store", store_dir).status == 0
        assert stems(store_dir) == left

    @pytest.mark.parametrize("age", ["7", "seven days", "-7d", "7d3", "1.5d", ""])
    def test_an_age_without_a_unit_is_a_usage_error(self, command, store_dir, age):
        write_session(store_dir, "old", idle=9 * DAY)
        assert command("cleanup", "expired", "--max-age", age, "--yes", "--store", store_dir).status == 2
        assert stems(store_dir) == {"old"}

    def test_protect_and_guards_hold(self, cleanup, store_dir):
        write_session(store_dir, "pinned", idle=90 * DAY)
        write_session(store_dir, "just-saved", idle=90 * DAY, changed=0)
        assert cleanup("expired", "--yes").status == 0
        assert stems(store_dir) == {"pinned", "just-saved"}
        assert cleanup("expired", "--yes", "--force").status == 0
        assert stems(store_dir) == {"pinned"}
        for number in range(11):
            write_session(store_dir, f"s{number}", idle=90 * DAY)
        result = cleanup("expired", "--yes")
        assert result.status == 1
        assert "max_delete_ratio" in result.err
        assert len(stems(store_dir)) == 12


class TestInvalidAndAll:
    def test_invalid_deletes_what_fails_a_check_and_nothing_that_cannot_be_read(self, cleanup, store_dir):
        write_session(store_dir, "valid", idle=90 * DAY)
        write_session(store_dir, "nameless", idle=HOUR, session_id="")
        write_session(store_dir, "lynx", idle=HOUR, browser_type="lynx")
        write_session(store_dir, "large", data=b" " * (1024 * 1024 + 1), changed=90 * DAY)
        result = cleanup("invalid", "--yes", "-o", "json")
        assert result.status == 0
        assert {s["name"]: (s["reason"], s["detail"]) for s in result.json[0]["sessions"]} == {
            "nameless": ("invalid", "invalid: missing_session_id"),
            "lynx": ("invalid", "invalid: invalid_browser_type"),
        }
        assert stems(store_dir) == {"valid", "large"}

    def test_what_min_age_spares_is_told_and_force_takes_it(self, cleanup, store_dir):
        write_session(store_dir, "broken", data="{")
        for arguments in (("--dry-run",), ()):
            result = cleanup("invalid", *arguments)
            assert (result.status, stems(store_dir)) == (0, {"broken"})
            assert result.err == (
                "invalid: min_age spares 1 session that changed in the last 1m; --force takes them too\n"
            )
        result = cleanup("invalid", "--force", "--yes")
        assert (result.status, result.err, stems(store_dir)) == (0, "", set())

    def test_all_knows_no_guards_but_protect(self, cleanup, store_dir):
        fill(store_dir, 12)
        write_session(store_dir, "just-saved")
        write_session(store_dir, "pinned", idle=90 * DAY)
        write_session(store_dir, "corrupt", data="", changed=0)
        write_session(store_dir, "large", data=b" " * (1024 * 1024 + 1))
        assert cleanup("all").status == 2
        result = cleanup("all", "--yes", "-o", "json")
        assert result.status == 0
        assert {s["reason"] for s in result.json[0]["sessions"]} == {"requested"}
        assert stems(store_dir) == {"pinned", "large"}
        assert cleanup("all").status == 0  # nothing would be deleted, so nobody is asked

    def test_everything_went_to_the_trash_and_is_in_the_journal_with_its_reason(self, cleanup, store_dir):
        write_session(store_dir, "one", idle=HOUR)
        cleanup("all", "--yes")
        (kept,) = store_dir.glob(".raptor/trash/*/one.json")
        assert json.loads(kept.read_text())["session_id"] == "one"
        told = [entry for entry in journal_of(store_dir) if entry.get("name") == "one"]
        assert [(entry["policy"], entry["reason"]) for entry in told] == [("all", "requested")]

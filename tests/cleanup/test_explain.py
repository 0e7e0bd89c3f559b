"""`explain` answers for every session that is or was there: why it stays, goes or went, and the way back."""

import json
import time
from datetime import datetime

import pytest
from support.example_stores import NOW, planned

from raptor_exporter.cleanup.execute import empty_trash, restore_from_trash, run_policy
from raptor_exporter.cleanup.explain import explain
from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import metadata_keys
from raptor_exporter.config import parse_config
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.files import FileStore

CONFIG = """
version: 1
cleanup: {mode: enforce, protect: [{name: pinned}]}
policies:
  - name: ci
    interval: 15m
    match: {metadata: {env: ci}}
    expire: {idle_for: 24h, older_than: 7d}
    keep: {last: 1}
  - name: broken
    interval: 15m
    match: {state: invalid}
    expire: {unmodified_for: 1h}
    mode: plan
"""
SESSIONS = {
    "ci-old": {"accessed": "30h", "metadata": {"env": "ci"}},
    "ci-aged": {"accessed": "3h", "created": "8d", "metadata": {"env": "ci"}},
    "ci-used": {"accessed": "4h", "metadata": {"env": "ci"}},
    "ci-last": {"accessed": "2h", "metadata": {"env": "ci"}},
    "pinned": {"accessed": "90d", "metadata": {"env": "ci"}},
    "corrupt": {"content": "null", "modified": "3h"},
    "other": {},
    "large": {"size": "1025KiB"},
}


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "store")


@pytest.fixture
def decided(store):
    return planned({"sessions": SESSIONS}, CONFIG, store.path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ci-used", "kept by ci: idle 4h of 1d; age 4h of 7d; expires in 20h unless accessed"),
        (
            "ci-last",
            "kept by ci: 1st of the last 1; idle 2h of 1d; age 2h of 7d; expires in 22h unless accessed",
        ),
        ("ci-old", "goes with the next run of ci (idle): idle 1d6h, more than 1d"),
        ("ci-aged", "goes with the next run of ci (old): created 8d ago, more than 7d"),
        ("pinned", "kept by ci: protected by protect[0]; idle 90d of 1d; age 90d of 7d"),
        (
            "corrupt",
            (
                "goes with the next run of broken (unmodified): unmodified for 3h, more than 1h (corrupt); "
                "the policy is in mode plan, so nothing is deleted"
            ),
        ),
        ("other", "kept: no policy matches it"),
        ("large", "kept: it can't be read now, so it is never deleted"),
    ],
)
def test_a_live_session_is_explained_by_the_plan(store, decided, name, text):
    found = explain(store, decided, name)
    assert (found.text, found.live) == (text, True)


def test_a_name_that_nobody_knows_has_no_explanation(store, decided):
    assert explain(store, decided, "nobody") is None


def test_a_session_is_found_by_its_own_name_too(store, decided):
    (store.path / "team-a.json").write_text(
        json.dumps(
            {
                "session_id": "team/-a",
                "cdp_url": "ws://127.0.0.1:1/devtools/browser/x",
                "browser_type": "chromium",
                "created_at": "2026-03-01T11:00:00Z",
                "last_accessed": "2026-03-01T11:00:00Z",
            }
        )
    )
    again = plan(store.refresh(None, Wanted()), parse_config("version: 1", "f").rules, NOW)
    assert explain(store, again, "team/-a").text == "kept: no policy matches it"


def test_a_refused_run_is_part_of_the_explanation(tmp_path):
    sessions = {f"s{i:02}": {"accessed": "2d"} for i in range(11)}
    config = "version: 1\npolicies: [{name: all, interval: 1h, mode: enforce, expire: {idle_for: 1d}}]"
    store = FileStore(tmp_path / "store")
    decided = planned({"sessions": sessions}, config, store.path)
    assert explain(store, decided, "s00").text == (
        "goes with the next run of all (idle): idle 2d, more than 1d; the run would be refused by "
        "max_delete_ratio: all would delete 11 of all 11 sessions (100.0%), at most 50.0% are allowed"
    )


def look_again(store, rules, later):
    return plan(store.refresh(None, Wanted(metadata_keys(rules))), rules, NOW + later)


def test_a_deleted_session_is_explained_with_the_way_back_and_after_emptying_without(store, decided):
    rules = parse_config(CONFIG, "f").rules
    run_policy(store, decided, "ci", rules.trash)
    two_days_later = look_again(store, rules, 2 * 86_400)
    why = "deleted 2d ago by ci, because idle 1d6h, more than 1d (idle)"
    found = explain(store, two_days_later, "ci-old")
    assert (found.text, found.live, found.policy, found.reason) == (
        f"{why}; restore with: raptor-exporter trash restore ci-old",
        False,
        "ci",
        "idle",
    )
    empty_trash(store, now=NOW + 2 * 86_400)
    assert (
        explain(store, two_days_later, "ci-old").text == f"{why}; it can't be restored: its trash was emptied"
    )


def test_a_restored_session_is_live_again_and_counts_as_accessed_now(store, decided):
    rules = parse_config(CONFIG, "f").rules
    run_policy(store, decided, "ci", rules.trash)
    before = time.time()
    restore_from_trash(store, "ci-old")
    after = time.time()
    found = explain(store, look_again(store, rules, after - NOW), "ci-old")
    assert (found.live, found.action) == (True, "keep")
    accessed = json.loads((store.path / "ci-old.json").read_text())["last_accessed"]
    assert before - 1e-3 <= datetime.fromisoformat(accessed).timestamp() <= after + 1e-3

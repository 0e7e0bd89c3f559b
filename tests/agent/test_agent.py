"""The agent as a process: whatever becomes of its store, it lives, tells, recovers and ends when asked to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from support.agent import running_agent
from support.mounts import needs_root
from support.processes import NOBODY
from support.sessions import DAY, write_session
from support.waiting import eventually

from raptor_exporter.cleanup.execute import recover
from raptor_exporter.stores.files import FileStore


def write_config(path, text="", *, refresh="100ms", policies=(("idle", "200ms", "7d"),), mode="enforce"):
    lines = [
        "version: 1",
        f"store: {{refresh_interval: {refresh}}}",
        f"cleanup: {{mode: {mode}, guards: {{max_delete_ratio: 1, min_age: 0s}}}}",
        "policies:",
        *(f"  - {{name: {n}, interval: {i}, expire: {{idle_for: {e}}}}}" for n, i, e in policies),
    ]
    path.write_text("\n".join(lines) + "\n" + text)
    return path


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "raptor.yaml")


def is_up(agent):
    return agent.value("raptor_store_up")


def count(agent, state="valid"):
    return agent.value("raptor_sessions", state=state)


# -- the store ---------------------------------------------------------------------------------------


def test_a_store_that_is_missing_comes_goes_and_is_replaced_while_the_agent_lives(tmp_path, config):
    path = tmp_path / "volume"
    with running_agent("--store", str(path), "--config", str(config), wait_ready=False) as agent:
        eventually(lambda: is_up(agent) == 0)
        assert not path.exists()  # a volume that is not mounted yet
        assert not agent.is_ready()
        assert agent.get("/-/healthy")
        assert agent.value("raptor_store_refresh_errors_total") > 0

        path.mkdir()
        write_session(path, "a")
        eventually(lambda: (is_up(agent), count(agent)) == (1, 1))
        assert agent.is_ready()

        os.rename(path, tmp_path / "old")
        eventually(lambda: is_up(agent) == 0)
        eventually(lambda: agent.value("raptor_cleanup_runs_total", policy="idle", outcome="error") > 0)

        path.mkdir()
        for name in "bcd":
            write_session(path, name)
        write_session(path, "overdue", idle=30 * DAY)
        eventually(lambda: (is_up(agent), count(agent)) == (1, 3))
        succeeded = agent.value("raptor_cleanup_runs_total", policy="idle", outcome="success")
        eventually(
            lambda: agent.value("raptor_cleanup_runs_total", policy="idle", outcome="success") > succeeded
        )
        assert agent.get("/-/healthy")
        assert agent.end() == 0
    assert not any("Traceback" in line for line in agent.log)
    assert sorted(p.name for p in path.glob("*.json")) == ["b.json", "c.json", "d.json"]


@needs_root
def test_a_store_of_another_user_is_down_until_it_may_be_read(open_dir, config):
    path = open_dir / "theirs"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)
    write_session(path, "a")
    # Root without its capabilities is a user like any other.
    with running_agent(
        "--store",
        str(path),
        "--config",
        str(config),
        wait_ready=False,
        before=("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
    ) as agent:
        eventually(lambda: is_up(agent) == 0)
        eventually(lambda: any("permission denied for uid 0" in line for line in agent.log))
        path.chmod(0o755)
        eventually(lambda: (is_up(agent), count(agent)) == (1, 1))
        os.chown(path / "a.json", NOBODY, NOBODY)
        eventually(lambda: (count(agent), count(agent, "unreadable")) == (0, 1))
        (path / "a.json").chmod(0o644)
        eventually(lambda: (count(agent), count(agent, "unreadable")) == (1, 0))
        assert agent.end() == 0
    assert not any("Traceback" in line for line in agent.log)


@needs_root
def test_odd_entries_neither_hang_nor_end_the_agent_and_nothing_outside_is_touched(tmp_path, store_dir):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = write_session(outside, "target", idle=300 * DAY)
    before = target.stat()
    write_session(store_dir, "valid")
    write_session(store_dir, "overdue", idle=300 * DAY)
    write_session(store_dir, "corrupt", data=b"\xff{", idle=300 * DAY)
    write_session(store_dir, "empty", data=b"", idle=300 * DAY)
    write_session(store_dir, "huge", data=b" " * (1 << 20) + b"{}", idle=300 * DAY)
    write_session(store_dir, ".hidden", idle=300 * DAY)
    write_session(store_dir, "foreign", idle=300 * DAY).rename(store_dir / "foreign.txt")
    (store_dir / "link.json").symlink_to(target)
    (store_dir / "loop.json").symlink_to("loop.json")
    (store_dir / "dangling.json").symlink_to("/nonexistent")
    (store_dir / "linked-folder").symlink_to(outside)
    (store_dir / "folder.json").mkdir()
    os.mkfifo(store_dir / "pipe.json")
    (store_dir / "device.json").symlink_to("/dev/zero")
    os.mknod(store_dir / "node.json", 0o666 | 0o020000, os.makedev(1, 5))
    (store_dir / os.fsdecode(b"caf\xe9.json")).write_text("{")
    config = write_config(
        tmp_path / "raptor.yaml",
        "  - {name: broken, interval: 200ms, match: {state: invalid}, expire: {unmodified_for: 1h}}\n",
    )
    with running_agent("--store", str(store_dir), "--config", str(config)) as agent:
        eventually(lambda: agent.value("raptor_trash_sessions") == 3)
        eventually(lambda: (count(agent), count(agent, "invalid"), count(agent, "unreadable")) == (1, 1, 1))
        assert agent.value("raptor_sessions_invalid", reason="corrupt") == 1  # fresh, by its mtime
        assert agent.end() == 0
    assert not any("Traceback" in line for line in agent.log)
    assert {t.name for t in FileStore(store_dir).trash.sessions()} == {"overdue", "corrupt", "empty"}
    assert (target.stat(), [p.name for p in outside.iterdir()]) == (before, ["target.json"])
    left = {p.name for p in store_dir.iterdir()}
    assert {"link.json", "pipe.json", "folder.json", "huge.json", ".hidden.json", "foreign.txt"} <= left


@pytest.mark.parametrize("plant", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/dev/zero")])
@pytest.mark.parametrize("what", [".raptor", ".raptor/journal.jsonl"])
def test_what_stands_in_the_place_of_ours_does_not_end_the_agent(store_dir, config, plant, what):
    write_session(store_dir, "a")
    (store_dir / ".raptor").mkdir()
    if what == ".raptor":
        (store_dir / ".raptor").rmdir()
    plant(store_dir / what)
    with running_agent("--store", str(store_dir), "--config", str(config)) as agent:
        eventually(lambda: count(agent) == 1)
        eventually(lambda: agent.value("raptor_cleanup_last_run_timestamp_seconds", policy="idle"))
        assert is_up(agent) == 1
        assert agent.end() == 0
    assert not any("Traceback" in line for line in agent.log)


def test_foreign_lines_in_the_journal_do_not_end_the_agent(store_dir, config):
    home = store_dir / ".raptor"
    home.mkdir()
    entry = {"type": "run", "run": None, "policy": "p", "mode": "enforce", "at": 1.0, "outcome": "success"}
    entry |= {"deleted": 1, "skipped": 0, "failed": 0, "bytes": 0, "error": None}
    lines = [
        entry,
        {**entry, "at": "now"},
        {**entry, "deleted": []},
        {"type": "run"},
        {**entry, "bytes": 1e999},
    ]
    (home / "journal.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"type": "run", torn')
    with running_agent("--store", str(store_dir), "--config", str(config)) as agent:
        eventually(lambda: agent.value("raptor_cleanup_last_run_timestamp_seconds", policy="idle"))
        assert agent.end() == 0


@needs_root
def test_a_store_that_is_read_only_can_be_watched_and_planned_on(store_dir, tmp_path, mounts):
    write_session(store_dir, "old", idle=30 * DAY)
    write_session(store_dir, "new")
    config = write_config(tmp_path / "raptor.yaml", mode="plan")
    read_only = mounts.read_only(store_dir)
    with running_agent("--store", str(read_only), "--config", str(config)) as agent:
        eventually(lambda: agent.value("raptor_cleanup_runs_total", policy="idle", outcome="success"))
        assert (is_up(agent), count(agent)) == (1, 2)
        assert agent.value("raptor_cleanup_candidates", policy="idle") == 1
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="idle", reason="idle") == 0
        assert agent.end() == 0
    assert not any("level=error" in line for line in agent.log)
    assert sorted(p.name for p in store_dir.iterdir()) == ["new.json", "old.json"]


# -- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(store_dir, number):
    with running_agent("--store", str(store_dir)) as agent:
        assert agent.end(number, within=5.0) == 0
    assert not any("Traceback" in line for line in agent.log)


PATCHED = """
import sys, threading, time
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.claiming import Run
{patch}
from raptor_exporter.cli import main
sys.exit(main())
"""
HANGING_REFRESH = """
plain = FileStore.refresh
def refresh(store, previous, wanted):
    if previous is not None:
        threading.Event().wait()
    return plain(store, previous, wanted)
FileStore.refresh = refresh
"""
HANGING_AT_FIRST = "FileStore.refresh = lambda *_: threading.Event().wait()"
HANGING_CLAIM = """
plain = Run.claim
def claim(run, chosen):
    sys.stderr.write("claiming\\n"); sys.stderr.flush()
    threading.Event().wait()
Run.claim = claim
"""
SLOW_CLAIM = """
plain = Run.claim
def claim(run, chosen):
    sys.stderr.write("claiming\\n"); sys.stderr.flush()
    time.sleep(0.01)
    return plain(run, chosen)
Run.claim = claim
"""


def patched(tmp_path, patch):
    script = tmp_path / "patched.py"
    script.write_text(PATCHED.format(patch=patch))
    return {"command": (sys.executable, str(script))}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("patch", [HANGING_AT_FIRST, HANGING_REFRESH], ids=["first", "later"])
def test_a_refresh_that_hangs_takes_the_store_down_and_delays_neither_a_scrape_nor_the_end(
    tmp_path, store_dir, config, patch, number
):
    write_session(store_dir, "a")
    with running_agent(
        "--store", str(store_dir), "--config", str(config), wait_ready=False, **patched(tmp_path, patch)
    ) as agent:
        eventually(lambda: is_up(agent) == 0)
        assert agent.get("/-/healthy")
        assert agent.end(number, within=5.0) == 0


def test_a_run_that_hangs_does_not_delay_the_end_and_is_finished_by_who_comes_next(
    tmp_path, store_dir, config
):
    write_session(store_dir, "old", idle=30 * DAY)
    with running_agent(
        "--store", str(store_dir), "--config", str(config), **patched(tmp_path, HANGING_CLAIM)
    ) as agent:
        eventually(lambda: "claiming" in agent.log)
        assert agent.end(within=5.0) == 0
    store = FileStore(store_dir)
    assert recover(store) == 1
    assert store.stems() == ["old"]


def test_the_end_in_the_middle_of_a_big_run_leaves_it_sealed_and_the_next_agent_goes_on(
    tmp_path, store_dir, config
):
    for number in range(1500):
        write_session(store_dir, f"s{number:04d}", idle=30 * DAY)
    arguments = ("--store", str(store_dir), "--config", str(config))
    with running_agent(*arguments, **patched(tmp_path, SLOW_CLAIM)) as agent:
        eventually(lambda: agent.log.count("claiming") > 20)
        assert agent.end(within=5.0) == 0
    store = FileStore(store_dir)
    assert recover(store) == 0  # it came to an orderly stop
    left, taken = len(store.stems()), len(store.trash.sessions())
    assert left > 0
    assert taken > 20
    assert left + taken == 1500
    told = next(e for e in store.journal.newest_first() if e["type"] == "run" and e["run"])
    assert (told["outcome"], told["deleted"]) == ("error", taken)
    with running_agent(*arguments) as agent:
        eventually(lambda: agent.value("raptor_trash_sessions") == 1500)
        deleted = agent.value("raptor_cleanup_deleted_sessions_total", policy="idle", reason="idle")
        assert deleted == left
        assert agent.end() == 0


# -- reloading ---------------------------------------------------------------------------------------


def reloads(agent):
    return agent.value("raptor_config_last_reload_success_timestamp_seconds")


def next_run(agent, policy):
    return agent.value("raptor_cleanup_next_run_timestamp_seconds", policy=policy)


def test_a_reload_keeps_the_times_of_unchanged_policies_and_begins_new_ones_at_0(store_dir, tmp_path):
    same, changed, gone = ("same", "30d", "7d"), ("changed", "30d", "7d"), ("gone", "30d", "7d")
    config = write_config(tmp_path / "raptor.yaml", policies=(same, changed, gone))
    with running_agent("--store", str(store_dir), "--config", str(config)) as agent:
        eventually(lambda: next_run(agent, "same"))
        before, loaded = next_run(agent, "same"), reloads(agent)
        write_config(config, policies=(("new", "30d", "7d"), ("changed", "30d", "8d"), same))
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads(agent) > loaded)
        assert next_run(agent, "same") == pytest.approx(before, abs=0.5)
        assert next_run(agent, "gone") is None
        eventually(lambda: next_run(agent, "new"))
        samples = agent.samples()
        for policy in ("new", "changed", "same"):
            for name, labels in (
                *(("raptor_cleanup_runs_total", {"outcome": o}) for o in ("success", "refused", "error")),
                *(
                    ("raptor_cleanup_deleted_sessions_total", {"reason": r})
                    for r in ("idle", "old", "unmodified", "unreachable", "cap")
                ),
                ("raptor_cleanup_deleted_bytes_total", {}),
                ("raptor_cleanup_failures_total", {}),
                ("raptor_cleanup_skipped_total", {}),
                ("raptor_cleanup_duration_seconds_count", {}),
            ):
                assert samples[name, frozenset({"policy": policy, **labels}.items())] == 0, (name, policy)
        eventually(lambda: agent.value("raptor_cleanup_candidates", policy="new") == 0)
        assert agent.end() == 0


def test_a_bad_file_or_another_store_is_refused_and_the_old_configuration_stays(store_dir, tmp_path):
    config = write_config(tmp_path / "raptor.yaml")
    arguments = ("--store", str(store_dir), "--config", str(config), "--config.reload-interval", "100ms")
    with running_agent(*arguments) as agent:
        assert agent.value("raptor_config_last_reload_successful") == 1
        config.write_text("version: 1\nstore: {url: /somewhere/else}\n")
        write_config(config, refresh="7s", policies=(("another", "1h", "1h"),))
        eventually(lambda: agent.value("raptor_config_last_reload_successful") == 0)
        eventually(lambda: any("store: must not change" in line for line in agent.log))
        assert agent.value("raptor_cleanup_enforced", policy="idle") == 1
        config.write_text("version: 1\npolicies: [7]\n")
        eventually(lambda: any("policies[0]" in line for line in agent.log))
        config.unlink()
        eventually(lambda: any("cannot be read" in line for line in agent.log))
        assert agent.value("raptor_cleanup_enforced", policy="idle") == 1
        write_config(config, policies=(("another", "1h", "1h"),))
        eventually(lambda: agent.value("raptor_config_last_reload_successful") == 1)
        assert agent.value("raptor_cleanup_enforced", policy="another") == 1
        assert agent.value("raptor_cleanup_enforced", policy="idle") is None
        assert agent.end() == 0
    assert not any("Traceback" in line for line in agent.log)


def test_a_config_map_that_swaps_its_links_is_noticed(store_dir, tmp_path):
    def publish(generation, policy):
        folder = tmp_path / f"..{generation}"
        folder.mkdir()
        write_config(folder / "raptor.yaml", policies=((policy, "1h", "7d"),))
        aside = tmp_path / "..data_tmp"
        aside.symlink_to(folder.name)
        os.rename(aside, tmp_path / "..data")

    publish("2026_1", "one")
    (tmp_path / "raptor.yaml").symlink_to("..data/raptor.yaml")
    arguments = ("--store", str(store_dir), "--config", str(tmp_path / "raptor.yaml"))
    with running_agent(*arguments, "--config.reload-interval", "100ms") as agent:
        assert agent.value("raptor_cleanup_interval_seconds", policy="one") == 3600
        publish("2026_2", "two")
        shutil.rmtree(tmp_path / "..2026_1")
        eventually(lambda: agent.value("raptor_cleanup_interval_seconds", policy="two") == 3600)
        assert agent.value("raptor_cleanup_interval_seconds", policy="one") is None
        assert agent.end() == 0

"""The main job from end to end: a real browser's session, a real agent, a real Prometheus."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest
from support.agent import running_agent
from support.chromium import running_chromium
from support.prometheus import running_prometheus
from support.sessions import DAY, HOUR, write_session
from support.waiting import eventually

from raptor_exporter import SessionManager

POLICIES = """\
version: 1
store: {{url: {store}, refresh_interval: 1s}}
cleanup: {{mode: enforce}}
policies:
  - name: idle
    interval: 2s
    expire: {{idle_for: 1d}}
"""


@pytest.fixture
def idle_store(store_dir):
    """Six idle sessions, one fresh one, two broken ones, and things that are no sessions."""
    for number in range(6):
        write_session(store_dir, f"idle-{number}", idle=2 * DAY)
    write_session(store_dir, "fresh", idle=HOUR)
    (store_dir / "corrupt.json").write_text("{")
    write_session(store_dir, "nowhere", cdp_url="")
    (store_dir / "notes.txt").write_text("not a session")
    return store_dir


def sizes(store):
    return sum(p.stat().st_size for p in store.glob("*.json"))


def test_prometheus_sees_the_four_figures_and_what_a_policy_did(idle_store, tmp_path):
    config = tmp_path / "raptor.yaml"
    config.write_text(POLICIES.format(store=idle_store))
    idle_bytes = sum(p.stat().st_size for p in idle_store.glob("idle-*.json"))
    kept_bytes = sizes(idle_store) - idle_bytes
    with running_agent("--store", str(idle_store)) as agent:  # built-in policies in mode plan: nothing goes
        scrape = {"job_name": "raptor", "static_configs": [{"targets": [agent.address]}]}
        settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        with running_prometheus(tmp_path / "before", settings) as prometheus:
            eventually(lambda: prometheus.value("up") == 1, what="Prometheus scrapes the agent")
            assert prometheus.value("sum(raptor_sessions)") == 9
            assert prometheus.value('raptor_sessions{state="invalid"}') == 2
            assert prometheus.value('raptor_sessions_invalid{reason="corrupt"}') == 1
            assert prometheus.value("raptor_session_storage_bytes") == idle_bytes + kept_bytes
            assert prometheus.value("sum(raptor_cleanup_deleted_sessions_total)") == 0
    with running_agent("--config", str(config)) as agent:
        scrape = {"job_name": "raptor", "static_configs": [{"targets": [agent.address]}]}
        settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        with running_prometheus(tmp_path / "after", settings) as prometheus:
            deleted = 'raptor_cleanup_deleted_sessions_total{policy="idle",reason="idle"}'
            eventually(lambda: prometheus.value(deleted) == 6, what="the policy has run and was scraped")
            assert prometheus.value('raptor_cleanup_deleted_bytes_total{policy="idle"}') == idle_bytes
            assert prometheus.value('raptor_cleanup_runs_total{policy="idle",outcome="success"}') >= 1
            eventually(lambda: prometheus.value("sum(raptor_sessions)") == 3, what="the new count is scraped")
            assert prometheus.value("raptor_session_storage_bytes") == kept_bytes
            assert prometheus.value("raptor_trash_sessions") == 6
    assert sorted(p.name for p in idle_store.glob("*.json")) == ["corrupt.json", "fresh.json", "nowhere.json"]


def test_a_real_browsers_session_is_valid_and_outlives_its_idle_neighbours(idle_store, tmp_path):
    config = tmp_path / "raptor.yaml"
    config.write_text(POLICIES.format(store=idle_store))

    async def save(cdp_url):
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright, SessionManager(idle_store) as manager:
            browser = await playwright.chromium.connect_over_cdp(cdp_url)
            return await manager.save_session(browser.contexts[0].pages[0], "login")

    with running_chromium() as chromium:
        info = asyncio.run(save(chromium.ws_url))
        assert info.cdp_url == chromium.ws_url
        with running_agent("--config", str(config)) as agent:
            assert agent.value("raptor_sessions_by_browser", browser_type="chromium") in (2, 8)
            eventually(lambda: agent.value("raptor_sessions", state="valid") == 2, what="the neighbours went")
            assert agent.end() == 0
        assert (idle_store / "login.json").exists()
        assert SessionManager(idle_store).validate_session("login")


def test_promtool_finds_nothing_in_the_exposition(idle_store):
    with running_agent("--store", str(idle_store)) as agent:
        eventually(lambda: agent.value("raptor_cleanup_candidates", policy="expired") is not None)
        text = agent.get("/metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_hostile_store_neither_hangs_nor_kills_the_agent(idle_store, tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (idle_store / "link.json").symlink_to(outside)
    (idle_store / "dangling.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(idle_store / "fifo.json")
    (idle_store / "folder.json").mkdir()
    (idle_store / "huge.json").write_bytes(b" " * (1024 * 1024 + 1))
    (idle_store / ".hidden.json").write_text("{")
    config = tmp_path / "raptor.yaml"
    config.write_text(
        POLICIES.format(store=idle_store)
        + "  - {name: broken, interval: 1s, match: {state: any}, expire: {unmodified_for: 1s}, "
        + "guards: {min_age: 0s, max_delete_ratio: 1.0}}\n"
    )
    with running_agent("--config", str(config)) as agent:
        eventually(lambda: agent.value("raptor_sessions", state="invalid") == 0, what="the broken ones went")
        eventually(lambda: agent.value("raptor_sessions", state="valid") == 1, what="the idle ones went")
        assert agent.value("raptor_sessions", state="unreadable") == 1
        assert agent.end() == 0
    left = sorted(p.name for p in idle_store.iterdir() if p.name != ".raptor")
    assert left == [
        ".hidden.json", "dangling.json", "fifo.json", "folder.json", "fresh.json", "huge.json", "link.json",
        "notes.txt",
    ]  # fmt: skip
    assert outside.read_text() == "{}"


def test_a_vanished_store_is_down_and_comes_back(store_dir, tmp_path):
    write_session(store_dir, "one")
    config = tmp_path / "raptor.yaml"
    config.write_text(f"version: 1\nstore: {{url: {store_dir}, refresh_interval: 500ms}}\n")
    aside = tmp_path / "aside"
    with running_agent("--config", str(config)) as agent:
        assert agent.value("raptor_store_up") == 1
        store_dir.rename(aside)
        eventually(lambda: agent.value("raptor_store_up") == 0, what="the store is down")
        assert agent.value("raptor_store_refresh_errors_total") >= 1
        assert agent.value("raptor_sessions", state="valid") == 1  # the last figures, with their age
        aside.rename(store_dir)
        write_session(store_dir, "two")
        eventually(lambda: agent.value("raptor_store_up") == 1, what="the store is up")
        eventually(lambda: agent.value("raptor_sessions", state="valid") == 2, what="it is counted anew")
        assert agent.end() == 0


def test_an_explicit_store_is_waited_for_and_not_made(tmp_path):
    store = tmp_path / "volume"
    with running_agent("--store", str(store), wait_ready=False) as agent:
        eventually(lambda: agent.value("raptor_store_up") == 0, what="the agent lives without its store")
        assert not store.exists()
        assert agent.value("raptor_cleanup_runs_total", policy="expired", outcome="success") == 0
        assert agent.end() == 0

"""An agent asks the browsers of its sessions, and deletes by what it hears, never by a guess."""

from __future__ import annotations

import contextlib
import json

import pytest
from support.agent import running_agent
from support.chromium import running_chromium
from support.listeners import answering, free_port, http_answer, silent
from support.sessions import DAY, write_session
from support.waiting import eventually

CONFIG = """\
version: 1
store: {refresh_interval: 200ms}
probe: {interval: 200ms, timeout: 200ms}
cleanup:
  mode: enforce
  guards: {max_delete_ratio: 1, min_age: 0s}
policies:
  - name: gone
    interval: 200ms
    expire: {unreachable_for: 400ms}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text(CONFIG)
    return path


def endpoints(agent):
    values = {
        r: agent.value("raptor_session_endpoints", result=r) for r in ("reachable", "unreachable", "unknown")
    }
    return tuple(values.values())


def names(store):
    return sorted(path.stem for path in store.glob("*.json"))


def test_each_session_counts_by_what_its_browser_said_and_only_proof_deletes(store_dir, config):
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(running_chromium())
        hung = stack.enter_context(silent())
        elsewhere = stack.enter_context(answering(b"", host="127.0.0.2"))
        location = f"Location: http://127.0.0.2:{elsewhere.port}/json/version\r\n"
        redirecting = stack.enter_context(answering(http_answer("", "302 Found", location)))
        secret = "/devtools/browser/secret"
        for name in ("shared-1", "shared-2", "shared-3"):
            write_session(store_dir, name, cdp_url=browser.ws_url, idle=DAY)
        write_session(store_dir, "hung", cdp_url=f"ws://{hung.address}{secret}", idle=DAY)
        write_session(store_dir, "redirected", cdp_url=f"ws://{redirecting.address}{secret}", idle=DAY)
        write_session(store_dir, "elsewhere", cdp_url=f"ws://{elsewhere.address}{secret}", idle=DAY)
        write_session(store_dir, "torn", data="{", idle=DAY)
        agent = stack.enter_context(running_agent("--store", str(store_dir), "--config", str(config)))

        eventually(lambda: endpoints(agent) == (3, 0, 3), what="three shared, three doubtful")
        assert agent.value("raptor_probe_duration_seconds_count") >= 1

        port = free_port()
        write_session(store_dir, "dead", cdp_url=f"ws://127.0.0.1:{port}{secret}", idle=DAY)
        eventually(lambda: "dead" not in names(store_dir), what="the dead one is deleted")
        assert names(store_dir) == [
            "elsewhere",
            "hung",
            "redirected",
            "shared-1",
            "shared-2",
            "shared-3",
            "torn",
        ]

        browser.stop()
        eventually(lambda: endpoints(agent) == (0, 0, 6), what="a frozen browser proves nothing")
        runs = agent.value("raptor_cleanup_runs_total", policy="gone", outcome="success")
        eventually(
            lambda: agent.value("raptor_cleanup_runs_total", policy="gone", outcome="success") > runs + 3,
            what="runs go by",
        )
        assert {"shared-1", "shared-2", "shared-3"} <= set(names(store_dir))

        browser.kill()
        eventually(lambda: names(store_dir) == ["elsewhere", "hung", "redirected", "torn"])
        eventually(lambda: endpoints(agent) == (0, 0, 3))
        deleted = agent.value("raptor_cleanup_deleted_sessions_total", policy="gone", reason="unreachable")
        assert deleted == 4
        journal = (store_dir / ".raptor" / "journal.jsonl").read_text()
        assert {json.loads(line)["name"] for line in journal.splitlines() if '"session"' in line} == {
            "dead", "shared-1", "shared-2", "shared-3"
        }  # fmt: skip
        for text in (journal, "\n".join(agent.log), agent.get("/metrics"), agent.get("/api/v1/sessions")):
            assert "secret" not in text
    assert elsewhere.connections == []


def test_without_probe_nobody_is_called_and_there_is_no_figure(store_dir):
    with answering(b"") as listener:
        write_session(store_dir, "one", cdp_url=f"ws://{listener.address}/devtools/browser/1")
        with running_agent("--store", str(store_dir)) as agent:
            assert "raptor_session_endpoints" not in agent.get("/metrics")
            assert agent.end() == 0
    assert listener.connections == []


def test_an_agent_ends_at_once_in_the_middle_of_a_probe(store_dir, tmp_path):
    config = tmp_path / "raptor.yaml"
    config.write_text("version: 1\nprobe: {interval: 1s, timeout: 1h}\n")
    with silent() as hung:
        write_session(store_dir, "hung", cdp_url=f"ws://{hung.address}/devtools/browser/1")
        with running_agent("--store", str(store_dir), "--config", str(config)) as agent:
            assert endpoints(agent) == (0, 0, 0)  # known from the start, before any answer
            assert agent.end() == 0

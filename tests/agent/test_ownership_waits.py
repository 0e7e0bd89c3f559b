"""A policy behind one that asks for endpoints waits for the probe: it must not take what the other owns."""

from __future__ import annotations

import contextlib

from support.agent import running_agent
from support.chromium import running_chromium
from support.listeners import silent
from support.sessions import DAY, write_session
from support.waiting import eventually

CONFIG = """\
version: 1
store: {refresh_interval: 200ms}
probe: {interval: 10m, timeout: 1s}
cleanup:
  mode: enforce
  guards: {max_delete_ratio: 1, min_age: 0s}
policies:
  - name: alive
    interval: 200ms
    match: {endpoint: reachable}
    expire: {idle_for: 30d}
  - name: rest
    interval: 200ms
    expire: {idle_for: 1d}
"""


def test_a_reachable_session_is_not_taken_before_the_first_probe_is_through(store_dir, tmp_path):
    config = tmp_path / "raptor.yaml"
    config.write_text(CONFIG)
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(running_chromium())
        hung = stack.enter_context(silent())  # holds the probe up for longer than an interval
        write_session(store_dir, "alive", cdp_url=browser.ws_url, idle=2 * DAY)
        write_session(store_dir, "hung", cdp_url=f"ws://{hung.address}/devtools/browser/x", idle=2 * DAY)
        write_session(store_dir, "used", cdp_url=f"ws://{hung.address}/devtools/browser/y")
        agent = stack.enter_context(running_agent("--store", str(store_dir), "--config", str(config)))
        eventually(lambda: not (store_dir / "hung.json").exists(), what="the rest is cleaned up")
        assert agent.value("raptor_session_endpoints", result="reachable") == 1
        assert sorted(path.stem for path in store_dir.glob("*.json")) == ["alive", "used"]

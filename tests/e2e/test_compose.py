"""compose.yaml, started: the agent on this machine's sessions, Prometheus and Alertmanager set up as shipped.

Grafana is not in Debian, so it stays out; Debian's Prometheus and Alertmanager stand in for the images of the
same names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import images
from support.prometheus import Prometheus
from support.sessions import write_session
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "docker" / "compose.yaml"
OWNER = 1234


@pytest.fixture(scope="module")
def prometheus(podman, tmp_path_factory):
    """What listens on port 9090 once everything is up."""
    store = tmp_path_factory.mktemp("home") / "sessions"
    store.mkdir(mode=0o700)
    write_session(store, "login", idle=60)
    for path in (store, *store.iterdir()):
        os.chown(path, OWNER, OWNER)
    environment = {
        **podman.environment,
        "RAPTOR_IMAGE": images.AGENT,
        "RAPTOR_SESSIONS": str(store),
        "RAPTOR_UID": str(OWNER),
        "RAPTOR_GID": str(OWNER),
        "PROMETHEUS_IMAGE": images.debian(podman, "prometheus", "/usr/bin/prometheus"),
        "ALERTMANAGER_IMAGE": images.debian(podman, "alertmanager", "/usr/bin/prometheus-alertmanager"),
    }
    compose = [sys.executable, "-m", "podman_compose", f"--podman-path={podman.script()}", "-f", str(COMPOSE)]

    def run(*words: str) -> None:
        done = subprocess.run(
            [*compose, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run("up", "-d", "--no-build", "agent", "alertmanager", "prometheus")
    try:
        server = Prometheus(9090)
        eventually(server.is_ready, within=60, what="Prometheus is ready")
        yield server
    finally:
        run("down", "--volumes", "--timeout=5")


def test_prometheus_scrapes_the_agent_on_the_sessions_of_this_machine(prometheus):
    eventually(lambda: prometheus.value("raptor_store_up") == 1, within=90, what="a scrape")
    assert prometheus.value('raptor_sessions{state="valid"}') == 1
    assert prometheus.value("raptor_store_writable") == 1


def test_prometheus_has_the_rules_and_found_alertmanager(prometheus):
    groups = prometheus.api("rules")["groups"]
    assert {group["name"] for group in groups} >= {"raptor-stores", "raptor-agent", "raptor-cleanup"}
    (manager,) = prometheus.api("alertmanagers")["activeAlertmanagers"]
    assert manager["url"] == "http://alertmanager:9093/api/v2/alerts"

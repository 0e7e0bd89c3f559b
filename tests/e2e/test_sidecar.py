"""The sidecar beside a real application, scraped and judged by the shipped configuration and rules."""

from __future__ import annotations

import math
import os
import re
import signal
import time
from pathlib import Path

import pytest
import yaml
from support import dashboards, hasten, images
from support.alertmanager import running_alertmanager
from support.keeper import running_keeper
from support.prometheus import running_prometheus
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "prometheus"
PATIENCE = 120.0

POLICIES = """
version: 1
store: {url: /var/lib/raptor/sessions, refresh_interval: 1s}
probe: {interval: 1s, timeout: 1s}
cleanup:
  mode: enforce
  trash: {retain: 1h}
  guards: {min_age: 0s}
  protect:
    - metadata: {pinned: "true"}
policies:
  - {name: crowd, interval: 3s, match: {name: "crowd-*"}, expire: {idle_for: 1h}}
  - name: mass
    interval: 3s
    match: {name: "mass-*"}
    expire: {idle_for: 1h}
    guards: {max_delete_ratio: 1}
  - {name: capped, interval: 3s, match: {name: "pinned-*"}, cap: {sessions: 1}}
  - {name: idle, interval: 3s, expire: {idle_for: 30d}}
"""


@pytest.fixture(scope="module")
def pod(podman, tmp_path_factory):
    quick = {"RAPTOR_CONFIG_RELOAD_INTERVAL": "1s", "KEEPER_SECONDS": "12"}
    with running_keeper(podman, tmp_path_factory.mktemp("pod"), "playwright", POLICIES, quick) as running:
        yield running


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    with running_alertmanager(tmp_path_factory.mktemp("am"), SHIPPED / "alertmanager.yml") as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(pod, alertmanager, tmp_path_factory):
    """The shipped configuration for Kubernetes; files tell what the cluster's API would tell."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((SHIPPED / "prometheus-kubernetes.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = hasten.rules(SHIPPED, folder)
    (scrape,) = config["scrape_configs"]
    assert scrape.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    # The other port of a pod, and a pod that has ended: the shipped relabelling drops both.
    other = {**pod.labels(), "__meta_kubernetes_pod_container_port_name": "http"}
    ended = {**pod.labels(), "__meta_kubernetes_pod_phase": "Succeeded"}
    targets = [
        {"targets": [f"{pod.address}:19222"], "labels": pod.labels()},
        {"targets": ["127.0.0.1:1"], "labels": other},
        {"targets": ["127.0.0.1:2"], "labels": ended},
    ]
    (folder / "pods.yml").write_text(yaml.safe_dump(targets))
    scrape["file_sd_configs"] = [{"files": [str(folder / "pods.yml")]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager.address]}]}]
    with running_prometheus(folder, config) as running:
        eventually(lambda: running.value('up{job="raptor-exporter"}') == 1, what="the first scrape")
        yield running


def test_prometheus_finds_the_pod_by_the_shipped_relabelling(pod, prometheus):
    (labels,) = prometheus.query("raptor_store_up")
    pod_name = pod.labels()["__meta_kubernetes_pod_name"]
    assert dict(labels) == {
        "__name__": "raptor_store_up",
        "job": "raptor-exporter",
        "namespace": "logins",
        "pod": pod_name,
        "instance": pod_name,
        "store": pod_name,
        "node": "node-1",
    }


def test_the_sessions_of_the_application_are_counted_and_their_browser_is_reached(prometheus):
    eventually(lambda: prometheus.value('raptor_sessions{state="valid"}') == 4, what="four sessions")
    eventually(
        lambda: prometheus.value('raptor_session_endpoints{result="reachable"}') == 4, what="four endpoints"
    )


def test_the_agent_runs_without_root_without_capabilities_on_a_read_only_root(pod):
    status = pod.status(pod.agent)
    assert set(status["Uid"].split()) == {"1000"}
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"] == "1"
    options = [
        line.split()[3].split(",")
        for line in Path(f"/proc/{pod.pid(pod.agent)}/mounts").read_text().splitlines()
        if line.split()[1] == "/"
    ]
    assert "ro" in options[-1]
    assert pod.status(pod.application)["Uid"].split()[0] == "1000"


def test_the_agent_names_the_revision_that_its_image_was_built_from(pod):
    assert f'revision="{images.REVISION}"' in pod.get("/metrics")


def test_the_command_line_beside_the_agent_knows_its_store(pod):
    listed = pod.podman("exec", pod.agent, "raptor-exporter", "session", "list", "-o", "name")
    assert listed.split() == ["alice", "bob", "carol", "dave"]
    # Without Playwright's driver in the image, restoring is said to be impossible.
    refused = pod.podman("exec", pod.agent, "raptor-exporter", "session", "restore", "alice", check=False)
    assert refused == ""


def test_what_kubernetes_would_probe_answers(pod):
    (deployment,) = [m for m in pod.manifests if m["kind"] == "Deployment"]
    (sidecar,) = deployment["spec"]["template"]["spec"]["initContainers"]
    for probe in ("startupProbe", "livenessProbe"):
        assert pod.answers(sidecar[probe]["httpGet"]["path"])


def test_nothing_is_alarming_about_a_healthy_pod(alertmanager, prometheus):
    eventually(lambda: prometheus.value("min(raptor_cleanup_last_success_timestamp_seconds)"), what="runs")
    assert prometheus.query('ALERTS{alertstate="firing"}') == {}
    assert alertmanager.alerts() == []


def corrupt_sessions(pod, prometheus):
    for number in range(4):
        path = pod.add(f"torn-{number}")
        path.write_text('{"session_id": "torn", ')
    return lambda: pod.remove("torn-*.json")


def make_a_session_unreadable(pod, prometheus):
    path = pod.add("private")
    path.chmod(0o600)
    os.chown(path, 0, 0)
    return path.unlink


def make_the_store_unreadable(pod, prometheus):
    mode = pod.store.stat().st_mode & 0o7777
    pod.store.chmod(0)
    return lambda: pod.store.chmod(mode)


def make_the_store_read_only(pod, prometheus):
    path = pod.add("ancient", idle=40 * 86400)
    mode = pod.store.stat().st_mode & 0o7777
    pod.store.chmod(0o555)

    def repair():
        pod.store.chmod(mode)
        eventually(lambda: not path.exists(), what="the deletion, now that it is possible")

    return repair


def break_the_policies(pod, prometheus):
    good = pod.configuration.read_text()
    pod.configuration.write_text(good.replace("interval: 3s", "intervall: 3s"))
    return lambda: pod.configuration.write_text(good)


def pin_more_than_the_cap(pod, prometheus):
    for number in range(3):
        pod.add(f"pinned-{number}", metadata={"pinned": "true"})
    return lambda: pod.remove("pinned-*.json")


def let_a_crowd_expire(pod, prometheus):
    # So many that a run in the middle of this, which takes up to ten of them, leaves enough to refuse.
    for number in range(40):
        pod.add(f"crowd-{number}", idle=7200)
    return lambda: pod.remove("crowd-*.json")


def delete_most_of_the_store(pod, prometheus):
    for number in range(30):
        pod.add(f"mass-{number}", idle=7200)
    return lambda: None  # an hour later it is history; here 20 seconds


def fill_the_store(pod, prometheus):
    for number in range(5):
        pod.add(f"large-{number}", metadata={"page": "x" * 900_000})
        # A slope takes several scrapes.
        eventually(lambda n=number: prometheus.value("raptor_session_storage_bytes") > 900_000 * (n + 1))
    return lambda: pod.remove("large-*.json")


def kill_the_browser(pod, prometheus):
    # The application would notice within seconds, and that may be sooner than the alert: it is held.
    application = pod.pid(pod.application)
    os.kill(application, signal.SIGSTOP)
    pod.kill_browser()
    return lambda: os.kill(application, signal.SIGCONT)  # it starts another, and saves its sessions anew


def kill_the_agent(pod, prometheus):
    pod.podman("kill", "--signal=KILL", pod.agent)
    return lambda: pod.podman("start", pod.agent)


TROUBLES = {
    "RaptorInvalidSessions": corrupt_sessions,
    "RaptorUnreadableSessions": make_a_session_unreadable,
    "RaptorStoreDown": make_the_store_unreadable,
    "RaptorRefreshStale": make_the_store_unreadable,
    "RaptorPolicyNotSucceeding": make_the_store_unreadable,
    "RaptorCleanupFailures": make_the_store_read_only,
    "RaptorStoreNotWritable": make_the_store_read_only,
    "RaptorConfigReloadFailed": break_the_policies,
    "RaptorCapExceeded": pin_more_than_the_cap,
    "RaptorCleanupRefused": let_a_crowd_expire,
    "RaptorMassDeletion": delete_most_of_the_store,
    "RaptorStorageFilling": fill_the_store,
    "RaptorEndpointsDead": kill_the_browser,
    "RaptorExporterDown": kill_the_agent,
}


def test_there_is_a_trouble_for_every_alert():
    shipped = yaml.safe_load((SHIPPED / "alerting-rules.yml").read_text())["groups"]
    assert set(TROUBLES) == {rule["alert"] for group in shipped for rule in group["rules"] if "alert" in rule}


def by_trouble() -> list[tuple]:
    """Alerts that share a trouble are awaited together."""
    makers = dict.fromkeys(TROUBLES.values())
    return [(maker, [alert for alert, of in TROUBLES.items() if of is maker]) for maker in makers]


@pytest.mark.parametrize(
    ("trouble", "alerts"), by_trouble(), ids=[maker.__name__ for maker, _ in by_trouble()]
)
def test_alerts_arrive_and_go_away_after_the_repair(pod, prometheus, alertmanager, trouble, alerts):
    repair = trouble(pod, prometheus)
    try:
        for alert in alerts:
            eventually(lambda a=alert: alertmanager.named(a), within=PATIENCE, what=f"{alert} arrives")
            (arrived, *_) = alertmanager.named(alert)
            assert arrived["labels"]["namespace"] == "logins"
            assert arrived["annotations"]["runbook_url"].endswith(f"#{alert.lower()}")
            assert "<no value>" not in "".join(arrived["annotations"].values())
    finally:
        repair()
    for alert in alerts:
        eventually(lambda a=alert: not alertmanager.named(a), within=PATIENCE, what=f"{alert} goes away")


@pytest.mark.parametrize("path", dashboards.DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_every_panel_returns_data(pod, prometheus, path):
    dashboard = dashboards.load(path)
    everything = {**dashboards.EVERYTHING, "__rate_interval": "5m", "__range": "15m"}
    chosen = {
        **everything,
        "namespace": "logins",
        "job": "raptor-exporter",
        "pod": pod.labels()["__meta_kubernetes_pod_name"],
        "instance": pod.labels()["__meta_kubernetes_pod_name"],
    }
    empty = []
    asked = [*dashboards.queries(dashboard), *dashboards.annotations(dashboard)]
    now = time.time()
    for values in (everything, chosen):
        for title, text in asked:
            result = prometheus.api(
                "query_range",
                query=dashboards.fill_in(text, values),
                start=str(now - 600),
                end=str(now),
                step="5",
            )["result"]
            figures = [float(value) for series in result for _, value in series["values"]]
            if not any(math.isfinite(figure) for figure in figures):
                empty.append((title, text))
    assert empty == []


@pytest.mark.parametrize("path", dashboards.DASHBOARDS, ids=lambda path: path.stem)
def test_every_variable_offers_the_pods_values(pod, prometheus, path):
    name = pod.labels()["__meta_kubernetes_pod_name"]
    offered = {}
    for variable in dashboards.load(path)["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
            values = prometheus.api(
                f"label/{label}/values", **{"match[]": dashboards.fill_in(selector, dashboards.EVERYTHING)}
            )
            offered[variable["name"]] = values
    assert offered == {
        "cluster": [],
        "namespace": ["logins"],
        "job": ["raptor-exporter"],
        "pod": [name],
        "instance": [name],
    }


def test_sigterm_ends_the_agent_within_its_grace_period(pod):
    """Last in this file: the pod goes."""
    began = time.monotonic()
    pod.podman("stop", "--time=30", pod.agent)
    assert time.monotonic() - began < 10.0
    assert pod.podman.state(pod.agent)["ExitCode"] == 0

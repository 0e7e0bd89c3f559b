"""Every metric that rules, dashboards, manifests and pages name is one that a running agent exports."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from support import dashboards, promql
from support.command import arguments_of, environment
from support.sessions import write_session
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# sessions.md names the fixtures of the pytest plugin instead.
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "sessions.md"]
NAMED = re.compile(r"(?<![\w./:-])(?:raptor:|store:)?raptor_[a-z0-9_:]+[a-z0-9](?![\w/.*(-])")
CONFIG = """
version: 1
store: {{url: {store}}}
probe: {{interval: 1m}}
policies:
  - {{name: idle, interval: 1h, expire: {{idle_for: 7d}}}}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> set[str]:
    """All names of series that an agent with a probe and a policy can export."""
    folder = tmp_path_factory.mktemp("agent")
    store = folder / "sessions"
    store.mkdir(mode=0o700)
    write_session(store, "login", idle=60)
    (folder / "raptor.yaml").write_text(CONFIG.format(store=store))
    with (folder / "log").open("wb") as log:
        agent = subprocess.Popen(
            arguments_of("serve", "--config", folder / "raptor.yaml", "--web.listen-address", "127.0.0.1:0"),
            env=environment(),
            stderr=log,
        )
    try:
        said = eventually(
            lambda: re.search(r"msg=listening address=([\d.:]+)", (folder / "log").read_text()),
            what="listening",
        )
        base = f"http://{said[1]}"
        eventually(lambda: _answers(f"{base}/-/ready"), what="ready")
        page = urllib.request.urlopen(f"{base}/metrics", timeout=10).read().decode()
    finally:
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(timeout=10) == 0
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "gaugehistogram": ("_bucket", "_gcount", "_gsum")}
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, flags=re.MULTILINE):
        names |= {name, *(name + suffix for suffix in suffixes.get(kind, ()))}
    return names | set(re.findall(r"^([a-z]\w*)", page, flags=re.MULTILINE))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def rules() -> list[dict]:
    return [
        rule
        for kind in ("recording", "alerting")
        for group in yaml.safe_load((ROOT / f"deploy/prometheus/{kind}-rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]


def test_rules_use_what_agents_export_and_what_is_recorded(exported):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = set().union(*(promql.metrics(rule["expr"]) for rule in rules()))
    assert used - exported - recorded == {"up"}
    assert recorded <= used


@pytest.mark.parametrize("path", dashboards.DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_what_agents_export(exported, path):
    dashboard = dashboards.load(path)
    asked = [*dashboards.queries(dashboard), *dashboards.annotations(dashboard)]
    used = set().union(*(promql.metrics(text) for _, text in asked))
    assert used - exported <= {"up"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_only_metrics_that_exist(exported, page):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = set(NAMED.findall(page.read_text()))
    assert named - exported - recorded - {"raptor_exporter"} == set()

"""The shipped rules and scrape configurations, judged by Prometheus's own tools."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted(PROMETHEUS.glob("*-rules.yml"))


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict]:
    groups = yaml.safe_load((PROMETHEUS / "alerting-rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_promtool_accepts_the_rules():
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))


def test_each_alert_fires_and_stays_quiet_as_its_unit_tests_say():
    run("promtool", "test", "rules", "rules-test.yml")


def test_unit_tests_hold_a_firing_and_a_quiet_moment_of_every_alert():
    cases = [
        case
        for test in yaml.safe_load((PROMETHEUS / "rules-test.yml").read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    names = {alert["alert"] for alert in alerts()}
    assert fires == names
    assert quiet == names


def test_promtool_accepts_the_scrape_configuration():
    run("promtool", "check", "config", "prometheus.yml")


def test_promtool_accepts_the_kubernetes_scrape_configuration(tmp_path):
    """Debian's promtool is built without Kubernetes discovery: files take its place."""
    config = yaml.safe_load((PROMETHEUS / "prometheus-kubernetes.yml").read_text())
    (scrape,) = config["scrape_configs"]
    assert scrape.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    scrape["file_sd_configs"] = [{"files": ["targets/agents.yml"]}]
    config["rule_files"] = [str(path) for path in RULE_FILES]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    run("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def test_amtool_accepts_the_alertmanager_configuration():
    run("amtool", "check-config", "alertmanager.yml")


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_says_what_is_wrong_how_bad_it_is_and_where_help_stands(alert):
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["summary"].endswith(".")
    assert len(annotations["summary"]) < 120
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert page.endswith("/docs/runbooks.md")
    assert anchor == alert["alert"].lower()


def test_all_runbook_links_lead_to_one_page_with_a_chapter_for_each_alert():
    pages = {alert["annotations"]["runbook_url"].partition("#")[0] for alert in alerts()}
    assert len(pages) == 1
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in alerts())

"""The dashboards: current, and held to the rules of Grafana's dashboard-linter (one test for each rule)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import dashboards, promql

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "grafana"
WITH_QUERIES = {"stat", "timeseries", "table", "heatmap"}
UNITS = {"short", "bytes", "s", "percentunit", "dateTimeFromNow"}

every_dashboard = pytest.mark.parametrize("path", dashboards.DASHBOARDS, ids=lambda path: path.stem)


def variables(dashboard: dict) -> dict[str, dict]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def test_there_are_an_overview_and_an_agent_dashboard():
    assert [path.stem for path in dashboards.DASHBOARDS] == ["agent", "overview"]


def test_the_committed_dashboards_are_what_the_code_makes():
    """`python -m grafana` writes them."""
    script = (
        "import json; from grafana import agent, overview; from grafana.document import render; "
        "print(json.dumps({'agent': render(agent.build()), 'overview': render(overview.build())}))"
    )
    made = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(made.stdout) == {path.stem: path.read_text() for path in dashboards.DASHBOARDS}


@every_dashboard
def test_the_data_source_is_a_variable(path):
    """template-datasource-rule"""
    variable = variables(dashboards.load(path))["datasource"]
    assert (variable["type"], variable["query"], variable["label"]) == (
        "datasource",
        "prometheus",
        "Data source",
    )


@every_dashboard
@pytest.mark.parametrize("name", ["job", "instance"])
def test_job_and_instance_can_be_chosen(path, name):
    """template-job-rule, template-instance-rule"""
    variable = variables(dashboards.load(path))[name]
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["type"] == "query"
    assert variable["label"] == name.title()
    assert variable["multi"] is True
    assert variable["allValue"] == ".+"


@every_dashboard
def test_the_variables_that_operators_ask_for_are_there(path):
    names = list(variables(dashboards.load(path)))
    assert names == ["datasource", "cluster", "namespace", "job", "pod", "instance"]


@every_dashboard
def test_variables_ask_prometheus_valid_questions(path, tmp_path):
    """template-label-promql-rule"""
    questions = []
    for variable in variables(dashboards.load(path)).values():
        if variable["type"] == "query":
            selector, _label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
            questions.append(dashboards.fill_in(selector, dashboards.EVERYTHING))
    promql.check(questions, tmp_path)


@every_dashboard
def test_variables_follow_the_time_range(path):
    """template-on-time-change-reload-rule"""
    queried = [v for v in variables(dashboards.load(path)).values() if v["type"] == "query"]
    assert {variable["refresh"] for variable in queried} == {2}


@every_dashboard
def test_every_panel_uses_the_chosen_data_source(path):
    """panel-datasource-rule"""
    for panel in dashboards.panels(dashboards.load(path)):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@every_dashboard
def test_every_panel_says_what_it_shows(path):
    """panel-title-description-rule"""
    for panel in dashboards.panels(dashboards.load(path)):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]


@every_dashboard
def test_every_panel_has_a_unit(path):
    """panel-units-rule; a table has one for each column of figures, a heatmap one on its axis"""
    for panel in dashboards.panels(dashboards.load(path)):
        if panel["type"] == "table":
            overridden = {o["matcher"]["options"]: o["properties"] for o in panel["fieldConfig"]["overrides"]}
            organize = panel["transformations"][-1]["options"]["renameByName"]
            columns = [title for field, title in organize.items() if field.startswith("Value #")]
            units = {p["value"] for c in columns for p in overridden[c] if p["id"] == "unit"}
        elif panel["type"] == "heatmap":
            units = {panel["options"]["yAxis"]["unit"]}
        else:
            units = {panel["fieldConfig"]["defaults"]["unit"]}
        assert units, panel["title"]
        assert units <= UNITS, panel["title"]


@every_dashboard
def test_every_panel_asks_something(path):
    """panel-no-targets-rule"""
    for panel in dashboards.panels(dashboards.load(path)):
        assert panel["type"] in WITH_QUERIES
        assert panel["targets"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))


@every_dashboard
def test_every_query_is_valid(path, tmp_path):
    """target-promql-rule"""
    dashboard = dashboards.load(path)
    asked = [*dashboards.queries(dashboard), *dashboards.annotations(dashboard)]
    promql.check([dashboards.fill_in(text, dashboards.EVERYTHING) for _, text in asked], tmp_path)


@every_dashboard
def test_rates_use_the_interval_that_grafana_computes(path):
    """target-rate-interval-rule"""
    for title, text in dashboards.queries(dashboards.load(path)):
        for window in re.findall(r"\birate\([^[]*\[([^]]+)]|\brate\([^[]*\[([^]]+)]", text):
            assert "".join(window) == "$__rate_interval", title


@every_dashboard
@pytest.mark.parametrize("label", ["job", "instance"])
def test_every_selector_obeys_the_variables(path, label):
    """target-job-rule, target-instance-rule"""
    for title, text in dashboards.queries(dashboards.load(path)):
        found = promql.selectors(text)
        assert {name for name, _ in found} == promql.metrics(text), title
        for _name, matchers in found:
            assert f'{label}=~"${label}"' in matchers, title


@every_dashboard
def test_counters_are_shown_as_rates_or_increases(path):
    """target-counter-agg-rule"""
    for title, text in dashboards.queries(dashboards.load(path)):
        for found in re.finditer(r"raptor_\w+_total|process_cpu_seconds_total", text):
            assert text[: found.start()].endswith(("rate(", "increase(")), title


@every_dashboard
def test_nobody_edits_a_generated_dashboard(path):
    """uneditable-dashboard"""
    assert dashboards.load(path)["editable"] is False


@every_dashboard
def test_panels_fill_their_rows_without_overlap(path):
    taken = set()
    for panel in dashboards.load(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_has_a_panel_that_leads_to_its_runbook():
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerting-rules.yml").read_text())
    wanted = {
        rule["annotations"]["runbook_url"]
        for group in rules["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    linked = {
        link["url"]
        for path in dashboards.DASHBOARDS
        for panel in dashboards.panels(dashboards.load(path))
        for link in panel.get("links", [])
    }
    assert linked == wanted


@every_dashboard
def test_runs_are_marked_at_their_own_time(path):
    (runs,) = [a for a in dashboards.load(path)["annotations"]["list"] if a["name"] == "Cleanup runs"]
    assert runs["useValueForTime"] is True
    assert runs["expr"].endswith(" * 1000")


@every_dashboard
def test_figures_that_agents_of_one_volume_share_are_never_summed_over_agents(path):
    """Each agent on a volume exports the same gauges: a sum is of stores, or of one agent's row."""
    shared = re.compile(r"\bsum(?: by \(([^)]*)\))? \(?(?:raptor_session|raptor_trash)\w*(?<!_total)\{")
    for title, text in dashboards.queries(dashboards.load(path)):
        for found in shared.finditer(text):
            assert "instance" in (found[1] or ""), title


def test_grafana_is_provisioned_with_the_dashboards_and_their_data_source():
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/raptor.yml").read_text())["providers"]
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    compose = yaml.safe_load((ROOT / "deploy/docker/compose.yaml").read_text())["services"]
    mounts = [mount.split(":") for mount in compose["grafana"]["volumes"]]
    assert ["../../grafana/dashboards", provider["options"]["path"], "ro"] in mounts
    assert ["../../grafana/provisioning", "/etc/grafana/provisioning", "ro"] in mounts
    assert {source["url"] for source in sources} == {"http://prometheus:9090", "http://alertmanager:9093"}
    assert {"prometheus", "alertmanager"} <= set(compose)

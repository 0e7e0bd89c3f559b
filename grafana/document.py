"""A dashboard as a document: its variables, its annotations, its text."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana import runbooks
from grafana.queries import VARIABLES, select

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_EVERY = model.VariableOption(selected=True, text="All", value="$__all")
# Labels that not every installation has: All fits a target without them too.
_MAY_BE_MISSING = {"cluster", "namespace", "pod"}
RUNS = "Cleanup runs"
DELETIONS = "Deletions"


def start(title: str, uid: str, description: str) -> build.Dashboard:
    """A dashboard with everything but its panels."""
    document = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["raptor-exporter"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("raptor-exporter")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["raptor-exporter"])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
        .link(
            build.DashboardLink("Runbooks")
            .type(model.DashboardLinkType.LINK)
            .icon("doc")
            .url(runbooks.page())
            .target_blank(True)
        )
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name in VARIABLES:
        document = document.with_variable(_variable(name))
    return document.annotation(
        build.AnnotationQuery()
        .name(RUNS)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(f"{select('raptor_cleanup_last_run_timestamp_seconds')} * 1000")
    ).annotation(
        build.AnnotationQuery()
        .name(DELETIONS)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(
            "sum by (instance, policy) "
            f"(increase({select('raptor_cleanup_deleted_sessions_total')}[$__rate_interval])) > 0"
        )
    )


def _variable(name: str) -> build.QueryVariable:
    earlier = VARIABLES[: VARIABLES.index(name)]
    narrowed = ", ".join(f'{other}=~"${other}"' for other in earlier)
    return (
        build.QueryVariable(name)
        .label(name.title())
        .datasource(DATASOURCE)
        .query(f"label_values(raptor_exporter_build_info{{{narrowed}}}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*" if name in _MAY_BE_MISSING else ".+")
        .current(_EVERY)
    )


def render(document: build.Dashboard) -> str:
    """The dashboard's JSON, always in the same order."""
    tree = json.loads(json.dumps(document.build(), cls=JSONEncoder))
    for number, panel in enumerate(tree["panels"], start=1):
        panel["id"] = number
    # What Prometheus annotations know and the library's type of them doesn't.
    for annotation in tree["annotations"]["list"]:
        if annotation["name"] == RUNS:
            annotation |= {
                "useValueForTime": True,  # the sample is the run's own time, in milliseconds
                "titleFormat": "{{policy}}",
                "textFormat": "ran on {{instance}}",
                "tagKeys": "policy",
            }
        if annotation["name"] == DELETIONS:
            annotation |= {"titleFormat": "{{policy}} deleted sessions", "textFormat": "on {{instance}}"}
    return json.dumps(tree, indent=2, sort_keys=True) + "\n"

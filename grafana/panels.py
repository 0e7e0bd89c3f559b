"""The kinds of panel that both dashboards are made of, each with a title, a description and a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as query
from grafana_foundation_sdk.models import common as style
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus

from grafana import runbooks
from grafana.document import DATASOURCE

Steps = Sequence[tuple[float | None, str]]
FINE: Steps = [(None, "text")]
NONE_IS_GOOD: Steps = [(None, "green"), (1, "red")]
ALL_OR_NOTHING: Steps = [(None, "red"), (1, "green")]
COLOURS = {
    "valid": "green",
    "reachable": "green",
    "success": "green",
    "invalid": "orange",
    "unknown": "yellow",
    "refused": "orange",
    "unreadable": "red",
    "unreachable": "red",
    "error": "red",
}

_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, table.Panel, heatmap.Panel)


def _framed(
    panel: _Panel, title: str, description: str, width: int, height: int, alerts: Sequence[str]
) -> _Panel:
    links = [
        build.DashboardLink(f"Runbook {alert}")
        .type(model.DashboardLinkType.LINK)
        .url(runbooks.url(alert))
        .target_blank(True)
        for alert in alerts
    ]
    return (
        panel.title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .links(links)  # type: ignore[arg-type]  # the library's lists are invariant
    )


def _letter(index: int) -> str:
    """How Grafana names a panel's queries."""
    return chr(ord("A") + index)


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def add(
    document: build.Dashboard,
    heading: str,
    *panels: stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel,
) -> build.Dashboard:
    """Add a row of panels under its heading."""
    document = document.with_row(build.Row(heading))
    for panel in panels:
        document = document.with_panel(panel)
    return document


def number(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str = "short",
    steps: Steps = FINE,
    width: int = 3,
    words: Mapping[str, tuple[str, str]] | None = None,
    alerts: Sequence[str] = (),
    decimals: int | None = None,
) -> stat.Panel:
    """One figure of now; `words` replaces values by a word and a colour."""
    panel = (
        _framed(stat.Panel(), title, description, width, 4, alerts)
        .with_target(query.Dataquery().expr(expression).instant().ref_id("A"))
        .unit(unit)
        .thresholds(_thresholds(steps))
        .color_mode(style.BigValueColorMode.VALUE if steps is FINE else style.BigValueColorMode.BACKGROUND)
        .graph_mode(style.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if words:
        results = {
            value: model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(words.items())
        }
        panel = panel.mappings([model.ValueMap(options=results)])
    return panel


def lines(
    title: str,
    description: str,
    series: Mapping[str, str],
    *,
    unit: str = "short",
    width: int = 8,
    stacked: bool = False,
    bars: bool = False,
    steps: Steps | None = None,
    alerts: Sequence[str] = (),
) -> timeseries.Panel:
    """Series over time; the keys are legends, the values queries."""
    panel = (
        _framed(timeseries.Panel(), title, description, width, 8, alerts)
        .unit(unit)
        .min(0)
        .fill_opacity(60 if bars else 15 if stacked else 5)
        .show_points(style.VisibilityMode.NEVER)
        .draw_style(style.GraphDrawStyle.BARS if bars else style.GraphDrawStyle.LINE)
        .legend(
            common.VizLegendOptions()
            .display_mode(style.LegendDisplayMode.LIST)
            .placement(style.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions().mode(style.TooltipDisplayMode.MULTI).sort(style.SortOrder.DESCENDING)
        )
    )
    for index, (legend, expression) in enumerate(series.items()):
        panel = panel.with_target(
            query.Dataquery().expr(expression).range().legend_format(legend).ref_id(_letter(index))
        )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(style.StackingMode.NORMAL))
    if steps:
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(style.GraphThresholdsStyleMode.DASHED)
        )
    for name, colour in COLOURS.items():
        panel = panel.override_by_name(
            name, [model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})]
        )
    return panel


def ages(title: str, description: str, expression: str, *, width: int = 12) -> heatmap.Panel:
    """Buckets of a histogram of seconds over time."""
    return (
        _framed(heatmap.Panel(), title, description, width, 8, ())
        .with_target(
            query.Dataquery()
            .expr(expression)
            .range()
            .ref_id("A")
            .format(prometheus.PromQueryFormat.HEATMAP)
            .legend_format("{{le}}")
        )
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(style.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("short"))
        .color(heatmap.HeatmapColorOptions().scheme("Oranges").steps(64))
        .show_legend()
    )


class Column:
    """One column of a table: a query, a unit, thresholds, words in place of numbers."""

    def __init__(
        self,
        title: str,
        expression: str,
        *,
        unit: str = "short",
        steps: Steps | None = None,
        words: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.title = title
        self.expression = expression
        self.unit = unit
        self.steps = steps
        self.words = words

    def properties(self) -> list[model.DynamicConfigValue]:
        """What Grafana overrides for this column."""
        found: list[tuple[str, object]] = [("unit", self.unit)]
        if self.steps:
            steps = [{"value": value, "color": colour} for value, colour in self.steps]
            found += [
                ("thresholds", {"mode": "absolute", "steps": steps}),
                ("custom.cellOptions", {"type": "color-text"}),
            ]
        if self.words:
            options = {
                value: {"text": text, "color": colour, "index": index}
                for index, (value, (text, colour)) in enumerate(self.words.items())
            }
            found += [
                ("mappings", [{"type": "value", "options": options}]),
                ("custom.cellOptions", {"type": "color-text"}),
            ]
        return [model.DynamicConfigValue(id_val=key, value=value) for key, value in found]


def grid(
    title: str,
    description: str,
    rows: Mapping[str, str],
    columns: Sequence[Column],
    *,
    width: int = 24,
    height: int = 8,
    link: tuple[str, str, str] | None = None,
    alerts: Sequence[str] = (),
) -> table.Panel:
    """A table with a row for each combination of the labels in `rows` (label to heading).

    `link` is a column's heading, a title and a URL.
    """
    panel = _framed(table.Panel(), title, description, width, height, alerts)
    renamed: dict[str, str] = dict(rows)
    for index, column in enumerate(columns):
        ref = _letter(index)
        panel = panel.with_target(
            query.Dataquery()
            .expr(column.expression)
            .instant()
            .format(prometheus.PromQueryFormat.TABLE)
            .ref_id(ref)
        ).override_by_name(column.title, column.properties())
        renamed[f"Value #{ref}"] = column.title
    if link:
        heading, text, url = link
        panel = panel.override_by_name(
            heading, [model.DynamicConfigValue(id_val="links", value=[{"title": text, "url": url}])]
        )
    return panel.with_transformation(
        model.DataTransformerConfig(id_val="merge", options={})
    ).with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate(renamed)},
                "renameByName": renamed,
            },
        )
    )

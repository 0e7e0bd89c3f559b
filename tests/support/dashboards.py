"""The generated dashboards, as tests read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

DASHBOARDS = sorted((Path(__file__).resolve().parents[2] / "grafana" / "dashboards").glob("*.json"))


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def panels(dashboard: dict) -> Iterator[dict]:
    """All panels but the rows' headings."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", [])


def queries(dashboard: dict) -> Iterator[tuple[str, str]]:
    """Every panel's title with each of its queries."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def annotations(dashboard: dict) -> Iterator[tuple[str, str]]:
    """Every annotation's name with its query."""
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def fill_in(expression: str, values: Mapping[str, str]) -> str:
    """The expression with its variables replaced, as Grafana does before it asks Prometheus."""
    filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values[found[1] or found[2]], expression)
    assert "$" not in filled.replace('"$1"', "")
    return filled


# What each variable is when nothing was chosen.
EVERYTHING = {
    "cluster": ".*",
    "namespace": ".*",
    "job": ".+",
    "pod": ".*",
    "instance": ".+",
    "__rate_interval": "5m",
    "__range": "6h",
    "1": "$1",
}

"""Writes the PrometheusRule of components/monitoring from deploy/prometheus: the rules have one source."""

from __future__ import annotations

from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
SOURCES = [HERE.parent / "prometheus" / f"{kind}-rules.yml" for kind in ("recording", "alerting")]
TARGET = HERE / "components" / "monitoring" / "prometheusrule.yaml"
HEADER = "# Made by deploy/kubernetes/prometheusrule.py from deploy/prometheus/*-rules.yml: change those.\n"


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as blocks, as people do."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render() -> str:
    """The manifest's text."""
    groups = [group for source in SOURCES for group in yaml.safe_load(source.read_text())["groups"]]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "raptor-exporter"},
        "spec": {"groups": groups},
    }
    return HEADER + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120)


if __name__ == "__main__":
    TARGET.write_text(render())

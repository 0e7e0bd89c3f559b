"""Writes each dashboard's JSON, which Grafana's provisioning reads."""

from __future__ import annotations

from pathlib import Path

from grafana import agent, overview
from grafana.document import render

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"


def main() -> None:
    """Write all dashboards."""
    for name, build in {"overview": overview.build, "agent": agent.build}.items():
        (DASHBOARDS / f"{name}.json").write_text(render(build()), encoding="utf-8")


if __name__ == "__main__":
    main()

"""A real Prometheus, asked through its own HTTP API."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from pathlib import Path

from support.servers import Server, running


class Prometheus(Server):
    """One running server."""

    def api(self, path: str, **query: str):
        """What ``/api/v1/...`` answers as its data."""
        return json.loads(self.get(f"/api/v1/{path}?{urllib.parse.urlencode(query)}"))["data"]

    def query(self, expression: str) -> dict[frozenset, float]:
        """An instant query's vector: labels as a frozen set of pairs → value."""
        result = self.api("query", query=expression)["result"]
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in result}

    def value(self, expression: str) -> float | None:
        """The value of a query that gives one series; None while it gives none."""
        values = list(self.query(expression).values())
        assert len(values) <= 1, values
        return values[0] if values else None


def running_prometheus(directory: Path, config: dict) -> contextlib.AbstractContextManager[Prometheus]:
    """Debian's Prometheus with a configuration (JSON is YAML) and its data below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.json"
    file.write_text(json.dumps(config))
    return running(
        Prometheus,
        directory,
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
    )

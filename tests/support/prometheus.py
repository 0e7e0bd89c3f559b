"""A real Prometheus on a loopback port, asked through its own HTTP API; always ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.listeners import free_port
from support.waiting import eventually


class Prometheus:
    """One running server."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self.log = log

    def api(self, path: str, **query: str):
        """What ``/api/v1/...`` answers as its data."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> dict[frozenset, float]:
        """An instant query's vector: labels as a frozen set of pairs → value."""
        result = self.api("query", query=expression)["result"]
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in result}

    def value(self, expression: str) -> float | None:
        """The value of a query that gives one series; None while it gives none."""
        values = list(self.query(expression).values())
        assert len(values) <= 1, values
        return values[0] if values else None

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{self.url}/-/ready", timeout=2) as response:
                return response.status == 200
        return False


@contextlib.contextmanager
def running_prometheus(directory: Path, config: dict) -> Iterator[Prometheus]:
    """Debian's Prometheus with a configuration (JSON is YAML) and its data below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.json"
    file.write_text(json.dumps(config))
    port = free_port()
    log = directory / "prometheus.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=stderr,
        )
    server = Prometheus(port, process, log)
    try:
        eventually(server.is_ready, what=f"Prometheus is ready, see {log}")
        yield server
    finally:
        process.kill()
        process.wait()

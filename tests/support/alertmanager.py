"""A real Alertmanager on a loopback port; always ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.listeners import free_port
from support.waiting import eventually


class Alertmanager:
    """One running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def _get(self, path: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return response.read()

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._get("/-/ready"))
        return False

    def alerts(self) -> list[dict]:
        """What has arrived and was not resolved, inhibited alerts included."""
        return json.loads(self._get("/api/v2/alerts?active=true&inhibited=true&silenced=true"))

    def named(self, alert: str) -> list[dict]:
        return [one for one in self.alerts() if one["labels"]["alertname"] == alert]


@contextlib.contextmanager
def running_alertmanager(directory: Path, config: Path) -> Iterator[Alertmanager]:
    """Debian's Alertmanager with a configuration file and its data below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = directory / "alertmanager.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stderr=stderr,
        )
    server = Alertmanager(port)
    try:
        eventually(server.is_ready, what=f"Alertmanager is ready, see {log}")
        yield server
    finally:
        process.kill()
        process.wait()

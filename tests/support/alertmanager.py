"""A real Alertmanager."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from support.servers import Server, running


class Alertmanager(Server):
    """One running server."""

    def alerts(self) -> list[dict]:
        """What has arrived and was not resolved, inhibited alerts included."""
        return json.loads(self.get("/api/v2/alerts?active=true&inhibited=true&silenced=true"))

    def named(self, alert: str) -> list[dict]:
        return [one for one in self.alerts() if one["labels"]["alertname"] == alert]


def running_alertmanager(directory: Path, config: Path) -> contextlib.AbstractContextManager[Alertmanager]:
    """Debian's Alertmanager with a configuration file and its data below ``directory``."""
    return running(
        Alertmanager,
        directory,
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={directory / 'data'}",
        "--cluster.listen-address=",
    )

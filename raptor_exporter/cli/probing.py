"""Probing once, for commands that decide by endpoints."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raptor_exporter.cleanup.match import Probes
    from raptor_exporter.cleanup.once import Ask
    from raptor_exporter.config import Config
    from raptor_exporter.stores.base import Snapshot


def asker(config: Config) -> Ask | None:
    """Asks a snapshot's endpoints as the configuration allows; None where it has no ``probe``."""
    probe = config.probe
    if probe is None:
        return None

    def ask(snapshot: Snapshot) -> Probes:
        from raptor_exporter.probe import ProbeHistory, probe_endpoints

        endpoints = {r.endpoint for r in snapshot.records.values() if r.endpoint is not None}
        at = time.time()
        results = asyncio.run(
            probe_endpoints(
                endpoints,
                timeout=probe.timeout,
                concurrency=probe.concurrency,
                allowed_hosts=probe.allowed_hosts,
            )
        )
        return ProbeHistory().record(results, at)

    return ask

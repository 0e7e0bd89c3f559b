"""``metrics``: the exposition once, for CI jobs without an agent."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, option

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from raptor_exporter.cleanup.match import Probes
    from raptor_exporter.cleanup.once import Ask
    from raptor_exporter.cleanup.policy import EndpointState
    from raptor_exporter.stores.base import Snapshot

_PUSH_SECONDS = 10.0
_JOB = "raptor_exporter"


@click.command(
    "metrics",
    epilog="""\b
Examples:
  raptor-exporter metrics
  raptor-exporter metrics --textfile /var/lib/node_exporter/raptor.prom
  raptor-exporter metrics --push http://127.0.0.1:9091
""",
)
@common
@option("--textfile", metavar="PATH", help="Write for node_exporter's textfile collector, atomically.")
@option("--push", metavar="URL", help="Push to a Pushgateway, as job raptor_exporter.")
def metrics(app: App, *, textfile: str | None, push: str | None) -> None:
    """Print the exposition once, without an agent.

    What policies would delete now is in it; counters of what was deleted are the agent's alone.
    """
    if textfile and push:
        raise click.UsageError("--textfile and --push exclude each other")
    from prometheus_client import generate_latest

    registry = _look(app)
    if push:
        _push(push, registry)
    elif textfile:
        _write_atomically(Path(textfile), generate_latest(registry))
    else:
        click.echo(generate_latest(registry), nl=False)


def _look(app: App) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    from raptor_exporter.cleanup.once import look
    from raptor_exporter.cli.probing import asker
    from raptor_exporter.metrics.cleanup import PlanCollector
    from raptor_exporter.metrics.exporter import BuildCollector
    from raptor_exporter.metrics.figures import StoreFigures
    from raptor_exporter.metrics.histogram import Durations
    from raptor_exporter.metrics.probe import ProbeCollector
    from raptor_exporter.metrics.store import SessionCollector, StoreCollector

    figures = StoreFigures()
    started = time.monotonic()
    rules = app.config.rules
    ask = asker(app.config)
    probed = None if ask is None else _Probed(ask)
    plan = look(app.store, rules, ask=probed, always=True, now=time.time())
    figures.durations.observe(time.monotonic() - started - (0.0 if probed is None else probed.seconds))
    figures.last_refresh = plan.snapshot.taken_at
    access = app.store.access(plan.snapshot)
    registry = CollectorRegistry()
    for collector in (
        SessionCollector(lambda: plan.snapshot),
        StoreCollector(figures, lambda: True, lambda: access.writable),
        PlanCollector(lambda: rules.policies, lambda: plan),
        BuildCollector(),
    ):
        registry.register(collector)
    if probed is not None:
        durations = Durations()
        durations.observe(probed.seconds)
        registry.register(ProbeCollector(lambda: probed.sessions, durations))
    return registry


class _Probed:
    """Asks once, and keeps what the metrics tell of it.

    Attributes:
        sessions: how many by what was found of their browsers.
        seconds: how long it took.
    """

    def __init__(self, ask: Ask) -> None:
        self.sessions: Counter[EndpointState] = Counter()
        self.seconds = 0.0
        self._ask = ask

    def __call__(self, snapshot: Snapshot) -> Probes:
        started = time.monotonic()
        probes = self._ask(snapshot)
        self.seconds = time.monotonic() - started
        endpoints = (r.endpoint for r in snapshot.records.values() if r.endpoint is not None)
        self.sessions.update(probes[endpoint].state for endpoint in endpoints)
        return probes


def _push(url: str, registry: CollectorRegistry) -> None:
    import http.client
    from functools import partial
    from urllib.parse import unquote, urlsplit

    from prometheus_client import push_to_gateway
    from prometheus_client.exposition import basic_auth_handler, default_handler

    try:
        gateway, handler = url, default_handler
        parts = urlsplit(url)
        if parts.username is not None:  # urllib would take it for a part of the host
            gateway = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            user, password = unquote(parts.username), unquote(parts.password or "")
            handler = partial(basic_auth_handler, username=user, password=password)
        push_to_gateway(gateway, job=_JOB, registry=registry, timeout=_PUSH_SECONDS, handler=handler)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise click.ClickException(f"the Pushgateway at {url} did not take the metrics: {reason}") from error


def _write_atomically(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one; node_exporter reads files that end in .prom."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.chmod(0o644)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}") from error

"""A hand-made agent for tests of its HTTP face."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client.metrics_core import GaugeMetricFamily

from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import (
    Cap,
    EndpointState,
    Expire,
    Globs,
    Match,
    Mode,
    Policy,
    Probed,
    Rules,
)
from raptor_exporter.config import Config, ProbeConfig
from raptor_exporter.session import Endpoint
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.record import Kind, Record, packed
from raptor_exporter.web.view import Build, ConfigState, PolicyState, RunSummary, StoreState

HOUR = 3600.0
DAY = 24 * HOUR

RULES = Rules(
    policies=(
        Policy(
            "ci-sessions",
            900.0,
            Match(metadata=(("env", Globs(("ci",))),)),
            Expire(idle_for=24 * HOUR, older_than=7 * DAY),
            mode=Mode.ENFORCE,
        ),
        Policy("broken", 900.0, Match(state="invalid"), Expire(unmodified_for=HOUR), mode=Mode.ENFORCE),
        Policy("everything-else", HOUR, Match(), Expire(idle_for=30 * DAY), Cap(sessions=20_000)),
    )
)


class Sessions:
    """A collector of two figures."""

    def __init__(self, view):
        self._view = view

    def collect(self):
        family = GaugeMetricFamily("raptor_sessions", "Session files", labels=["state"])
        snapshot = self._view.snapshot
        if snapshot is not None:
            for state, count in snapshot.totals.states.items():
                family.add_metric([state], count)
        return [family]


@dataclass
class View:
    """Everything that ``AgentView`` asks for, to be set by a test."""

    build: Build = field(default_factory=lambda: Build("1.2.3", "abc1234", "3.11.2"))
    started_at: float = field(default_factory=lambda: time.time() - 5 * HOUR)
    healthy: bool = True
    ready: bool = True
    config: Config = field(default_factory=lambda: Config(probe=ProbeConfig(), rules=RULES))
    config_state: ConfigState = field(
        default_factory=lambda: ConfigState("/etc/raptor/raptor.yaml", time.time() - 2 * HOUR)
    )
    store_state: StoreState = field(default_factory=lambda: StoreState("/home/me/.raptor/sessions", up=True))
    snapshot: Snapshot | None = None
    plan: object | None = None
    probes: Mapping[Endpoint, Probed] = field(default_factory=dict)
    policy_states: Mapping[str, PolicyState] = field(default_factory=dict)
    runs: Sequence[RunSummary] = ()
    collectors: list[object] = field(default_factory=list)
    reload_errors: list[str] = field(default_factory=list)
    reloads: int = 0

    def __post_init__(self):
        self.collectors = self.collectors or [Sessions(self)]

    def metadata(self, names):  # as little as a store that can't be read
        return {}

    async def reload(self) -> list[str]:
        self.reloads += 1
        return self.reload_errors


def record(
    name, *, idle=HOUR, age=None, state="valid", reason=None, size=400, endpoint=None, metadata=None, now=None
):
    """One session, last accessed ``idle`` and created ``age`` seconds ago."""
    now = time.time() if now is None else now
    invalid = state != "valid"
    age = idle + DAY if age is None else age
    reason = reason or ("corrupt" if state == "invalid" else None)
    browser_type, endpoint = (None, None) if invalid else ("chromium", endpoint)
    return Record(
        name,
        size,
        packed(1, int((now - idle) * 1e9), stamp=1),
        Kind(state, reason, browser_type, endpoint, metadata or {}),
        accessed=None if invalid else now - idle,
        created=None if invalid else now - age,
    )


def with_records(view, records, *, trash=(0, 0), probes=None):
    """Give a view these sessions, as after a refresh, a probe and a plan."""
    now = time.time()
    view.snapshot = Snapshot(
        {r.name: r for r in records}, now - 3, (1, 2), Wanted(), trash_sessions=trash[0], trash_bytes=trash[1]
    )
    view.probes = probes or {}
    view.plan = plan(view.snapshot, view.config.rules, now, view.probes)
    return view


def seven_sessions(view=None):
    """A small store with something of everything."""
    view = view or View()
    alive = Endpoint("ws", "127.0.0.1", 9222, "/devtools/browser/secret-1")
    gone = Endpoint("ws", "127.0.0.1", 9333, "/devtools/browser/secret-2")
    hung = Endpoint("wss", "browsers.example", 443, "/devtools/browser/secret-3")
    now = time.time()
    probes = {
        alive: Probed(EndpointState.REACHABLE),
        gone: Probed(EndpointState.UNREACHABLE, now - 600),
        hung: Probed(EndpointState.UNKNOWN),
    }
    records = [
        record("login", idle=120, endpoint=alive),
        record("checkout-flow", idle=3 * HOUR, endpoint=alive, metadata={"env": "ci"}),
        record("nightly-42", idle=30 * HOUR, endpoint=gone, metadata={"env": "ci"}, size=612),
        record("nightly-41", idle=54 * HOUR, endpoint=gone, metadata={"env": "ci"}, size=598),
        record("admin-staging", idle=9 * DAY, endpoint=hung, size=1834),
        record("half-written", idle=2 * HOUR, state="invalid", size=17),
        record("locked", idle=5 * HOUR, state="unreadable", size=400),
    ]
    view.policy_states = {
        "ci-sessions": PolicyState(
            last_run=now - 420, last_success=now - 420, last_outcome="success", next_run=now + 480
        ),
        "broken": PolicyState(
            last_run=now - 300,
            last_success=now - 4000,
            last_outcome="refused",
            last_detail="max_clock_jump: the clock jumped by 1h, runs wait until it was steady for 10m",
            next_run=now + 600,
        ),
        "everything-else": PolicyState(next_run=now + 1800),
    }
    view.runs = [
        RunSummary(
            "20261123T083000Z-ab12", "broken", "enforce", now - 300, "refused", detail="max_clock_jump"
        ),
        RunSummary("20261123T082800Z-cd34", "ci-sessions", "enforce", now - 420, "success", 3, 1, 0, 1530),
        RunSummary("20261123T081300Z-ef56", "ci-sessions", "enforce", now - 1320, "success", 0, 0, 0, 0),
    ]
    return with_records(view, records, trash=(12, 6340), probes=probes)


def many_sessions(count, view=None):
    """A large store, the same every time."""
    view = seven_sessions(view)
    few = list(view.snapshot.records.values())
    endpoints = [Endpoint("ws", "127.0.0.1", 20000 + n, f"/devtools/browser/secret-{n}") for n in range(40)]
    more = [
        record(
            f"load-{n:05d}",
            idle=60.0 + (n * 7919) % (40 * 24 * 3600),
            endpoint=endpoints[n % 40],
            size=300 + n % 700,
            metadata={"env": "ci"} if n % 3 == 0 else {},
        )
        for n in range(count - len(few))
    ]
    probes = {**view.probes, **{e: Probed(EndpointState.REACHABLE) for e in endpoints[::2]}}
    return with_records(view, few + more, trash=(12, 6340), probes=probes)


def reconfigured(view, **changes):
    """Change the configuration of a view."""
    view.config = replace(view.config, **changes)
    return view

"""One agent in detail: its store, its policies, its probes, its process."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import panels
from grafana.agent_cleanup import policies, probes
from grafana.agent_store import sessions, storage
from grafana.document import start
from grafana.panels import add
from grafana.queries import in_state, increase, of_agents, quantile, rate, select, total


def build() -> Dashboard:
    """The dashboard `raptor-agent`."""
    document = start(
        "Raptor / Agent",
        "raptor-agent",
        "One agent in detail. Choose one with Instance or Pod: of several the largest figure is shown.",
    )
    for add_row in (_now, sessions, storage, policies, probes, _process):
        document = add_row(document)
    return document


def _now(document: Dashboard) -> Dashboard:
    return add(
        document,
        "Now",
        panels.number(
            "Store",
            "Whether the last refresh worked and is less than three intervals old.",
            f"min({select('raptor_store_up')})",
            words={"0": ("down", "red"), "1": ("up", "green")},
            steps=panels.ALL_OR_NOTHING,
            alerts=["RaptorStoreDown"],
        ),
        panels.number(
            "Deleting",
            "Whether the agent may change the store, as far as permissions tell.",
            f"min({select('raptor_store_writable')})",
            words={"0": ("not allowed", "red"), "1": ("allowed", "green")},
            steps=panels.ALL_OR_NOTHING,
            alerts=["RaptorStoreNotWritable"],
        ),
        panels.number(
            "Valid",
            "Session files that pass all five checks.",
            f"max({in_state('valid')})",
            width=2,
        ),
        panels.number(
            "Invalid",
            "Session files that fail a check.",
            f"max({in_state('invalid')})",
            steps=[(None, "green"), (1, "orange")],
            width=2,
            alerts=["RaptorInvalidSessions"],
        ),
        panels.number(
            "Unreadable",
            "Session files that the agent may not read, or that are over 1 MiB. Never deleted.",
            f"max({in_state('unreadable')})",
            steps=panels.NONE_IS_GOOD,
            width=2,
            alerts=["RaptorUnreadableSessions"],
        ),
        panels.number(
            "Age of figures",
            "Time since the last good refresh: every figure of the store is that old.",
            f"max(time() - {select('raptor_store_last_refresh_timestamp_seconds')})",
            unit="s",
            steps=[(None, "green"), (300, "orange"), (900, "red")],
            alerts=["RaptorRefreshStale"],
        ),
        panels.number(
            "Oldest access",
            "When the valid session that was not used for longest was last accessed.",
            f"min({select('raptor_session_oldest_access_timestamp_seconds')}) * 1000",
            unit="dateTimeFromNow",
        ),
        panels.number(
            "Configuration",
            "Whether the last reload of the configuration worked.",
            f"min({select('raptor_config_last_reload_successful')})",
            words={"0": ("failed to reload", "red"), "1": ("current", "green")},
            steps=panels.ALL_OR_NOTHING,
            alerts=["RaptorConfigReloadFailed"],
        ),
        panels.number(
            "Running for",
            "Time since the agent's process started. Its counters start at 0 then.",
            f"max(time() - {of_agents(select('process_start_time_seconds'))})",
            unit="s",
        ),
    )


def _process(document: Dashboard) -> Dashboard:
    return add(
        document,
        "The agent itself",
        panels.lines(
            "Duration of refreshes",
            "Half and nine tenths of the refreshes of the store were faster.",
            {
                f"p{round(of * 100)}": quantile(of, "raptor_store_refresh_duration_seconds")
                for of in (0.5, 0.9)
            },
            unit="s",
            width=6,
            alerts=["RaptorRefreshStale"],
        ),
        panels.lines(
            "Refresh errors",
            "Refreshes of the store that failed.",
            {"{{instance}}": total(increase("raptor_store_refresh_errors_total"), "instance")},
            width=6,
            bars=True,
            alerts=["RaptorStoreDown"],
        ),
        panels.lines(
            "Memory",
            "Resident memory of the agent.",
            {"{{instance}}": f"max by (instance) ({of_agents(select('process_resident_memory_bytes'))})"},
            unit="bytes",
            width=6,
        ),
        panels.lines(
            "CPU",
            "Cores that the agent used.",
            {"{{instance}}": total(of_agents(rate("process_cpu_seconds_total")), "instance")},
            width=6,
        ),
        panels.lines(
            "Open files",
            "File descriptors of the agent, beside the most that it may open.",
            {
                "open": f"max({of_agents(select('process_open_fds'))})",
                "limit": f"max({of_agents(select('process_max_fds'))})",
            },
            width=12,
        ),
        panels.grid(
            "Builds",
            "Which version runs where.",
            {
                "instance": "Agent",
                "version": "Version",
                "revision": "Revision",
                "python_version": "Python",
            },
            [
                panels.Column(
                    "Agents",
                    "count by (instance, version, revision, python_version) "
                    f"({select('raptor_exporter_build_info')})",
                )
            ],
            width=12,
        ),
    )

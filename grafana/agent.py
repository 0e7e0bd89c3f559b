"""One agent in detail: its store, its policies, its probes, its process."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from grafana import panels
from grafana.document import start
from grafana.queries import in_state, increase, of_agents, quantile, rate, select, total

_ENFORCED = {"0": ("plan", "blue"), "1": ("enforce", "text")}
_HELD = {"0": ("held", "text"), "1": ("exceeded", "orange")}


def build() -> Dashboard:
    """The dashboard `raptor-agent`."""
    document = start(
        "Raptor / Agent",
        "raptor-agent",
        "One agent in detail. Choose one with Instance or Pod: figures of several are shown side by side.",
    )
    return _process(_probes(_policies(_storage(_sessions(_now(document))))))


def _now(document: Dashboard) -> Dashboard:
    return (
        document.with_row(Row("Now"))
        .with_panel(
            panels.number(
                "Store",
                "Whether the last refresh worked and is less than three intervals old.",
                f"min({select('raptor_store_up')})",
                words={"0": ("down", "red"), "1": ("up", "green")},
                steps=panels.ALL_OR_NOTHING,
                alerts=["RaptorStoreDown"],
            )
        )
        .with_panel(
            panels.number(
                "Deleting",
                "Whether the agent may change the store, as far as permissions tell.",
                f"min({select('raptor_store_writable')})",
                words={"0": ("not allowed", "red"), "1": ("allowed", "green")},
                steps=panels.ALL_OR_NOTHING,
                alerts=["RaptorStoreNotWritable"],
            )
        )
        .with_panel(
            panels.number(
                "Valid",
                "Session files that pass all five checks.",
                f"max({in_state('valid')})",
                width=2,
            )
        )
        .with_panel(
            panels.number(
                "Invalid",
                "Session files that fail a check.",
                f"max({in_state('invalid')})",
                steps=[(None, "green"), (1, "orange")],
                width=2,
                alerts=["RaptorInvalidSessions"],
            )
        )
        .with_panel(
            panels.number(
                "Unreadable",
                "Session files that the agent may not read, or that are over 1 MiB. Never deleted.",
                f"max({in_state('unreadable')})",
                steps=panels.NONE_IS_GOOD,
                width=2,
                alerts=["RaptorUnreadableSessions"],
            )
        )
        .with_panel(
            panels.number(
                "Age of figures",
                "Time since the last good refresh: every figure of the store is that old.",
                f"max(time() - {select('raptor_store_last_refresh_timestamp_seconds')})",
                unit="s",
                steps=[(None, "green"), (300, "orange"), (900, "red")],
                alerts=["RaptorRefreshStale"],
            )
        )
        .with_panel(
            panels.number(
                "Oldest access",
                "When the valid session that was not used for longest was last accessed.",
                f"min({select('raptor_session_oldest_access_timestamp_seconds')}) * 1000",
                unit="dateTimeFromNow",
            )
        )
        .with_panel(
            panels.number(
                "Configuration",
                "Whether the last reload of the configuration worked.",
                f"min({select('raptor_config_last_reload_successful')})",
                words={"0": ("failed to reload", "red"), "1": ("current", "green")},
                steps=panels.ALL_OR_NOTHING,
                alerts=["RaptorConfigReloadFailed"],
            )
        )
        .with_panel(
            panels.number(
                "Running for",
                "Time since the agent's process started. Its counters start at 0 then.",
                f"max(time() - {of_agents(select('process_start_time_seconds'))})",
                unit="s",
            )
        )
    )


def _sessions(document: Dashboard) -> Dashboard:
    return (
        document.with_row(Row("Sessions"))
        .with_panel(
            panels.lines(
                "Sessions by state",
                "All session files of the store.",
                {"{{state}}": f"max by (state) ({select('raptor_sessions')})"},
                stacked=True,
            )
        )
        .with_panel(
            panels.lines(
                "Valid sessions by browser",
                "Which browser the valid sessions belong to.",
                {"{{browser_type}}": f"max by (browser_type) ({select('raptor_sessions_by_browser')})"},
                stacked=True,
            )
        )
        .with_panel(
            panels.lines(
                "Invalid sessions by reason",
                "Which of the five checks fails.",
                {"{{reason}}": f"max by (reason) ({select('raptor_sessions_invalid')})"},
                stacked=True,
                alerts=["RaptorInvalidSessions"],
            )
        )
        .with_panel(
            panels.ages(
                "Time since last access",
                "How many valid sessions were last accessed how long ago. What climbs is not used.",
                f"max by (le) ({select('raptor_session_idle_seconds_bucket')})",
            )
        )
        .with_panel(
            panels.lines(
                "Time since last access, quantiles",
                "Half, nine tenths and 99 % of the valid sessions were accessed more recently.",
                {
                    f"p{round(of * 100)}": f"histogram_quantile({of}, "
                    f"max by (le) ({select('raptor_session_idle_seconds_bucket')}))"
                    for of in (0.5, 0.9, 0.99)
                },
                unit="s",
                width=12,
            )
        )
    )


def _storage(document: Dashboard) -> Dashboard:
    return (
        document.with_row(Row("Storage and trash"))
        .with_panel(
            panels.lines(
                "Bytes",
                "Session files and trash: together what the volume holds, and what counts towards its limit.",
                {
                    "sessions": f"max({select('raptor_session_storage_bytes')})",
                    "trash": f"max({select('raptor_trash_bytes')})",
                },
                unit="bytes",
                stacked=True,
                width=12,
                alerts=["RaptorStorageFilling"],
            )
        )
        .with_panel(
            panels.lines(
                "Sessions in the trash",
                "Deleted sessions that can still be restored.",
                {"trash": f"max({select('raptor_trash_sessions')})"},
                width=12,
            )
        )
    )


def _policies(document: Dashboard) -> Dashboard:
    by = "policy, instance"
    return (
        document.with_row(Row("Policies"))
        .with_panel(
            panels.grid(
                "Policies",
                "What each policy would do now, when it ran and when it runs next.",
                {"policy": "Policy", "instance": "Agent"},
                [
                    panels.Column(
                        "Mode", f"max by ({by}) ({select('raptor_cleanup_enforced')})", words=_ENFORCED
                    ),
                    panels.Column("Candidates", f"max by ({by}) ({select('raptor_cleanup_candidates')})"),
                    panels.Column(
                        "Interval", f"max by ({by}) ({select('raptor_cleanup_interval_seconds')})", unit="s"
                    ),
                    *(
                        panels.Column(
                            title, f"max by ({by}) ({select(metric)}) * 1000", unit="dateTimeFromNow"
                        )
                        for title, metric in {
                            "Last run": "raptor_cleanup_last_run_timestamp_seconds",
                            "Last success": "raptor_cleanup_last_success_timestamp_seconds",
                            "Next run": "raptor_cleanup_next_run_timestamp_seconds",
                        }.items()
                    ),
                    panels.Column(
                        "Cap", f"max by ({by}) ({select('raptor_cleanup_cap_exceeded')})", words=_HELD
                    ),
                ],
                alerts=["RaptorPolicyNotSucceeding", "RaptorCapExceeded"],
            )
        )
        .with_panel(
            panels.lines(
                "Candidates and deletions",
                "What the policies would delete now, and what they deleted. In mode plan candidates stay.",
                {
                    "{{policy}} candidates": f"max by (policy) ({select('raptor_cleanup_candidates')})",
                    "{{policy}} deleted": total(increase("raptor_cleanup_deleted_sessions_total"), "policy"),
                },
                alerts=["RaptorMassDeletion"],
            )
        )
        .with_panel(
            panels.lines(
                "Deletions by reason",
                "The first that held of idle, old, unmodified, unreachable and cap.",
                {"{{reason}}": total(increase("raptor_cleanup_deleted_sessions_total"), "reason")},
                bars=True,
                stacked=True,
            )
        )
        .with_panel(
            panels.lines(
                "Bytes deleted",
                "Bytes moved to the trash.",
                {"{{policy}}": total(increase("raptor_cleanup_deleted_bytes_total"), "policy")},
                unit="bytes",
                bars=True,
                stacked=True,
            )
        )
        .with_panel(
            panels.lines(
                "Run outcomes",
                "Runs that worked, that a guard refused, and that failed.",
                {"{{outcome}}": total(increase("raptor_cleanup_runs_total"), "outcome")},
                bars=True,
                stacked=True,
                alerts=["RaptorCleanupRefused", "RaptorPolicyNotSucceeding"],
            )
        )
        .with_panel(
            panels.lines(
                "Failed and spared",
                "Deletions that failed, and sessions spared because they changed after they were chosen.",
                {
                    "{{policy}} failed": total(increase("raptor_cleanup_failures_total"), "policy"),
                    "{{policy}} spared": total(increase("raptor_cleanup_skipped_total"), "policy"),
                },
                bars=True,
                alerts=["RaptorCleanupFailures"],
            )
        )
        .with_panel(
            panels.lines(
                "Duration of runs",
                "Nine of ten runs were faster.",
                {"{{policy}}": quantile(0.9, "raptor_cleanup_duration_seconds", "policy")},
                unit="s",
            )
        )
    )


def _probes(document: Dashboard) -> Dashboard:
    return (
        document.with_row(Row("Browsers"))
        .with_panel(
            panels.lines(
                "Endpoints by result",
                "What the last probe found behind the sessions. Empty without `probe:` in the configuration.",
                {"{{result}}": f"max by (result) ({select('raptor_session_endpoints')})"},
                stacked=True,
                width=12,
                alerts=["RaptorEndpointsDead"],
            )
        )
        .with_panel(
            panels.lines(
                "Duration of probes",
                "Half and nine tenths of the probes of all endpoints were faster.",
                {f"p{round(of * 100)}": quantile(of, "raptor_probe_duration_seconds") for of in (0.5, 0.9)},
                unit="s",
                width=12,
            )
        )
    )


def _process(document: Dashboard) -> Dashboard:
    return (
        document.with_row(Row("The agent itself"))
        .with_panel(
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
            )
        )
        .with_panel(
            panels.lines(
                "Refresh errors",
                "Refreshes of the store that failed.",
                {"{{instance}}": total(increase("raptor_store_refresh_errors_total"), "instance")},
                width=6,
                bars=True,
                alerts=["RaptorStoreDown"],
            )
        )
        .with_panel(
            panels.lines(
                "Memory",
                "Resident memory of the agent.",
                {"{{instance}}": f"max by (instance) ({of_agents(select('process_resident_memory_bytes'))})"},
                unit="bytes",
                width=6,
            )
        )
        .with_panel(
            panels.lines(
                "CPU",
                "Cores that the agent used.",
                {"{{instance}}": total(of_agents(rate("process_cpu_seconds_total")), "instance")},
                width=6,
            )
        )
        .with_panel(
            panels.lines(
                "Open files",
                "File descriptors of the agent, beside the most that it may open.",
                {
                    "open": f"max({of_agents(select('process_open_fds'))})",
                    "limit": f"max({of_agents(select('process_max_fds'))})",
                },
                width=12,
            )
        )
        .with_panel(
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
            )
        )
    )

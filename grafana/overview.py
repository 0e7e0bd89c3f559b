"""The fleet: every agent and store that Prometheus sees."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import panels
from grafana.document import start
from grafana.panels import add
from grafana.queries import in_state, increase, once_per_store, scrapes, select, total

_AGENT = (
    "/d/raptor-agent?var-datasource=${datasource}&var-instance=${__data.fields.Agent}&${__url_time_range}"
)
_INVALID_RATIO = (
    once_per_store("raptor_sessions", matchers=('state="invalid"',))
    + " / clamp_min("
    + once_per_store("raptor_sessions", matchers=('state=~"valid|invalid"',))
    + ", 1)"
)


def build() -> Dashboard:
    """The dashboard `raptor-overview`."""
    document = start(
        "Raptor / Overview",
        "raptor-overview",
        "Sessions, storage and cleanup of all agents. A store that several agents watch is counted once.",
    )
    for add_row in (_fleet, _sessions, _cleanup, _agents):
        document = add_row(document)
    return document


def _fleet(document: Dashboard) -> Dashboard:
    return add(
        document,
        "Fleet",
        panels.number(
            "Agents up",
            "Agents that answered Prometheus's last scrape.",
            f"sum({scrapes()})",
            alerts=["RaptorExporterDown"],
        ),
        panels.number(
            "Agents down",
            "Agents that Prometheus knows of and could not scrape.",
            f"count({scrapes()}) - sum({scrapes()})",
            steps=panels.NONE_IS_GOOD,
            alerts=["RaptorExporterDown"],
        ),
        panels.number(
            "Stores down",
            "Agents whose last refresh of the store failed or is older than three intervals.",
            f"count({select('raptor_store_up')}) - sum({select('raptor_store_up')})",
            steps=panels.NONE_IS_GOOD,
            alerts=["RaptorStoreDown"],
        ),
        panels.number(
            "Valid sessions",
            "Session files that pass all five checks.",
            once_per_store("raptor_sessions", matchers=('state="valid"',)),
        ),
        panels.number(
            "Invalid",
            "Share of the readable session files that fail a check.",
            _INVALID_RATIO,
            unit="percentunit",
            steps=[(None, "green"), (0.05, "orange"), (0.2, "red")],
            alerts=["RaptorInvalidSessions"],
        ),
        panels.number(
            "Storage",
            "Bytes in session files, the trash not counted.",
            once_per_store("raptor_session_storage_bytes"),
            unit="bytes",
            alerts=["RaptorStorageFilling"],
        ),
        panels.number(
            "Trash",
            "Bytes of deleted sessions that can still be restored. They fill the volume too.",
            once_per_store("raptor_trash_bytes"),
            unit="bytes",
            alerts=["RaptorStorageFilling"],
        ),
        panels.number(
            "Deleted",
            "Sessions that policies deleted in the time range shown.",
            total(increase("raptor_cleanup_deleted_sessions_total", over="$__range")),
            decimals=0,
            alerts=["RaptorMassDeletion"],
        ),
    )


def _sessions(document: Dashboard) -> Dashboard:
    return add(
        document,
        "Sessions",
        panels.lines(
            "Sessions by state",
            "All session files: valid, invalid, and those that cannot be read now.",
            {"{{state}}": once_per_store("raptor_sessions", "state")},
            stacked=True,
            alerts=["RaptorInvalidSessions", "RaptorUnreadableSessions"],
        ),
        panels.lines(
            "Valid sessions by namespace",
            "Where the sessions are. Targets outside Kubernetes have no namespace.",
            {
                "{{namespace}}": "sum by (namespace) (max by (cluster, namespace, job, store) ("
                + select("raptor_sessions", 'state="valid"', 'store!=""')
                + " or label_replace("
                + select("raptor_sessions", 'state="valid"', 'store=""')
                + ', "store", "$1", "instance", "(.+)")))'
            },
            stacked=True,
        ),
        panels.lines(
            "Storage and trash",
            "Bytes in session files and in the trash: together what the volumes hold.",
            {
                "sessions": once_per_store("raptor_session_storage_bytes"),
                "trash": once_per_store("raptor_trash_bytes"),
            },
            unit="bytes",
            stacked=True,
            alerts=["RaptorStorageFilling"],
        ),
    )


def _cleanup(document: Dashboard) -> Dashboard:
    return add(
        document,
        "Cleanup",
        panels.lines(
            "Deletions by reason",
            "Sessions that policies moved to the trash, by the first reason that held.",
            {"{{reason}}": total(increase("raptor_cleanup_deleted_sessions_total"), "reason")},
            bars=True,
            stacked=True,
            alerts=["RaptorMassDeletion"],
        ),
        panels.lines(
            "Runs that did not succeed",
            "Runs that a guard refused and runs that failed.",
            {
                "{{outcome}}": total(
                    increase("raptor_cleanup_runs_total", 'outcome=~"refused|error"'), "outcome"
                )
            },
            bars=True,
            stacked=True,
            alerts=["RaptorCleanupRefused", "RaptorPolicyNotSucceeding"],
        ),
        panels.lines(
            "Candidates by policy",
            "Sessions that each policy would delete now. In mode plan they stay.",
            {"{{policy}}": f"max by (policy) ({select('raptor_cleanup_candidates')})"},
        ),
    )


def _agents(document: Dashboard) -> Dashboard:
    by = "cluster, namespace, pod, instance"
    return add(
        document,
        "Agents",
        panels.grid(
            "Agents",
            "One row for each agent; its name leads to its own dashboard.",
            {"instance": "Agent", "cluster": "Cluster", "namespace": "Namespace", "pod": "Pod"},
            [
                panels.Column(
                    "Store",
                    f"max by ({by}) ({select('raptor_store_up')})",
                    words={"0": ("down", "red"), "1": ("up", "green")},
                ),
                panels.Column("Sessions", f"sum by ({by}) ({select('raptor_sessions')})"),
                panels.Column(
                    "Invalid",
                    f"sum by ({by}) ({in_state('invalid')})",
                    steps=[(None, "text"), (1, "orange")],
                ),
                panels.Column(
                    "Unreadable",
                    f"sum by ({by}) ({in_state('unreadable')})",
                    steps=[(None, "text"), (1, "red")],
                ),
                panels.Column(
                    "Storage", f"max by ({by}) ({select('raptor_session_storage_bytes')})", unit="bytes"
                ),
                panels.Column("Trash", f"max by ({by}) ({select('raptor_trash_bytes')})", unit="bytes"),
                panels.Column(
                    "Age of figures",
                    f"max by ({by}) (time() - {select('raptor_store_last_refresh_timestamp_seconds')})",
                    unit="s",
                    steps=[(None, "text"), (900, "red")],
                ),
                panels.Column(
                    "Configuration",
                    f"max by ({by}) ({select('raptor_config_last_reload_successful')})",
                    words={"0": ("failed to reload", "red"), "1": ("current", "green")},
                ),
            ],
            height=10,
            link=("Agent", "This agent", _AGENT),
            alerts=["RaptorExporterDown", "RaptorStoreDown", "RaptorConfigReloadFailed"],
        ),
    )

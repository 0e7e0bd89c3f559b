"""The rows of the agent's dashboard about its policies, and the browsers that they ask."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import panels
from grafana.panels import add
from grafana.queries import increase, quantile, select, total

_ENFORCED = {"0": ("plan", "blue"), "1": ("enforce", "text")}
_HELD = {"0": ("held", "text"), "1": ("exceeded", "orange")}


def policies(document: Dashboard) -> Dashboard:
    """Add the row."""
    by = "policy, instance"
    return add(
        document,
        "Policies",
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
                    panels.Column(title, f"max by ({by}) ({select(metric)}) * 1000", unit="dateTimeFromNow")
                    for title, metric in {
                        "Last run": "raptor_cleanup_last_run_timestamp_seconds",
                        "Last success": "raptor_cleanup_last_success_timestamp_seconds",
                        "Next run": "raptor_cleanup_next_run_timestamp_seconds",
                    }.items()
                ),
                panels.Column("Cap", f"max by ({by}) ({select('raptor_cleanup_cap_exceeded')})", words=_HELD),
            ],
            alerts=["RaptorPolicyNotSucceeding", "RaptorCapExceeded"],
        ),
        panels.lines(
            "Candidates and deletions",
            "What the policies would delete now, and what they deleted. In mode plan candidates stay.",
            {
                "{{policy}} candidates": f"max by (policy) ({select('raptor_cleanup_candidates')})",
                "{{policy}} deleted": total(increase("raptor_cleanup_deleted_sessions_total"), "policy"),
            },
            alerts=["RaptorMassDeletion"],
        ),
        panels.lines(
            "Deletions by reason",
            "The first that held of idle, old, unmodified, unreachable and cap.",
            {"{{reason}}": total(increase("raptor_cleanup_deleted_sessions_total"), "reason")},
            bars=True,
            stacked=True,
        ),
        panels.lines(
            "Bytes deleted",
            "Bytes moved to the trash.",
            {"{{policy}}": total(increase("raptor_cleanup_deleted_bytes_total"), "policy")},
            unit="bytes",
            bars=True,
            stacked=True,
        ),
        panels.lines(
            "Run outcomes",
            "Runs that worked, that a guard refused, and that failed.",
            {"{{outcome}}": total(increase("raptor_cleanup_runs_total"), "outcome")},
            bars=True,
            stacked=True,
            alerts=["RaptorCleanupRefused", "RaptorPolicyNotSucceeding"],
        ),
        panels.lines(
            "Failed and spared",
            "Deletions that failed, and sessions spared because they changed after they were chosen.",
            {
                "{{policy}} failed": total(increase("raptor_cleanup_failures_total"), "policy"),
                "{{policy}} spared": total(increase("raptor_cleanup_skipped_total"), "policy"),
            },
            bars=True,
            alerts=["RaptorCleanupFailures"],
        ),
        panels.lines(
            "Duration of runs",
            "Nine of ten runs were faster.",
            {"{{policy}}": quantile(0.9, "raptor_cleanup_duration_seconds", "policy")},
            unit="s",
        ),
    )


def probes(document: Dashboard) -> Dashboard:
    """Add the row."""
    return add(
        document,
        "Browsers",
        panels.lines(
            "Endpoints by result",
            "What the last probe found behind the sessions. Empty without `probe:` in the configuration.",
            {"{{result}}": f"max by (result) ({select('raptor_session_endpoints')})"},
            stacked=True,
            width=12,
            alerts=["RaptorEndpointsDead"],
        ),
        panels.lines(
            "Duration of probes",
            "Half and nine tenths of the probes of all endpoints were faster.",
            {f"p{round(of * 100)}": quantile(of, "raptor_probe_duration_seconds") for of in (0.5, 0.9)},
            unit="s",
            width=12,
        ),
    )

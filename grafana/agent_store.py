"""The rows of the agent's dashboard about its store."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import panels
from grafana.panels import add
from grafana.queries import select


def sessions(document: Dashboard) -> Dashboard:
    """Add the row."""
    return add(
        document,
        "Sessions",
        panels.lines(
            "Sessions by state",
            "All session files of the store.",
            {"{{state}}": f"max by (state) ({select('raptor_sessions')})"},
            stacked=True,
        ),
        panels.lines(
            "Valid sessions by browser",
            "Which browser the valid sessions belong to.",
            {"{{browser_type}}": f"max by (browser_type) ({select('raptor_sessions_by_browser')})"},
            stacked=True,
        ),
        panels.lines(
            "Invalid sessions by reason",
            "Which of the five checks fails.",
            {"{{reason}}": f"max by (reason) ({select('raptor_sessions_invalid')})"},
            stacked=True,
            alerts=["RaptorInvalidSessions"],
        ),
        panels.ages(
            "Time since last access",
            "How many valid sessions were last accessed how long ago. What climbs is not used.",
            f"max by (le) ({select('raptor_session_idle_seconds_bucket')})",
        ),
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
        ),
    )


def storage(document: Dashboard) -> Dashboard:
    """Add the row."""
    return add(
        document,
        "Storage and trash",
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
        ),
        panels.lines(
            "Sessions in the trash",
            "Deleted sessions that can still be restored.",
            {"trash": f"max({select('raptor_trash_sessions')})"},
            width=12,
        ),
    )

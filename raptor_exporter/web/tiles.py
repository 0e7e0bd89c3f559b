"""The few figures and messages that tell at a glance how things are."""

from __future__ import annotations

from typing import Any

from raptor_exporter.units import format_size

# Bounds of the bars in the first tile, in seconds since the last access.
IDLE_BOUNDS = (3_600, 6 * 3_600, 86_400, 3 * 86_400, 7 * 86_400, 14 * 86_400, 30 * 86_400)
_BAR_HEIGHT = 30


def health(status: dict[str, Any]) -> dict[str, str]:
    """One word for the whole agent."""
    if not status["healthy"]:
        return {"kind": "bad", "text": "Not healthy"}
    if not status["store"]["up"]:
        if status["store"]["error"] is None and not status["ready"]:
            return {"kind": "warn", "text": "Starting"}
        return {"kind": "bad", "text": "Store down"}
    if not status["config"]["ok"]:
        return {"kind": "warn", "text": "Configuration not in force"}
    outcomes = {p["last_outcome"] for p in status["policies"]}
    if "error" in outcomes:
        return {"kind": "warn", "text": "A policy failed"}
    if "refused" in outcomes:
        return {"kind": "warn", "text": "A policy was refused"}
    return {"kind": "good", "text": "Healthy"}


def messages(status: dict[str, Any]) -> list[dict[str, str]]:
    """What somebody should know before they read on."""
    found = []
    if status["store"]["error"] is not None:
        found.append(_message("bad", "The store can't be read.", status["store"]["error"]))
    if not status["config"]["ok"]:
        found.append(
            _message(
                "warn",
                "The last reload failed, the configuration before it is in force.",
                "\n".join(status["config"]["errors"]),
            )
        )
    return found


def _message(kind: str, title: str, text: str) -> dict[str, str]:
    return {"kind": kind, "title": title, "text": text}


def tiles(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Figure, note and colour of each tile."""
    sessions, trash, endpoints = status["sessions"], status["trash"], status["endpoints"]
    if sessions is None:
        waiting = {"kind": "calm", "figure": "—", "note": "not read yet", "bars": ()}
        return dict.fromkeys(("valid", "invalid", "next", "bytes", "trash", "endpoints"), waiting)
    reasons = [f"{count:,} {reason}" for reason, count in sessions["reasons"].items() if count]
    if sessions["unreadable"]:
        reasons.append(f"{sessions['unreadable']:,} unreadable")
    enforced = sum(p["candidates"] or 0 for p in status["policies"] if p["mode"] == "enforce")
    planned = sum(p["candidates"] or 0 for p in status["policies"] if p["mode"] == "plan")
    return {
        "valid": {
            "kind": "calm",
            "figure": f"{sessions['valid']:,}",
            "note": f"of {sessions['total']:,} · by time since last access",
            "bars": _histogram(sessions["idle"]),
            "height": _BAR_HEIGHT,
            "ends": ("within 1h", "over 30d"),
        },
        "invalid": {
            "kind": "bad" if sessions["invalid"] else "warn" if sessions["unreadable"] else "calm",
            "figure": f"{sessions['invalid']:,}",
            "note": ", ".join(reasons) or "every file is in order",
            "bars": (),
        },
        "next": {
            "kind": "calm",
            "figure": f"{enforced:,}",
            "note": f"and {planned:,} would in mode plan" if planned else "by the policies in mode enforce",
            "bars": (),
        },
        "bytes": {
            "kind": "calm",
            "figure": format_size(sessions["bytes"]),
            "note": "in session files",
            "bars": (),
        },
        "trash": {
            "kind": "calm",
            "figure": f"{trash['sessions']:,}",
            "note": f"{format_size(trash['bytes'])} that can come back" if trash["sessions"] else "empty",
            "bars": (),
        },
        "endpoints": _endpoints(endpoints),
    }


def _endpoints(endpoints: dict[str, int] | None) -> dict[str, Any]:
    if endpoints is None:
        return {"kind": "calm", "figure": "—", "note": "not probed: there is no probe section", "bars": ()}
    total = sum(endpoints.values()) or 1
    bars, x = [], 0.0
    for state, kind in (("reachable", "good"), ("unreachable", "bad"), ("unknown", "calm")):
        width = round(100 * endpoints[state] / total, 2)
        bars.append({"kind": kind, "x": round(x, 2), "y": 0, "width": width, "height": 8})
        x += width
    return {
        "kind": "calm",
        "figure": f"{endpoints['reachable']:,}",
        "note": f"reachable, {endpoints['unreachable']:,} unreachable, {endpoints['unknown']:,} unknown",
        "bars": bars,
        "height": 8,
        "ends": None,
    }


def _histogram(counts: list[int]) -> list[dict[str, Any]]:
    most = max(counts, default=0)
    if not most:
        return []
    step = 100 / len(counts)
    bars = []
    for number, count in enumerate(counts):
        height = max(round(_BAR_HEIGHT * count / most, 1), 2.0 if count else 0.6)
        bars.append(
            {
                "kind": "good" if count else "calm",
                "x": round(number * step, 2),
                "y": round(_BAR_HEIGHT - height, 1),
                "width": round(step * 0.86, 2),
                "height": height,
            }
        )
    return bars

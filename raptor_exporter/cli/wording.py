"""Small words of tables."""

from __future__ import annotations

from datetime import tzinfo

from raptor_exporter.session import parse_timestamp
from raptor_exporter.units import format_duration, format_size


def or_dash(text: object) -> str:
    """A dash where nothing is known."""
    return "-" if text is None else str(text)


def size_or_dash(size: int | None) -> str:
    """A number of bytes for people."""
    return "-" if size is None else format_size(size)


def ago(timestamp: str | None, now: float, zone: tzinfo | None = None) -> str:
    """How long ago an ISO 8601 timestamp was; as it stands where it doesn't parse."""
    if timestamp is None:
        return "-"
    try:
        moment = parse_timestamp(timestamp, zone)
    except ValueError:
        return timestamp
    return seconds_ago(moment, now)


def seconds_ago(moment: float, now: float) -> str:
    """How long ago POSIX seconds were."""
    if abs(now - moment) < 1:
        return "now"
    return f"{format_duration(now - moment)} ago" if moment <= now else f"in {format_duration(moment - now)}"

"""The reasons of decisions in words, for people who have to trust them."""

from __future__ import annotations

from functools import lru_cache

from raptor_exporter.cleanup.policy import EndpointState, Expire, Keep, Policy, Probed
from raptor_exporter.redact import redact_value
from raptor_exporter.stores.record import Record
from raptor_exporter.units import format_duration, format_size

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th … 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


def place(number: int, keep: Keep, group: str | None) -> str:
    """A session's place among those that `keep` holds."""
    if keep.per is None:
        return f"{ordinal(number)} of the last {keep.last}"
    which = (
        f"metadata.{keep.per}={redact_value(keep.per, group)}"
        if group is not None
        else f"without metadata.{keep.per}"
    )
    return f"{ordinal(number)} of the last {keep.last} {which}"


def fresh(record: Record, now: float, min_age: float) -> str:
    """A session that `min_age` spares."""
    age = now - record.modified
    when = f"changed {format_duration(age)} ago" if age >= 0 else "changed in the future"
    return f"{when}, min_age is {format_duration(min_age)}"


def why(record: Record, reason: str, policy: Policy, now: float, known: Probed | None) -> str:
    """Why a session goes."""
    expire = policy.expire
    match reason:
        case "idle":
            return _more("idle", record.accessed, now, expire.idle_for)
        case "old":
            return _more("created", record.created, now, expire.older_than, " ago")
        case "unmodified":
            words = _more("unmodified for", record.modified, now, expire.unmodified_for)
            return f"{words} ({record.reason})" if record.reason else words
        case "unreachable":
            since = known.unreachable_since if known is not None else None
            return _more("browser unreachable for", since, now, expire.unreachable_for)
        case "cap":
            return f"least recently accessed over the cap of {_cap(policy)}"
        case "invalid":
            return f"invalid: {record.reason}"
        case _:
            return "asked for by name or with all"


def _cap(policy: Policy) -> str:
    cap = policy.cap
    words = []
    if cap is not None and cap.sessions is not None:
        words.append(f"{cap.sessions} sessions")
    if cap is not None and cap.bytes is not None:
        words.append(format_size(cap.bytes))
    return " and ".join(words)


def _more(what: str, moment: float | None, now: float, limit: float | None, ago: str = "") -> str:
    return f"{what} {format_duration(now - (moment or 0))}{ago}, more than {_limit(limit or 0)}"


_limit = lru_cache(maxsize=64)(format_duration)  # the same for all sessions of a policy


def outlook(record: Record, expire: Expire, now: float, known: Probed | None) -> list[str]:
    """How far a kept session is from going, and when it goes: ``idle 3h of 24h``, ``expires in 21h …``."""
    since = (
        known.unreachable_since if known is not None and known.state is EndpointState.UNREACHABLE else None
    )
    clocks = [
        ("idle", record.accessed, expire.idle_for, " unless accessed"),
        ("age", record.created, expire.older_than, ""),
        ("unmodified", record.modified, expire.unmodified_for, " unless changed"),
        ("unreachable", since, expire.unreachable_for, " unless its browser answers"),
    ]
    running = [(w, now - m, limit, u) for w, m, limit, u in clocks if m is not None and limit is not None]
    if not running:
        return ["nothing makes it expire"]
    words = [
        f"{what} {format_duration(age)} of {format_duration(limit)}"
        if age >= 0
        else f"{what} unknown: its timestamp is in the future"
        for what, age, limit, _ in running
    ]
    _, age, limit, unless = min(running, key=lambda clock: clock[2] - clock[1])
    if limit >= age:
        words.append(f"expires in {format_duration(limit - age)}{unless}")
    return words

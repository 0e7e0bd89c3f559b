"""Times of two sides, taken in turns, and the rows of the table that they make."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    sessions: int
    ours: str
    beside: str
    figure: str
    target: str
    met: bool | None  # None: told for information


class Times(NamedTuple):
    """Medians of what each round of one side took. Seconds."""

    wall: float
    cpu: float  # of this process and of its children, user and system


def in_turns(rounds: int, *sides: Callable[[], object]) -> list[Times]:
    """Run every side once a round, so that a busy neighbour disturbs all of them alike."""
    taken: list[list[Times]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, times in zip(sides, taken, strict=True):
            measured = once(side)
            if number:  # the first round warms caches
                times.append(measured)
    return [medians(times) for times in taken]


def once(side: Callable[[], object]) -> Times:
    """What one call took."""
    before, started = _cpu(), time.perf_counter()
    side()
    return Times(time.perf_counter() - started, _cpu() - before)


def medians(times: Sequence[Times]) -> Times:
    """The median of each column."""
    return Times(*map(statistics.median, zip(*times, strict=True)))


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def per_call(function: Callable[[], object], rounds: int = 25, calls: int = 1) -> float:
    """Median seconds of one call."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(calls):
            function()
        taken.append((time.perf_counter() - started) / calls)
    return statistics.median(taken)


def at_most(what: str, sessions: int, ours: Times, beside: Times, label: str, limit: float | None) -> Row:
    """A row that holds when ours takes at most ``limit`` times as long as what is beside it."""
    ratio = ours.wall / beside.wall
    target = "" if limit is None else f"≤ {limit:g} ×"
    met = None if limit is None else ratio <= limit
    return _beside(what, sessions, ours, beside, label)._replace(
        figure=f"{ratio:.2f} ×", target=target, met=met
    )


def at_least(what: str, sessions: int, ours: Times, beside: Times, label: str, limit: float | None) -> Row:
    """A row that holds when ours is at least ``limit`` times as fast as what is beside it."""
    factor = beside.wall / ours.wall
    target = "" if limit is None else f"≥ {limit:g} ×"
    met = None if limit is None else factor >= limit
    return _beside(what, sessions, ours, beside, label)._replace(
        figure=f"{factor:.1f} × as fast", target=target, met=met
    )


def _beside(what: str, sessions: int, ours: Times, beside: Times, label: str) -> Row:
    """A row that compares nothing yet."""
    return Row(what, sessions, seconds(ours.wall), f"{label} {seconds(beside.wall)}", "", "", None)


def below(what: str, sessions: int, value: float, limit: float, unit: Callable[[float], str]) -> Row:
    """A row that holds when a figure stays at or below a fixed limit."""
    return Row(
        what,
        sessions,
        unit(value),
        "",
        f"{value / limit:.2f} of the limit",
        f"≤ {unit(limit)}",
        value <= limit,
    )


def seconds(value: float) -> str:
    """A duration with a unit that fits it."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if value >= 1e-3 else f"{value * 1e6:.0f} µs"


def mebibytes(value: float) -> str:
    """Bytes as MiB."""
    return f"{value / (1 << 20):.0f} MiB"

"""The clock guard: after a jump of the wall clock every age is in doubt, so nothing is deleted.

Wall time is held against CLOCK_BOOTTIME, which no NTP step moves and which goes on in suspend.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from raptor_exporter.cleanup.plan import Breach
from raptor_exporter.units import format_duration

_NOTED_SECONDS = 0.5  # smaller differences are the slewing of a healthy NTP client
_STEPS = 1000


def boot_time() -> float:
    """Seconds since the machine started, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockGuard:
    """Watches the distance between the two clocks. Thread-safe."""

    def __init__(self, wall: Callable[[], float] = time.time, boot: Callable[[], float] = boot_time) -> None:
        self._wall = wall
        self._boot = boot
        self._lock = threading.Lock()
        # When a distance was first seen, and the distance; the last one is in force.
        self._steps: deque[tuple[float, float]] = deque(maxlen=_STEPS)
        self.observe()

    def observe(self) -> None:
        """Look at both clocks; call it often, a jump counts from when it is seen."""
        boot = self._boot()
        distance = self._wall() - boot
        with self._lock:
            if not self._steps or abs(distance - self._steps[-1][1]) > _NOTED_SECONDS:
                self._steps.append((boot, distance))

    def breach(self, max_clock_jump: float) -> Breach | None:
        """Why runs are refused now; None while the clock was steady for ``max_clock_jump`` seconds."""
        if not max_clock_jump:
            return None
        self.observe()
        since = self._boot() - max_clock_jump
        with self._lock:
            steps = list(self._steps)
        recent = [distance for at, distance in steps if at >= since]
        before = [distance for at, distance in steps if at < since][-1:]
        distances = before + recent
        jump = max(distances) - min(distances)
        if jump <= max_clock_jump:
            return None
        limit = format_duration(max_clock_jump)
        return Breach(
            "max_clock_jump",
            f"max_clock_jump: the clock jumped by {format_duration(jump)}, more than {limit}; "
            f"runs go on when it was steady for {limit}",
        )

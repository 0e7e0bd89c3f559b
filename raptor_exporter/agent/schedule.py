"""When policies run: soon after the start, then every interval ±10 %, never drifting, always rearmed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raptor_exporter.cleanup.policy import MINUTE, Policy

_FIRST_WITHIN = 5 * MINUTE
# Each time lies at random within ±5 % of an interval around a fixed beat: two neighbours are an interval
# ±10 % apart, and however many there are, they stay on the beat.
_JITTER = 0.05


@dataclass(slots=True)
class _Slot:
    policy: Policy
    beat: float  # what the due time is jittered around
    due: float


class Schedule:
    """Due times of policies on a clock that the wall clock's jumps don't move.

    Args:
        clock: seconds that only go forward, through suspend too.
        uniform: a random number between two bounds.
    """

    def __init__(
        self, clock: Callable[[], float], uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._clock = clock
        self._uniform = uniform
        self._slots: dict[str, _Slot] = {}

    def set(self, policies: Iterable[Policy]) -> None:
        """Take new policies; those that did not change keep their times."""
        now = self._clock()
        slots = {}
        for policy in policies:
            old = self._slots.get(policy.name)
            if old is not None and old.policy == policy:
                slots[policy.name] = old
            else:
                within = min(policy.interval, _FIRST_WITHIN)
                first = now + self._uniform(0.0, within)
                slots[policy.name] = _Slot(policy, first, first)
        self._slots = slots

    def due(self) -> list[str]:
        """The policies whose time has come, in their order. Call ``rearm`` for each."""
        now = self._clock()
        return [name for name, slot in self._slots.items() if slot.due <= now]

    def rearm(self, name: str) -> None:
        """Set a policy's next time, an interval ±10 % after the last one was due.

        Counted from the beat and not from now, so that the length of runs adds up to no drift. Times
        that passed meanwhile (suspend, a long run) are caught up with by one run, not by many: the beat
        begins anew.
        """
        slot = self._slots.get(name)
        if slot is None:
            return  # a reload took it away while it ran
        now = self._clock()
        interval = slot.policy.interval
        slot.beat += interval
        slot.due = self._jittered(slot)
        if slot.due <= now:
            slot.beat = now + interval
            slot.due = self._jittered(slot)

    def _jittered(self, slot: _Slot) -> float:
        reach = _JITTER * slot.policy.interval
        return slot.beat + self._uniform(-reach, reach)

    def wait(self, name: str) -> float | None:
        """Seconds until a policy is due; None if there is none of that name."""
        slot = self._slots.get(name)
        return None if slot is None else slot.due - self._clock()

    def pause(self) -> float:
        """Seconds until the next policy is due; infinite without policies."""
        now = self._clock()
        return min((slot.due - now for slot in self._slots.values()), default=float("inf"))

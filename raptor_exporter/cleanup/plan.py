"""Who goes and why: a pure function of a snapshot, the rules, the time and what probes found.

No I/O, no clock, no randomness. The dry run, the page, `explain` and every deletion ask this one
function, so none of them can disagree with another.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from raptor_exporter.cleanup import wording
from raptor_exporter.cleanup.match import Fits, Probes, compile_match, compile_protect, probed
from raptor_exporter.cleanup.policy import RATIO_COUNTS_ABOVE, EndpointState, Policy, Rules
from raptor_exporter.session import INVALID, UNREADABLE
from raptor_exporter.stores.base import Chosen, Snapshot
from raptor_exporter.stores.record import Record

NO_PROBES: Probes = MappingProxyType({})

DELETE = "delete"
KEEP = "keep"


class Decision(NamedTuple):
    """What is to become of one session."""

    name: str
    policy: str | None  # None: no policy owns it
    action: str  # delete or keep
    reason: str | None  # of a deletion
    detail: str  # in words


class Breach(NamedTuple):
    """A guard that refuses a run."""

    guard: str  # its key, as in the configuration
    message: str  # with the figures


@dataclass(frozen=True)
class Plan:
    """What every policy would do at one moment."""

    now: float  # POSIX seconds
    snapshot: Snapshot
    policies: tuple[PolicyPlan, ...]  # in the order of the rules

    def of(self, policy: str) -> PolicyPlan:
        """The plan of one policy.

        Raises:
            KeyError: there is no policy of that name.
        """
        return self._by_name[policy]

    @cached_property
    def _by_name(self) -> Mapping[str, PolicyPlan]:
        return {p.policy.name: p for p in self.policies}

    def decide(self, name: str) -> Decision | None:
        """The decision on one session; None if the snapshot has none of that name."""
        record = self.snapshot.records.get(name)
        return None if record is None else self._decide(record)

    def decisions(self) -> Iterator[Decision]:
        """The decision on every session, each once, by name."""
        records = self.snapshot.records
        for name in sorted(records):
            yield self._decide(records[name])

    def _decide(self, record: Record) -> Decision:
        for policy_plan in self.policies:
            if policy_plan.fits(record):
                return policy_plan.decide(record)
        if record.state == UNREADABLE:
            return Decision(record.name, None, KEEP, None, "it can't be read now, so it is never deleted")
        return Decision(record.name, None, KEEP, None, "no policy matches it")


def plan(snapshot: Snapshot, rules: Rules, now: float, probes: Probes = NO_PROBES) -> Plan:
    """Decide on every session of a snapshot.

    Args:
        snapshot: the store as the last refresh saw it.
        rules: policies in order, each owning the sessions that its match is the first to fit.
        now: POSIX seconds.
        probes: what is known of each endpoint; an endpoint that isn't there is unknown.
    """
    protect = [compile_protect(match, probes) for match in rules.protect]
    fits = [compile_match(policy.match, probes) for policy in rules.policies]
    owned: list[list[Record]] = [[] for _ in fits]
    numbered = list(enumerate(fits))
    for record in snapshot.records.values():
        for number, fit in numbered:
            if fit(record):
                owned[number].append(record)
                break
    return Plan(
        now,
        snapshot,
        tuple(
            PolicyPlan(policy, fits[number], owned[number], protect, now, probes, snapshot.records)
            for number, policy in enumerate(rules.policies)
        ),
    )


class PolicyPlan:
    """What one policy would do with the sessions that it owns.

    Attributes:
        policy: its rules.
        owned: how many sessions it owns.
        deletions: name to reason of the sessions that go.
        bytes: their size.
        cap_exceeded: keep or protect hold it over its cap.
        breach: the guard that refuses the run, if one does.
        fresh: how many would go if their files had not changed within min_age.
    """

    def __init__(
        self,
        policy: Policy,
        fits: Fits,
        owned: list[Record],
        protect: list[Fits],
        now: float,
        probes: Probes,
        records: Mapping[str, Record],
    ) -> None:
        self.policy = policy
        self.fits = fits
        self.owned = len(owned)
        self._protect = protect
        self._now = now
        self._probes = probes
        self._records = records
        self._kept = self._keep(owned)
        self.deletions: dict[str, str] = {}
        self.bytes = 0
        self.fresh = 0
        self._expire(owned)
        self.cap_exceeded = self._evict(owned)
        self.breach = self._ratio_breach(len(records))

    def chosen(self) -> list[Chosen]:
        """The deletions in their order, with identities and reasons in words.

        What expired goes before what is over the cap, each from the least recently accessed on. Only a
        run needs that order: a plan that nobody carries out is spared the sorting.
        """
        deletions = self.deletions
        records = [self._records[name] for name in deletions]
        _sort_by_age(records)
        if self.policy.cap is not None:
            records.sort(key=lambda r: deletions[r.name] == "cap")
        return [Chosen(r.name, r.identity, why := deletions[r.name], self._why(r, why)) for r in records]

    def decide(self, record: Record) -> Decision:
        """The decision on a session that this policy owns."""
        reason = self.deletions.get(record.name)
        if reason is not None:
            return Decision(record.name, self.policy.name, DELETE, reason, self._why(record, reason))
        outlook = wording.outlook(record, self.policy.expire, self._now, probed(record, self._probes))
        spared = self._spared(record)
        detail = "; ".join([spared, *outlook] if spared else outlook)
        return Decision(record.name, self.policy.name, KEEP, None, detail)

    # -- choosing --------------------------------------------------------------------------------

    def _expire(self, owned: list[Record]) -> None:
        for record in owned:
            reason = self._expired(record)
            if reason is None or self._held(record) is not None:
                continue
            if self._fresh(record) is not None:
                self.fresh += 1
            else:
                self._choose(record, reason)

    def _choose(self, record: Record, reason: str) -> None:
        self.deletions[record.name] = reason
        self.bytes += record.size

    def _expired(self, record: Record) -> str | None:
        """The first reason that holds. A timestamp in the future has a negative age: no reason."""
        expire, now = self.policy.expire, self._now
        if expire.idle_for is not None and _older(record.accessed, now, expire.idle_for):
            return "idle"
        if expire.older_than is not None and _older(record.created, now, expire.older_than):
            return "old"
        if expire.unmodified_for is not None and _older(record.modified, now, expire.unmodified_for):
            return "unmodified"
        if expire.unreachable_for is not None and self._unreachable(record, expire.unreachable_for):
            return "unreachable"
        if expire.invalid and record.state == INVALID:
            # A file without a readable last access can't ever get idle: it counts as expired.
            unknown = expire.idle_for is not None and record.accessed is None
            if unknown or record.reason in expire.invalid:
                return "invalid"
        return "requested" if expire.requested else None

    def _unreachable(self, record: Record, limit: float) -> bool:
        known = probed(record, self._probes)
        return (
            known is not None
            and known.state is EndpointState.UNREACHABLE
            and _older(known.unreachable_since, self._now, limit)
        )

    def _evict(self, owned: list[Record]) -> bool:
        """Hold the cap over what expire left; whether it is still exceeded after that."""
        cap = self.policy.cap
        if cap is None:
            return False
        left = [r for r in owned if r.name not in self.deletions]
        count = len(left)
        size = sum(r.size for r in left)

        def exceeded() -> bool:
            over_count = cap.sessions is not None and count > cap.sessions
            return over_count or (cap.bytes is not None and size > cap.bytes)

        if not exceeded():
            return False
        fresh = []
        _sort_by_age(left)
        for record in left:
            if self._held(record) is not None:
                continue
            if self._fresh(record) is not None:
                fresh.append(record)
                continue
            self._choose(record, "cap")
            count -= 1
            size -= record.size
            if not exceeded():
                return False
        # What min_age alone spares can go in a minute: it doesn't hold the policy over its cap.
        count -= len(fresh)
        size -= sum(r.size for r in fresh)
        return exceeded()

    # -- sparing ---------------------------------------------------------------------------------

    def _spared(self, record: Record) -> str | None:
        """Why a session stays whatever expire and cap say, in words."""
        return self._held(record) or self._fresh(record)

    def _held(self, record: Record) -> str | None:
        """Why protect or keep hold it."""
        for number, protects in enumerate(self._protect):
            if protects(record):
                return f"protected by protect[{number}]"
        return self._kept.get(record.name)

    def _fresh(self, record: Record) -> str | None:
        """Why min_age spares it for now."""
        min_age = self.policy.guards.min_age
        if min_age and self._now - record.modified < min_age:
            return wording.fresh(record, self._now, min_age)
        return None

    def _keep(self, owned: list[Record]) -> dict[str, str]:
        """The last of each group by name, with the place of each in words."""
        keep = self.policy.keep
        if keep is None:
            return {}
        groups: dict[str | None, list[Record]] = defaultdict(list)
        for record in owned:
            groups[record.metadata.get(keep.per) if keep.per is not None else None].append(record)
        kept = {}
        for group, records in groups.items():
            last = heapq.nlargest(keep.last, records, key=lambda r: (r.rank, r.name))
            for place, record in enumerate(last, 1):
                kept[record.name] = wording.place(place, keep, group)
        return kept

    def _ratio_breach(self, total: int) -> Breach | None:
        count, limit = len(self.deletions), self.policy.guards.max_delete_ratio
        if count <= RATIO_COUNTS_ABOVE or count / total <= limit:
            return None
        return Breach(
            "max_delete_ratio",
            f"max_delete_ratio: {self.policy.name} would delete {count} of all {total} sessions "
            f"({count / total:.1%}), at most {limit:.1%} are allowed",
        )

    def _why(self, record: Record, reason: str) -> str:
        return wording.why(record, reason, self.policy, self._now, probed(record, self._probes))


def _sort_by_age(records: list[Record]) -> None:
    """The least recently accessed first, those of the same moment by name."""
    # Two plain sorts take half as long as one by pairs, and no other thread can interrupt a sort.
    if len({r.rank for r in records}) < len(records):
        records.sort(key=lambda r: r.name)
    records.sort(key=lambda r: r.rank)


def _older(moment: float | None, now: float, limit: float) -> bool:
    return moment is not None and now - moment > limit

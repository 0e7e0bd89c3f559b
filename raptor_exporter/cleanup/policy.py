"""The rules of cleanup as typed values. Whoever holds one knows that it was checked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple

DAY = 86_400.0
HOUR = 3_600.0
MINUTE = 60.0


class Mode(StrEnum):
    """Whether a policy deletes or only reports."""

    PLAN = "plan"
    ENFORCE = "enforce"


class EndpointState(StrEnum):
    """What the last probe said of a browser."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Probed(NamedTuple):
    """What a plan knows of one endpoint."""

    state: EndpointState
    unreachable_since: float | None = None  # POSIX seconds of the first failed probe in a row


@dataclass(frozen=True)
class Globs:
    """One or more case-sensitive fnmatch patterns; any one is enough."""

    patterns: tuple[str, ...]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("|".join(map(fnmatch.translate, self.patterns)))

    def fits(self, text: str) -> bool:
        """Whether a pattern matches the whole text."""
        return self._regex.match(text) is not None


@dataclass(frozen=True, slots=True)
class Match:
    """Which sessions a rule speaks of: everything that is given must fit."""

    name: Globs | None = None
    browser_type: frozenset[str] | None = None
    metadata: tuple[tuple[str, Globs], ...] = ()
    state: Literal["valid", "invalid", "any"] = "valid"
    endpoint: EndpointState | None = None
    exclude: Match | None = None


@dataclass(frozen=True, slots=True)
class Expire:
    """When a session goes; any one is enough. Durations in seconds.

    ``invalid`` and ``requested`` have no YAML key: they carry the one-off clean-ups of the command
    line and of Python along the same line as policies.
    """

    idle_for: float | None = None
    older_than: float | None = None
    unmodified_for: float | None = None
    unreachable_for: float | None = None
    invalid: frozenset[str] = frozenset()
    requested: bool = False


@dataclass(frozen=True, slots=True)
class Cap:
    """How much a policy may leave; it evicts the least recently accessed."""

    sessions: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The last so many stay, in each group of sessions with the same metadata value."""

    last: int
    per: str | None = None  # a metadata key


@dataclass(frozen=True, slots=True)
class Guards:
    """What stops a run that looks wrong. Seconds, and a ratio of 0 to 1."""

    max_delete_ratio: float = 0.5
    max_clock_jump: float = 10 * MINUTE
    min_age: float = MINUTE


# In a small store a ratio says nothing: it counts once a run would delete more than this.
RATIO_COUNTS_ABOVE = 10

NO_GUARDS = Guards(max_delete_ratio=1.0, max_clock_jump=0.0, min_age=0.0)


@dataclass(frozen=True, slots=True)
class TrashRules:
    """How long deleted sessions can come back. ``retain`` in seconds; 0 is gone by the next run."""

    retain: float = 7 * DAY
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One cleanup policy with everything that it inherits filled in."""

    name: str
    interval: float  # seconds
    match: Match = Match()
    expire: Expire = Expire()
    cap: Cap | None = None
    keep: Keep | None = None
    mode: Mode = Mode.PLAN
    guards: Guards = Guards()


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that a plan obeys: ordered policies, and what beats them all."""

    policies: tuple[Policy, ...] = ()
    protect: tuple[Match, ...] = ()
    trash: TrashRules = TrashRules()
    guards: Guards = Guards()  # of what is no policy: the one-off clean-ups

    def policy(self, name: str) -> Policy | None:
        """The policy of that name."""
        return next((p for p in self.policies if p.name == name), None)

    def enforced(self, names: Iterable[str] | None = None) -> Rules:
        """The same rules with the named policies (default: all) in mode enforce."""
        chosen = None if names is None else set(names)
        return replace(
            self,
            policies=tuple(
                replace(p, mode=Mode.ENFORCE) if chosen is None or p.name in chosen else p
                for p in self.policies
            ),
        )

    def without_guards(self) -> Rules:
        """The same rules with every guard off (``--force``)."""
        return replace(self, policies=tuple(replace(p, guards=NO_GUARDS) for p in self.policies))


def asks_for_endpoints(rules: Rules, policy: Policy) -> bool:
    """Whether what a policy deletes depends on what a probe found.

    It does where an earlier policy asks, too: until the browsers were probed, sessions that the
    earlier one owns would fall to this one.
    """
    earlier = rules.policies[: rules.policies.index(policy)] if policy in rules.policies else ()
    asking = any(_names_endpoint(p.match) for p in (*earlier, policy))
    return asking or policy.expire.unreachable_for is not None


def needs_endpoints(rules: Rules) -> bool:
    """Whether some rule asks what a probe found."""
    by_policy = any(asks_for_endpoints(rules, policy) for policy in rules.policies)
    return by_policy or any(map(_names_endpoint, rules.protect))


def _names_endpoint(match: Match) -> bool:
    return match.endpoint is not None or (match.exclude is not None and _names_endpoint(match.exclude))


def metadata_keys(rules: Rules) -> frozenset[str]:
    """The metadata keys that some rule names: all that a snapshot has to carry."""
    keys: set[str] = set()
    matches = [*rules.protect, *(p.match for p in rules.policies)]
    for match in matches:
        keys.update(key for key, _ in match.metadata)
        if match.exclude is not None:
            keys.update(key for key, _ in match.exclude.metadata)
    keys.update(p.keep.per for p in rules.policies if p.keep is not None and p.keep.per is not None)
    return frozenset(keys)


BUILT_IN = Rules(
    policies=(
        Policy("expired", HOUR, Match(), Expire(idle_for=7 * DAY)),
        Policy("invalid", HOUR, Match(state="invalid"), Expire(unmodified_for=HOUR)),
    )
)

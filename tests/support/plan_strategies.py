"""Random stores and rules for the planner, small enough that ties and boundaries are common."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from raptor_exporter.cleanup.policy import (
    Cap,
    EndpointState,
    Expire,
    Globs,
    Guards,
    Keep,
    Match,
    Policy,
    Probed,
    Rules,
)
from raptor_exporter.session import REASONS
from support.planning import NOW, browser, record

# Ages in seconds, future ones included, that meet the limits below exactly and closely.
AGES = [-3600.0, -1.0, 0.0, 30.0, 59.0, 60.0, 61.0, 100.0, 200.0, 200.5, 300.0, 1000.0]
SIZES = [1, 10, 100, 250]
LIMITS = st.sampled_from([60.0, 100.0, 200.0, 500.0])
PORTS = (1, 2, 3)
VALUES = ("ci", "preview-1", "prod", "true")


NAMES = [f"{letter}{number}" for letter in "ab" for number in range(8)]


def _random_record(dice, name):
    """One session of any kind; its parts are independent."""
    state = dice.choice(["valid"] * 6 + ["invalid", "invalid", "unreadable"])
    if state == "unreadable":
        return record(
            name,
            idle=None,
            state=state,
            browser_type=None,
            unmodified=dice.choice(AGES),
            size=dice.choice(SIZES),
        )
    known = AGES if state == "valid" else [None, *AGES]
    return record(
        name,
        idle=dice.choice(known),
        age=dice.choice(known),
        unmodified=dice.choice(AGES),
        size=dice.choice(SIZES),
        state=state,
        reason=dice.choice(REASONS) if state == "invalid" else None,
        browser_type=dice.choice(["chromium", "firefox"]),
        endpoint=dice.choice([None, *map(browser, PORTS)]),
        metadata={key: dice.choice(VALUES) for key in ("env", "repo") if dice.random() < 0.6},
    )


# Drawn beforehand, for drawing each part of each session makes a law ten times slower to try.
_KINDS = [{name: _random_record(Random(f"{name} {i}"), name) for name in NAMES} for i in range(300)]


def stores(max_size=14):
    """A list of sessions of different names."""
    kinds = st.integers(0, len(_KINDS) - 1)
    return st.dictionaries(st.sampled_from(NAMES), kinds, max_size=max_size).map(
        lambda chosen: [_KINDS[kind][name] for name, kind in chosen.items()]
    )


GLOBS = st.lists(
    st.sampled_from(["a*", "b*", "*1", "a[0-3]", "b2", "?4", "*"]), min_size=1, max_size=2, unique=True
).map(lambda patterns: Globs(tuple(patterns)))
VALUE_GLOBS = st.sampled_from([Globs(("ci",)), Globs(("preview-*", "prod")), Globs(("*",))])
ENDPOINT_STATES = st.sampled_from(list(EndpointState))


def matches(*, exclude=True, state=None):
    plain = {
        "name": st.none() | GLOBS,
        "browser_type": st.sampled_from([None, None, frozenset({"chromium"}), frozenset({"firefox"})]),
        "metadata": st.dictionaries(st.sampled_from(["env", "repo"]), VALUE_GLOBS, max_size=1).map(
            lambda pairs: tuple(pairs.items())
        ),
        "state": st.just(state) if state else st.sampled_from(["valid", "valid", "valid", "any", "invalid"]),
        "endpoint": st.none() | ENDPOINT_STATES,
    }
    if exclude:
        plain["exclude"] = st.none() | matches(exclude=False, state="any")
    return st.builds(Match, **plain)


EXPIRES = st.builds(
    Expire,
    idle_for=st.none() | LIMITS,
    older_than=st.none() | LIMITS,
    unmodified_for=st.none() | LIMITS,
    unreachable_for=st.none() | LIMITS,
)
CAPS = st.builds(
    Cap,
    sessions=st.none() | st.integers(1, 6),
    bytes=st.none() | st.sampled_from([1, 10, 100, 300, 700]),
)
COUNT_CAPS = st.builds(Cap, sessions=st.integers(1, 6))
KEEPS = st.builds(Keep, last=st.integers(1, 4), per=st.sampled_from([None, "env", "repo"]))
GUARDS = st.builds(
    Guards,
    max_delete_ratio=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    min_age=st.sampled_from([0.0, 60.0]),
)


def policies(*, match=None, cap=None, keep=None, max_size=3):
    one = st.builds(
        Policy,
        name=st.just("unnamed"),
        interval=st.just(60.0),
        match=matches() if match is None else match,
        expire=EXPIRES,
        cap=st.none() | CAPS if cap is None else cap,
        keep=st.none() | KEEPS if keep is None else keep,
        guards=GUARDS,
    )
    return st.lists(one, min_size=1, max_size=max_size).map(_named)


def _named(found):
    return tuple(
        Policy(f"p{i}", p.interval, p.match, p.expire, p.cap, p.keep, p.mode, p.guards)
        for i, p in enumerate(found)
    )


def rules(**of_policies):
    """Several policies that split a store."""
    protect = st.lists(matches(exclude=False), max_size=2).map(tuple)
    return st.builds(Rules, policies=policies(**of_policies), protect=protect)


def one_policy(**of_policy):
    """One policy that owns nearly the whole store, so that caps and groups fill."""
    match = st.sampled_from([Match(), Match(state="any")])
    protect = st.lists(matches(exclude=False), max_size=1).map(tuple)
    return st.builds(Rules, policies=policies(match=match, max_size=1, **of_policy), protect=protect)


@st.composite
def probes(draw):
    """What is known of some of the browsers; what isn't there was never probed."""
    found = {}
    for port in PORTS:
        if draw(st.booleans()):
            state = draw(ENDPOINT_STATES)
            since = NOW - draw(st.sampled_from(AGES)) if state is EndpointState.UNREACHABLE else None
            found[browser(port)] = Probed(state, since)
    return found

"""Rules as values: which policies wait for a probe, what a snapshot must carry."""

from dataclasses import replace

import pytest

from raptor_exporter.cleanup.policy import (
    BUILT_IN,
    NO_GUARDS,
    EndpointState,
    Expire,
    Globs,
    Guards,
    Keep,
    Match,
    Mode,
    Policy,
    Rules,
    asks_for_endpoints,
    metadata_keys,
    needs_endpoints,
)

REACHABLE = Match(endpoint=EndpointState.REACHABLE)
PLAIN = Policy("plain", 60.0, expire=Expire(idle_for=1.0))


@pytest.mark.parametrize(
    "policy",
    [
        Policy("match", 60.0, REACHABLE),
        Policy("exclude", 60.0, Match(exclude=REACHABLE)),
        Policy("expire", 60.0, expire=Expire(unreachable_for=60.0)),
    ],
    ids=lambda policy: policy.name,
)
def test_a_policy_that_asks_for_endpoints_waits_for_a_probe(policy):
    rules = Rules((policy,))
    assert asks_for_endpoints(rules, policy)
    assert needs_endpoints(rules)


def test_a_policy_behind_one_whose_match_asks_waits_too_for_it_would_own_its_sessions():
    asking = Policy("alive", 60.0, REACHABLE, Expire(idle_for=100.0))
    assert asks_for_endpoints(Rules((asking, PLAIN)), PLAIN)
    assert not asks_for_endpoints(Rules((PLAIN, asking)), PLAIN)


def test_an_expire_of_another_policy_changes_no_ownership_so_nobody_waits_for_it():
    dead = Policy("dead", 60.0, Match(name=Globs(("d*",))), Expire(unreachable_for=60.0))
    assert not asks_for_endpoints(Rules((dead, PLAIN)), PLAIN)


def test_protect_needs_a_probe_but_nobody_waits_for_it_since_unknown_is_protected():
    rules = Rules((PLAIN,), protect=(REACHABLE,))
    assert needs_endpoints(rules)
    assert not asks_for_endpoints(rules, PLAIN)


def test_a_snapshot_must_carry_every_metadata_key_that_some_rule_names():
    star = Globs(("*",))
    match = Match(metadata=(("a", star),), exclude=Match(metadata=(("b", star),)))
    keeping = Policy("p", 60.0, match, keep=Keep(1, "c"))
    rules = Rules((keeping, Policy("q", 60.0)), protect=(Match(metadata=(("d", star),)),))
    assert metadata_keys(rules) == {"a", "b", "c", "d"}


def test_one_policy_or_all_can_be_enforced_for_once():
    rules = Rules((PLAIN, replace(PLAIN, name="other")))
    assert [p.mode for p in rules.enforced(["other"]).policies] == [Mode.PLAN, Mode.ENFORCE]
    assert [p.mode for p in rules.enforced().policies] == [Mode.ENFORCE, Mode.ENFORCE]


def test_without_guards_nothing_of_a_policy_but_its_guards_changes():
    rules = Rules((replace(PLAIN, guards=Guards(0.1, 1.0, 1.0)),))
    assert rules.without_guards() == Rules((replace(PLAIN, guards=NO_GUARDS),))


def test_without_a_file_idle_and_invalid_sessions_would_go_and_nothing_does():
    assert [(p.name, p.interval, p.match, p.expire, p.mode) for p in BUILT_IN.policies] == [
        ("expired", 3600.0, Match(), Expire(idle_for=7 * 86_400.0), Mode.PLAN),
        ("invalid", 3600.0, Match(state="invalid"), Expire(unmodified_for=3600.0), Mode.PLAN),
    ]


def test_globs_are_those_of_fnmatch_for_the_whole_text_and_case_sensitive():
    globs = Globs(("a?c", "[!x]1", "*.tar.gz"))
    assert [globs.fits(t) for t in ("abc", "abcd", "ABC", "y1", "x1", "b.tar.gz", "tar.gz", "", "abc\n")] == [
        True, False, False, True, False, True, False, False, False,
    ]  # fmt: skip
    assert Globs(("a*b",)).fits("a\nb")

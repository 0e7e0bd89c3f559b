"""Laws of the planner that hold in every store and for all rules, each told by an oracle of its own."""

import fnmatch
from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from support.plan_strategies import (
    CAPS,
    COUNT_CAPS,
    EXPIRES,
    KEEPS,
    LIMITS,
    matches,
    one_policy,
    probes,
    rules,
    stores,
)
from support.planning import NOW, record, snapshot

from raptor_exporter.cleanup.plan import DELETE, KEEP, plan
from raptor_exporter.cleanup.policy import Cap, EndpointState, Expire, Guards, Keep, Match, Policy, Rules


def law(*strategies):
    """A test that is run on many random inputs; machines under load may take their time."""
    return lambda test: settings(deadline=None, max_examples=150)(given(*strategies)(test))


NO_MIN_AGE = Guards(min_age=0.0)


def deleted(store, rules_, known=None, now=NOW):
    """Name to (policy, reason) of everything that all policies would delete."""
    decided = plan(snapshot(store), rules_, now, known or {})
    found = {}
    for part in decided.policies:
        for name, reason in part.deletions.items():
            assert name not in found, "two policies delete one session"
            found[name] = (part.policy.name, reason)
    return found


def fits(match, record, known, *, protecting=False):
    """The contract's words on `match`, written down a second time and naively."""
    if record.state == "unreadable" or match.state not in ("any", record.state):
        return False
    if match.name and not any(fnmatch.fnmatchcase(record.name, p) for p in match.name.patterns):
        return False
    if match.browser_type is not None and record.browser_type not in match.browser_type:
        return False
    for key, globs in match.metadata:
        value = record.metadata.get(key)
        if value is None or not any(fnmatch.fnmatchcase(value, p) for p in globs.patterns):
            return False
    if match.endpoint is not None:
        if record.endpoint is None:
            return False
        probe = known.get(record.endpoint)
        state = EndpointState.UNKNOWN if probe is None else probe.state
        as_reachable = protecting and state is EndpointState.UNKNOWN
        if match.endpoint is not state and not (as_reachable and match.endpoint is EndpointState.REACHABLE):
            return False
    return match.exclude is None or not fits(match.exclude, record, known)


def owner(rules_, record, known):
    return next((p for p in rules_.policies if fits(p.match, record, known)), None)


def rank(record):
    return (record.accessed if record.state == "valid" else record.identity.mtime_ns / 1e9, record.name)


def reasons(expire, record, known):
    """Every reason of expire that holds, in their order."""
    probe = known.get(record.endpoint)
    since = probe.unreachable_since if probe and probe.state is EndpointState.UNREACHABLE else None
    clocks = [
        ("idle", record.accessed, expire.idle_for),
        ("old", record.created, expire.older_than),
        ("unmodified", record.identity.mtime_ns / 1e9, expire.unmodified_for),
        ("unreachable", since if record.endpoint else None, expire.unreachable_for),
    ]
    return [why for why, moment, limit in clocks if None not in (moment, limit) and NOW - moment > limit]


@law(stores(), rules(), probes(), st.randoms())
def test_the_same_input_gives_the_same_plan_in_whatever_order_it_was_listed(store, rules_, known, random):
    first = plan(snapshot(store), rules_, NOW, known)
    random.shuffle(store)
    second = plan(snapshot(store), rules_, NOW, dict(reversed(known.items())))
    assert list(first.decisions()) == list(second.decisions())
    assert [p.chosen() for p in first.policies] == [p.chosen() for p in second.policies]
    assert [(p.breach, p.cap_exceeded) for p in first.policies] == [
        (p.breach, p.cap_exceeded) for p in second.policies
    ]


@law(stores(), rules(), probes())
def test_each_session_is_decided_once_and_owned_by_the_first_policy_that_fits(store, rules_, known):
    decided = plan(snapshot(store), rules_, NOW, known)
    decisions = list(decided.decisions())
    assert [d.name for d in decisions] == sorted(r.name for r in store)
    by_name = {r.name: r for r in store}
    gone = deleted(store, rules_, known)
    for decision in decisions:
        owning = owner(rules_, by_name[decision.name], known)
        assert decision.policy == (owning.name if owning else None)
        assert (decision.action, decision.reason) == (
            (DELETE, gone[decision.name][1]) if decision.name in gone else (KEEP, None)
        )
        assert decision.name not in gone or gone[decision.name][0] == decision.policy
        assert decision == decided.decide(decision.name)
        assert decision.detail


@law(stores(), rules(), probes())
def test_an_unreadable_session_is_never_chosen(store, rules_, known):
    unreadable = {r.name for r in store if r.state == "unreadable"}
    assert not unreadable & deleted(store, rules_, known).keys()


@law(stores(), rules(), probes())
def test_a_session_whose_file_changed_within_min_age_is_never_chosen(store, rules_, known):
    by_name = {r.name: r for r in store}
    for name, (policy, _) in deleted(store, rules_, known).items():
        min_age = rules_.policy(policy).guards.min_age
        assert not min_age or NOW - by_name[name].identity.mtime_ns / 1e9 >= min_age


@law(stores(), rules(), probes(), matches(exclude=False))
def test_protect_always_wins_and_more_of_it_never_deletes_more(store, rules_, known, more):
    protected = {r.name for r in store for match in rules_.protect if fits(match, r, known, protecting=True)}
    before = deleted(store, rules_, known)
    assert not protected & before.keys()
    after = deleted(store, replace(rules_, protect=(*rules_.protect, more)), known)
    assert not {r.name for r in store if fits(more, r, known, protecting=True)} & after.keys()
    if all(p.cap is None for p in rules_.policies):
        assert after.items() <= before.items()


@law(stores(), rules(cap=st.none(), keep=st.none()), probes(), KEEPS)
def test_more_keep_never_deletes_more(store, rules_, known, keep):
    def keeping(rule):
        return replace(rules_, policies=tuple(replace(p, keep=rule) for p in rules_.policies))

    none, some = deleted(store, keeping(None), known), deleted(store, keeping(keep), known)
    more = deleted(store, keeping(replace(keep, last=keep.last + 1)), known)
    assert more.items() <= some.items() <= none.items()


@law(stores(), rules(cap=COUNT_CAPS, keep=st.none()), probes(), KEEPS)
def test_more_keep_never_deletes_more_sessions_under_a_cap(store, rules_, known, keep):
    """Under a cap keep may change who goes, so that the cap still holds, but never to more of them."""

    def count(rule):
        kept = replace(rules_, policies=tuple(replace(p, keep=rule) for p in rules_.policies))
        return len(deleted(store, kept, known))

    assert count(replace(keep, last=keep.last + 1)) <= count(keep) <= count(None)


@law(stores(), one_policy(keep=KEEPS), probes())
def test_the_last_accessed_of_each_group_stay(store, rules_, known):
    gone = deleted(store, rules_, known)
    for policy in rules_.policies:
        groups = {}
        for r in store:
            if owner(rules_, r, known) is policy:
                groups.setdefault(r.metadata.get(policy.keep.per) if policy.keep.per else "", []).append(r)
        for group in groups.values():
            # Of equals the name that sorts first goes first, so the last by name stay.
            group.sort(key=rank)
            assert not {r.name for r in group[-policy.keep.last :]} & gone.keys()


@law(stores(), rules(), probes())
def test_expire_takes_exactly_what_is_due_and_not_spared_for_the_first_reason_that_holds(
    store, rules_, known
):
    gone = deleted(store, rules_, known)
    for r in store:
        policy = owner(rules_, r, known)
        if policy is None:
            assert r.name not in gone
            continue
        due = reasons(policy.expire, r, known)
        if r.name in gone and gone[r.name][1] != "cap":
            assert gone[r.name] == (policy.name, due[0])
        elif r.name in gone:
            assert not due, "what is due goes for that reason, not for the cap"
        elif due:
            fresh = policy.guards.min_age and NOW - r.identity.mtime_ns / 1e9 < policy.guards.min_age
            protected = any(fits(m, r, known, protecting=True) for m in rules_.protect)
            assert fresh or protected or policy.keep is not None


@law(stores(), one_policy(cap=CAPS), probes())
def test_a_cap_evicts_the_least_recently_accessed_and_no_more_than_it_must(store, rules_, known):
    decided = plan(snapshot(store), rules_, NOW, known)
    (part,) = decided.policies
    cap, min_age = part.policy.cap, part.policy.guards.min_age
    left = [r for r in store if part.fits(r) and r.name not in part.deletions]
    evicted = [decided.snapshot.records[n] for n, why in part.deletions.items() if why == "cap"]

    def holds(sessions):
        count_holds = cap.sessions is None or len(sessions) <= cap.sessions
        return count_holds and (cap.bytes is None or sum(r.size for r in sessions) <= cap.bytes)

    if evicted:
        assert not holds([*left, evicted[-1]]), "the last eviction was needed"
    words = {r.name: part.decide(r).detail for r in left}
    held = [r for r in left if words[r.name].startswith("protected") or " of the last " in words[r.name]]
    fresh = [r for r in left if r not in held and min_age and NOW - r.identity.mtime_ns / 1e9 < min_age]
    evictable = [r for r in left if r not in held and r not in fresh]
    assert holds(left) or not evictable, "a cap is only exceeded by what is spared"
    if evicted and evictable:
        assert max(map(rank, evicted)) < min(map(rank, evictable))
    assert part.cap_exceeded == (not holds(left) and not holds(held)), "keep and protect alone exceed it"


@law(stores(), one_policy(), probes())
def test_sessions_go_in_the_order_of_their_last_access_first_the_expired(store, rules_, known):
    (part,) = plan(snapshot(store), rules_, NOW, known).policies
    by_name = {r.name: r for r in store}
    order = [(c.reason == "cap", *rank(by_name[c.name])) for c in part.chosen()]
    assert order == sorted(order)


@law(stores(), rules(cap=st.none()), probes(), LIMITS)
def test_raising_a_duration_never_deletes_more(store, rules_, known, extra):
    def raised(expire, key):
        limit = getattr(expire, key)
        return expire if limit is None else replace(expire, **{key: limit + extra})

    before = deleted(store, rules_, known).keys()
    for key in ("idle_for", "older_than", "unmodified_for", "unreachable_for"):
        longer = replace(
            rules_, policies=tuple(replace(p, expire=raised(p.expire, key)) for p in rules_.policies)
        )
        assert deleted(store, longer, known).keys() <= before


@law(stores(), rules(cap=st.none() | COUNT_CAPS), probes(), LIMITS)
def test_raising_a_duration_or_a_cap_never_deletes_more_sessions(store, rules_, known, extra):
    def raised(policy):
        expire = policy.expire
        longer = {
            key: getattr(expire, key) + extra
            for key in ("idle_for", "older_than", "unmodified_for", "unreachable_for")
            if getattr(expire, key) is not None
        }
        cap = policy.cap and Cap(policy.cap.sessions + 1)
        return replace(policy, expire=replace(expire, **longer), cap=cap)

    before = deleted(store, rules_, known)
    milder = replace(rules_, policies=tuple(map(raised, rules_.policies)))
    assert len(deleted(store, milder, known)) <= len(before)


@law(stores(), rules(cap=st.none()), probes(), st.sampled_from([1.0, 60.0, 3600.0]))
def test_what_goes_now_would_go_later_too(store, rules_, known, later):
    assert deleted(store, rules_, known).keys() <= deleted(store, rules_, known, NOW + later).keys()


@law(stores(), probes(), EXPIRES)
def test_a_timestamp_in_the_future_expires_nothing(store, known, expire):
    policy = Policy("all", 60.0, Match(state="any"), expire, guards=NO_MIN_AGE)
    gone = deleted(store, Rules((policy,)), known)
    for r in store:
        reason = gone.get(r.name, (None, None))[1]
        probe = known.get(r.endpoint)
        ahead = {
            "idle": r.accessed is not None and r.accessed > NOW,
            "old": r.created is not None and r.created > NOW,
            "unmodified": r.identity.mtime_ns / 1e9 > NOW,
            "unreachable": probe is not None and (probe.unreachable_since or 0) > NOW,
        }
        assert reason is None or not ahead[reason]


@law(stores(), probes(), LIMITS)
def test_a_browser_that_is_not_known_to_be_gone_is_no_reason(store, known, limit):
    policy = Policy("dead", 60.0, Match(state="any"), Expire(unreachable_for=limit), guards=NO_MIN_AGE)
    by_name = {r.name: r for r in store}
    for name in deleted(store, Rules((policy,)), known):
        assert known[by_name[name].endpoint].state is EndpointState.UNREACHABLE


@law(st.integers(8, 25), st.integers(0, 25), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]))
def test_the_ratio_guard_refuses_exactly_past_ten_deletions_and_past_its_ratio(due, others, ratio):
    store = [record(f"d{i}", idle=2.0) for i in range(due)] + [record(f"o{i}") for i in range(others)]
    guards = Guards(max_delete_ratio=ratio)
    policy = Policy("p", 60.0, expire=Expire(idle_for=1.0), guards=guards)
    (part,) = plan(snapshot(store), Rules((policy,)), NOW).policies
    assert len(part.deletions) == due
    over = due > 10 and Fraction(due, due + others) > Fraction(str(ratio))
    assert (part.breach.guard if part.breach else None) == ("max_delete_ratio" if over else None)


@law(stores(), rules(), probes())
def test_what_is_chosen_names_the_very_files_of_the_snapshot_and_their_bytes(store, rules_, known):
    by_name = {r.name: r for r in store}
    for part in plan(snapshot(store), rules_, NOW, known).policies:
        chosen = part.chosen()
        assert {c.name: c.reason for c in chosen} == part.deletions
        assert all(c.identity == by_name[c.name].identity and c.detail for c in chosen)
        assert part.bytes == sum(by_name[c.name].size for c in chosen)


@law(stores(), rules(), probes())
def test_a_policy_deletes_the_same_whatever_stands_behind_it(store, rules_, known):
    whole = deleted(store, rules_, known)
    first = replace(rules_, policies=rules_.policies[:1])
    alone = deleted(store, first, known)
    assert alone == {name: why for name, why in whole.items() if why[0] == "p0"}


@law(stores(), rules(), probes())
def test_the_mode_changes_nothing_in_a_plan(store, rules_, known):
    assert deleted(store, rules_.enforced(), known) == deleted(store, rules_, known)


@law(stores(), st.integers(1, 3), st.none() | st.sampled_from(["env"]))
def test_keep_alone_deletes_nothing(store, last, per):
    policy = Policy("p", 60.0, Match(state="any"), keep=Keep(last, per), guards=NO_MIN_AGE)
    assert deleted(store, Rules((policy,))) == {}

"""Does a rule speak of this session? Unknown things fit nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from raptor_exporter.cleanup.policy import EndpointState, Globs, Match, Probed
from raptor_exporter.session import INVALID, UNREADABLE, VALID, Endpoint
from raptor_exporter.stores.record import Record

Fits = Callable[[Record], bool]
Probes = Mapping[Endpoint, Probed]

_NOT_PROBED = Probed(EndpointState.UNKNOWN, None)

# `record.kind.state`, where `record.state` says the same: these tests run for every session and policy.


def probed(record: Record, probes: Probes) -> Probed | None:
    """What is known of a session's browser; None for a session without an address."""
    endpoint = record.kind.endpoint
    return None if endpoint is None else probes.get(endpoint, _NOT_PROBED)


def compile_match(match: Match, probes: Probes) -> Fits:
    """A test of one record. Unreadable sessions fit no match: they are neither valid nor invalid."""
    return _every(_conditions(match, probes))


def compile_protect(match: Match, probes: Probes) -> Fits:
    """The same for `protect`, where a browser of which nothing is known counts as reachable."""
    if match.endpoint is not EndpointState.REACHABLE:
        return compile_match(match, probes)
    conditions = _conditions(match, probes, endpoints=(EndpointState.REACHABLE, EndpointState.UNKNOWN))
    return _every(conditions)


def _conditions(
    match: Match, probes: Probes, endpoints: tuple[EndpointState, ...] | None = None
) -> list[Fits]:
    conditions: list[Fits] = [_state(match.state)]
    if match.name is not None:
        name = match.name
        conditions.append(lambda record: name.fits(record.name))
    if match.browser_type is not None:
        browser_types = match.browser_type
        conditions.append(lambda record: record.kind.browser_type in browser_types)
    conditions += [_metadata(key, globs) for key, globs in match.metadata]
    if match.endpoint is not None:
        conditions.append(_endpoint(endpoints or (match.endpoint,), probes))
    if match.exclude is not None:
        excluded = compile_match(match.exclude, probes)
        conditions.append(lambda record: not excluded(record))
    return conditions


def _every(conditions: list[Fits]) -> Fits:
    """One test of all conditions, nested in pairs: `all` over a generator costs twice the tests."""
    first, *rest = conditions
    if not rest:
        return first
    others = _every(rest)
    return lambda record: first(record) and others(record)


def _state(state: str) -> Fits:
    if state == VALID:
        return lambda record: record.kind.state == VALID
    if state == INVALID:
        return lambda record: record.kind.state == INVALID
    return lambda record: record.kind.state != UNREADABLE


def _metadata(key: str, globs: Globs) -> Fits:
    known = lru_cache(maxsize=1024)(globs.fits)  # many sessions share few values

    def fits(record: Record) -> bool:
        text = record.kind.metadata.get(key)
        return text is not None and known(text)

    return fits


def _endpoint(states: tuple[EndpointState, ...], probes: Probes) -> Fits:
    def fits(record: Record) -> bool:
        known = probed(record, probes)
        return known is not None and known.state in states

    return fits

"""Since when an endpoint has been unreachable."""

from __future__ import annotations

import pytest

from raptor_exporter.cleanup.policy import EndpointState, Probed
from raptor_exporter.probe import ProbeHistory, ProbeKind, ProbeResult
from raptor_exporter.session import parse_endpoint

ONE = parse_endpoint("ws://127.0.0.1:9222/devtools/browser/1")
TWO = parse_endpoint("ws://127.0.0.1:9222/devtools/browser/2")


def result(kind):
    return ProbeResult(kind, "")


def recorded(*passes):
    history = ProbeHistory()
    for at, kind in passes:
        history.record({ONE: result(kind)}, at)
    return history.probes[ONE]


def test_the_first_failed_probe_in_a_row_counts():
    assert recorded(
        (10, ProbeKind.REFUSED), (20, ProbeKind.OTHER_BROWSER), (30, ProbeKind.REFUSED)
    ) == Probed(EndpointState.UNREACHABLE, 10)


@pytest.mark.parametrize(
    "doubt", [kind for kind in ProbeKind if kind not in (ProbeKind.REFUSED, ProbeKind.OTHER_BROWSER)]
)
def test_life_and_every_doubt_start_the_row_anew(doubt):
    assert recorded((10, ProbeKind.REFUSED), (20, doubt)).unreachable_since is None
    assert recorded((10, ProbeKind.REFUSED), (20, doubt), (30, ProbeKind.REFUSED)) == Probed(
        EndpointState.UNREACHABLE, 30
    )


def test_an_endpoint_that_a_pass_did_not_ask_is_forgotten():
    history = ProbeHistory()
    history.record({ONE: result(ProbeKind.REFUSED), TWO: result(ProbeKind.ALIVE)}, 10)
    history.record({TWO: result(ProbeKind.ALIVE)}, 20)
    assert dict(history.probes) == {TWO: Probed(EndpointState.REACHABLE)}
    history.record({ONE: result(ProbeKind.REFUSED)}, 30)
    assert history.probes[ONE].unreachable_since == 30


def test_a_plan_that_holds_an_earlier_pass_does_not_see_the_next_one():
    history = ProbeHistory()
    earlier = history.record({ONE: result(ProbeKind.REFUSED)}, 10)
    history.record({ONE: result(ProbeKind.ALIVE)}, 20)
    assert earlier[ONE] == Probed(EndpointState.UNREACHABLE, 10)
    with pytest.raises(TypeError):
        earlier[ONE] = Probed(EndpointState.REACHABLE)

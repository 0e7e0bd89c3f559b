"""Sessions that aim the probe at a host that is not listed: a listener there sees nothing at all."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.listeners import answering, free_port, http_answer

from raptor_exporter.probe import ProbeKind, probe_endpoints
from raptor_exporter.session import parse_endpoint

LISTED = ("localhost", "127.0.0.1", "::1", "browsers.test")
PATH = "/devtools/browser/secret"


@pytest.fixture
def forbidden():
    """A listener on a host that is not listed; nobody may have called it by the end."""
    with answering(http_answer("{}"), host="127.0.0.2") as listener:
        yield listener
    assert listener.connections == []


def _probe(*urls, answers=()):
    """The kinds of the results, and the names that were looked up; each lookup gets the next answer."""
    left, asked = list(answers), []

    async def resolve(host):
        asked.append(host)
        return left.pop(0)

    endpoints = [parse_endpoint(url) for url in urls]
    results = asyncio.run(
        probe_endpoints(endpoints, timeout=1.0, allowed_hosts=LISTED, concurrency=5, resolve=resolve)
    )
    return [results[endpoint].kind for endpoint in endpoints], asked


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "127.2",
        "2130706434",
        "0x7f000002",
        "0177.0.0.2",
        "[::ffff:127.0.0.2]",
        "127.0.0.1@127.0.0.2",
        "localhost:9222@127.0.0.2",
        "elsewhere.test",
        "browsers.test.elsewhere.test",
        "xn--localhost.test",
    ],
)
def test_by_the_name_in_the_url(forbidden, host):
    kinds, asked = _probe(f"ws://{host}:{forbidden.port}{PATH}", answers=[["127.0.0.2"]])
    assert kinds == [ProbeKind.NOT_ALLOWED]
    assert asked == []


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_by_a_redirect(forbidden, status):
    location = f"Location: http://127.0.0.2:{forbidden.port}/json/version\r\n"
    with answering(http_answer("", status, location)) as listed:
        kinds, _ = _probe(f"ws://{listed.address}{PATH}")
    assert kinds == [ProbeKind.GARBAGE]
    assert len(listed.connections) == 1


def test_by_the_url_in_an_answer(forbidden):
    answer = {"Browser": "x", "webSocketDebuggerUrl": f"ws://127.0.0.2:{forbidden.port}{PATH}"}
    with answering(http_answer(json.dumps(answer))) as listed:
        kinds, _ = _probe(f"ws://{listed.address}{PATH}")
    assert kinds == [ProbeKind.ALIVE]  # by the id in its path; nobody calls the address


def test_by_a_resolvers_second_answer(forbidden):
    """A name that leads elsewhere when it is asked for once more: it is asked for once."""
    urls = [f"ws://browsers.test:{forbidden.port}{PATH}-{number}" for number in range(3)]
    kinds, asked = _probe(*urls, answers=[["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]])
    assert asked == ["browsers.test"]
    assert ProbeKind.ALIVE not in kinds


def test_by_a_resolvers_further_addresses(forbidden):
    kinds, _ = _probe(f"ws://browsers.test:{free_port()}{PATH}", answers=[["127.0.0.1", "127.0.0.2"]])
    assert kinds == [ProbeKind.REFUSED]
    kinds, _ = _probe(f"ws://browsers.test:{forbidden.port}{PATH}", answers=[["127.0.0.1", "127.0.0.2"]])
    assert kinds == [ProbeKind.REFUSED]


def test_by_what_the_system_says_of_localhost(forbidden):
    kinds, asked = _probe(f"ws://localhost:{forbidden.port}{PATH}", answers=[["127.0.0.2"]])
    assert kinds == [ProbeKind.REFUSED]
    assert asked == []  # it is 127.0.0.1 and ::1, whatever a resolver says

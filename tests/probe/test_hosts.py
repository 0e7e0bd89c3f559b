"""Looking names up: what hangs in DNS holds up nobody else."""

from __future__ import annotations

import asyncio
import re
import socket
import threading

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.waiting import eventually

from raptor_exporter.probe import ProbeKind, hosts, probe_endpoint
from raptor_exporter.probe.hosts import MAX_LOOKUPS, addresses_of, literal_address, resolve_host
from raptor_exporter.session import parse_endpoint


@pytest.fixture
def hanging(monkeypatch):
    """Every lookup hangs until the event is set, then finds 127.0.0.1."""
    release = threading.Event()

    def getaddrinfo(host, *arguments, **options):
        release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(hosts.socket, "getaddrinfo", getaddrinfo)
    yield release
    release.set()
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "raptor-resolve"])


async def given_up(host):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await resolve_host(host)


def test_a_hanging_lookup_does_not_hold_up_the_end_of_the_loop(hanging):
    asyncio.run(given_up("slow.test"))
    assert [t for t in threading.enumerate() if t.name == "raptor-resolve"]  # it still hangs


def test_an_answer_after_the_end_of_the_loop_goes_nowhere(hanging):
    asyncio.run(given_up("slow.test"))
    hanging.set()
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "raptor-resolve"])


def test_an_answer_that_nobody_waits_for_any_more_goes_nowhere(hanging):
    async def story():
        await given_up("slow.test")
        hanging.set()
        assert await resolve_host("quick.test") == ["127.0.0.1"]

    asyncio.run(story())


def test_hanging_lookups_are_limited_and_free_their_places_when_they_end(hanging):
    async def story():
        waiting = [asyncio.create_task(resolve_host(f"slow{n}.test")) for n in range(MAX_LOOKUPS)]
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="32 lookups of other names hang"):
            await resolve_host("one-more.test")
        hanging.set()
        assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * MAX_LOOKUPS
        assert await resolve_host("again.test") == ["127.0.0.1"]

    asyncio.run(story())


def test_a_name_that_does_not_exist_is_an_oserror():
    with pytest.raises(OSError, match=r"\w"):
        asyncio.run(resolve_host("no-such-name.invalid"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%25eth0", "fe80::1%eth0"),
        ("127.1", None),
        ("0x7f.1", None),
        ("2130706433", None),
        ("127.0.0.01", None),
        ("localhost", None),
    ],
)
def test_only_the_common_spelling_of_an_address_is_one(host, address):
    assert literal_address(host) == address


_HOSTS = st.one_of(
    st.text(min_size=1, max_size=30),
    st.from_regex(r"[A-Za-z0-9._%*\\\x00-\x1f-]{1,20}", fullmatch=True),
)


@settings(max_examples=300, deadline=None)
@given(scheme=st.sampled_from(["ws", "wss", "http", "https"]), host=_HOSTS, path=st.text(max_size=20))
def test_no_url_in_a_session_file_breaks_a_probe(scheme, host, path):
    """Whatever the URL, there is a verdict, and no host is called that is not listed."""
    endpoint = parse_endpoint(f"{scheme}://{host}:9/{path}")
    assume(endpoint is not None)

    async def resolve(name):
        assert re.fullmatch(r"[^\x00-\x20]+", name)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    assume(literal_address(endpoint.host) is None)  # addresses would be called for real
    assume(not endpoint.host.endswith("localhost"))
    for allowed, kind in ((None, ProbeKind.NOT_RESOLVED), (("127.0.0.1",), ProbeKind.NOT_ALLOWED)):
        result = asyncio.run(probe_endpoint(endpoint, allowed_hosts=allowed, resolve=resolve))
        assert result.kind is kind


@pytest.mark.parametrize("host", ["localhost", "app.localhost"])
def test_localhost_is_looked_up_nowhere(host):
    async def resolve(name):
        raise AssertionError(name)

    assert asyncio.run(addresses_of(host, resolve)) == ("127.0.0.1", "::1")

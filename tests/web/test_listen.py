from __future__ import annotations

import contextlib
import socket

import pytest

from raptor_exporter.web.listen import ListenError, bound_address, listen, only_loopback, parse_listen_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":19222", ("", 19222)),
        (":0", ("", 0)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("0.0.0.0:9", ("0.0.0.0", 9)),
        ("[::1]:19222", ("::1", 19222)),
        ("[::]:19222", ("::", 19222)),
        ("localhost:65535", ("localhost", 65535)),
        ("my-host.example:80", ("my-host.example", 80)),
    ],
)
def test_host_and_port_are_read_as_exporters_write_them(text, expected):
    assert parse_listen_address(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("19222", "did you mean :19222?"),
        ("", "host:port"),
        ("localhost", "host:port"),
        ("localhost:", "host:port"),
        ("localhost:http", "host:port"),
        ("::1:19222", "brackets"),
        ("[::1]", "host:port"),
        ("[127.0.0.1]:1", "no IPv6 address"),
        (":65536", "above 65535"),
        ("http://localhost:1", "scheme"),
        ("a b:1", "host:port"),
        (":-1", "host:port"),
        (":\u0661", "host:port"),
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy(text, hint):
    with pytest.raises(ValueError, match="listen address") as caught:
        parse_listen_address(text)
    assert hint in str(caught.value)


@contextlib.contextmanager
def listening(address):
    sockets = listen(address)
    try:
        yield sockets
    finally:
        for s in sockets:
            s.close()


def test_an_empty_host_is_reached_by_ipv4_and_ipv6():
    with listening(":0") as sockets:
        (only,) = sockets
        port = only.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 5).close()
        assert not only_loopback(sockets)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0", "127.8.9.10:0"])
def test_loopback_alone_is_known_as_such(address):
    with listening(address) as sockets:
        assert only_loopback(sockets)
        for s in sockets:
            socket.create_connection(s.getsockname()[:2], 5).close()


def test_a_name_listens_on_all_its_addresses_with_one_port():
    with listening("localhost:0") as sockets:
        assert len({s.getsockname()[1] for s in sockets}) == 1
        assert bound_address(sockets[0]) == f"127.0.0.1:{sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_all_addresses_are_not_loopback(address):
    with listening(address) as sockets:
        assert not only_loopback(sockets)


def test_a_port_in_use_and_a_foreign_address_are_told_with_a_remedy():
    in_use = pytest.raises(ListenError, match="in use; stop the other process or choose another")
    with listening("127.0.0.1:0") as (taken,), in_use:
        listen(bound_address(taken))
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0: .*no such address"):
        listen("192.0.2.1:0")
    with pytest.raises(ListenError, match=r"cannot listen on no-such-host\.invalid:0"):
        listen("no-such-host.invalid:0")

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time

import h11
import pytest
from support.agent_view import View, many_sessions, seven_sessions
from support.certificates import self_signed
from support.http_face import ask, host_port, raw, read_all, serving
from support.waiting import eventually

from raptor_exporter.web.guard import Guard, Limits

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def connections(server, count):
    """So many open connections."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(host_port(server), 10)) for _ in range(count)]


def test_a_client_that_never_finishes_its_header_is_cut_however_busily_it_drips():
    with serving(View(), limits=Limits(headers=0.3)) as server, connections(server, 1) as (slow,):
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):  # noqa: PT012 - whichever send meets it
            for number in range(2000):
                slow.sendall(b"X-%d: 1\r\n" % number)
                time.sleep(0.01)


def test_a_silent_client_is_cut():
    with serving(View(), limits=Limits(headers=0.2)) as server, connections(server, 1) as (silent,):
        assert read_all(silent) == b""


def test_a_client_that_drips_a_body_after_its_answer_is_cut():
    with serving(View(), limits=Limits(headers=0.3)) as server, connections(server, 1) as (slow,):
        slow.sendall(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                slow.sendall(b"x")
                time.sleep(0.01)
            pytest.fail("the connection stayed open")


def test_a_kept_connection_answers_again_and_ends_when_idle():
    with (
        serving(seven_sessions(), limits=Limits(keep_alive=0.3)) as server,
        connections(server, 1) as (kept,),
    ):
        for _ in range(3):
            kept.sendall(GET.replace(b"GET", b"HEAD"))
            assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        rest = read_all(kept)
        assert b"HTTP/1.1" not in rest


def test_pipelined_requests_are_answered_in_order():
    with serving(seven_sessions()) as server:
        requests = b"".join(
            b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path, extra)
            for path, extra in [
                (b"/-/ready", b""),
                (b"/nothing", b""),
                (b"/-/healthy", b"Connection: close\r\n"),
            ]
        )
        answer = raw(server, requests)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,  # TLS to a plain port
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 30_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 20_000,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_garbage_is_refused_and_the_next_client_served(garbage, caplog):
    with serving(View(), limits=Limits(headers=0.5)) as server:
        answer = raw(server, garbage)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert ask(server, "/-/healthy").status == 200
    assert not [r for r in caplog.records if r.exc_info]


def test_a_websocket_upgrade_is_just_a_get():
    request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n"
    request += b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    with serving(View()) as server:
        assert b"200 OK" in raw(server, request).partition(b"\r\n")[0]


def test_a_body_that_is_too_large_is_refused():
    request = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
    with serving(View(), lifecycle=True) as server:
        assert raw(server, request).startswith(b"HTTP/1.1 413 ")
        small = request.replace(b"20000", b"9000").replace(b"localhost", b"localhost\r\nConnection: close")
        assert raw(server, small[:9200]).startswith(b"HTTP/1.1 200 ")


def test_a_body_in_chunks_is_refused_before_it_is_parsed():
    request = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(View(), lifecycle=True) as server:
        parsed = []
        h11_data = h11.Data

        def data(**fields):
            parsed.append(fields)
            return h11_data(**fields)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(h11._readers, "Data", data)
            assert raw(server, request + b"1\r\nx\r\n" * 20_000).startswith(b"HTTP/1.1 411 ")
        assert len(parsed) < 1024 / 6 + 1


def test_a_header_of_very_many_lines_is_refused():
    request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    with serving(View()) as server:
        assert raw(server, request + b"a:\r\n" * 90 + b"\r\n").startswith(b"HTTP/1.1 200 ")
        assert raw(server, request + b"a:\r\n" * 110 + b"\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(server, request + b"a:\r\n" * 3000).startswith(b"HTTP/1.1 400 ")


def test_very_many_pipelined_requests_are_answered_one_after_the_other():
    request = b"HEAD /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(View()) as server:
        answer = raw(server, request * 1500 + last, 60)
    assert answer.count(b"HTTP/1.1 200 OK") == 1500
    assert answer.count(b"HTTP/1.1 404 ") == 1


def test_a_client_that_does_not_read_its_answer_is_cut():
    view = many_sessions(10_000)
    request = b"GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(view, limits=Limits(response=3.0)) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(20)
            deaf.connect(host_port(server))
            deaf.sendall(request)
            assert deaf.recv(12) == b"HTTP/1.1 200"
            eventually(lambda: is_cut(deaf), within=20)
            assert len(read_all(deaf)) < 3_500_000
        assert ask(server, "/-/healthy").status == 200


def is_cut(connection):
    """Whether the other side has reset the connection, whatever there is left to read."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def test_when_they_are_too_many_whoever_waits_longest_goes_and_newcomers_are_served():
    with serving(seven_sessions(), limits=Limits(connections=20)) as server, connections(server, 60) as slow:
        for connection in slow:
            with contextlib.suppress(ConnectionError):  # the first ones may have had to go already
                connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(5):
            assert ask(server, "/metrics").status == 200
        eventually(lambda: is_cut(slow[0]))
        assert not is_cut(slow[-1])


def test_new_connections_are_limited_in_time():
    class Client:
        def evict(self):
            raise AssertionError("nobody has to go")

    now = [100.0]
    guard = Guard(Limits(new_per_second=10, new_at_once=5), clock=lambda: now[0])
    clients = [Client() for _ in range(40)]
    assert [guard.admit(c) for c in clients[:7]] == [True] * 5 + [False] * 2
    now[0] += 0.25
    assert [guard.admit(c) for c in clients[7:11]] == [True, True, False, False]
    now[0] += 3600
    assert [guard.admit(c) for c in clients[11:18]] == [True] * 5 + [False] * 2
    assert guard.refused == 6


def test_whoever_asks_as_fast_as_can_be_answered_on_new_connections_meets_no_limit():
    class Client:
        def evict(self):
            raise AssertionError("it has gone by itself")

    now = [0.0]
    guard = Guard(clock=lambda: now[0])
    for _ in range(20_000):
        now[0] += 1 / 4_000
        client = Client()
        assert guard.admit(client)
        guard.gone(client)
    assert guard.refused == 0


def test_nobody_who_is_being_served_is_cut_for_a_newcomer():
    class Client:
        def evict(self):
            raise AssertionError("it is being served")

    guard = Guard(Limits(connections=8))
    clients = [Client() for _ in range(9)]
    for client in clients[:8]:
        assert guard.admit(client)
        guard.is_served(client)
    assert not guard.admit(clients[8])
    guard.gone(clients[0])
    assert guard.admit(clients[8])


def test_who_has_had_an_answer_keeps_its_place_before_strangers():
    class Client:
        cut = False

        def evict(self):
            self.cut = True

    guard = Guard(Limits(connections=8))
    scraper = Client()
    guard.admit(scraper)
    guard.is_served(scraper)
    guard.is_idle(scraper)
    strangers = [Client() for _ in range(50)]
    assert all(guard.admit(s) for s in strangers)
    assert not scraper.cut
    assert [s.cut for s in strangers] == [True] * 43 + [False] * 7


def test_the_server_ends_soon_with_every_kind_of_client_hanging_on(tmp_path):
    view = many_sessions(10_000)
    with serving(view) as server, connections(server, 12) as clients:
        for number, client in enumerate(clients):
            client.sendall([b"", b"GET /", GET, GET.replace(b"metrics", b"api/v1/sessions")][number % 4])
        eventually(lambda: ask(server, "/-/healthy").status == 200)
    # `serving` fails if the end takes 5 seconds.


def test_a_tls_handshake_that_never_ends_is_cut_and_harms_nobody(tmp_path, caplog):
    certificate = self_signed(tmp_path)
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {certificate.cert}, key_file: {certificate.key}}}\n"
    )
    context = ssl.create_default_context(cafile=str(certificate.cert))
    limits = Limits(handshake=0.5)
    web_config = str(tmp_path / "web.yml")
    with (
        serving(View(), web_config_file=web_config, limits=limits) as server,
        connections(server, 30) as clients,
    ):
        for client in clients[:15]:
            client.sendall(b"\x16\x03\x01\x02\x00\x01")
        clients[15].sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ask(server, "/-/healthy", context=context).status == 200
        for client in clients:
            assert b"HTTP" not in read_all(client)
    assert not [r for r in caplog.records if r.exc_info]

"""Answers of every kind, each from a listener that gives just that one."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import socket
import threading

import pytest
from support.certificates import self_signed
from support.listeners import answering, free_port, http_answer, silent

from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.probe import ProbeKind, ProbeResult, probe_endpoint, probe_endpoints
from raptor_exporter.session import parse_endpoint

LOCAL = ("localhost", "127.0.0.1", "::1")
ID = "/devtools/browser/6f1c-secret"
QUICK = 0.2


def probe(*urls, timeout=2.0, allowed_hosts=LOCAL, concurrency=50, **options):
    """The results in the order of the URLs."""
    endpoints = [parse_endpoint(url) for url in urls]
    results = asyncio.run(
        probe_endpoints(
            endpoints, timeout=timeout, allowed_hosts=allowed_hosts, concurrency=concurrency, **options
        )
    )
    return [results[endpoint] for endpoint in endpoints]


def version(path=ID, address="127.0.0.1:9222"):
    return http_answer(
        json.dumps({"Browser": "Chrome/1", "webSocketDebuggerUrl": f"ws://{address}{path}"}),
        headers="Content-Type: application/json\r\n",
    )


async def no_lookup(host):
    raise AssertionError(f"{host} was looked up")


def resolver(table):
    calls = []

    async def resolve(host):
        calls.append(host)
        found = table.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    return resolve, calls


def open_descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_the_browser_that_a_session_names_is_reachable():
    with answering(version()) as listener:
        assert probe(f"ws://{listener.address}{ID}") == [
            ProbeResult(ProbeKind.ALIVE, "answers and is the same browser")
        ]


def test_another_browser_at_the_address_is_unreachable_and_its_id_stays_secret():
    with answering(version("/devtools/browser/another-secret")) as listener:
        (result,) = probe(f"ws://{listener.address}{ID}")
    assert result == ProbeResult(
        ProbeKind.OTHER_BROWSER, f"another browser answers at 127.0.0.1:{listener.port}"
    )
    assert result.state is EndpointState.UNREACHABLE


def test_a_closed_port_is_unreachable():
    (result,) = probe(f"ws://127.0.0.1:{free_port()}{ID}")
    assert result == ProbeResult(ProbeKind.REFUSED, "connection refused")
    assert result.state is EndpointState.UNREACHABLE


@pytest.mark.parametrize("path", ["", "/", "/json/version", "/devtools/browser"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_url_that_names_no_browser_means_whichever_answers(scheme, path):
    with answering(version()) as listener:
        assert probe(f"{scheme}://{listener.address}{path}") == [ProbeResult(ProbeKind.ALIVE, "answers")]


def test_a_url_of_a_tab_is_reachable_without_a_claim_that_it_is_the_same_browser():
    with answering(version()) as listener:
        (result,) = probe(f"ws://{listener.address}/devtools/page/T-secret")
    assert result.state is EndpointState.REACHABLE
    assert "can't be told whether it is the same browser" in result.detail


def test_a_listener_that_never_answers_is_unknown_after_two_tries():
    with silent() as listener:
        assert probe(f"ws://{listener.address}{ID}", timeout=QUICK) == [
            ProbeResult(ProbeKind.HUNG, "did not answer within 0.2s")
        ]


def test_the_second_try_counts():
    first = threading.Event()

    def answer(connection, request):
        if first.is_set():
            connection.sendall(version())
        else:
            first.set()
            connection.recv(1)  # until the probe gives up

    with answering(answer) as listener:
        (result,) = probe(f"ws://{listener.address}{ID}", timeout=1)
    assert result.kind is ProbeKind.ALIVE
    assert len(listener.requests) == 2


def test_an_answer_that_drips_byte_by_byte_ends_at_the_deadline():
    def drip(connection, request):
        connection.settimeout(0.02)
        for byte in version() * 1000:
            connection.sendall(bytes([byte]))
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    with answering(drip) as listener:
        (result,) = probe(f"ws://{listener.address}{ID}", timeout=QUICK)
    assert result == ProbeResult(ProbeKind.HUNG, "did not answer within 0.2s")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "gave no whole HTTP answer, so it is not a browser"),
        (b"", "ended the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\n", "gave no whole HTTP answer, so it is not a browser"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
            "gave no whole HTTP answer, so it is not a browser",
        ),
        (http_answer("not here", "404 Not Found"), "answered with HTTP status 404, so it is not a browser"),
        (http_answer("", "500 Oops"), "answered with HTTP status 500, so it is not a browser"),
        (http_answer("<html>"), "answered, but is not a browser"),
        (http_answer(b"\xff\xfe"), "answered, but is not a browser"),
        (http_answer("[" * 60000), "answered, but is not a browser"),
        (http_answer("[]"), "answered, but is not a browser that speaks CDP"),
        (http_answer('{"Browser": "node.js"}'), "answered, but is not a browser that speaks CDP"),
        (http_answer('{"webSocketDebuggerUrl": 5}'), "answered, but is not a browser that speaks CDP"),
        (
            http_answer('{"webSocketDebuggerUrl": "ws://0.0.0.0:3000"}'),
            "answers, but does not say which browser it is",
        ),
        (http_answer("x" * 200_000), "answered far more than a browser does"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "gave no whole HTTP answer, so it is not a browser"),
    ],
)
def test_whatever_is_not_a_browser_is_unknown(answer, detail):
    with answering(answer) as listener:
        (result,) = probe(f"ws://{listener.address}{ID}")
    assert result == ProbeResult(ProbeKind.GARBAGE, detail)
    assert result.state is EndpointState.UNKNOWN


def test_an_endless_answer_is_cut_off():
    def flood(connection, request):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with answering(flood) as listener:
        (result,) = probe(f"ws://{listener.address}{ID}")
    assert result == ProbeResult(ProbeKind.GARBAGE, "answered far more than a browser does")


def test_a_chunked_answer_of_a_proxy_is_read():
    body = version().partition(b"\r\n\r\n")[2]
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7)
    )
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    with answering(answer) as listener:
        assert probe(f"ws://{listener.address}{ID}")[0].kind is ProbeKind.ALIVE


def test_a_redirect_is_not_followed_not_even_to_loopback():
    with answering(version(), host="127.0.0.2") as elsewhere:
        location = f"Location: http://127.0.0.2:{elsewhere.port}/json/version\r\n"
        with answering(http_answer("", "302 Found", location)) as listener:
            (result,) = probe(f"ws://{listener.address}{ID}", allowed_hosts=None)
    assert result == ProbeResult(ProbeKind.GARBAGE, "answered with HTTP status 302, so it is not a browser")
    assert elsewhere.connections == []


def test_the_environments_proxies_are_not_used(monkeypatch):
    with answering(version()) as proxy, answering(version()) as listener:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert probe(f"ws://{listener.address}{ID}")[0].kind is ProbeKind.ALIVE
    assert proxy.connections == []


def test_one_request_serves_all_sessions_at_an_address():
    with answering(version()) as listener:
        address = listener.address
        results = probe(
            *(f"ws://{address}/devtools/browser/{n}" for n in range(200)),
            f"ws://{address}{ID}",
            f"http://{address}",
        )
    assert [result.kind for result in results] == [ProbeKind.OTHER_BROWSER] * 200 + [ProbeKind.ALIVE] * 2
    assert len(listener.requests) == 1


def test_each_kind_of_path_at_one_address_gets_its_own_verdict():
    with answering(version()) as listener:
        paths = [
            ID,
            "/devtools/browser/other",
            "/devtools/browse",
            "",
            "/devtools/page/T",
            "/devtools/browser/",
        ]
        results = probe(*(f"ws://{listener.address}{path}" for path in paths))
    other = ProbeResult(ProbeKind.OTHER_BROWSER, f"another browser answers at {listener.address}")
    assert [r if r == other else r.detail.partition(";")[0] for r in results] == [
        "answers and is the same browser",
        other,
        "answers",
        "answers",
        "answers",
        other,
    ]


def test_the_request_is_one_that_chromium_takes():
    with answering(version()) as listener:
        probe(f"ws://user:secret@{listener.address}{ID}?token=secret")
    head, _, rest = listener.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /json/version HTTP/1.1"
    assert lines[1] == f"Host: 127.0.0.1:{listener.port}"
    assert "secret" not in head.decode()
    assert "origin" not in head.decode().lower()  # Chromium answers 403 to any
    assert rest == b""


class TestHosts:
    """Who may be called, and where a name leads."""

    @pytest.mark.parametrize(
        "host",
        ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost.", "127.0.0.2", "[::ffff:127.0.0.1]",
         "[0:0:0:0:0:0:0:1]", "localhost.localdomain", "example.org", "127.0.0.1.nip.io", "0", "0.0.0.0"],
    )  # fmt: skip
    def test_a_host_that_is_not_listed_as_it_is_written_is_not_called(self, host):
        with answering(version()) as listener:
            (result,) = probe(f"ws://{host}:{listener.port}{ID}", resolve=no_lookup)
        assert result.kind is ProbeKind.NOT_ALLOWED
        assert result.state is EndpointState.UNKNOWN
        assert result.detail.endswith("is not in probe.allowed_hosts, so it was not called")
        assert listener.connections == []

    @pytest.mark.parametrize(
        ("url_host", "listed"),
        [("LOCALHOST", "localhost"), ("localhost", "LocalHost"), ("[::1]", "::1"), ("[::1]", "[::1]")],
    )
    def test_case_and_brackets_make_no_difference(self, url_host, listed):
        with answering(version(), host="::1") as listener:
            (result,) = probe(f"ws://{url_host}:{listener.port}{ID}", allowed_hosts=(listed,))
        assert result.kind is ProbeKind.ALIVE

    def test_an_empty_list_allows_nobody(self):
        assert probe(f"ws://127.0.0.1:1{ID}", allowed_hosts=())[0].kind is ProbeKind.NOT_ALLOWED

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_localhost_is_either_loopback_address_and_never_looked_up(self, host):
        with answering(version(), host=host) as listener:
            (result,) = probe(f"ws://localhost:{listener.port}{ID}", resolve=no_lookup)
        assert result.kind is ProbeKind.ALIVE

    def test_on_localhost_the_same_browser_is_found_beside_another_one(self):
        with (
            answering(version("/devtools/browser/other")) as first,
            answering(version(), host="::1", port=first.port),
        ):
            assert probe(f"ws://localhost:{first.port}{ID}")[0].kind is ProbeKind.ALIVE
            assert probe(f"ws://127.0.0.1:{first.port}{ID}")[0].kind is ProbeKind.OTHER_BROWSER

    def test_on_localhost_doubt_on_one_address_outweighs_a_refusal_on_the_other(self):
        with silent(host="::1") as listener:
            (result,) = probe(f"ws://localhost:{listener.port}{ID}", timeout=QUICK)
        assert result.kind is ProbeKind.HUNG

    def test_a_listed_name_is_looked_up_once_for_all_its_ports_and_that_address_called(self):
        resolve, calls = resolver({"browsers.test": ["127.0.0.1", "127.0.0.2"]})
        with answering(version()) as one, answering(version()) as two:
            results = probe(
                f"ws://browsers.test:{one.port}{ID}",
                f"ws://Browsers.Test:{two.port}{ID}",
                allowed_hosts=("browsers.test",),
                resolve=resolve,
            )
        assert [r.kind for r in results] == [ProbeKind.ALIVE, ProbeKind.ALIVE]
        assert calls == ["browsers.test"]
        assert f"Host: 127.0.0.1:{one.port}\r\n".encode() in one.requests[0]  # a name would be answered 500

    def test_only_the_first_address_is_called(self):
        resolve, _ = resolver({"browsers.test": ["127.0.0.3", "127.0.0.1"]})
        with answering(version()) as listener:
            (result,) = probe(
                f"ws://browsers.test:{listener.port}{ID}", allowed_hosts=("browsers.test",), resolve=resolve
            )
        assert result.kind is ProbeKind.REFUSED
        assert listener.connections == []

    @pytest.mark.parametrize(
        "address", ["169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "fe80::1", "::ffff:169.254.1.1"]
    )
    def test_a_listed_name_that_leads_to_no_hosts_address_is_not_called(self, address):
        resolve, _ = resolver({"browsers.test": [address]})
        (result,) = probe(f"ws://browsers.test:9222{ID}", allowed_hosts=("browsers.test",), resolve=resolve)
        assert result == ProbeResult(
            ProbeKind.NOT_ALLOWED, f"the name browsers.test stands for {address}, where no browser can be"
        )

    @pytest.mark.parametrize("found", [None, [], ["not an address"]])
    def test_a_name_that_does_not_resolve_is_unknown(self, found):
        resolve, _ = resolver({"gone.test": found})
        (result,) = probe(f"ws://gone.test:9222{ID}", allowed_hosts=None, resolve=resolve)
        assert result == ProbeResult(ProbeKind.NOT_RESOLVED, "the name gone.test did not resolve")
        assert result.state is EndpointState.UNKNOWN

    @pytest.mark.parametrize("host", ["a" * 64 + ".test", "a..b", "\0", "xn--\u00e9"])
    def test_a_name_that_dns_cannot_hold_does_not_resolve(self, host):
        assert probe(f"ws://{host}:9222{ID}", allowed_hosts=None)[0].kind is ProbeKind.NOT_RESOLVED

    def test_a_lookup_that_hangs_is_given_up(self):
        async def resolve(host):
            await asyncio.Event().wait()

        (result,) = probe(f"ws://slow.test:9222{ID}", allowed_hosts=None, resolve=resolve, timeout=QUICK)
        assert result.kind is ProbeKind.NOT_RESOLVED

    def test_the_systems_resolver_is_asked_by_default(self):
        hostname = "ip6-localhost"
        try:
            socket.getaddrinfo(hostname, None)
        except OSError:
            hostname = socket.gethostname()
        (result,) = probe(f"ws://{hostname}:{free_port()}{ID}", allowed_hosts=(hostname,))
        assert result.kind is ProbeKind.REFUSED


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    names = ("IP:127.0.0.1", "DNS:browsers.test", "DNS:localhost")
    return self_signed(tmp_path_factory.mktemp("tls"), names)


class TestTls:
    """wss and https: a proxy stands before the browser."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "browsers.test"])
    @pytest.mark.parametrize("scheme", ["wss", "https"])
    def test_a_browser_behind_a_trusted_certificate_is_reachable(
        self, certificate, monkeypatch, scheme, host
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
        resolve, _ = resolver({"browsers.test": ["127.0.0.1"]})
        with answering(version(), tls=certificate.server_context()) as listener:
            url = f"{scheme}://{host}:{listener.port}{ID}"
            (result,) = probe(url, allowed_hosts=(host,), resolve=resolve)
        assert result == ProbeResult(ProbeKind.ALIVE, "answers and is the same browser")
        # A proxy tells its browsers apart by the name.
        assert f"Host: {host}:{listener.port}\r\n".encode() in listener.requests[0]

    def test_an_untrusted_certificate_proves_nothing_even_if_another_browser_answers(self, certificate):
        answer = version("/devtools/browser/impostor")
        with answering(answer, tls=certificate.server_context()) as listener:
            (result,) = probe(f"wss://{listener.address}{ID}")
        assert result.kind is ProbeKind.UNTRUSTED
        assert result.state is EndpointState.UNKNOWN
        assert result.detail.startswith("its certificate is not trusted: ")

    def test_a_certificate_of_another_name_proves_nothing(self, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
        resolve, _ = resolver({"other.test": ["127.0.0.1"]})
        with answering(version(), tls=certificate.server_context()) as listener:
            (result,) = probe(f"wss://other.test:{listener.port}{ID}", allowed_hosts=None, resolve=resolve)
        assert result.kind is ProbeKind.UNTRUSTED

    def test_a_plain_listener_is_not_taken_for_a_secure_browser(self):
        with answering(version()) as listener:
            (result,) = probe(f"wss://{listener.address}{ID}")
        assert result.kind is ProbeKind.GARBAGE

    def test_a_silent_listener_is_given_up_in_the_handshake(self):
        with silent() as listener:
            (result,) = probe(f"wss://{listener.address}{ID}", timeout=QUICK)
        assert result.kind is ProbeKind.HUNG


class TestResources:
    """Nothing is left behind, whatever happens."""

    def test_no_descriptor_is_left_after_every_kind_of_answer(self):
        with silent() as hung, answering(version()) as good, answering(b"x" * 100_000) as bad:
            urls = [f"ws://{a.address}{ID}" for a in (hung, good, bad)] + [
                f"ws://127.0.0.1:{free_port()}{ID}"
            ]
            probe(*urls, timeout=QUICK)
            before = open_descriptors()
            for _ in range(3):
                probe(*urls, timeout=QUICK)
            assert open_descriptors() <= before

    def test_a_cancelled_pass_closes_its_connections(self):
        async def cancelled(url):
            before = open_descriptors()
            task = asyncio.create_task(probe_endpoint(parse_endpoint(url), timeout=60, allowed_hosts=LOCAL))
            while open_descriptors() == before:  # noqa: ASYNC110  # a descriptor has no event
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            assert open_descriptors() == before

        with silent() as listener:
            asyncio.run(cancelled(f"ws://{listener.address}{ID}"))

    def test_no_more_calls_are_in_flight_than_allowed(self):
        lock = threading.Lock()
        now = most = 0

        def answer(connection, request):
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            threading.Event().wait(0.02)  # long enough for the others to arrive, if there were any
            with lock:
                now -= 1
            connection.sendall(version())

        with answering(answer, host="") as listener:  # on all of 127.0.0.0/8
            results = probe(
                *(f"ws://127.0.0.{n}:{listener.port}{ID}" for n in range(1, 31)),
                concurrency=3,
                allowed_hosts=None,
            )
        assert {r.kind for r in results} == {ProbeKind.ALIVE}
        assert most <= 3

    def test_without_free_descriptors_the_verdict_is_unknown(self):
        with answering(version()) as listener:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

            async def starved():
                # The loop has its own descriptors by now: leave room for none more.
                resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
                try:
                    return await probe_endpoint(
                        parse_endpoint(f"ws://{listener.address}{ID}"), allowed_hosts=LOCAL
                    )
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

            result = asyncio.run(starved())
        assert result == ProbeResult(ProbeKind.FAILED, "too many open files here")
        assert result.state is EndpointState.UNKNOWN

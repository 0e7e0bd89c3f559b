"""The HTTP face of the real agent, as a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from support.http_face import Answer
from support.waiting import eventually

RAN = re.compile(r'raptor_cleanup_runs_total\{outcome="success",policy="gone"\} [1-9]')
PAGES = ["/", "/metrics", "/api/v1/status", "/api/v1/sessions", "/api/v1/plan"]


class Agent:
    """``serve`` on a store; its log is a file."""

    def __init__(self, directory, *options, environment=()):
        self.log_file = directory / "agent.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-m",
                        "raptor_exporter",
                        "serve",
                        "--web.listen-address",
                        "127.0.0.1:0",
                    ),
                    *("--store", str(directory / "store"), "--log.level", "debug", *options),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **dict(environment)},
            )

    @property
    def log(self):
        return self.log_file.read_text()

    @property
    def port(self):
        def found():
            assert self.process.poll() is None, self.log
            match = re.search(r"\baddress\W{1,3}127\.0\.0\.1:(\d+)", self.log)
            return int(match[1]) if match else None

        return eventually(found, within=30)

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def ready(self):
        eventually(lambda: self.ask("/-/ready").status == 200, within=30)
        return self


@contextlib.contextmanager
def agent(directory, *options, **more):
    running = Agent(directory, *options, **more)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "store"
    directory.mkdir(mode=0o700)
    return directory


def session(store, name, cdp_url, **fields):
    document = {
        "session_id": name,
        "cdp_url": cdp_url,
        "browser_type": "chromium",
        "created_at": "2026-01-01T00:00:00+00:00",
        "last_accessed": "2026-01-01T00:00:00+00:00",
        "metadata": {},
        **fields,
    }
    (store / f"{name}.json").write_text(json.dumps(document))


def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_no_page_metric_or_log_line_shows_a_secret_of_any_url(tmp_path, store):
    port = closed_port()
    urls = [
        f"ws://127.0.0.1:{port}/devtools/browser/secret",
        f"ws://secret:secret@127.0.0.1:{port}/secret/devtools/browser/secret?secret=secret#secret",
        f"http://127.0.0.1:{port}/secret?secret",
        "wss://secret@not-allowed.example/secret",
        "ws://no-such-host.invalid:1/devtools/browser/secret secret",
        "ws://127.0.0.1:99999/secret",
        "ws:secret",
        "ftp://secret:secret@host/secret",
    ]
    page = "https://secret:secret@shop.example/cart?secret=secret#secret"
    for number, url in enumerate(urls):
        # A text says not where a URL with a space in it ends, so no such one stands there.
        told = f"ws://h:1/secret {urls[number % 4]}"
        metadata = {"env": told, "page_url": page, "page_title": "cart"}
        session(store, f"s{number}", url, metadata=metadata)
    session(store, "broken-type", urls[0], browser_type="ws://h:1/secret")
    (store / "corrupt.json").write_text('{"cdp_url": "ws://h:1/secret')
    config = tmp_path / "raptor.yaml"
    config.write_text(
        "version: 1\n"
        "probe: {interval: 1s, timeout: 500ms, allowed_hosts: [127.0.0.1, no-such-host.invalid]}\n"
        "cleanup: {protect: [{metadata: {page_url: 'x*'}}], guards: {min_age: 0s}}\n"
        "policies:\n"
        "  - {name: gone, interval: 1s, match: {metadata: {env: 'ws*'}}, expire: {unreachable_for: 1s},"
        " mode: enforce, keep: {last: 1, per: metadata.page_url}}\n"
    )
    for fmt in ("logfmt", "json"):
        with agent(tmp_path, "--config", str(config), "--log.format", fmt) as running:
            running.ready()
            eventually(lambda: RAN.search(running.ask("/metrics").text), within=30)
            for path in PAGES:
                text = running.ask(path).text
                assert text
                assert "secret" not in text, path
            assert "127.0.0.1" in running.ask("/api/v1/sessions").text
            running.process.send_signal(signal.SIGHUP)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(10) == 0
            assert "secret" not in running.log
            if fmt == "json":
                assert {type(json.loads(line)) for line in running.log.splitlines()} == {dict}
    for path in (store / ".raptor").rglob("journal*"):
        assert "secret" not in path.read_text()


def test_promtool_and_the_strict_parser_find_nothing_in_either_format(tmp_path, store):
    session(store, "a", "ws://127.0.0.1:1/devtools/browser/x")
    with agent(tmp_path) as running:
        running.ready()
        text = running.ask("/metrics")
        openmetrics = running.ask("/metrics", Accept="application/openmetrics-text")
        for exposition in (text.text, openmetrics.text.removesuffix("# EOF\n")):
            checked = subprocess.run(
                ["promtool", "check", "metrics"],
                input=exposition,
                capture_output=True,
                text=True,
                check=False,
            )
            if exposition == text.text:
                assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        families = {family.name: family for family in parse_openmetrics(openmetrics.text)}
        assert families["raptor_sessions"].type == "gauge"
        assert families["raptor_session_idle_seconds"].type == "gaugehistogram"
        assert families["raptor_cleanup_runs"].type == "counter"
        assert not [s for f in families.values() for s in f.samples if s.name.endswith("_created")]


def test_ten_thousand_sessions_fit_into_64_mib(tmp_path, store):
    for number in range(10_000):
        session(
            store,
            f"load-{number:05}",
            f"ws://127.0.0.1:{20000 + number % 50}/devtools/browser/{number:036}",
            metadata={"env": "ci", "page_url": f"https://shop.example/{number}"},
        )
    with agent(tmp_path) as running:
        running.ready()
        for _ in range(3):
            for path in PAGES:
                assert running.ask(path, Accept_Encoding="gzip").status == 200
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        assert int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) < 64 * 1024


def test_the_agent_ends_within_seconds_however_clients_cling_to_it(tmp_path, store):
    session(store, "a", "ws://127.0.0.1:1/devtools/browser/x")
    with agent(tmp_path, "--web.enable-lifecycle") as running, contextlib.ExitStack() as stack:
        running.ready()
        for number in range(40):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
            client.sendall(
                [
                    b"",
                    b"GET / HTTP/1.1\r\nHost: loc",
                    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
                ][number % 4]
            )
        begun = time.monotonic()
        running.process.terminate()
        assert running.process.wait(20) == 0
        assert time.monotonic() - begun < 5


def test_a_reload_by_http_answers_when_it_is_done(tmp_path, store):
    config = tmp_path / "raptor.yaml"
    one = "version: 1\npolicies: [{name: one, interval: 1h, expire: {idle_for: 1d}}]\n"
    config.write_text(one)
    options = ("--config", str(config), "--config.reload-interval", "0")
    with agent(tmp_path, *options, "--web.enable-lifecycle") as running:
        running.ready()
        config.write_text(one.replace("one", "two"))
        assert running.ask("/-/reload", "POST").status == 200
        assert 'raptor_cleanup_enforced{policy="two"} 0.0' in running.ask("/metrics").text
        config.write_text(one.replace("idle_for", "idle_fro"))
        answer = running.ask("/-/reload", "POST")
        assert answer.status == 500
        assert answer.text.startswith(f"{config}:2:")
        assert "raptor_config_last_reload_successful 0.0" in running.ask("/metrics").text
        assert 'raptor_cleanup_enforced{policy="two"} 0.0' in running.ask("/metrics").text


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("19222", 2, "did you mean :19222?"),
        ("127.0.0.1:99999", 2, "above 65535"),
        ("192.0.2.1:0", 1, "this machine has no such address"),
    ],
)
def test_an_address_that_cannot_be_listened_on_ends_the_start_with_a_word_on_why(
    store, address, status, words
):
    command = [sys.executable, "-m", "raptor_exporter", "serve", "--store", str(store)]
    ended = subprocess.run(
        [*command, "--web.listen-address", address], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == status
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr

"""The HTTP face of a real agent, by plain requests: routes, negotiation, who sees names, reloads."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import signal
import socket

import bcrypt
import pytest
from support.agent import running_agent
from support.sessions import DAY, write_session
from support.waiting import eventually

PAGES = ("/metrics", "/", "/-/healthy", "/-/ready", "/api/v1/status", "/api/v1/sessions", "/api/v1/plan")
WITH_NAMES = ("/", "/api/v1/sessions", "/api/v1/plan")
NAME = "a-name-that-is-a-secret"
SECRETS = (b"0f0f0f0f-0000", b"devtools", b"user:word", b"token=1")


def policy(name="p", **parts):
    return {"name": name, "interval": "1h", "expire": {"idle_for": "1d"}, **parts}


def text(*policies, **more):
    return json.dumps({"version": 1, "store": {"refresh_interval": "300ms"}, "policies": policies, **more})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("http") / "sessions"
    path.mkdir(mode=0o700)
    page = "https://user:word@shop.example/cart?token=1#end"
    write_session(path, NAME, idle=2 * DAY, metadata={"page_url": page, "k": "a-value-that-is-a-secret"})
    return path


@pytest.fixture(scope="module")
def config(store):
    file = store.parent / "raptor.yaml"
    file.write_text(text(policy()))
    return file


@pytest.fixture(scope="module")
def agent(store, config):
    with running_agent("--store", str(store), "--config", str(config)) as running:
        yield running


def ask(agent, path, method="GET", body=None, **headers):
    """Status, headers in lower case, body."""
    port = int(agent.address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, data


@pytest.mark.parametrize("path", PAGES)
def test_get_and_head_work_on_every_page_and_nothing_else_does(agent, path):
    status, headers, body = ask(agent, path)
    assert status == 200
    head_status, head_headers, head_body = ask(agent, path, "HEAD")
    assert (head_status, head_headers["content-type"], head_body) == (200, headers["content-type"], b"")
    assert ask(agent, path + "?x=1")[0] == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(agent, path, method, b"")[0] in (404, 405)
    assert ask(agent, path.rstrip("/") + "/more")[0] == 404
    assert not [secret for secret in SECRETS if secret in body]


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1", f"/api/v1/sessions/{NAME}", "/-/quit", "/%2e%2e/metrics"]
)
def test_other_paths_are_not_there(agent, path):
    assert ask(agent, path)[0] == 404


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5"


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("text/plain;version=0.0.4", "text/plain"),
        ("text/html,*/*;q=0.1", "text/plain"),
        (OPENMETRICS, OPENMETRICS),
        (OPENMETRICS.upper(), OPENMETRICS),
        (f"{OPENMETRICS}; version=1.0.0", OPENMETRICS),
        (f"{OPENMETRICS}; version=0.0.1", OPENMETRICS),
        (PROMETHEUS + ",*/*;q=0.1", OPENMETRICS),
        (f"{OPENMETRICS};q=0", "text/plain"),
        (f"{OPENMETRICS};q=0.1,text/plain;q=0.9", "text/plain"),
    ],
)
def test_the_exposition_is_what_accept_asks_for(agent, accept, given):
    status, headers, body = ask(agent, "/metrics", **({"Accept": accept} if accept else {}))
    assert (status, headers["content-type"].partition(";")[0]) == (200, given)
    assert body.endswith(b"# EOF\n") is (given == OPENMETRICS)
    assert b"_created" not in body


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [
        (None, False),
        ("gzip", True),
        ("deflate, gzip;q=1.0", True),
        ("*", True),
        ("gzip;q=0", False),
        ("br", False),
    ],
)
def test_the_exposition_is_zipped_for_who_accepts_that(agent, encoding, zipped):
    _, headers, body = ask(agent, "/metrics", **({"Accept_Encoding": encoding} if encoding else {}))
    assert (headers.get("content-encoding") == "gzip") is zipped
    assert b"raptor_sessions{" in (gzip.decompress(body) if zipped else body)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:80", "127.0.0.1:1", "[::1]:9"]
)
def test_on_loopback_names_are_shown_to_a_local_host(agent, host):
    for path in PAGES:
        status, _, body = ask(agent, path, Host=host)
        assert (status, NAME.encode() in body) == (200, path in WITH_NAMES)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.2", "0.0.0.0", "a@localhost"]
)
def test_on_loopback_another_host_is_refused(agent, host):
    for path in ("/api/v1/status", *WITH_NAMES):
        status, _, body = ask(agent, path, Host=host)
        assert (status, NAME.encode() in body) == (403, False)


def test_on_every_address_there_are_totals_and_policies_alone(store, config):
    arguments = ("--store", str(store), "--config", str(config), "--web.listen-address", "0.0.0.0:0")
    with running_agent(*arguments, wait_ready=False) as agent:
        eventually(lambda: ask(agent, "/-/ready")[0] == 200)
        for path in PAGES:
            for host in ("localhost", "exporter.example:19222"):
                status, _, body = ask(agent, path, Host=host)
                assert status == 200
                assert not [word for word in (NAME.encode(), b"a-value-that-is", *SECRETS) if word in body]
        (row,) = json.loads(ask(agent, "/api/v1/plan")[2])["policies"]
        assert (row["name"], row["candidates"]) == ("p", 1)


def test_before_a_first_refresh_it_is_healthy_but_not_ready(tmp_path):
    with running_agent("--store", str(tmp_path / "none"), wait_ready=False) as agent:
        assert ask(agent, "/-/healthy")[0] == 200
        assert ask(agent, "/-/ready")[0] == 503
        assert ask(agent, "/metrics")[0] == 200


def test_a_reload_by_http_is_off_unless_asked_for(agent):
    assert ask(agent, "/-/reload", "POST", b"")[0] == 403
    assert ask(agent, "/-/reload")[0] == 405


def test_a_reload_takes_a_good_file_whole_or_keeps_the_old_one(store, tmp_path):
    file = tmp_path / "raptor.yaml"
    file.write_text(text(policy()))
    arguments = ("--config", str(file), "--web.enable-lifecycle", "--config.reload-interval", "0")
    with running_agent("--store", str(store), *arguments) as agent:

        def next_run(name="p"):
            return agent.value("raptor_cleanup_next_run_timestamp_seconds", policy=name)

        def loaded():
            return agent.value("raptor_config_last_reload_successful")

        eventually(next_run)
        planned, since = next_run(), agent.value("raptor_config_last_reload_success_timestamp_seconds")
        file.write_text(text(policy(), policy("q", mode="enforce")))
        for origin in ("http://localhost", "null"):
            assert ask(agent, "/-/reload", "POST", b"", Origin=origin)[0] == 403
        assert agent.value("raptor_cleanup_enforced", policy="q") is None
        assert ask(agent, "/-/reload", "POST", b"")[0] == 200
        assert agent.value("raptor_cleanup_enforced", policy="q") == 1
        assert agent.value("raptor_cleanup_runs_total", policy="q", outcome="refused") == 0
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="q", reason="cap") == 0
        assert next_run() == planned  # an unchanged policy keeps its time
        changed = agent.value("raptor_config_last_reload_success_timestamp_seconds")
        assert changed > since
        for bad in ("version: 1\nfoo: 1\nbar: 2\n", text(policy("r"), store={"refresh_interval": "1h"})):
            file.write_text(bad)
            status, _, body = ask(agent, "/-/reload", "POST", b"")
            assert (status, body.count(str(file).encode())) == (500, 2 if "foo" in bad else 1)
            assert (loaded(), agent.value("raptor_cleanup_enforced", policy="q")) == (0, 1)
            assert agent.value("raptor_config_last_reload_success_timestamp_seconds") == changed
        file.write_text(text(policy("last")))
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: agent.value("raptor_cleanup_enforced", policy="last") == 0)
        assert (loaded(), agent.value("raptor_cleanup_enforced", policy="q")) == (1, None)
        assert agent.end(signal.SIGINT) == 0


def test_a_changed_file_is_seen_and_a_half_sent_request_holds_no_end_up(store, tmp_path):
    file = tmp_path / "raptor.yaml"
    file.write_text(text(policy()))
    arguments = ("--config", str(file), "--config.reload-interval", "200ms")
    with running_agent("--store", str(store), *arguments) as agent:
        file.write_text(text(policy("q")))
        eventually(lambda: agent.value("raptor_cleanup_enforced", policy="q") == 0)
        host, port = agent.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /met")
            assert agent.end() == 0


def test_behind_a_password_names_are_shown_to_any_host(store, config, tmp_path):
    web = tmp_path / "web.yaml"
    word = bcrypt.hashpw(b"word", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users:\n  alice: {word}\n")

    def basic(user):
        return {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}

    arguments = ("--web.config.file", str(web), "--web.listen-address", "0.0.0.0:0", "--web.enable-lifecycle")
    with running_agent("--store", str(store), "--config", str(config), *arguments, wait_ready=False) as agent:
        eventually(lambda: ask(agent, "/-/ready")[0] == 200)  # without a password
        assert ask(agent, "/-/healthy")[0] == 200
        for path in ("/metrics", "/api/v1/status", *WITH_NAMES):
            status, headers, body = ask(agent, path)
            assert (status, NAME.encode() in body) == (401, False)
            assert headers["www-authenticate"].startswith("Basic")
            for wrong in ("alice:no", "bob:word", "alice"):
                assert ask(agent, path, **basic(wrong))[0] == 401
            status, _, body = ask(agent, path, **basic("alice:word"), Host="exporter.example")
            assert (status, NAME.encode() in body) == (200, path in WITH_NAMES)
        assert ask(agent, "/-/reload", "POST", b"")[0] == 401
        assert ask(agent, "/-/reload", "POST", b"", **basic("alice:word"))[0] == 200

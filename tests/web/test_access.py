"""Who sees the names of sessions: with and without a password, on loopback and on all addresses."""

from __future__ import annotations

import base64
import json
import re

import bcrypt
import pytest
from support.agent_view import View, seven_sessions
from support.http_face import ask, host_port, raw, serving

NAMES = ["login", "checkout-flow", "nightly-42", "admin-staging", "half-written", "locked"]
NAMED_PAGES = ["/", "/api/v1/sessions", "/api/v1/plan"]
PAGES = [*NAMED_PAGES, "/api/v1/status", "/metrics", "/static/status.css"]
FOREIGN = {"Host": "evil.example"}
HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4))


def basic(user="ada", password="open sesame"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def loopback():
    with serving(seven_sessions(), lifecycle=True) as server:
        yield server


@pytest.fixture(scope="module")
def everywhere():
    with serving(seven_sessions(), "0.0.0.0:0", lifecycle=True) as server:
        yield server


@pytest.fixture(scope="module", params=["127.0.0.1:0", "0.0.0.0:0"])
def protected(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("web") / "web.yml"
    file.write_text(f"basic_auth_users:\n  ada: {HASH.decode()}\n")
    with serving(seven_sessions(), request.param, web_config_file=str(file), lifecycle=True) as server:
        yield server


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:19222", "[::1]", "[::1]:1"]
)
@pytest.mark.parametrize("path", NAMED_PAGES)
def test_on_loopback_names_are_served_under_local_names(loopback, path, host):
    answer = ask(loopback, path, headers={"Host": host})
    assert answer.status == 200
    for name in NAMES:
        assert name in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.2",
        "localhost.",
        "[::2]",
        "::1",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "localhost@evil.example",
        "evil.example:127.0.0.1",
        "localhost:80:80",
        "127.0.0.1,x",
        "x",
    ],
)
def test_on_loopback_another_host_is_refused_everywhere_but_for_health(loopback, host):
    for path in PAGES:
        answer = ask(loopback, path, headers={"Host": host})
        assert answer.status == 403
        assert not any(name in answer.text for name in NAMES)
    assert ask(loopback, "/-/reload", "POST", {"Host": host}).status == 403
    for path in ("/-/healthy", "/-/ready"):
        assert ask(loopback, path, headers={"Host": host}).status == 200


def test_no_host_at_all_is_another_host(loopback):
    answer = raw(loopback, b"GET /api/v1/sessions HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert raw(loopback, b"GET /-/healthy HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_host_in_the_request_line_or_in_other_headers_helps_nobody(loopback):
    request = (
        b"GET http://localhost/api/v1/sessions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert raw(loopback, request).startswith(b"HTTP/1.1 403 ")
    for header in ("X-Forwarded-Host", "X-Host", "Forwarded"):
        assert ask(loopback, "/api/v1/sessions", headers={**FOREIGN, header: "localhost"}).status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "evil.example", "exporter.monitoring.svc:19222"])
def test_on_all_addresses_without_a_password_there_are_totals_and_policies_but_no_names(everywhere, host):
    for path in PAGES:
        answer = ask(everywhere, path, headers={"Host": host})
        assert answer.status == 200
        for name in (
            *NAMES,
            "127.0.0.1:9222",
            "127.0.0.1:9333",
            "browsers.example",
            "/home/me",
            "/etc/raptor",
        ):
            assert not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", answer.text), path
    sessions = json.loads(ask(everywhere, "/api/v1/sessions").body)
    assert sessions["sessions"] == []
    assert sessions["total"] == 7
    plan = json.loads(ask(everywhere, "/api/v1/plan").body)
    assert plan["decisions"] == []
    assert plan["policies"][0]["candidates"] == 2
    status = json.loads(ask(everywhere, "/api/v1/status").body)
    assert status["sessions"]["valid"] == 5
    assert status["endpoints"] == {"reachable": 2, "unreachable": 2, "unknown": 1}


def test_messages_that_could_hold_names_stay_with_those_who_may_see_them():
    view = seven_sessions()
    secret = "raptor.yaml:3:9: policies[0].match.name: is golden-login"
    view.config_state = type(view.config_state)("/etc/x.yaml", 1.0, (secret,))
    view.store_state = type(view.store_state)("/place", up=False, error="golden-login cannot be read")
    with serving(view, "0.0.0.0:0") as server:
        for path in PAGES:
            assert "golden" not in ask(server, path).text
    with serving(view) as server:
        status = json.loads(ask(server, "/api/v1/status").body)
    assert status["config"]["errors"] == [secret]
    assert status["store"]["error"] == "golden-login cannot be read"


@pytest.mark.parametrize("headers", [{}, basic(password="open"), basic("eve"), {"Authorization": "Basic !"}])
def test_with_a_password_everything_but_health_asks_for_it(protected, headers):
    for path in (*PAGES, "/nothing"):
        answer = ask(protected, path, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert not any(name in answer.text for name in NAMES)
    assert ask(protected, "/-/reload", "POST", headers).status == 401
    assert ask(protected, "/-/healthy", headers=headers).status == 200
    assert ask(protected, "/-/ready", "HEAD", headers=headers).status == 200


@pytest.mark.parametrize("host", ["localhost", "exporter.example:19222"])
def test_the_password_opens_everything_under_every_host(protected, host):
    for path in PAGES:
        answer = ask(protected, path, headers={**basic(), "Host": host})
        assert answer.status == 200
        if path in NAMED_PAGES:
            assert all(name in answer.text for name in NAMES)
    assert ask(protected, "/-/reload", "POST", basic()).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:19222", "null", ""])
def test_a_post_with_an_origin_is_refused_with_and_without_a_password(
    loopback, everywhere, protected, origin
):
    for server, headers in [(loopback, {}), (everywhere, {}), (protected, {}), (protected, basic())]:
        before = server._view.reloads
        assert ask(server, "/-/reload", "POST", {**headers, "Origin": origin}).status == 403
        assert server._view.reloads == before
    assert ask(loopback, "/-/reload", "POST").status == 200
    assert ask(everywhere, "/-/reload", "POST").status == 200


def test_a_get_with_an_origin_gives_no_other_site_leave_to_read(loopback):
    answer = ask(loopback, "/api/v1/sessions", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_health_stays_open_while_nothing_else_is():
    view = View(ready=False, healthy=False)
    with serving(view) as server:
        assert ask(server, "/-/healthy", headers=FOREIGN).status == 503
        assert ask(server, "/-/ready", headers=FOREIGN).status == 503
        assert host_port(server)[0] == "127.0.0.1"

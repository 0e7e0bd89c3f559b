from __future__ import annotations

import gzip
import json

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.agent_view import View, many_sessions, seven_sessions
from support.http_face import ask, raw, serving

PAGES = [
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/api/v1/status",
    "/api/v1/sessions",
    "/api/v1/plan",
    "/static/status.css",
]
EXPOSITION = """\
# HELP raptor_sessions Session files
# TYPE raptor_sessions gauge
raptor_sessions{state="valid"} 5.0
raptor_sessions{state="invalid"} 1.0
raptor_sessions{state="unreadable"} 1.0
"""


@pytest.fixture(scope="module")
def server():
    with serving(seven_sessions()) as server:
        yield server


@pytest.mark.parametrize("path", PAGES)
def test_get_and_head_answer_alike_on_every_page(server, path):
    got = ask(server, path)
    head = ask(server, path, "HEAD")
    assert got.status == head.status == 200
    assert head.body == b""
    assert got.body != b""
    for answer in (got, head):
        for volatile in ("date", "content-length"):
            answer.headers.pop(volatile)
    assert got.headers == head.headers


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])
def test_other_methods_are_405_and_the_answer_names_those_that_work(server, path, method):
    answer = ask(server, path, method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/",
        "/Metrics",
        "/nothing",
        "//",
        "/api/v1",
        "/api/v1/sessions/login",
        "/static/",
        "/static/x.css",
        "/static/..%2f..%2fserver.py",
        "/-/reload/",
        "/%00",
        "/-/healthy/x",
        "/metrics%2f",
        "/%ff",
    ],
)
def test_every_other_path_is_404_for_every_method(server, path):
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert ask(server, path, method).status == 404


def test_queries_change_nothing(server):
    assert ask(server, "/metrics?name[]=up&x=%ff").status == 200
    assert ask(server, "/-/healthy?").status == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
@pytest.mark.parametrize(
    ("accept_encoding", "content_encoding"),
    [
        (None, None),
        ("gzip", "gzip"),
        ("gzip;q=0", None),
        ("*", "gzip"),
        ("identity", None),
        ("br;q=1, gzip;q=0.2", "gzip"),
    ],
)
def test_metrics_come_in_the_format_and_encoding_that_was_asked_for(
    server, accept, content_type, accept_encoding, content_encoding
):
    wanted = {"Accept": accept, "Accept-Encoding": accept_encoding}
    answer = ask(server, "/metrics", headers={k: v for k, v in wanted.items() if v is not None})
    assert answer.headers["content-type"] == content_type
    assert answer.headers.get("content-encoding") == content_encoding
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert int(answer.headers["content-length"]) == len(answer.body)
    body = gzip.decompress(answer.body) if content_encoding else answer.body
    text = body.decode()
    assert text.startswith(EXPOSITION)
    assert text.endswith("# EOF\n") == ("openmetrics" in content_type)
    if "openmetrics" in content_type:
        assert "raptor_sessions" in {family.name for family in text_string_to_metric_families(text)}


def test_headers_split_over_several_lines_count_as_one(server):
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    request += b"Accept: text/plain;q=0.1\r\nAccept: application/openmetrics-text\r\n"
    request += b"Accept-Encoding: gzip;q=0\r\nAccept-Encoding: identity\r\n\r\n"
    head, _, body = raw(server, request).partition(b"\r\n\r\n")
    assert b"application/openmetrics-text; version=1.0.0" in head
    assert b"content-encoding" not in head
    assert body.endswith(b"# EOF\n")


class Broken:
    """A collector that fails halfway through."""

    def collect(self):
        yield from ()
        raise RuntimeError("no figures today: ws://127.0.0.1:1/devtools/browser/secret")


def test_a_failing_collector_blanks_only_itself_is_logged_and_counted(caplog):
    view = seven_sessions()
    view.collectors.insert(0, Broken())
    with serving(view) as server:
        first = ask(server, "/metrics")
        second = ask(server, "/metrics")
    assert first.status == second.status == 200
    assert EXPOSITION in second.text
    assert 'raptor_exporter_collector_errors_total{collector="Broken"} 2.0\n' in second.text
    assert 'raptor_exporter_collector_errors_total{collector="Sessions"} 0.0\n' in second.text
    assert [r.exc_info[0] for r in caplog.records if "collector failed" in r.message] == [RuntimeError] * 2


def test_ready_waits_for_the_first_refresh_and_healthy_does_not():
    view = View(ready=False)
    with serving(view) as server:
        assert ask(server, "/-/ready").status == 503
        assert ask(server, "/-/healthy").status == 200
        assert ask(server, "/").status == 200
        assert ask(server, "/api/v1/status").status == 200
        assert json.loads(ask(server, "/api/v1/plan").body)["decisions"] == []
        view.ready = True
        assert ask(server, "/-/ready").status == 200
        view.healthy = False
        assert ask(server, "/-/healthy").status == 503


def test_reload_is_403_without_the_lifecycle_option():
    view = View()
    with serving(view) as server:
        assert ask(server, "/-/reload", "POST").status == 403
        assert ask(server, "/-/reload", "GET").status == 405
        assert ask(server, "/-/reload", "HEAD").headers["allow"] == "POST"
    assert view.reloads == 0


def test_reload_answers_with_the_outcome():
    view = View()
    with serving(view, lifecycle=True) as server:
        assert ask(server, "/-/reload", "POST").status == 200
        assert ask(server, "/-/reload", "POST", body=b"ignored").status == 200
        view.reload_errors = ["raptor.yaml:3:1: policies: is text", "raptor.yaml:9:1: too"]
        answer = ask(server, "/-/reload", "POST")
        assert answer.status == 500
        assert answer.text == "raptor.yaml:3:1: policies: is text\nraptor.yaml:9:1: too\n"
        assert ask(server, "/-/reload").status == 405
    assert view.reloads == 3


def test_an_agent_that_fails_in_a_request_costs_that_request_alone(caplog):
    view = seven_sessions()
    view.runs = [object()]
    with serving(view) as server:
        answer = ask(server, "/api/v1/status")
        assert answer.status == 500
        assert answer.text == "Internal Server Error\n"
        assert ask(server, "/metrics").status == 200
    assert sum("a request failed" in r.message for r in caplog.records) == 1


def test_the_plan_has_the_shape_of_the_command_lines(server):
    document = json.loads(ask(server, "/api/v1/plan").body)
    assert [p["name"] for p in document["policies"]] == ["ci-sessions", "broken", "everything-else"]
    assert document["policies"][0] == {
        "name": "ci-sessions",
        "mode": "enforce",
        "candidates": 2,
        "bytes": 1210,
    }
    decisions = {d.pop("name"): d for d in document["decisions"]}
    assert len(decisions) == 7
    assert decisions["nightly-42"] == {
        "policy": "ci-sessions",
        "action": "delete",
        "reason": "idle",
        "detail": "idle 1d6h, more than 1d",
    }
    assert decisions["locked"]["policy"] is None


def test_sessions_can_be_read_in_parts(server):
    whole = json.loads(ask(server, "/api/v1/sessions").body)
    part = json.loads(ask(server, "/api/v1/sessions?offset=2&limit=3").body)
    assert part["sessions"] == whole["sessions"][2:5]
    assert part["total"] == whole["total"] == 7
    for query in ("limit=x", "offset=-1", "limit=99999999999", "limit="):
        assert ask(server, f"/api/v1/sessions?{query}").status == 400


def test_a_session_is_shown_without_its_cdp_url(server):
    session = {s["name"]: s for s in json.loads(ask(server, "/api/v1/sessions").body)["sessions"]}[
        "nightly-42"
    ]
    for volatile in ("created_at", "last_accessed", "modified_at"):
        assert session.pop(volatile).endswith("Z")
    assert session == {
        "name": "nightly-42",
        "state": "valid",
        "reason": None,
        "browser_type": "chromium",
        "size_bytes": 612,
        "address": "127.0.0.1:9333",
        "endpoint": "unreachable",
        "metadata": {"env": "ci"},
        "policy": "ci-sessions",
        "action": "delete",
        "action_reason": "idle",
        "detail": "idle 1d6h, more than 1d",
    }


def test_a_large_store_is_served_whole():
    with serving(many_sessions(10_000)) as server:
        answer = ask(server, "/api/v1/sessions", headers={"Accept-Encoding": "gzip"})
        document = json.loads(gzip.decompress(answer.body))
        assert len(document["sessions"]) == document["total"] == 10_000
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert len(json.loads(ask(server, "/api/v1/sessions").body)["sessions"]) == 10_000


def test_assets_are_not_sent_again_to_whoever_has_them(server):
    answer = ask(server, "/static/status.css")
    again = ask(server, "/static/status.css", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
    assert again.body == b""


def test_every_answer_forbids_scripts_from_elsewhere_frames_and_sniffing(server):
    for path, method in [
        ("/", "GET"),
        ("/metrics", "GET"),
        ("/nothing", "GET"),
        ("/", "POST"),
        ("/-/ready", "GET"),
    ]:
        headers = ask(server, path, method).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "deny"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers

"""Every metric that dashboards hang on: name, type, labels, what is there at 0, and what runs make of it."""

from __future__ import annotations

import base64
import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.agent import running_agent
from support.listeners import answering, http_answer
from support.sessions import ABSENT, DAY, HOUR, write_session
from support.waiting import eventually

STATES = ("valid", "invalid", "unreadable")
INVALID = ("corrupt", "missing_session_id", "missing_cdp_url", "invalid_timestamp", "invalid_browser_type")
OUTCOMES = ("success", "refused", "error")
REASONS = ("idle", "old", "unmodified", "unreachable", "cap")
OLD = {"idle": 2 * DAY}


def policy(name="p", interval="200ms", **parts):
    return {"name": name, "interval": interval, **parts}


@pytest.fixture
def serve(tmp_path, store_dir):
    def start(policies, cleanup=None, store=store_dir, **options):
        file = tmp_path / "raptor.yaml"
        document = {"version": 1, "store": {"refresh_interval": "200ms"}, "policies": policies}
        file.write_text(json.dumps({**document, "cleanup": cleanup or {}}))
        return running_agent("--store", str(store), "--config", str(file), **options)

    return start


def runs(agent, outcome, name="p"):
    return agent.value("raptor_cleanup_runs_total", policy=name, outcome=outcome) or 0


def test_everything_known_is_there_at_0_and_no_timestamp_before_it_is_true(serve):
    with serve([policy(interval="1h", expire={"idle_for": "1d"})]) as agent:
        got = agent.samples()

        def zeros(name, label, values, **more):
            assert [got.get((name, frozenset({label: v, **more}.items()))) for v in values] == [0.0] * len(
                values
            )

        zeros("raptor_sessions", "state", STATES)
        zeros("raptor_sessions_by_browser", "browser_type", ("chromium", "firefox", "webkit"))
        zeros("raptor_sessions_invalid", "reason", INVALID)
        zeros("raptor_cleanup_runs_total", "outcome", OUTCOMES, policy="p")
        zeros("raptor_cleanup_deleted_sessions_total", "reason", REASONS, policy="p")
        for counter in ("deleted_bytes", "failures", "skipped"):
            zeros(f"raptor_cleanup_{counter}_total", "policy", ["p"])
        zeros("raptor_cleanup_enforced", "policy", ["p"])
        zeros("raptor_cleanup_cap_exceeded", "policy", ["p"])
        assert agent.value("raptor_store_up") == 1
        assert agent.value("raptor_store_refresh_errors_total") == 0
        assert agent.value("raptor_trash_sessions") == agent.value("raptor_trash_bytes") == 0
        assert agent.value("raptor_cleanup_interval_seconds", policy="p") == 3600
        assert agent.value("raptor_session_oldest_access_timestamp_seconds") is None
        assert not [name for name, _ in got if re.search("cleanup_last_(run|success)|_created$", name)]
        eventually(lambda: agent.value("raptor_cleanup_next_run_timestamp_seconds", policy="p"))
        types = {f.name: f.type for f in text_string_to_metric_families(agent.get("/metrics"))}
        assert {name: types[name] for name in types if name.startswith("raptor_cleanup_deleted")} == {
            "raptor_cleanup_deleted_sessions": "counter",
            "raptor_cleanup_deleted_bytes": "counter",
        }
        assert types["raptor_cleanup_duration_seconds"] == "histogram"
        assert types["raptor_store_refresh_duration_seconds"] == "histogram"
        assert {"process_open_fds", "python_info", "raptor_exporter_build_info"} <= set(types)


def test_a_run_counts_what_it_deleted_and_the_gauges_follow(serve, store_dir):
    size = sum(write_session(store_dir, name, **OLD).stat().st_size for name in "abc")
    left = write_session(store_dir, "fresh", idle=HOUR).stat().st_size
    with serve([policy(expire={"idle_for": "1d"})], {"mode": "enforce"}) as agent:
        eventually(lambda: runs(agent, "success") >= 2 and agent.value("raptor_sessions", state="valid") == 1)
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="p", reason="idle") == 3
        assert agent.value("raptor_cleanup_deleted_bytes_total", policy="p") == size
        assert (agent.value("raptor_trash_sessions"), agent.value("raptor_trash_bytes")) == (3, size)
        assert agent.value("raptor_session_storage_bytes") == left
        assert agent.value("raptor_cleanup_candidates", policy="p") == 0
        assert agent.value("raptor_cleanup_enforced", policy="p") == 1
        last = agent.value("raptor_cleanup_last_success_timestamp_seconds", policy="p")
        assert last <= agent.value("raptor_cleanup_last_run_timestamp_seconds", policy="p")
        assert agent.value("raptor_cleanup_duration_seconds_count", policy="p") >= 2
        assert agent.value("raptor_session_idle_seconds_gcount") == 1
        assert agent.end() == 0


def test_modes_refusals_and_caps_show_and_delete_nothing_more(serve, store_dir):
    for number in range(12):
        write_session(store_dir, f"s{number:02}", **OLD)
    for number in range(4):
        write_session(store_dir, f"z{number:02}", idle=HOUR)
    policies = [
        policy("capped", match={"name": "z*"}, cap={"sessions": 1}, keep={"last": 3}, mode="enforce"),
        policy("refused", match={"name": "s*"}, expire={"idle_for": "1d"}, mode="enforce"),
        policy("plan", expire={"idle_for": "1d"}),
    ]
    with serve(policies) as agent:
        eventually(lambda: runs(agent, "refused", "refused") >= 2 and runs(agent, "success", "plan") >= 2)
        eventually(lambda: agent.value("raptor_cleanup_cap_exceeded", policy="capped") == 1)
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="capped", reason="cap") == 1
        assert agent.value("raptor_cleanup_cap_exceeded", policy="refused") == 0
        assert agent.value("raptor_cleanup_candidates", policy="refused") == 12
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="refused", reason="idle") == 0
        assert agent.value("raptor_cleanup_last_success_timestamp_seconds", policy="refused") is None
        assert agent.value("raptor_cleanup_last_run_timestamp_seconds", policy="refused") is not None
        assert (runs(agent, "success", "refused"), runs(agent, "error", "refused")) == (0, 0)
        assert agent.value("raptor_cleanup_enforced", policy="plan") == 0
        assert len(list(store_dir.glob("*.json"))) == 15


def test_a_plan_counts_as_a_success_even_where_a_guard_would_refuse(serve, store_dir):
    for number in range(12):
        write_session(store_dir, f"s{number:02}", **OLD)
    with serve([policy(expire={"idle_for": "1d"})]) as agent:
        eventually(lambda: runs(agent, "success") >= 2)
        assert (runs(agent, "refused"), agent.value("raptor_cleanup_candidates", policy="p")) == (0, 12)
        assert agent.value("raptor_cleanup_deleted_sessions_total", policy="p", reason="idle") == 0
        assert len(list(store_dir.glob("*.json"))) == 12


def test_a_store_that_comes_late_and_goes_again(serve, tmp_path):
    store = tmp_path / "mount"
    with serve([policy(expire={"idle_for": "1d"})], store=store, wait_ready=False) as agent:
        eventually(lambda: agent.value("raptor_store_refresh_errors_total"))
        assert (agent.value("raptor_store_up"), store.exists()) == (0, False)
        assert agent.value("raptor_sessions", state="valid") is None
        assert agent.value("raptor_store_last_refresh_timestamp_seconds") is None
        store.mkdir()
        write_session(store, "a", idle=HOUR)
        eventually(agent.is_ready)
        assert (agent.value("raptor_store_up"), agent.value("raptor_sessions", state="valid")) == (1, 1)
        eventually(lambda: runs(agent, "success"))
        (store / "a.json").unlink()
        store.rename(tmp_path / "elsewhere")
        eventually(lambda: agent.value("raptor_store_up") == 0 and runs(agent, "error"))


BROKEN = {
    "c": ({"data": "[]"}, "corrupt"),
    "i": ({"session_id": 5}, "missing_session_id"),
    "j": ({"session_id": ABSENT}, "missing_session_id"),
    "u": ({"cdp_url": "ftp://x"}, "missing_cdp_url"),
    "v": ({"cdp_url": "ws://"}, "missing_cdp_url"),
    "t": ({"created_at": "yesterday"}, "invalid_timestamp"),
    "l": ({"last_accessed": ABSENT}, "invalid_timestamp"),
    "b": ({"browser_type": "Chromium"}, "invalid_browser_type"),
}


def test_the_exposition_once_has_the_store_but_no_counters_of_cleanups(command, store_dir, tmp_path):
    for name, (fields, _) in BROKEN.items():
        write_session(store_dir, name, idle=HOUR, **fields)
    write_session(store_dir, "fox", idle=HOUR, browser_type="firefox")
    write_session(store_dir, "big", data=b" " * (1 << 21), idle=HOUR)
    (store_dir / ".hidden.json").write_text("{}")
    (store_dir / "directory.json").mkdir()
    (store_dir / "link.json").symlink_to(store_dir / "fox.json")
    done = command("metrics", "--store", store_dir)
    assert done.status == 0
    families = {f.name: f for f in text_string_to_metric_families(done.out)}

    def by(name, label):
        return {sample.labels[label]: sample.value for sample in families[name].samples}

    reasons = [reason for _, reason in BROKEN.values()]
    assert by("raptor_sessions", "state") == {"valid": 1, "invalid": len(BROKEN), "unreadable": 1}
    assert by("raptor_sessions_invalid", "reason") == {reason: reasons.count(reason) for reason in INVALID}
    assert by("raptor_sessions_by_browser", "browser_type") == {"chromium": 0, "firefox": 1, "webkit": 0}
    assert by("raptor_cleanup_enforced", "policy") == {"expired": 0, "invalid": 0}
    assert not [n for n, f in families.items() if n.startswith("raptor_cleanup") and f.type == "counter"]
    assert not (store_dir / ".raptor").exists()
    file = tmp_path / "raptor.prom"
    done = command("metrics", "--store", store_dir, "--textfile", file)
    assert (done.status, done.out, "raptor_sessions{" in file.read_text()) == (0, "", True)
    assert command("metrics", "--store", store_dir, "--textfile", tmp_path / "no" / "x").status == 1


def take(connection, request):
    """Read the request to its end before the answer: a close before that would reset the connection."""
    length = int(re.search(rb"content-length: (\d+)", request.lower())[1])
    while len(request.partition(b"\r\n\r\n")[2]) < length:
        request += connection.recv(65536)
    connection.sendall(http_answer(""))


def test_a_gateway_gets_the_exposition_with_the_password_of_its_url(command, store_dir):
    with answering(take) as gateway:
        done = command(
            "metrics", "--store", store_dir, "--push", f"http://me:w%40rd@127.0.0.1:{gateway.port}"
        )
        assert (done.status, done.out) == (0, "")
        (request,) = gateway.requests
        assert request.startswith(b"PUT /metrics/job/raptor_exporter HTTP/1.1")
        assert b"Authorization: Basic " + base64.b64encode(b"me:w@rd") in request


@pytest.mark.parametrize("answer", [http_answer("no", "400 Bad Request"), b"garbage\r\n\r\n", b""])
def test_a_gateway_that_does_not_take_it_is_told_without_its_password(command, store_dir, answer):
    with answering(answer) as gateway:
        done = command(
            "metrics", "--store", store_dir, "--push", f"http://me:secret@127.0.0.1:{gateway.port}"
        )
        assert (done.status, done.out) == (1, "")
        assert "did not take the metrics" in done.err
        assert "secret" not in done.err
        assert "Traceback" not in done.err

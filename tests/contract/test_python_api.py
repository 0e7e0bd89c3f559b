"""The Python API as a caller meets it, without a browser: signatures, exceptions, cleanup, precedence."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.command import ROOT, environment
from support.sessions import ABSENT, DAY, HOUR, read_session, write_session

import raptor_exporter
from raptor_exporter import SessionException, SessionInfo, SessionManager


@pytest.fixture
def manager(store_dir):
    return SessionManager(store_dir)


def failure(call, *arguments, **options):
    """What a call raises, awaited where it has to be."""

    async def attempt():
        result = call(*arguments, **options)
        return await result if inspect.isawaitable(result) else result

    with pytest.raises(SessionException) as caught:
        asyncio.run(attempt())
    return caught.value


# --- the face


def test_signatures_are_as_published():
    def names(function):
        return [
            (p.name, p.kind.name, None if p.default is p.empty else repr(p.default))
            for p in inspect.signature(function).parameters.values()
            if p.name != "self"
        ]

    both, only = "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"
    assert names(SessionManager.__init__) == [
        ("storage_dir", both, "None"),
        ("auto_cleanup_on_init", only, "False"),
        ("max_age_days", only, "7"),
    ]
    assert names(SessionManager.save_session) == [
        ("page", both, None),
        ("session_name", both, None),
        ("metadata", both, "None"),
        ("cdp_url", only, "None"),
    ]
    assert names(SessionManager.restore_session) == [("session_name", both, None)]
    for name in ("validate_session", "check_session", "delete_session", "get_session_info"):
        assert names(getattr(SessionManager, name)) == [("name", both, None)], name
    assert names(SessionManager.cleanup_expired_sessions) == [("max_age_days", both, "7")]
    for name in ("save_session", "restore_session", "close"):
        assert inspect.iscoroutinefunction(getattr(SessionManager, name))
    for name in ("list_sessions", "cleanup_invalid_sessions", "cleanup_all_sessions", "get_session_count"):
        assert not inspect.iscoroutinefunction(getattr(SessionManager, name))
        assert names(getattr(SessionManager, name)) == []
    assert names(raptor_exporter.launch_browser) == [
        ("user_data_dir", both, "None"),
        ("headless", only, "True"),
        ("executable", only, "None"),
        ("args", only, "()"),
    ]


@pytest.mark.parametrize(
    "name", ["SessionManager", "SessionInfo", "SessionException", "launch_browser", "LaunchedBrowser"]
)
def test_what_users_import_is_public(name):
    assert name in raptor_exporter.__all__
    assert getattr(raptor_exporter, name).__doc__


def test_importing_the_package_does_not_import_playwright():
    script = (
        "import sys\n"
        "from raptor_exporter import SessionManager, SessionInfo, SessionException, launch_browser\n"
        "SessionManager(sys.argv[1]).list_sessions()\n"
        "print([m for m in sys.modules if m.startswith('playwright')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "tests")],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_a_manager_that_met_no_browser_closes_without_a_word(store_dir):
    async def story():
        async with SessionManager(store_dir) as manager:
            assert isinstance(manager, SessionManager)
            assert manager.list_sessions() == []
        await manager.close()
        await manager.close()

    asyncio.run(story())


# --- where the store is


@pytest.mark.parametrize("given", [str, lambda p: p, lambda p: f"file://{p}", lambda p: f"{p}/"])
def test_a_store_is_named_by_path_text_or_url(tmp_path, given):
    manager = SessionManager(given(tmp_path / "s"))
    assert manager.get_storage_dir() == tmp_path / "s"
    assert manager.get_storage_dir().is_dir()


def test_a_relative_store_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SessionManager("s").get_storage_dir() == tmp_path / "s"


def test_the_argument_beats_the_variable_beats_the_file_beats_the_default(tmp_path, monkeypatch):
    config = tmp_path / "raptor.yaml"
    config.write_text(f"version: 1\nstore: {{url: {tmp_path / 'file'}}}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SessionManager().get_storage_dir() == tmp_path / ".raptor" / "sessions"
    monkeypatch.setenv("RAPTOR_CONFIG", str(config))
    assert SessionManager().get_storage_dir() == tmp_path / "file"
    monkeypatch.setenv("RAPTOR_STORE", str(tmp_path / "variable"))
    assert SessionManager().get_storage_dir() == tmp_path / "variable"
    assert SessionManager(tmp_path / "argument").get_storage_dir() == tmp_path / "argument"


def test_the_variable_beats_even_a_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("RAPTOR_CONFIG", str(tmp_path / "missing.yaml"))
    monkeypatch.setenv("RAPTOR_STORE", str(tmp_path / "variable"))
    assert SessionManager().get_storage_dir() == tmp_path / "variable"
    monkeypatch.delenv("RAPTOR_STORE")
    error = failure(SessionManager)
    assert "missing.yaml" in str(error)


def test_a_file_without_a_store_gives_the_default(tmp_path, monkeypatch):
    (tmp_path / "raptor.yaml").write_text("version: 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAPTOR_CONFIG", str(tmp_path / "raptor.yaml"))
    assert SessionManager().get_storage_dir() == tmp_path / ".raptor" / "sessions"


@pytest.mark.parametrize("where", ["a file", "below a file", "http://example.org/x", "s3://bucket/x", ""])
def test_a_store_that_cannot_be_is_a_session_exception(tmp_path, where):
    (tmp_path / "a file").write_text("")
    place = {"a file": tmp_path / "a file", "below a file": tmp_path / "a file" / "x"}.get(where, where)
    error = failure(SessionManager, place)
    assert isinstance(error.__cause__, Exception)
    assert str(error)


# --- listing, counting, sizes


def test_names_come_sorted_and_hold_every_file(manager, store_dir):
    names = ["b", "a", "B", "A", "1", "a-b", "ab", "_", "ä", "10", "2"]
    for name in names:
        write_session(store_dir, name)
    write_session(store_dir, "broken", data="{")
    assert manager.list_sessions() == sorted([*names, "broken"])
    assert manager.get_session_count() == len(names) + 1
    assert manager.get_storage_size() == sum(p.stat().st_size for p in store_dir.glob("*.json"))


def test_an_empty_store(manager):
    assert manager.list_sessions() == []
    assert manager.get_session_count() == 0
    assert manager.get_storage_size() == 0
    assert manager.cleanup_expired_sessions() == 0
    assert manager.cleanup_invalid_sessions() == 0
    assert manager.cleanup_all_sessions() == 0


def test_the_trash_counts_neither_as_sessions_nor_as_storage(manager, store_dir):
    write_session(store_dir, "old", idle=8 * DAY)
    assert manager.cleanup_expired_sessions() == 1
    assert (manager.get_session_count(), manager.get_storage_size(), manager.list_sessions()) == (0, 0, [])


def test_session_info_is_the_file(manager, store_dir):
    write_session(store_dir, "s", metadata={"env": "ci", "n": 5}, created_at="2024-11-28T10:00:00", extra=1)
    info = manager.get_session_info("s")
    document = read_session(store_dir, "s")
    document.pop("extra")
    assert info.to_dict() == document
    assert info == SessionInfo.from_dict(document)
    assert info.created_at == "2024-11-28T10:00:00"


# --- exceptions


def test_a_session_exception_has_its_fields_and_travels_between_processes():
    error = SessionException("no", operation="restore_session", session_id="s", context={"a": 1})
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.operation, again.session_id, again.context) == (
        "no",
        "restore_session",
        "s",
        {"a": 1},
    )
    assert isinstance(error, Exception)


@pytest.mark.parametrize("name", ["nobody", "", "..", "a/b", "x" * 400, "\0", "ä b"])
def test_restoring_what_is_not_there(manager, name):
    error = failure(manager.restore_session, name)
    assert (error.operation, error.session_id, error.context["reason"]) == (
        "restore_session",
        name,
        "not_found",
    )
    assert error.__cause__ is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"data": "{"}, "corrupt"),
        ({"session_id": ABSENT}, "missing_session_id"),
        ({"cdp_url": ""}, "missing_cdp_url"),
        ({"created_at": "x"}, "invalid_timestamp"),
        ({"browser_type": "opera"}, "invalid_browser_type"),
        ({"data": " " * ((1 << 20) + 1)}, "unreadable"),
    ],
)
def test_restoring_what_is_invalid_names_the_reason_and_leaves_the_file(manager, store_dir, fields, reason):
    path = write_session(store_dir, "s", **fields)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    error = failure(manager.restore_session, "s")
    assert (error.operation, error.session_id) == ("restore_session", "s")
    assert error.context["reason"] == reason
    assert isinstance(error.context, dict)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("browser", ["firefox", "webkit"])
def test_restoring_another_browser_says_so(manager, store_dir, browser):
    write_session(store_dir, "s", browser_type=browser)
    error = failure(manager.restore_session, "s")
    assert browser in str(error)
    assert "hromium" in str(error)


def test_a_dead_browser_fails_fast_without_its_url_and_the_file_keeps_its_access(manager, store_dir):
    secret = "aaaabbbb-cccc-dddd"
    path = write_session(store_dir, "s", idle=3 * HOUR, cdp_url=f"ws://127.0.0.1:9/devtools/browser/{secret}")
    before = read_session(store_dir, "s")
    error = failure(manager.restore_session, "s")
    assert "127.0.0.1:9" in str(error)
    assert read_session(store_dir, "s") == before
    chain, link = [], error
    while link is not None:
        chain.append(f"{link} {link.__dict__}")
        link = link.__cause__
    assert secret not in " ".join(chain)
    assert path.exists()


@pytest.mark.parametrize("name", ["", "!!!", "///", "..", " ", "x" * 251, "ä" * 126, None, 5, b"x"])
def test_saving_checks_the_name_before_the_page(manager, name):
    error = failure(manager.save_session, object(), name)
    assert (error.operation, error.session_id) == ("save_session", name)
    assert "name" in str(error)


@pytest.mark.parametrize("page", [None, object(), "page", 5])
def test_saving_something_that_is_no_page(manager, page):
    error = failure(manager.save_session, page, "s")
    assert (error.operation, error.session_id) == ("save_session", "s")
    assert manager.list_sessions() == []


@pytest.mark.parametrize(
    "metadata", [["x"], "text", 5, {"a": object()}, {"a": float("nan")}, {1: 2}, {"a": {1, 2}}]
)
def test_saving_metadata_that_is_no_json_object(manager, metadata):
    error = failure(manager.save_session, object(), "s", metadata)
    assert (error.operation, error.session_id) == ("save_session", "s")
    assert "metadata" in str(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.list_sessions(),
        lambda m: m.get_session_count(),
        lambda m: m.get_storage_size(),
        lambda m: m.check_session("s"),
        lambda m: m.validate_session("s"),
        lambda m: m.get_session_info("s"),
        lambda m: m.delete_session("s"),
        lambda m: m.cleanup_all_sessions(),
        lambda m: m.cleanup_invalid_sessions(),
        lambda m: m.cleanup_expired_sessions(),
    ],
)
def test_a_store_that_went_away_is_an_error_and_not_an_empty_store(manager, store_dir, call):
    store_dir.rmdir()
    error = failure(call, manager)
    assert str(store_dir) in str(error)
    assert hasattr(manager, error.operation)
    assert not store_dir.exists()


# --- age


@pytest.mark.parametrize(
    ("age_days", "limit", "goes"),
    [
        (7.01, 7, True),
        (6.99, 7, False),
        (7.0001, 7, True),
        (6.9999, 7, False),
        (0.01, 0, True),
        (1.5, 1.4, True),
        (1.5, 1.6, False),
        (400, 365, True),
        (30, 365, False),
        (0.5, 1 / 3, True),
        (-1, 0, False),
        (-1, 7, False),
        (1e5, float("inf"), False),
    ],
)
def test_age_is_exact(manager, store_dir, age_days, limit, goes):
    write_session(store_dir, "s", idle=age_days * DAY, age=500 * DAY, changed=0)
    assert manager.cleanup_expired_sessions(limit) == int(goes)
    assert manager.list_sessions() == ([] if goes else ["s"])


def test_age_goes_by_last_access_alone(manager, store_dir):
    write_session(store_dir, "created-long-ago", idle=HOUR, age=900 * DAY, changed=900 * DAY)
    write_session(store_dir, "changed-now", idle=8 * DAY, changed=0)
    for never in (10**400, float("inf"), 1e300):
        assert manager.cleanup_expired_sessions(max_age_days=never) == 0
    assert manager.cleanup_expired_sessions(max_age_days=7) == 1
    assert manager.list_sessions() == ["created-long-ago"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"])
def test_a_naive_timestamp_is_local_time(manager, store_dir, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = datetime.now()  # noqa: DTZ005  # as the framework writes it
        for name, hours in (("over", -169), ("under", -167)):
            write_session(store_dir, name, last_accessed=(now + timedelta(hours=hours)).isoformat())
        assert manager.cleanup_expired_sessions(7) == 1
        assert manager.list_sessions() == ["under"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_aware_timestamps_of_any_zone_mean_the_same_moment(manager, store_dir):
    for index, hours in enumerate((-12, -5, 0, 5.5, 14)):
        zone = datetime.now(UTC).astimezone().tzinfo.__class__(timedelta(hours=hours))
        for name, age in (("over", 7.01), ("under", 6.99)):
            moment = datetime.now(zone) - timedelta(days=age)
            write_session(store_dir, f"{name}{index}", last_accessed=moment.isoformat())
    assert manager.cleanup_expired_sessions() == 5
    assert all(name.startswith("under") for name in manager.list_sessions())


def test_expired_takes_what_cannot_tell_its_age_and_no_other_invalid_one(manager, store_dir):
    write_session(store_dir, "fresh")
    write_session(store_dir, "corrupt", data="]")
    write_session(store_dir, "created", created_at="never")
    write_session(store_dir, "accessed", last_accessed=ABSENT)
    write_session(store_dir, "no-url", cdp_url="")
    write_session(store_dir, "no-id", session_id="")
    write_session(store_dir, "opera", browser_type="opera")
    write_session(store_dir, "old-opera", browser_type="opera", idle=8 * DAY)
    write_session(store_dir, "old-no-url", cdp_url="", idle=8 * DAY)
    assert manager.cleanup_expired_sessions() == 5
    assert manager.list_sessions() == ["fresh", "no-id", "no-url", "opera"]


def test_invalid_takes_every_invalid_one_fresh_or_old_and_no_valid_one(manager, store_dir):
    write_session(store_dir, "old", idle=900 * DAY)
    write_session(store_dir, "fresh")
    for name, fields in {
        "a": {"data": ""},
        "b": {"session_id": 5},
        "c": {"cdp_url": ABSENT},
        "d": {"created_at": None},
        "e": {"browser_type": None},
    }.items():
        write_session(store_dir, name, **fields)
    assert manager.cleanup_invalid_sessions() == 5
    assert manager.list_sessions() == ["fresh", "old"]
    assert manager.cleanup_invalid_sessions() == 0


def test_no_guard_holds_a_cleanup_from_python(manager, store_dir):
    for index in range(40):
        write_session(store_dir, f"s{index}", idle=8 * DAY, changed=0)
    assert manager.cleanup_expired_sessions() == 40
    for index in range(40):
        write_session(store_dir, f"s{index}", data="x", changed=0)
    assert manager.cleanup_invalid_sessions() == 40


def test_expired_and_invalid_go_into_the_trash_and_delete_and_all_for_good(manager, store_dir):
    for name in ("expired", "deleted", "all"):
        write_session(store_dir, name, idle=8 * DAY)
    write_session(store_dir, "invalid", data="x")
    assert manager.delete_session("deleted") is True
    assert manager.cleanup_invalid_sessions() == 1
    write_session(store_dir, "all", idle=0)
    assert manager.cleanup_expired_sessions() == 1
    assert manager.cleanup_all_sessions() == 1
    found = sorted(
        p.name for p in (store_dir / ".raptor" / "trash").rglob("*.json") if p.name != "manifest.json"
    )
    assert found == ["expired.json", "invalid.json"]


@pytest.mark.parametrize("days", [-1, -0.1, float("nan"), "7", None, True])
def test_a_number_of_days_that_is_none_is_refused_and_deletes_nothing(manager, store_dir, days):
    write_session(store_dir, "s", idle=900 * DAY)
    error = failure(manager.cleanup_expired_sessions, days)
    assert error.operation == "cleanup_expired_sessions"
    assert error.session_id is None
    assert manager.list_sessions() == ["s"]


# --- auto cleanup


def test_auto_cleanup_takes_expired_and_invalid_by_its_own_age(store_dir, caplog):
    def fill():
        write_session(store_dir, "fresh")
        write_session(store_dir, "two-days", idle=2 * DAY)
        write_session(store_dir, "eight-days", idle=8 * DAY)
        write_session(store_dir, "opera", browser_type="opera")

    fill()
    assert SessionManager(store_dir).list_sessions() == ["eight-days", "fresh", "opera", "two-days"]
    assert SessionManager(store_dir, max_age_days=1).get_session_count() == 4
    with caplog.at_level(logging.INFO, logger="raptor_exporter"):
        assert SessionManager(store_dir, auto_cleanup_on_init=True).list_sessions() == ["fresh", "two-days"]
    assert "1 expired" in caplog.text
    assert "1 invalid" in caplog.text
    fill()
    manager = SessionManager(store_dir, auto_cleanup_on_init=True, max_age_days=1)
    assert manager.list_sessions() == ["fresh"]


# --- logging


@pytest.mark.parametrize(
    "operation", ["list_sessions", "get_session_count", "get_storage_size", "cleanup_invalid_sessions"]
)
def test_each_operation_logs_its_success_and_its_error(manager, store_dir, caplog, operation):
    caplog.set_level(logging.DEBUG, logger="raptor_exporter")
    getattr(manager, operation)()
    assert any(operation in r.getMessage() and r.levelno < logging.WARNING for r in caplog.records)
    caplog.clear()
    shutil.rmtree(store_dir)
    failure(getattr(manager, operation))
    assert any(operation in r.getMessage() and r.levelno >= logging.ERROR for r in caplog.records)


def test_no_log_line_shows_a_cdp_url(manager, store_dir, caplog):
    caplog.set_level(logging.DEBUG, logger="raptor_exporter")
    write_session(
        store_dir, "s", cdp_url="ws://user:pw@127.0.0.1:9/devtools/browser/5ec4e7?token=t0ken", idle=9 * DAY
    )
    manager.get_session_info("s")
    manager.check_session("s")
    failure(manager.restore_session, "s")
    manager.cleanup_expired_sessions()
    for secret in ("5ec4e7", "t0ken", "user:pw"):
        assert secret not in caplog.text

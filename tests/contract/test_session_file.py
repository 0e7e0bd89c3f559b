"""The session file as other programs write and read it: names, the five checks, what is no session."""

from __future__ import annotations

import json
import os
import socket
import stat
from datetime import datetime

import pytest
from support.sessions import ABSENT, DAY, session_fields, write_session

from raptor_exporter import SessionException, SessionInfo, SessionManager

NUMBERS_AND_NULLS = [None, True, False, 0, 1, 1.5, [], ["x"], {}, {"a": "b"}]


@pytest.fixture
def manager(store_dir):
    return SessionManager(store_dir)


def reason(manager, **fields):
    write_session(manager.get_storage_dir(), "s", **fields)
    return manager.check_session("s")


# --- check 1: the file exists and is one JSON object


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"\n",
        b"\x00",
        b"{",
        b"}",
        b"[]",
        b"[{}]",
        b"null",
        b"true",
        b"1",
        b'"text"',
        b"{}{}",
        b"{} {}",
        b"{}x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": }',
        b"{a: 1}",
        b"\xff\xfe{}",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"session_id": "s"',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "line\nbreak"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"// comment\n{}",
        b'{"a": 01}',
        b"\x80",
        b"not json at all",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_not_one_json_object_is_corrupt(manager, data):
    assert reason(manager, data=data) == "corrupt"
    assert manager.validate_session("s") is False
    assert manager.get_session_info("s") is None
    assert manager.list_sessions() == ["s"]
    assert manager.get_session_count() == 1


def test_a_session_that_is_not_there_is_not_found(manager):
    assert manager.check_session("nobody") == "not_found"
    assert manager.validate_session("nobody") is False
    assert manager.get_session_info("nobody") is None
    assert manager.delete_session("nobody") is False


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: f"\n\t {text} \r\n",
        lambda text: json.dumps(json.loads(text), indent=4),
        lambda text: json.dumps(json.loads(text), separators=(",", ":")),
        lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
        lambda text: text[:-1] + ', "zzz": {"deep": [1, null, {"er": 1e300}]}}',
        lambda text: text[:-1] + ', "big": 123456789012345678901234567890}',
        lambda text: text.replace("chromium", "\\u0063hromium"),
    ],
)
def test_any_way_to_write_the_object_is_valid(manager, dress):
    assert reason(manager, data=dress(json.dumps(session_fields("s")))) is None


# --- checks 2 and 3


@pytest.mark.parametrize("value", [ABSENT, "", *NUMBERS_AND_NULLS], ids=repr)
def test_session_id_is_a_non_empty_string(manager, value):
    assert reason(manager, session_id=value) == "missing_session_id"


BAD_URLS = [
    "",
    " ",
    "x",
    "127.0.0.1:9222",
    "localhost:9222",
    "//127.0.0.1:9222/x",
    "ws:",
    "ws:/",
    "ws://",
    "ws:///devtools/browser/x",
    "ws://:9222/x",
    "http://",
    "http:///json",
    "http://:80",
    "ftp://127.0.0.1/x",
    "file:///etc/passwd",
    "file://host/etc/passwd",
    "javascript:alert(1)",
    "data:text/plain,x",
    "wsx://127.0.0.1/",
    "w://127.0.0.1/",
    "tcp://127.0.0.1:9222",
    "unix:///tmp/x",
    "ws//127.0.0.1/",
    "ws://user@/x",
    "ws://user:pw@:9222/x",
    "ws://[::1/x",
    "ws://[]/x",
    "ws://127.0.0.1:port/x",
    "ws://127.0.0.1:99999/x",
    "ws://127.0.0.1:-1/x",
    "ws://?x",
    "ws://#x",
]


@pytest.mark.parametrize("value", [ABSENT, *BAD_URLS, *NUMBERS_AND_NULLS], ids=repr)
def test_cdp_url_is_a_url_of_a_browser_with_a_host(manager, value):
    assert reason(manager, cdp_url=value) == "missing_cdp_url"


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:9222/devtools/browser/abc",
        "wss://browser.example:443/x?token=1",
        "http://localhost:9222",
        "https://browser.example",
        "http://[::1]:9222/",
        "ws://h",
        "WS://127.0.0.1:9222/x",
        "Https://EXAMPLE.org/",
        "ws://user:password@browser.example/x",
        "ws://chrome:3000?token=abc",
        "ws://my_host:9222/x",
        "ws://chrome.svc.cluster.local.:9222/x",
    ],
)
def test_ws_wss_http_and_https_urls_are_good(manager, url):
    assert reason(manager, cdp_url=url) is None


# --- check 4


GOOD_TIMES = [
    "2024-11-28T10:00:00",
    "2024-11-28 10:00:00",
    "2024-11-28T10:00:00Z",
    "2024-11-28T10:00:00.5Z",
    "2024-11-28T10:00:00.123456+00:00",
    "2024-11-28T10:00:00,123456",
    "2024-11-28T10:00:00.123456789",
    "2024-11-28T10:00+05:30",
    "2024-11-28T10:00:00-0800",
    "2024-11-28T10:00:00+05:30:15",
    "2024-11-28T10",
    "2024-11-28",
    "20241128",
    "20241128T100000",
    "20241128T100000Z",
    "2024-W48-4",
    "2024W484",
    "2024-W48-4T10:00:00",
    "2024-11-28x10:00",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.999999",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
]


@pytest.mark.parametrize("text", GOOD_TIMES)
def test_every_form_that_fromisoformat_reads_is_a_timestamp(manager, text):
    datetime.fromisoformat(text)
    assert reason(manager, created_at=text, last_accessed=text) is None
    assert manager.get_session_info("s").created_at == text


@pytest.mark.parametrize("key", ["created_at", "last_accessed"])
@pytest.mark.parametrize(
    "value",
    [
        ABSENT,
        "",
        " ",
        "yesterday",
        "now",
        "2024-13-01T00:00:00",
        "2024-02-30",
        "2023-02-29T00:00:00",
        "2024-11-28T25:00:00",
        "2024-11-28T24:00:00.1",
        "2024-11-28T10:60:00",
        "2024-11-28T10:00:60",
        " 2024-11-28T10:00:00",
        "2024-11-28T10:00:00 ",
        "2024-11-28T10:00:00\n",
        "2024-11-28T10:00:00+25:00",
        "2024-11-28T",
        "10:00:00",
        "1732788000",
        "0000-01-01T00:00:00",
        "10000-01-01T00:00:00",
        "28.11.2024",
        "2024/11/28",
        "Thu, 28 Nov 2024 10:00:00 GMT",
        "2024-W54-1",
        1732788000,
        1732788000.5,
        *NUMBERS_AND_NULLS,
    ],
    ids=repr,
)
def test_anything_else_is_an_invalid_timestamp(manager, key, value):
    assert reason(manager, **{key: value}) == "invalid_timestamp"


# --- check 5


@pytest.mark.parametrize("value", ["chromium", "firefox", "webkit"])
def test_the_three_browsers(manager, value):
    assert reason(manager, browser_type=value) is None


@pytest.mark.parametrize(
    "value",
    [
        ABSENT,
        "",
        "Chromium",
        "CHROMIUM",
        "chrome",
        "msedge",
        "chromium ",
        " chromium",
        "safari",
        *NUMBERS_AND_NULLS,
    ],
    ids=repr,
)
def test_no_other_browser(manager, value):
    assert reason(manager, browser_type=value) == "invalid_browser_type"


# --- their order


FAILURES = [
    ("missing_session_id", {"session_id": ""}),
    ("missing_cdp_url", {"cdp_url": 5}),
    ("invalid_timestamp", {"last_accessed": "x"}),
    ("invalid_browser_type", {"browser_type": "opera"}),
]


@pytest.mark.parametrize("first", range(len(FAILURES)))
@pytest.mark.parametrize("second", range(len(FAILURES)))
def test_the_first_check_that_fails_gives_the_reason(manager, first, second):
    fields = FAILURES[first][1] | FAILURES[second][1]
    assert reason(manager, **fields) == FAILURES[min(first, second)][0]


@pytest.mark.parametrize("metadata", [ABSENT, None, {}, {"a": {"b": [1]}}, {"": ""}], ids=repr)
def test_metadata_is_no_check(manager, metadata):
    assert reason(manager, metadata=metadata) is None


@pytest.mark.parametrize("metadata", [[], "text", 5, True], ids=repr)
def test_metadata_of_another_type_leaves_a_session_valid(manager, metadata):
    assert reason(manager, metadata=metadata) is None
    assert manager.get_session_info("s") is not None


# --- unreadable


def test_a_file_over_one_mebibyte_is_unreadable_and_stays(manager, store_dir):
    for name, size in (("edge", 1 << 20), ("over", (1 << 20) + 1)):
        text = json.dumps(session_fields(name, idle=30 * DAY))
        write_session(store_dir, name, data=text + " " * (size - len(text)))
    assert manager.check_session("edge") is None
    assert manager.check_session("over") == "unreadable"
    assert manager.validate_session("over") is False
    assert manager.get_session_info("over") is None
    assert manager.cleanup_invalid_sessions() == 0
    assert manager.cleanup_expired_sessions() == 1
    assert manager.cleanup_all_sessions() == 0
    assert manager.list_sessions() == ["over"]


# --- what is no session


def test_only_regular_json_files_without_a_leading_dot_are_sessions(manager, store_dir, tmp_path):
    write_session(store_dir, "good")
    outside = write_session(tmp_path, "outside")
    before = outside.read_bytes()
    (store_dir / "link.json").symlink_to(outside)
    (store_dir / "dangling.json").symlink_to(tmp_path / "nowhere")
    (store_dir / "inner.json").symlink_to("good.json")
    (store_dir / "folder.json").mkdir()
    os.mkfifo(store_dir / "fifo.json")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(store_dir / "socket.json"))
    server.close()
    for name in (
        ".hidden.json",
        ".json",
        "x.JSON",
        "x.json.bak",
        "x.json~",
        "x.jsonl",
        "x",
        "json",
        "x.json.tmp",
    ):
        (store_dir / name).write_text(json.dumps(session_fields("x")))
    write_session(store_dir / "folder.json", "nested")
    listing = sorted(os.listdir(store_dir))

    assert manager.list_sessions() == ["good"]
    assert manager.get_session_count() == 1
    assert manager.get_storage_size() == (store_dir / "good.json").stat().st_size
    for name in ("link", "dangling", "inner", "folder", "fifo", "socket", ".hidden", "", "x"):
        assert manager.check_session(name) == "not_found", name
        assert manager.delete_session(name) is False, name
    assert manager.cleanup_invalid_sessions() == 0
    assert manager.cleanup_all_sessions() == 1
    assert sorted(os.listdir(store_dir)) in (
        [n for n in listing if n != "good.json"],
        sorted([".raptor", *(n for n in listing if n != "good.json")]),
    )
    assert outside.read_bytes() == before


# --- names


@pytest.mark.parametrize(
    "stem",
    [
        "plain",
        "with space",
        "dots.in.name",
        "ünïcödé",
        "日本",
        "a" * 250,
        "%20",
        "-n",
        "a'b\"c",
        "x.json",
        "🦖",
    ],
)
def test_a_name_finds_the_file_whose_stem_it_is(manager, store_dir, stem):
    write_session(store_dir, stem, session_id="someone else")
    assert manager.list_sessions() == [stem]
    assert manager.check_session(stem) is None
    assert manager.get_session_info(stem).session_id == "someone else"
    assert manager.delete_session(stem) is True
    assert manager.list_sessions() == []


def test_a_name_finds_the_file_at_its_safe_name_if_that_holds_its_id(manager, store_dir):
    write_session(store_dir, "testetcpasswd", session_id="test/../../../etc/passwd")
    assert manager.check_session("test/../../../etc/passwd") is None
    assert manager.check_session("testetcpasswd") is None
    assert manager.check_session("test/etc/passwd") == "not_found"
    assert manager.delete_session("test etc passwd") is False
    assert manager.delete_session("test/../../../etc/passwd") is True


def test_the_stem_goes_before_the_safe_name(manager, store_dir):
    write_session(store_dir, "a b", session_id="one")
    write_session(store_dir, "ab", session_id="a b")
    assert manager.get_session_info("a b").session_id == "one"
    assert manager.delete_session("a b") is True
    assert manager.get_session_info("a b").session_id == "a b"


@pytest.mark.parametrize(
    "name", ["..", ".", "/", "", "../x", "/etc/passwd", "a/b", "x\0y", "a" * 300, "\n", "!!"]
)
def test_no_name_leaves_the_store(manager, store_dir, name):
    write_session(store_dir.parent, "x")
    (store_dir.parent / "x.json").chmod(0o600)
    assert manager.check_session(name) == "not_found"
    assert manager.validate_session(name) is False
    assert manager.get_session_info(name) is None
    assert manager.delete_session(name) is False
    assert (store_dir.parent / "x.json").exists()


# --- SessionInfo


def test_session_info_has_the_six_fields_and_compares_by_value():
    fields = session_fields("s", metadata={"a": {"b": 1}})
    info = SessionInfo.from_dict(fields)
    assert info.to_dict() == fields
    assert list(info.to_dict()) == [
        "session_id",
        "cdp_url",
        "browser_type",
        "created_at",
        "last_accessed",
        "metadata",
    ]
    assert info == SessionInfo.from_dict(info.to_dict())
    assert info != SessionInfo.from_dict({**fields, "metadata": {}})
    assert info == SessionInfo(**fields)
    assert info == SessionInfo(*fields.values())
    assert isinstance(info.created_at, str)
    assert repr(fields["cdp_url"]) not in repr(info)


@pytest.mark.parametrize("fields", [{}, {"session_id": "s"}, session_fields("s", cdp_url=5)])
def test_session_info_of_too_little_is_refused(fields):
    with pytest.raises((SessionException, ValueError, KeyError, TypeError)):
        SessionInfo.from_dict(fields)


# --- directories and modes


def test_the_store_and_its_parents_are_made_for_the_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        manager = SessionManager(tmp_path / "a" / "b" / "sessions")
    finally:
        os.umask(old)
    assert manager.get_storage_dir() == tmp_path / "a" / "b" / "sessions"
    for path in ("a", "a/b", "a/b/sessions"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700, path


def test_a_store_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "s").mkdir(mode=0o755)
    SessionManager(tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o755


def test_the_default_store_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SessionManager().get_storage_dir() == tmp_path / ".raptor" / "sessions"
    assert stat.S_IMODE((tmp_path / ".raptor" / "sessions").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / ".raptor").stat().st_mode) == 0o700


def test_what_is_ours_lies_below_dot_raptor(manager, store_dir):
    write_session(store_dir, "old", idle=30 * DAY)
    write_session(store_dir, "bad", data="x")
    assert manager.cleanup_expired_sessions() == 2
    assert sorted(os.listdir(store_dir)) == [".raptor"]
    own = store_dir / ".raptor"
    assert set(os.listdir(own)) <= {"trash", "journal.jsonl", "tmp", "lock"}
    runs = list((own / "trash").iterdir())
    names = [name for run in runs for name in os.listdir(run)]
    assert sorted(name for name in names if name != "manifest.json") == ["bad.json", "old.json"]
    assert "manifest.json" in names
    for path in own.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == wanted, path
    for line in (own / "journal.jsonl").read_text().splitlines():
        assert isinstance(json.loads(line), dict)

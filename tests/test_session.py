"""One session file: the five checks in their order, timestamps, addresses, metadata as text."""

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raptor_exporter.session import (
    REASONS,
    Endpoint,
    SessionInfo,
    check,
    format_timestamp,
    metadata_text,
    parse_endpoint,
    parse_object,
    parse_timestamp,
)
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.kinds import Kinds

GOOD = {
    "session_id": "login",
    "cdp_url": "ws://127.0.0.1:9222/devtools/browser/abc",
    "browser_type": "chromium",
    "created_at": "2024-11-28T10:00:00Z",
    "last_accessed": "2024-11-28T15:30:00+00:00",
    "metadata": {"env": "ci"},
}
MISSING = object()


def reason(**changes):
    fields = {key: value for key, value in (GOOD | changes).items() if value is not MISSING}
    return check(json.dumps(fields).encode()).reason


def test_a_good_file_is_valid_with_its_fields():
    verdict = check(json.dumps(GOOD).encode())
    assert (verdict.reason, verdict.session_id, verdict.browser_type) == (None, "login", "chromium")
    assert verdict.endpoint == Endpoint("ws", "127.0.0.1", 9222, "/devtools/browser/abc")
    assert verdict.created == datetime(2024, 11, 28, 10, tzinfo=UTC).timestamp()
    assert verdict.accessed == datetime(2024, 11, 28, 15, 30, tzinfo=UTC).timestamp()


def test_keys_that_nobody_knows_and_missing_metadata_are_fine():
    assert reason(metadata=MISSING) is None
    assert reason(metadata=None) is None
    assert reason(metadata=["not", "an", "object"]) is None
    assert reason(notes={"deep": [1, 2, {}]}) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"session_id": "a"',
        b"{} {}",
        json.dumps(GOOD).encode() + b"x",
        json.dumps(GOOD).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        json.dumps(GOOD).encode().replace(b"ci", b"\xff"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"session_id": NaN}',
        json.dumps(GOOD).encode().replace(b'"ci"', b"Infinity"),
        b"\0" * 4096,
    ],
    ids=range(17),
)
def test_what_is_not_one_json_object_is_corrupt(data):
    assert check(data).reason == "corrupt"


@pytest.mark.parametrize("value", [MISSING, "", None, 5, True, ["a"], {}])
def test_a_session_id_is_text_that_is_not_empty(value):
    assert reason(session_id=value) == "missing_session_id"


@pytest.mark.parametrize(
    "value",
    [
        MISSING,
        "",
        None,
        9222,
        "about:blank",
        "ftp://h/",
        "ws:/h",
        "ws://",
        "ws:///path",
        "//h:1/",
        "127.0.0.1:9222",
        "ws://h:70000/",
        "ws://h:x/",
        "ws://h:-1/",
        "ws://:9222/",
        "ws://[::1/",
        "ws://[xyz]:1/",
        "ws://a b/",
        " ws://h/",
        "ws://user@/",
        "http//h",
        "ws://?x",
        "ws://#x",
        "wsx://h/",
    ],
)
def test_a_cdp_url_is_a_ws_or_http_url_with_a_host(value):
    assert reason(cdp_url=value) == "missing_cdp_url"


@pytest.mark.parametrize("key", ["created_at", "last_accessed"])
@pytest.mark.parametrize(
    "value",
    [MISSING, None, "", 1732788000, "yesterday", "2024-13-01T00:00:00", "28.11.2024", "2024-11-28T25:00:00"],
)
def test_timestamps_parse(key, value):
    assert reason(**{key: value}) == "invalid_timestamp"


@pytest.mark.parametrize("value", [MISSING, None, "", "chrome", "Chromium", "chromium ", 1, ["chromium"]])
def test_a_browser_is_one_of_three(value):
    assert reason(browser_type=value) == "invalid_browser_type"


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "1" * 20_000, "1e5", "1.5"])
def test_a_number_of_any_length_is_legal_and_is_no_text(number):
    data = json.dumps(GOOD)[:-1].encode() + b', "n": ' + number.encode() + b"}"
    assert check(data).reason is None
    assert check(data, decode=Kinds(Wanted(frozenset({"env"}))).decode).reason is None
    odd = data.replace(b'"ci"', b"true")  # read the long way
    assert check(odd, decode=Kinds(Wanted(frozenset({"env"}))).decode).reason is None
    assert metadata_text(parse_object(data)["n"]) in (number, "100000.0")
    as_name = data.replace(json.dumps(GOOD["session_id"]).encode(), number.encode())
    assert check(as_name).reason == "missing_session_id"


def test_the_first_check_that_fails_names_the_reason():
    broken = {"browser_type": "lynx"}
    assert reason(**broken) == REASONS[4]
    broken["last_accessed"] = "?"
    assert reason(**broken) == REASONS[3]
    broken["cdp_url"] = ""
    assert reason(**broken) == REASONS[2]
    broken["session_id"] = ""
    assert reason(**broken) == REASONS[1]
    assert check(json.dumps([broken]).encode()).reason == REASONS[0]


def test_what_could_be_read_of_an_invalid_file_is_known():
    verdict = check(json.dumps(GOOD | {"session_id": ""}).encode())
    assert verdict.session_id is None
    assert verdict.endpoint is not None
    assert verdict.accessed == datetime(2024, 11, 28, 15, 30, tzinfo=UTC).timestamp()


@given(
    st.binary(max_size=200) | st.text(max_size=80).map(lambda text: json.dumps({"session_id": text}).encode())
)
def test_no_bytes_break_the_checks(data):
    assert check(data).reason in REASONS


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-11-28T10:00:00Z", "2024-11-28T10:00:00"),
        ("2024-11-28T10:00:00+02:00", "2024-11-28T08:00:00"),
        ("2024-11-28 10:00:00.123456-05:30", "2024-11-28T15:30:00.123456"),
        ("20241128T100000Z", "2024-11-28T10:00:00"),
        ("2024-W48-4T10Z", "2024-11-28T10:00:00"),
        ("2024-11-28T10:00:00,5Z", "2024-11-28T10:00:00.5"),
        ("2024-11-28T10:00+00:00:30", "2024-11-28T09:59:30"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999-23:59", None),
    ],
)
def test_an_aware_timestamp_is_read_in_every_form_of_iso_8601(text, utc):
    seconds = parse_timestamp(text, ZoneInfo("Asia/Tokyo"))
    if utc is not None:
        assert seconds == datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert seconds == datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01T12:00:00", "2024-07-01T10:00:00"),
        ("2024-12-01T12:00:00", "2024-12-01T11:00:00"),
        ("2024-12-01", "2024-11-30T23:00:00"),
        ("2024-10-27T02:30:00", "2024-10-27T01:30:00"),  # 00:30 or 01:30
        ("2024-10-27T01:59:59", "2024-10-26T23:59:59"),
        ("2024-10-27T03:00:00", "2024-10-27T02:00:00"),
        ("2024-03-31T02:30:00", "2024-03-31T01:30:00"),  # a time that clocks skipped: 00:30 or 01:30
    ],
)
def test_a_naive_timestamp_is_in_the_zone_and_of_two_readings_the_later(text, utc):
    expected = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert parse_timestamp(text, ZoneInfo("Europe/Paris")) == expected


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"])
@given(moment=st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001  # naive is the point
def test_the_later_reading_is_taken_in_every_zone(zone, moment):
    info = ZoneInfo(zone)
    readings = [moment.replace(tzinfo=info, fold=fold).timestamp() for fold in (0, 1)]
    assert parse_timestamp(moment.isoformat(), info) == pytest.approx(max(readings), abs=1e-6)


def test_the_ends_of_the_calendar_are_read_in_every_zone():
    for zone in (None, ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=-12))):
        assert parse_timestamp("0001-01-01T00:00:00", zone) < parse_timestamp("9999-12-31T23:59:59", zone)


@given(st.integers(0, 4 * 10**15).map(lambda microseconds: microseconds / 1e6))
def test_what_is_written_reads_back_to_the_microsecond(seconds):
    text = format_timestamp(seconds)
    assert text.endswith("+00:00")
    assert parse_timestamp(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("ws://127.0.0.1:9222/devtools/browser/x", ("ws", "127.0.0.1", 9222, "/devtools/browser/x")),
        ("WSS://Host.Example/", ("wss", "host.example", 443, "/")),
        ("http://h", ("http", "h", 80, "")),
        ("https://h:", ("https", "h", 443, "")),
        ("ws://[::1]:9222/x", ("ws", "::1", 9222, "/x")),
        ("ws://[fe80::1%25eth0]:1/x", ("ws", "fe80::1%25eth0", 1, "/x")),
        ("ws://user:pa@ss@h:1/x?token=1#f", ("ws", "h", 1, "/x")),
        ("ws://h:0/x", ("ws", "h", 0, "/x")),
        ("ws://h:00/x", ("ws", "h", 0, "/x")),
        ("ws://1+2:009222/x", ("ws", "1+2", 9222, "/x")),
        (f"ws://h:{'0' * 100_000}65535/x", ("ws", "h", 65535, "/x")),
    ],
)
def test_the_endpoint_of_a_url(url, endpoint):
    assert parse_endpoint(url) == Endpoint(*endpoint)


def test_an_address_is_all_of_a_url_that_is_shown():
    assert parse_endpoint("ws://u:p@[::1]:9/secret").address == "[::1]:9"
    assert parse_endpoint("ws://u:p@h:9/secret").address == "h:9"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (True, "true"),
        (None, "null"),
        (5, "5"),
        (5.0, "5.0"),
        (["a", 1], '["a", 1]'),
        ({"é": []}, '{"é": []}'),
    ],
)
def test_metadata_is_compared_as_text(value, text):
    assert metadata_text(value) == text


def test_a_session_compares_by_value_and_keeps_its_secret_out_of_its_repr():
    info = SessionInfo.from_dict(GOOD)
    assert info == SessionInfo.from_dict(dict(GOOD))
    assert info.to_dict() == GOOD
    assert "devtools" not in repr(info)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cdp_url": 5}, "cdp_url must be a string, not int"),
        ({"metadata": []}, "metadata must be an object, not list"),
    ],
)
def test_a_session_from_an_unfit_object_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        SessionInfo.from_dict(GOOD | changes)

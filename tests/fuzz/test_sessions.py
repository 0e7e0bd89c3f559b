"""Damaged session files: the five checks beside an oracle of five plain statements each."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.fuzzing import cases, corpus, judged

from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import DAY, NO_GUARDS, Expire, Match, Policy, Rules
from raptor_exporter.session import check, metadata_text
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.files import FileStore

SEEDS = corpus(Path(__file__).with_name("sessions"))
KEYS = frozenset({"env", "page_title", "n"})
WORDS = (
    *(b'"session_id"', b'"cdp_url"', b'"browser_type"', b'"created_at"', b'"last_accessed"', b'"metadata"'),
    *(b'"env"', b'"n"', b"chromium", b"firefox", b"webkit", b"null", b"true", b"0", b"-1", b"1e400", b"NaN"),
    *(b"Infinity", b"{}", b"[]", b'""', b'":', b'",', b"{", b"}", b"[", b"]", b"\\", b"\\u0000", b"\\ud800"),
    *(
        b"\xff",
        b"\xc3\xa9",
        b"\xef\xbb\xbf",
        b"\x00",
        b" ",
        b"\n",
        b"Z",
        b"+00:00",
        b"-23:59",
        b"T",
        b"24:00",
    ),
    *(b"2024-02-30", b"0001-01-01T00:00:00", b"9999-12-31T23:59:59.999999", b"2024-W01-1", b"20240101"),
    *(
        b"ws://",
        b"wss://",
        b"WS://",
        b"http://",
        b"ftp://",
        b"file:///",
        b"[::1]",
        b"@",
        b":",
        b":99999",
        b"?",
    ),
    *(b"#", b"/", b"\\\\", b"%00", b"12345678901234567890", b"[" * 3000, b'{"a":' * 3000),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def _parsed(data):
    def refuse(constant):
        raise ValueError(constant)

    try:
        document = json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _has_host(url):
    """True or False, or None where URL parsers differ: odd brackets, spaces, control characters."""
    if not re.fullmatch(r"[!-~]+", url) or set('[]\\^`{|}<>"%@') & set(
        url.partition("://")[2].partition("/")[0]
    ):
        return None
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        )
    except ValueError:
        return False


def _is_timestamp(value):
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _reasons(data):
    """What the five checks may say: one reason, or two where the URL is a matter of taste."""
    document = _parsed(data)
    if document is None:
        return {"corrupt"}
    if not (isinstance(document.get("session_id"), str) and document["session_id"]):
        return {"missing_session_id"}
    url = document.get("cdp_url")
    has_host = isinstance(url, str) and (_has_host(url) if url else False)
    if has_host is False:
        return {"missing_cdp_url"}
    if not all(_is_timestamp(document.get(key)) for key in ("created_at", "last_accessed")):
        rest = "invalid_timestamp"
    else:
        known = document.get("browser_type") in ("chromium", "firefox", "webkit")
        rest = None if known else "invalid_browser_type"
    return {rest} if has_host else {rest, "missing_cdp_url"}


def test_the_checks_agree_with_the_oracle_on_any_bytes_and_never_raise():
    for case in cases(SEEDS, WORDS, sample=4000):
        with judged(case):
            verdict = check(case)
            assert verdict.reason in _reasons(case)


def test_times_are_those_of_fromisoformat_with_naive_ones_local_and_late():
    for case in cases(SEEDS, WORDS, sample=1500):
        with judged(case):
            verdict, document = check(case), _parsed(case)
            for key, found in (("created_at", verdict.created), ("last_accessed", verdict.accessed)):
                if found is not None:
                    moment = datetime.fromisoformat(document[key])
                    if moment.tzinfo is not None:
                        assert found == moment.timestamp()
                    elif 2 < moment.year < 9998:
                        assert found == max(moment.timestamp(), moment.replace(fold=1).timestamp())


def test_a_refresh_says_of_a_file_what_the_checks_say_of_its_bytes(tmp_path):
    store = FileStore(tmp_path)
    for first, case in enumerate(cases(SEEDS, WORDS, sample=1500)):
        path = tmp_path / f"case-{first % 7}.json"
        path.write_bytes(case)
        with judged(case):
            record = store.refresh(None, Wanted(KEYS, endpoints=bool(first % 2))).records[path.stem]
            verdict, document = check(case), _parsed(case)
            assert (record.reason, record.accessed, record.created) == (
                verdict.reason,
                verdict.accessed,
                verdict.created,
            )
            assert record.size == len(case)
            assert record.state == ("valid" if verdict.reason is None else "invalid")
            if document is not None:
                metadata = document.get("metadata")
                metadata = metadata if isinstance(metadata, dict) else {}
                assert dict(record.metadata) == {k: metadata_text(metadata[k]) for k in KEYS if k in metadata}
            if verdict.endpoint is not None:
                assert record.endpoint.path == (verdict.endpoint.path if first % 2 else "")
                assert record.endpoint.address == verdict.endpoint.address
        path.unlink()


def test_no_policy_takes_a_file_whose_fields_do_not_say_so(tmp_path):
    """Whatever is damaged: idle needs a past last access, and an invalid file an invalid reason."""
    store = FileStore(tmp_path)
    path = tmp_path / "case.json"
    rules = Rules(
        (
            Policy("idle", 60.0, Match(), Expire(idle_for=7 * DAY), guards=NO_GUARDS),
            Policy("broken", 60.0, Match(state="invalid"), Expire(unmodified_for=DAY), guards=NO_GUARDS),
        )
    )
    for case in cases(SEEDS, WORDS, sample=1000):
        path.write_bytes(case)
        os.utime(path, (NOW - 2 * DAY, NOW - 2 * DAY))
        with judged(case):
            decision = plan(store.refresh(None, Wanted()), rules, NOW).decide("case")
            reasons = _reasons(case)
            if decision.reason == "idle":
                accessed = datetime.fromisoformat(_parsed(case)["last_accessed"])
                assert None in reasons
                assert accessed.astimezone(UTC).timestamp() < NOW - 7 * DAY + 86_400
            elif decision.reason == "unmodified":
                assert reasons != {None}
            else:
                assert decision.action == "keep"


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
def test_a_file_is_read_up_to_a_mebibyte_and_past_it_unreadable(tmp_path, size):
    start = SEEDS[0].rstrip()
    (tmp_path / "large.json").write_bytes(start + b" " * (size - len(start)))
    record = FileStore(tmp_path).refresh(None, Wanted()).records["large"]
    assert record.state == ("valid" if size <= 1024 * 1024 else "unreadable")

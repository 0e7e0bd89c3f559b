"""Damaged Accept, Accept-Encoding, Authorization and Host headers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path

import bcrypt
from starlette.datastructures import Headers
from support.fuzzing import cases, corpus, judged

from raptor_exporter.web.access import Access
from raptor_exporter.web.config import WebConfig
from raptor_exporter.web.negotiate import FORMATS, GZIP, IDENTITY, OPENMETRICS, choose_encoding, choose_format
from raptor_exporter.web.passwords import PasswordCheck, parse_basic

HEADERS = Path(__file__).with_name("headers")
WORDS = (
    *(
        b",",
        b";",
        b"=",
        b'"',
        b"\\",
        b"/",
        b"*",
        b"*/*",
        b" ",
        b"\t",
        b"q=",
        b"q=0",
        b"q=1",
        b"q=0.5",
        b"q=1e9",
        b"q=-1",
    ),
    *(
        b"q=nan",
        b";q=0.0",
        b"gzip",
        b"GZIP",
        b"identity",
        b"br",
        b"version=1.0.0",
        b"version=0.0.4",
        b"text/plain",
    ),
    *(
        b"application/openmetrics-text",
        b"text/*",
        b"Basic ",
        b"basic ",
        b"Bearer ",
        b":",
        b"=",
        b"==",
        b"YTpi",
        b"\x00",
    ),
    *(b"\xff", b"\xe2\x80\x8b", b"localhost", b"127.0.0.1", b"[::1]", b":19222", b"@", b"." * 9, b"," * 4000),
    *(b" " * 4000, b'"' * 4000, b"\\" * 4000, b"a=" * 2000, b";" * 4000, b'"\\' * 2000, b"a;" * 3000),
)
PASSWORD = "open sesame"
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))


def _texts(name, sample):
    for case in cases(corpus(HEADERS, f"{name}*.txt"), WORDS, sample):
        yield case.decode("latin-1").strip("\n")  # as a server hands headers on


def test_any_accept_header_chooses_a_format_that_it_does_not_exclude():
    for text in _texts("accept-", 3000):
        with judged(text):
            chosen = choose_format(text)
            assert chosen in FORMATS
            if chosen is OPENMETRICS:
                assert "openmetrics" in text.lower() or "*" in text


def test_any_accept_encoding_header_compresses_only_for_those_who_ask():
    for text in _texts("encoding", 3000):
        with judged(text):
            chosen = choose_encoding(text)
            assert chosen in (GZIP, IDENTITY)
            assert chosen == IDENTITY or "gzip" in text.lower() or "*" in text


def _credentials(text):
    """What RFC 7617 says of a header: user and password, or None."""
    scheme, _, encoded = text.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def test_any_authorization_header_without_the_password_is_refused():
    passwords = PasswordCheck()
    access = Access(lambda: WebConfig(users={"alice": HASHED}), passwords, only_loopback=True)
    right = 0

    async def refusal(header):
        return await access.refusal("GET", "/metrics", Headers(raw=[(b"authorization", header)]))

    with asyncio.Runner() as runner:
        for text in _texts("authorization", 600):
            with judged(text):
                refused = runner.run(refusal(text.encode("latin-1")))
                may = _credentials(text) == (b"alice", PASSWORD.encode())
                right += may
                assert (refused is None) == may
                assert refused is None or refused.status == 401
                assert (parse_basic(text) is None) == (_credentials(text) is None)
    passwords.close()
    assert right, "not a single case had the password"


def test_any_host_header_but_the_local_ones_sees_no_names():
    access = Access(WebConfig, PasswordCheck(), only_loopback=True)
    with asyncio.Runner() as runner:
        for text in _texts("host", 2000):
            with judged(text):
                headers = Headers(raw=[(b"host", text.encode("latin-1"))])
                refused = runner.run(access.refusal("GET", "/", headers))
                host = text.strip().lower()
                name = host.rpartition(":")[0] if host.rpartition(":")[2].strip("0123456789") == "" else host
                if refused is None:
                    assert name in ("localhost", "127.0.0.1", "[::1]", "") or host in (
                        "localhost",
                        "127.0.0.1",
                        "[::1]",
                    )

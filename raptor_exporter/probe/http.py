"""One bounded ``GET /json/version`` over a plain connection: no proxy, no redirect, no name lookup.

Three times faster than a full HTTP client, and it cannot be led anywhere but to the one address.
"""

from __future__ import annotations

import asyncio
import errno
import json
import ssl
from typing import NamedTuple

import h11

from raptor_exporter.probe.connection import Target, connected
from raptor_exporter.probe.result import ProbeKind

MAX_BODY = 64 * 1024  # Chromium answers 0.5 KB
MAX_HEADERS = 16 * 1024
_CHUNK = 16 * 1024

# Trouble of this machine or of the network between: it says nothing of the browser.
_UNRELATED = {
    errno.EMFILE: "too many open files here",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOBUFS: "no network buffers left here",
    errno.ENOMEM: "no memory left here",
    errno.EADDRNOTAVAIL: "no free local port or address here",
    errno.EAFNOSUPPORT: "this machine has no such network",
    errno.ENETUNREACH: "no route to its network",
    errno.EHOSTUNREACH: "no route to its host",
    errno.ENETDOWN: "the network is down",
    errno.EACCES: "this machine's firewall forbids the call",
    errno.EPERM: "this machine's firewall forbids the call",
}
# What a machine without IPv6 says of ::1. Nothing listens on a loopback address that isn't there.
_NO_SUCH_LOOPBACK = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH}


class Answer(NamedTuple):
    """What came back; ``browser_path`` is a secret."""

    kind: ProbeKind  # ALIVE: some browser
    detail: str = ""
    browser_path: str = ""
    again: bool = False  # worth a second try


class _NotABrowserError(Exception):
    """Something answered, but not as Chromium does."""


async def ask(target: Target, timeout: float, context: ssl.SSLContext | None) -> Answer:  # noqa: ASYNC109  # an attempt's own limit
    """Ask once, and once more if there was no answer in ``timeout`` seconds or the line broke."""
    answer = await _attempt(target, timeout, context)
    if answer.again:
        # A full listen backlog (10 in Chromium) drops a connection without a word, and a browser that
        # is killed just now breaks it off: a moment later it is refused.
        return await _attempt(target, timeout, context)
    return answer


async def _attempt(target: Target, timeout: float, context: ssl.SSLContext | None) -> Answer:  # noqa: ASYNC109  # see ask
    try:
        async with asyncio.timeout(timeout):
            return Answer(ProbeKind.ALIVE, browser_path=await _get_browser_path(target, context))
    except TimeoutError:
        return Answer(ProbeKind.HUNG, f"did not answer within {timeout:g}s", again=True)
    except (OSError, h11.ProtocolError, _NotABrowserError) as error:
        return _explain(target, error)


async def _get_browser_path(target: Target, context: ssl.SSLContext | None) -> str:
    async with connected(target, context) as (reader, writer):
        status, body = await _exchange(reader, writer, target.host_header)
    if status != 200:
        raise _NotABrowserError(f"answered with HTTP status {status}, so it is not a browser")
    return _browser_path(body)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)
    headers = [("Host", host), ("Accept", "application/json"), ("Connection", "close")]
    request = h11.Request(method="GET", target="/json/version", headers=headers)
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    heard = False
    status = 0
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_CHUNK)
            if not data and not heard:
                raise ConnectionResetError
            heard = True
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            if status != 200:
                return status, b""
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise _NotABrowserError("answered far more than a browser does")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif not isinstance(event, h11.InformationalResponse):  # closed or paused: no more to come
            raise _NotABrowserError("gave no whole HTTP answer, so it is not a browser")


def _browser_path(body: bytes) -> str:
    """The path of the browser's own WebSocket URL in a ``/json/version`` document."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _NotABrowserError("answered, but is not a browser") from error
    url = document.get("webSocketDebuggerUrl") if isinstance(document, dict) else None
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not separator or scheme not in ("ws", "wss"):
        raise _NotABrowserError("answered, but is not a browser that speaks CDP")
    _, slash, path = rest.partition("/")
    return slash + path


def _explain(target: Target, error: Exception) -> Answer:  # a table of cases
    match error:
        case ConnectionRefusedError():
            return Answer(ProbeKind.REFUSED, "connection refused")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return Answer(ProbeKind.GARBAGE, "ended the connection without an answer", again=True)
        case ssl.SSLCertVerificationError():
            why = error.verify_message.rstrip(".")
            return Answer(ProbeKind.UNTRUSTED, f"its certificate is not trusted: {why}")
        case ssl.SSLError():
            return Answer(ProbeKind.GARBAGE, "answered, but not with TLS")
        case OSError():
            return _connection_failure(target, error)
        case _NotABrowserError():
            return Answer(ProbeKind.GARBAGE, str(error))
    return Answer(ProbeKind.GARBAGE, "gave no whole HTTP answer, so it is not a browser")


def _connection_failure(target: Target, error: OSError) -> Answer:
    if target.address == "::1" and error.errno in _NO_SUCH_LOOPBACK:
        return Answer(ProbeKind.REFUSED, "connection refused")
    why = _UNRELATED.get(error.errno or 0) or (error.strerror or type(error).__name__).lower()
    return Answer(ProbeKind.FAILED, why)

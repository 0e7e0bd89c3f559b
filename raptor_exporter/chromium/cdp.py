"""One CDP command over a plain WebSocket: no Playwright, no proxy, no redirect."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import WebSocketURI

from raptor_exporter.probe.connection import Target, connected

_CHUNK = 64 * 1024
_MAX_MESSAGE = 16 * 1024 * 1024  # bytes; pages have data: URLs of some megabytes
_COMMAND_ID = 1


class CommandFailed(Exception):
    """The browser, or whatever answered, did not carry out a command; the message says how."""


async def command(
    target: Target,
    path: str,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> dict[str, Any]:
    """The result of one command at exactly this path; empty if the line ended instead.

    The caller limits the time.

    Raises:
        OSError: no connection, or it broke during the handshake.
        CommandFailed: the handshake or the command was refused.
    """
    async with connected(target, context) as (reader, writer):
        protocol = await _handshake(reader, writer, target, path)
        protocol.send_text(json.dumps({"id": _COMMAND_ID, "method": method, "params": params or {}}).encode())
        _flush(protocol, writer)
        return await _reply(protocol, reader, writer)


async def _handshake(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, path: str
) -> ClientProtocol:
    if not path.isascii():
        raise CommandFailed("the stored URL is none that a browser has: its path is not ASCII")
    secure = target.tls_name is not None
    # The library builds the Host header from these; Chromium wants an address there.
    host = target.tls_name if target.tls_name is not None else target.address.partition("%")[0]
    protocol = ClientProtocol(WebSocketURI(secure, host, target.port, path, ""), max_size=_MAX_MESSAGE)
    protocol.send_request(protocol.connect())
    _flush(protocol, writer)
    while True:
        data = await reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("ended the connection without an answer")
        protocol.receive_data(data)
        if isinstance(protocol.handshake_exc, InvalidHandshake):
            raise CommandFailed(_refusal(protocol)) from protocol.handshake_exc
        if protocol.handshake_exc is not None:
            raise CommandFailed("what answers does not speak CDP") from protocol.handshake_exc
        if protocol.state.name == "OPEN":
            return protocol


def _refusal(protocol: ClientProtocol) -> str:
    response = next((e for e in protocol.events_received() if isinstance(e, Response)), None)
    return f"HTTP status {response.status_code}" if response else "what answers does not speak CDP"


async def _reply(
    protocol: ClientProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> dict[str, Any]:
    text = b""
    while True:
        for event in protocol.events_received():
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.CONT):
                continue
            text = bytes(event.data) if event.opcode is Opcode.TEXT else text + bytes(event.data)
            if event.fin:
                result = _result(text)
                if result is not None:
                    return result
        _flush(protocol, writer)  # a pong, or the goodbye
        try:
            data = await reader.read(_CHUNK)
        except ConnectionError:
            return {}
        if not data:
            return {}
        protocol.receive_data(data)


def _result(text: bytes) -> dict[str, Any] | None:
    """The result in a message, or None if the message is not the answer."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandFailed("what answers does not speak CDP") from error
    if not isinstance(message, dict) or message.get("id") != _COMMAND_ID:
        return None  # an event
    failure = message.get("error")
    if failure is not None:
        words = failure.get("message") if isinstance(failure, dict) else None
        raise CommandFailed(f"the browser refused: {words}")
    result = message.get("result")
    return result if isinstance(result, dict) else {}


def _flush(protocol: ClientProtocol, writer: asyncio.StreamWriter) -> None:
    for data in protocol.data_to_send():
        if data:
            writer.write(data)

"""A plain connection to one numeric address: no proxy, no name lookup."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple


class Target(NamedTuple):
    """Where one request goes, whatever number of sessions it is for."""

    address: str  # numeric
    port: int
    host_header: str
    tls_name: str | None  # None: no TLS


@contextlib.asynccontextmanager
async def connected(
    target: Target, context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Both ends of a connection for the length of a block.

    Raises:
        OSError: there is no connection to be had.
    """
    reader, writer = await asyncio.open_connection(
        target.address,
        target.port,
        ssl=context if target.tls_name is not None else None,
        server_hostname=target.tls_name,
    )
    try:
        yield reader, writer
    finally:
        # Not close(): a peer that doesn't read, or TLS without goodbye, would keep us waiting.
        writer.transport.abort()

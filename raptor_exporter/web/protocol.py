"""uvicorn's HTTP/1.1 with limits on the time of each phase, and TLS with the latest certificate.

uvicorn limits neither the time of a request's header nor that of its response (its issue 157), and
its listener would take the TLS handshake out of our sight. So the protocol starts on the plain
connection, is counted there, and upgrades itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
import struct
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from raptor_exporter.web.guard import Guard

logger = logging.getLogger(__name__)

_PIECE = 1024  # bytes that the parser gets at a time
_HEADER_END = re.compile(rb"\r?\n\r?\n")


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a time limit for each phase of a connection's life."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._plain: asyncio.Transport | None = None
        self._established = False
        self._early = bytearray()  # what came along with the end of the handshake
        self._inbox = bytearray()  # what the parser hasn't seen yet
        self._lines = 0  # of the header that is being received
        self._deaf = False  # the rest of the connection is not of interest
        self._handshake: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Count the connection, and begin with TLS if there is any."""
        self._plain = transport
        if not self._guard.admit(self):
            transport.abort()
            return
        context = self._guard.tls()
        if context is None:
            self._establish(transport)
        else:
            self._handshake = self.loop.create_task(self._upgrade(transport, context))

    async def _upgrade(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        limits = self._guard.limits
        try:
            secure = await self.loop.start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.handshake,
                ssl_shutdown_timeout=limits.linger,
            )
        except (OSError, asyncio.CancelledError) as error:  # SSLError and TimeoutError are OSErrors
            logger.debug("a TLS handshake failed", extra={"error": str(error)})
            self._guard.gone(self)
            transport.abort()
            return
        # A client that hangs up in the handshake leaves none, against what the types say.
        if not isinstance(secure, asyncio.Transport) or secure.is_closing():
            self._guard.gone(self)
            return
        if not self._guard.allows_certificate(secure.get_extra_info("peercert") or {}):
            logger.debug("a client certificate has none of the allowed names")
            self._guard.gone(self)
            secure.abort()
            return
        self._establish(secure)
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early)

    def _establish(self, transport: asyncio.Transport) -> None:
        self._established = True
        super().connection_made(transport)
        self._set_deadline(self._guard.limits.headers)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of what follows one."""
        if not self._established:
            self._early += data
            if len(self._early) > self._guard.limits.header_bytes:
                self.evict()
            return
        if self._deaf:
            return
        self._inbox += data
        self._feed()
        # Every byte ends uvicorn's keep-alive time, so a limit of ours must hold from the first one.
        if not self._is_serving() and self._deadline is None and not self.transport.is_closing():
            self._set_deadline(self._guard.limits.headers)

    def _feed(self) -> None:
        """Give the parser what it needs and no more: it has no limit on what it got whole."""
        while self._inbox and not self.transport.is_closing():
            if self._is_serving() and self.conn.their_state is not h11.SEND_BODY:
                # The next request waits for its turn where it costs nothing.
                if len(self._inbox) > self._guard.limits.header_bytes:
                    self.flow.pause_reading()
                return
            piece = bytes(self._inbox[:_PIECE])
            del self._inbox[:_PIECE]
            if not self._is_serving():
                self._lines += _HEADER_END.split(piece, 1)[0].count(b"\n")
                if self._lines > self._guard.limits.header_lines:
                    self.send_400_response("Too many headers.")
                    return
            super().data_received(piece)
            if self._is_serving():
                self._lines = 0
                if any(name == b"transfer-encoding" for name, _ in self.headers):
                    # A chunk of one byte costs a thousand times its size, and no request here needs any.
                    self._deaf = True
                    self._inbox.clear()
                    self.flow.pause_reading()

    def handle_events(self) -> None:
        """Let the parser work on what was received."""
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # garbage where no answer is possible any more
            self.evict()
            return
        if self._is_serving():
            self._guard.is_served(self)
            self._set_deadline(self._guard.limits.response)

    def send_400_response(self, msg: str) -> None:
        """Refuse what was received, also in the middle of a request that is being answered."""
        if self._is_serving():
            self.cycle.disconnected = True  # nobody will hear that answer: it is dropped without complaint
            self.cycle.message_event.set()
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """A response was written, if not read by the client yet."""
        self._drop_deadline()
        super().on_response_complete()
        if self.transport.is_closing():
            self._set_deadline(self._guard.limits.linger)
            return
        if not self._is_serving():
            self._guard.is_idle(self)
            self._feed()

    def timeout_keep_alive_handler(self) -> None:
        """The client asked nothing more."""
        if self.transport.get_write_buffer_size():
            self.evict()  # it didn't even read the last answer
        else:
            super().timeout_keep_alive_handler()
            self._set_deadline(self._guard.limits.linger)

    def shutdown(self) -> None:
        """The server ends: so does this connection, after the response in the works."""
        try:
            super().shutdown()
        except h11.LocalProtocolError:
            self.evict()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._guard.gone(self)
        self._drop_deadline()
        if self._handshake is not None:
            self._handshake.cancel()
        if self._established:
            super().connection_lost(exc)

    def evict(self) -> None:
        """Cut the connection, whatever is still unsent."""
        self._drop_deadline()
        self._unset_keepalive_if_required()
        transport = self.transport if self._established else self._plain
        if transport is not None:
            _forget_unsent(transport)
            transport.abort()

    def _is_serving(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _set_deadline(self, seconds: float) -> None:
        self._drop_deadline()
        if self._plain is not None:
            self._deadline = self.loop.call_later(seconds, self.evict)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _forget_unsent(transport: asyncio.Transport) -> None:
    # Without it the kernel would keep what a deaf client hasn't read, long after we are done with it.
    plain = transport.get_extra_info("socket")
    if plain is not None:
        with contextlib.suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

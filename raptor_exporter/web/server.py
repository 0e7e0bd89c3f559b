"""uvicorn inside the agent's own loop: sockets, limits, TLS, and an end within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from raptor_exporter.web.access import Access
from raptor_exporter.web.front import build_app
from raptor_exporter.web.guard import Guard, Limits
from raptor_exporter.web.listen import BACKLOG, bound_address, listen, only_loopback
from raptor_exporter.web.live import LiveWebConfig
from raptor_exporter.web.passwords import PasswordCheck
from raptor_exporter.web.protocol import GuardedProtocol
from raptor_exporter.web.routes import Pages
from raptor_exporter.web.view import AgentView

logger = logging.getLogger(__name__)

# asyncio accepts as many connections in one go as it lets the kernel queue. In a flood that is so many
# that the first of them would have to make room for the last before anybody has read its request.
_ACCEPTED_AT_ONCE = 16
_CROWD = 4  # requests in the works at once
_TICK = 0.5  # seconds
_GRACE = 1  # second for requests in the works when the server ends


class HttpServer:
    """The HTTP face of one agent. Listens from its making on, answers from ``serve`` on.

    Raises:
        ValueError: ``address`` is none.
        ListenError: nothing can listen on it.
        ConfigError, TlsError: the web configuration is wrong.
    """

    def __init__(
        self,
        view: AgentView,
        address: str,
        *,
        web_config_file: str | None = None,
        lifecycle: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._live = LiveWebConfig(web_config_file)
        self._view = view
        self._lifecycle = lifecycle
        self._limits = limits or Limits()
        self._server: _Server | None = None
        self._stopping = False
        self._sockets = listen(address)

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of each socket, with the port that was chosen for 0."""
        return [bound_address(s) for s in self._sockets]

    async def serve(self) -> None:
        """Answer until ``stop`` is called or the task is cancelled; ends within 5 seconds of that."""
        for address in self.addresses:
            logger.info("listening", extra={"address": address, "tls": self._live.context is not None})
        executor = ThreadPoolExecutor(2, thread_name_prefix="raptor-http")
        passwords = PasswordCheck()
        guard = Guard(
            self._limits, tls=lambda: self._live.context, allows_certificate=self._live.allows_certificate
        )
        server = self._server = self._make_server(guard, passwords, executor)
        server.should_exit = self._stopping
        watching = asyncio.create_task(self._live.watch(executor))
        serving = asyncio.create_task(server.serve(sockets=self._sockets))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            watching.cancel()
            # Also when this task was cancelled: who is being answered gets the rest of it.
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            guard.evict_all()
            passwords.close()
            executor.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Let ``serve`` end."""
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Stop listening without ever having served."""
        for s in self._sockets:
            s.close()

    def _crowded(self) -> bool:
        return self._server is not None and len(self._server.server_state.tasks) > _CROWD

    def _make_server(self, guard: Guard, passwords: PasswordCheck, executor: ThreadPoolExecutor) -> _Server:
        access = Access(lambda: self._live.config, passwords, only_loopback=only_loopback(self._sockets))
        pages = Pages(
            self._view,
            access,
            executor,
            lifecycle=self._lifecycle,
            reload_web_config=self._live.check,
            crowded=self._crowded,
        )
        config = uvicorn.Config(
            build_app(pages, access, lambda: self._live.config),
            http=functools.partial(GuardedProtocol, guard),  # type: ignore[arg-type]  # any factory will do
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_keep_alive=self._limits.keep_alive,  # type: ignore[arg-type]  # seconds, also of a float
            timeout_graceful_shutdown=_GRACE,
            h11_max_incomplete_event_size=self._limits.header_bytes,
        )
        return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the agent."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept; the kernel goes on queueing more than are accepted at once."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(BACKLOG)

    async def main_loop(self) -> None:
        """Look whether to end; ten times a second, as it comes, is most of what an idle agent costs."""
        while not await self.on_tick(0):  # noqa: ASYNC110  # uvicorn has a flag, no event
            await asyncio.sleep(_TICK)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle none."""
        yield

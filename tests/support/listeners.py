"""TCP listeners that misbehave in one way each, and tell who called."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator


class Listener:
    """A listening socket; ``requests`` holds what each connection sent first."""

    def __init__(self, server: socket.socket):
        self.host, self.port = server.getsockname()[:2]
        self.requests: list[bytes] = []
        self.connections: list[socket.socket] = []

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def http_answer(body: bytes | str, status: str = "200 OK", headers: str = "") -> bytes:
    """One HTTP/1.1 response with a length."""
    data = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


@contextlib.contextmanager
def silent(host: str = "127.0.0.1", port: int = 0) -> Iterator[Listener]:
    """Connections succeed by the kernel alone, and nobody ever answers."""
    with _bound(host, port) as server:
        yield Listener(server)


@contextlib.contextmanager
def answering(
    answer: bytes | Callable[[socket.socket, bytes], None],
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Listener]:
    """Each connection's first bytes are read, then answered, then the connection is closed.

    ``answer`` is what to send, or is called with the connection and what it sent.
    """
    with _bound(host, port) as server:
        listener = Listener(server)
        threads: list[threading.Thread] = []

        def serve(raw: socket.socket) -> None:
            with raw, contextlib.suppress(OSError), _secured(raw, tls) as connection:
                request = connection.recv(65536)
                listener.requests.append(request)
                if callable(answer):
                    answer(connection, request)
                else:
                    connection.sendall(answer)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                listener.connections.append(connection)
                thread = threading.Thread(target=serve, args=(connection,))
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes accept()
            acceptor.join(10)
            for connection in listener.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)


def _secured(raw: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return raw if tls is None else tls.wrap_socket(raw, server_side=True)


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens just now."""
    with _bound(host, 0) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen(128)
        yield server

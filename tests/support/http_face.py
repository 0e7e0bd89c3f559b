"""Runs the HTTP face in a loop of its own thread, and talks to it in plain bytes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading

from raptor_exporter.web.server import HttpServer
from support.waiting import eventually


@contextlib.contextmanager
def serving(view, address="127.0.0.1:0", **options):
    """A running server; ends it, and fails if that takes 5 seconds."""
    server = HttpServer(view, address, **options)
    loops = []
    failures = []

    async def main():
        loops.append(asyncio.get_running_loop())
        await server.serve()

    def run():
        try:
            asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        eventually(lambda: failures or _answers(server))
        yield server
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(5)
        assert not thread.is_alive(), "the server did not end within 5 seconds"
    if failures:
        raise failures[0]


def _answers(server):
    with contextlib.suppress(OSError), socket.create_connection(host_port(server), 1):
        return True
    return False


def host_port(server):
    """Where the first socket listens."""
    host, _, port = server.addresses[0].rpartition(":")
    return {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1"}.get(host, host.strip("[]")), int(port)


class Answer:
    """Status, headers (lower case) and body of a response."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()


def ask(server, path="/", method="GET", headers=(), body=None, context: ssl.SSLContext | None = None):
    """One request on a connection of its own. ``headers`` may set Host."""
    host, port = host_port(server)
    if context is not None:
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=10)
    headers = dict(headers)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def raw(server, data: bytes, seconds=10.0) -> bytes:
    """Send bytes, and read until the server closes."""
    with socket.create_connection(host_port(server), seconds) as connection:
        connection.sendall(data)
        return read_all(connection)


def read_all(connection) -> bytes:
    """Everything until the end of a connection, however it ends."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)

"""Debian's servers on a loopback port of their own; always ended."""

from __future__ import annotations

import contextlib
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from support.listeners import free_port
from support.waiting import eventually

S = TypeVar("S", bound="Server")


class Server:
    """One running server, of those that say at ``/-/ready`` whether they are."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def get(self, path: str) -> bytes:
        """The body of an answer, by no proxy."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}{path}", timeout=10) as response:
            return response.read()

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.get("/-/ready"))
        return False


@contextlib.contextmanager
def running(kind: type[S], directory: Path, *command: str) -> Iterator[S]:
    """The server that a command starts; its log goes below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = directory / f"{command[0]}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=stderr)
    server = kind(port)
    try:
        eventually(server.is_ready, what=f"{command[0]} is ready, see {log}")
        yield server
    finally:
        process.kill()
        process.wait()

"""A real Chromium for tests: started, frozen, killed and always cleaned up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

EXECUTABLE = "/usr/bin/chromium"
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--password-store=basic",
)
START_SECONDS = 30.0


class Chromium:
    """One running browser. Its processes are one process group, so that signals reach all of them."""

    def __init__(
        self, process: subprocess.Popen[bytes], user_data_dir: Path, port: int, path: str, host: str
    ):
        self.process = process
        self.user_data_dir = user_data_dir
        self.port = port
        self.path = path
        self.host = host  # as it is written in URLs: 127.0.0.1 or [::1]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def http_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port}{self.path}"

    def version(self) -> dict:
        return self.get("/json/version")

    def targets(self) -> list[dict]:
        return self.get("/json/list")

    def get(self, path: str, method: str = "GET"):
        """What the browser's HTTP endpoint answers at a path, decoded."""
        return json.loads(self._read(path, method))

    def _read(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"{self.http_url}{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=START_SECONDS) as response:
            return response.read()

    def open_tab(self, url: str = "about:blank") -> dict:
        return self.get(f"/json/new?{url}", method="PUT")

    def close_tab(self, target_id: str) -> None:
        self._read(f"/json/close/{target_id}")

    def stop(self) -> None:
        """Freeze it: the kernel still accepts connections, but nobody answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(START_SECONDS)

    @property
    def running(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def running_chromium(
    user_data_dir: str | os.PathLike[str] | None = None, port: int = 0, extra: Sequence[str] = ()
) -> Iterator[Chromium]:
    """A headless Chromium that answers CDP; killed at the end, with its directory if it was ours."""
    ours = user_data_dir is None
    directory = Path(tempfile.mkdtemp(prefix="chromium-")) if user_data_dir is None else Path(user_data_dir)
    # A file of an earlier browser in this directory would be taken for the new one's.
    (directory / "DevToolsActivePort").unlink(missing_ok=True)
    log = tempfile.TemporaryFile()  # noqa: SIM115  # closed below; a pipe would have to be drained
    process = subprocess.Popen(
        [
            os.environ.get("RAPTOR_CHROMIUM", EXECUTABLE),
            *QUIET,
            *(("--no-sandbox",) if os.geteuid() == 0 else ()),
            f"--user-data-dir={directory}",
            f"--remote-debugging-port={port}",
            *extra,
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    browser = None
    try:
        browser = _wait(process, directory, port, log)
        yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_SECONDS)
        log.close()
        if ours:
            _remove(directory)


def _wait(process, directory: Path, port: int, log) -> Chromium:
    """Until the browser says where it listens: by its own file, or on a fixed port by its log line."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        found = _from_file(directory) if port == 0 else _from_log(log)
        if found is not None:
            host, actual, path = found
            return Chromium(process, directory, actual, path, host)
        time.sleep(0.01)
    log.seek(0)
    raise RuntimeError(f"Chromium did not start: {log.read().decode(errors='replace')[-2000:]}")


def _from_file(directory: Path) -> tuple[str, int, str] | None:
    try:
        port, path = (directory / "DevToolsActivePort").read_text().split("\n")[:2]
    except (FileNotFoundError, ValueError):
        return None
    return ("127.0.0.1", int(port), path) if path else None


def _from_log(log) -> tuple[str, int, str] | None:
    """From "DevTools listening on ws://127.0.0.1:9222/devtools/browser/…"."""
    text = os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace")
    _, found, rest = text.partition("DevTools listening on ws://")
    if not found or "\n" not in rest:
        return None
    address, _, path = rest.split("\n")[0].strip().partition("/")
    host, _, port = address.rpartition(":")
    return host, int(port), f"/{path}"


def _remove(directory: Path) -> None:
    """Delete a profile; children that die a moment later may still write into it."""
    deadline = time.monotonic() + START_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(0.01)

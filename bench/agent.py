"""The agent as a process: scrapes during refreshes, memory, idle CPU and start-up."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.measure import Row, Times, at_most, below, in_turns, mebibytes, seconds

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("RAPTOR_")},
    "PYTHONPATH": str(ROOT),
}
MOST_MEMORY = {100: 64 << 20, 10_000: 64 << 20, 100_000: 128 << 20, 1_000_000: 512 << 20}
CLIENTS = 4
TICKS = os.sysconf("SC_CLK_TCK")

# What is beside ours: the client library's own server, with the very same families, which never change.
CLIENT_LIBRARY = """
import sys, time
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
class Same:
    def collect(self):
        return families
registry = CollectorRegistry()
registry.register(Same())
server, _ = start_http_server(0, "127.0.0.1", registry)
print(server.server_port, flush=True)
time.sleep(3600)
"""


class Process:
    """A server on a loopback port."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def status(self, field: str) -> int:
        """Bytes of a field of /proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", text)
        return int(found[1]) * 1024 if found else 0

    def cpu(self) -> float:
        """Seconds of CPU, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def agent(store: Path, refresh: str) -> Iterator[Process]:
    """``serve`` with two policies in mode plan, ready."""
    configuration = store.with_name("raptor.yaml")
    configuration.write_text(
        f"version: 1\nstore: {{url: {store}, refresh_interval: {refresh}}}\n"
        "policies:\n"
        "  - {name: ci, interval: 15m, match: {metadata: {env: ci}}, expire: {idle_for: 7d},\n"
        "     keep: {last: 3, per: metadata.repo}}\n"
        "  - {name: broken, interval: 15m, match: {state: invalid}, expire: {unmodified_for: 1h}}\n"
    )
    arguments = ["--config", str(configuration), "--web.listen-address", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "raptor_exporter", "serve", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    with _ended(process):
        if process.stderr is None:
            raise RuntimeError("no log to read the port from")
        lines = iter(process.stderr.readline, "")
        port = next(
            int(found[1]) for line in lines if (found := re.search(r"address=127\.0\.0\.1:(\d+)", line))
        )
        threading.Thread(target=process.stderr.read, daemon=True).start()
        server = Process(process, port)
        while server.get("/-/ready")[0] != 200:
            time.sleep(0.02)
        yield server


@contextlib.contextmanager
def _client_library(exposition: bytes) -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT_LIBRARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with _ended(process):
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        process.stdin.write(exposition.decode())
        process.stdin.close()
        yield Process(process, int(process.stdout.readline()))


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def scrapes(store: Path, sessions: int) -> Iterator[Row]:
    """Latency of one scraper while refreshes follow each other; requests a second beside one a second."""
    with agent(store, "100ms") as ours:
        latencies: list[float] = []
        _scrape(ours, 15.0 if sessions >= 10_000 else 5.0, latencies, pause=0.01)
        p99 = statistics.quantiles(latencies, n=100)[98]
        yield below("scrape during refreshes, p99", sessions, p99, 0.05, seconds)
    with agent(store, "1s") as ours, _client_library(ours.get("/metrics")[1]) as beside:
        counts: dict[str, list[int]] = {"ours": [], "beside": []}
        for _ in range(5):
            for name, server in (("ours", ours), ("beside", beside)):
                counts[name].append(_flood(server, 2.0))
        rates = {name: statistics.median(values) / 2.0 for name, values in counts.items()}
        ratio = rates["ours"] / rates["beside"]
        yield Row(
            "scrapes a second, a refresh a second",
            sessions,
            f"{rates['ours']:.0f}/s",
            f"prometheus_client's server, idle {rates['beside']:.0f}/s",
            f"{ratio:.2f} ×",
            "≥ 1 ×",
            ratio >= 1,
        )


def _scrape(server: Process, length: float, latencies: list[float], pause: float = 0.0) -> None:
    deadline = time.monotonic() + length
    while time.monotonic() < deadline:
        started = time.perf_counter()
        status, _ = server.get("/metrics")
        latencies.append(time.perf_counter() - started)
        if status != 200:
            raise RuntimeError(f"a scrape was answered with {status}")
        time.sleep(pause)


def _flood(server: Process, length: float) -> int:
    taken: list[list[float]] = [[] for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(lambda mine: _scrape(server, length, mine), taken):
            pass  # raises what a client met with
    return sum(map(len, taken))


def memory(store: Path, sessions: int) -> Iterator[Row]:
    """Resident memory after several refreshes and scrapes, and at its highest."""
    with agent(store, "2s") as server:
        started = time.monotonic()
        while time.monotonic() - started < 12:
            server.get("/metrics")
            time.sleep(0.5)
        limit = MOST_MEMORY.get(sessions)
        if limit is not None:
            yield below("resident memory", sessions, server.status("VmRSS"), limit, mebibytes)
            yield Row(
                "resident memory at its highest",
                sessions,
                mebibytes(server.status("VmHWM")),
                "",
                "",
                "",
                None,
            )


def idle(store: Path, sessions: int) -> Iterator[Row]:
    """CPU of an agent that nobody asks, over two refreshes each 30 s."""
    with agent(store, "30s") as server:
        time.sleep(5)
        before, started = server.cpu(), time.monotonic()
        time.sleep(60)
        share = (server.cpu() - before) / (time.monotonic() - started)
        limit = 0.005 if sessions <= 10_000 else None
        row = below("idle CPU, refresh every 30 s", sessions, share, 0.005, lambda v: f"{v:.2%} of a core")
        yield row if limit else row._replace(target="", met=None, figure="")


def start_up(store: Path, sessions: int) -> Iterator[Row]:
    """From exec to exit, and to a ready agent, beside an import of click."""

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)

    def serve() -> None:
        with agent(store, "30s"):
            pass

    click, usage, listing, serving = in_turns(
        9,
        lambda: run("-c", "import click"),
        lambda: run("-m", "raptor_exporter", "--help"),
        lambda: run("-m", "raptor_exporter", "session", "list", "--store", str(store)),
        serve,
    )
    label = "python -c 'import click'"
    rows: list[tuple[str, Times]] = [
        ("--help", usage),
        ("session list", listing),
        ("serve to ready", serving),
    ]
    for what, times in rows:
        yield at_most(f"start-up: {what}", sessions, times, click, label, None)

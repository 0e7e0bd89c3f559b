"""The agent as a real process on a loopback port; always ended, also when a test fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from support.waiting import eventually

END_SECONDS = 15.0
ROOT = Path(__file__).resolve().parents[2]


class RunningAgent:
    """One agent process. ``log`` grows as it writes."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``, once it listens."""
        for line in list(self.log):
            if found := re.search(r"msg=listening address=(\S+)", line):
                return found[1]
        return ""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def get(self, path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=10) as response:
            return response.read().decode()

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.get("/-/ready"))
        return False

    def samples(self) -> dict[tuple[str, frozenset], float]:
        """Every sample: (name, labels as a frozen set of pairs) → value."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """One sample's value, or None where there is none."""
        return self.samples().get((name, frozenset(labels.items())))

    def end(self, number: int = signal.SIGTERM, *, within: float = END_SECONDS) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(within)


@contextlib.contextmanager
def running_agent(
    *arguments: str,
    wait_ready: bool = True,
    command: Sequence[str] = (sys.executable, "-m", "raptor_exporter"),
    before: Sequence[str] = (),
    **settings,
) -> Iterator[RunningAgent]:
    """An agent with these arguments of ``serve``, listening on a free loopback port.

    ``command`` runs the command line, and ``before`` that (``setpriv …``); ``settings`` go to Popen.
    """
    settings.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
    process = subprocess.Popen(
        [*before, *command, "serve", "--web.listen-address", "127.0.0.1:0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
    agent = RunningAgent(process)
    try:
        eventually(
            lambda: agent.address or process.poll() is not None, what=f"the agent listens: {agent.log}"
        )
        if wait_ready:
            eventually(agent.is_ready, what=f"the agent is ready: {agent.log}")
        yield agent
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.wait()
        process.stderr.close()

"""An agent under churn and scrapes for as long as one likes: descriptors, threads and memory stay flat.

``SOAK_SECONDS`` says how long (an hour by default).
"""

from __future__ import annotations

import os
import random
import re
import statistics
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support.agent import running_agent
from support.sessions import DAY, write_session

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
SESSIONS = 600
PATHS = (
    "/metrics",
    "/",
    "/api/v1/status",
    "/api/v1/sessions?limit=100",
    "/api/v1/plan",
    "/-/ready",
    "/nowhere",
)
# A policy that always has something to do, one that always holds, one that reads endpoints and one that caps.
CONFIGURATION = """
version: 1
store: {refresh_interval: 1s}
probe: {interval: 2s, timeout: 1s}
cleanup:
  mode: enforce
  trash: {retain: 10s, max_bytes: 1MiB}
  guards: {max_delete_ratio: 1.0, min_age: 0s}
  protect: [{name: "pinned-*"}]
policies:
  - {name: idle, interval: 1s, match: {metadata: {env: ["ci", "x-*"]}}, expire: {idle_for: 7d}}
  - {name: broken, interval: 2s, match: {state: invalid}, expire: {unmodified_for: 1s}}
  - name: dead
    interval: 3s
    match: {endpoint: unreachable}
    expire: {unreachable_for: 5s}
    keep: {last: 100}
  - {name: capped, interval: 1s, cap: {sessions: 400}, keep: {last: 5, per: metadata.repo}}
"""


class Sample(NamedTuple):
    """What the process held at one moment."""

    descriptors: int
    threads: int
    resident: float  # MiB

    @classmethod
    def of(cls, pid: int) -> Sample:
        status = Path(f"/proc/{pid}/status").read_text()
        found = {key: int(re.search(rf"{key}:\s+(\d+)", status)[1]) for key in ("Threads", "VmRSS")}
        return cls(len(os.listdir(f"/proc/{pid}/fd")), found["Threads"], found["VmRSS"] / 1024)


def _churn(directory: Path, stop: threading.Event, done: list[int]) -> None:
    """Save sessions, old, young, pinned and broken ones, a hundred a second."""
    chance = random.Random(3)
    while not stop.wait(0.01):
        number = chance.randrange(SESSIONS)
        kind = chance.choice(("young", "young", "old", "pinned", "broken"))
        if kind == "broken":
            write_session(directory, f"broken-{number}", data="{", idle=DAY)
        else:
            metadata = {"env": chance.choice(("ci", "prod")), "repo": f"repo-{number % 7}", "n": number}
            idle = {"young": 1.0, "old": 8 * DAY, "pinned": 9 * DAY}[kind]
            write_session(directory, f"{kind}-{number}", idle=idle, metadata=metadata)
        done.append(number)


def _scrape(agent, stop: threading.Event, done: list[int]) -> None:
    """Ask for every page, five a second."""
    chance = random.Random(4)
    while not stop.wait(0.2):
        path = chance.choice(PATHS)
        try:
            agent.get(path)
        except OSError as error:  # an HTTPError is one
            if getattr(error, "code", None) != 404 or path != "/nowhere":
                raise
        done.append(1)


@pytest.mark.long
def test_descriptors_threads_and_memory_stay_flat_under_churn_and_scrapes(tmp_path, store_dir):
    for number in range(SESSIONS // 2):
        write_session(store_dir, f"young-{number}", idle=60.0, metadata={"env": "prod", "repo": "first"})
    configuration = tmp_path / "raptor.yaml"
    configuration.write_text(CONFIGURATION)
    saved, asked, samples = [], [], []
    stop = threading.Event()
    with running_agent("--store", str(store_dir), "--config", str(configuration)) as agent:
        threads = [
            threading.Thread(target=_churn, args=(store_dir, stop, saved)),
            threading.Thread(target=_scrape, args=(agent, stop, asked)),
        ]
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + SECONDS
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(2.0, left))  # the length is the experiment
                assert all(thread.is_alive() for thread in threads), agent.log[-5:]
                samples.append(Sample.of(agent.process.pid))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        values = agent.samples()
        errors = [line for line in agent.log if "level=error" in line]
        assert agent.end() == 0
    deleted = sum(v for (name, _), v in values.items() if name == "raptor_cleanup_deleted_sessions_total")
    runs = sum(v for (name, _), v in values.items() if name == "raptor_cleanup_runs_total")
    failed = sum(
        v
        for (name, labels), v in values.items()
        if name == "raptor_cleanup_runs_total" and ("outcome", "error") in labels
    )
    # The first part warms up: caches fill, and the trash reaches its bound.
    early = samples[len(samples) // 4 : len(samples) // 2]
    late = samples[-len(samples) // 4 :]
    print(f"\n{SECONDS:,.0f} s: {len(saved):,} saves, {len(asked):,} requests")
    print(f"{runs:,.0f} runs, {deleted:,.0f} sessions deleted")
    for column in Sample._fields:
        first, last = ([getattr(s, column) for s in part] for part in (early, late))
        print(
            f"{column}: median {statistics.median(first):.1f} early, {statistics.median(last):.1f} late,"
            f" most {max(getattr(s, column) for s in samples):.1f}"
        )
    assert errors == []
    assert failed == 0
    assert deleted > 0
    assert max(s.descriptors for s in late) <= max(s.descriptors for s in early) + 4
    assert max(s.threads for s in late) <= max(s.threads for s in early) + 2
    before, after = (statistics.median(s.resident for s in part) for part in (early, late))
    assert after <= before * 1.05 + 1

"""Real agents on real directories, on bad days: clocks, signals, descriptors, mounts, neighbours, floods."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from support.agent import ROOT, running_agent
from support.mounts import Mounts, needs_root
from support.processes import child
from support.sessions import DAY, HOUR, session_fields, write_session
from support.waiting import eventually

LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
ARRIVALS = int(os.environ.get("CHAOS_ARRIVALS", "100000"))


def _configuration(
    path: Path, *, idle="7d", guards="{max_delete_ratio: 1.0, min_age: 0s}", refresh="1s"
) -> Path:
    file = path / "raptor.yaml"
    file.write_text(
        f"version: 1\nstore: {{refresh_interval: {refresh}}}\n"
        f"cleanup: {{mode: enforce, guards: {guards}}}\n"
        f"policies:\n  - {{name: idle, interval: 1s, match: {{state: any}}, expire: {{idle_for: {idle}}}}}\n"
    )
    return file


def _stems(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.json")}


def _trashed(directory: Path) -> list[Path]:
    runs = (directory / ".raptor" / "trash").glob("*/*.json")
    return [path for path in runs if path.name != "manifest.json"]


def _runs(agent, outcome: str) -> float:
    return agent.value("raptor_cleanup_runs_total", policy="idle", outcome=outcome) or 0.0


@pytest.mark.parametrize("jump", ["+30d", "-30d", "+400d", "-20y", "+11m"])
def test_a_jump_of_the_clock_deletes_nothing_and_empties_no_trash(jump, tmp_path, store_dir, tally):
    assert LIBFAKETIME.exists(), "apt-get install libfaketime"
    clock = tmp_path / "clock"
    clock.write_text("+0")
    names = {f"fresh-{number}" for number in range(20)}
    for number, name in enumerate(sorted(names)):
        # Each of them would be overdue after the jump.
        write_session(store_dir, name, idle=7 * DAY - 5 * 60 - number if jump == "+11m" else DAY)
    write_session(store_dir, "overdue", idle=8 * DAY)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    arguments = ("--store", str(store_dir), "--config", str(_configuration(tmp_path)))
    with running_agent(*arguments, env=environment) as agent:
        eventually(lambda: _runs(agent, "success") and not (_stems(store_dir) - names), what="the first run")
        clock.write_text(jump)
        before = _runs(agent, "refused")
        eventually(lambda: _runs(agent, "refused") >= before + 2, what="runs are refused after the jump")
        clock.write_text("+0")
        before = _runs(agent, "refused")
        eventually(lambda: _runs(agent, "refused") >= before + 1, what="and after the way back")
        deleted = agent.value("raptor_cleanup_deleted_sessions_total", policy="idle", reason="idle")
        lost = len(names - _stems(store_dir)) + (len(_trashed(store_dir)) != 1) + (deleted != 1)
        tally("clock jumps there and back (libfaketime)", 2, lost)
        assert lost == 0


def test_storms_of_reloads_leave_the_last_good_configuration_in_force(tmp_path, store_dir, tally):
    write_session(store_dir, "fresh", idle=HOUR)
    file = _configuration(tmp_path)
    good = file.read_text()
    with running_agent("--store", str(store_dir), "--config", str(file)) as agent:
        chance = random.Random(5)
        for _ in range(500):
            new = tmp_path / "new.yaml"
            new.write_text(chance.choice((good, good.replace("7d", "6d"), "version: 2\n", good[:40], "")))
            new.replace(file)
            agent.process.send_signal(signal.SIGHUP)
            if chance.random() < 0.1:
                assert agent.is_ready()
        file.write_text(good)
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: agent.value("raptor_config_last_reload_successful") == 1.0)
        lost = _stems(store_dir) != {"fresh"}
        tally("reloads in a storm of SIGHUP", 501, int(lost))
        assert not lost
        assert agent.end() == 0


def test_storms_of_signals_end_it_with_0_and_lose_nothing(tmp_path, store_dir, tally):
    arguments = ("--store", str(store_dir), "--config", str(_configuration(tmp_path)))
    lost, trials = 0, 12
    for trial in range(trials):
        names = {f"overdue-{trial}-{number}" for number in range(300)}
        for name in names:
            write_session(store_dir, name, idle=9 * DAY)
        chance = random.Random(trial)
        with running_agent(*arguments, wait_ready=bool(trial % 3)) as agent:
            with contextlib.suppress(ProcessLookupError):
                for _ in range(40):
                    agent.process.send_signal(chance.choice((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)))
            # At the very start the interpreter's own handlers may still be in force.
            status = agent.process.wait(15)
            assert status == 0 or not trial % 3, agent.log
        there = _stems(store_dir) | {path.stem for path in _trashed(store_dir)}
        lost += len(names - there)
    tally("storms of SIGTERM, SIGINT and SIGHUP", trials, lost)
    assert lost == 0


def _connected(host: str, port: int) -> socket.socket | None:
    try:
        return socket.create_connection((host, port), 0.5)
    except OSError:
        return None


def test_without_file_descriptors_it_lives_deletes_nothing_by_mistake_and_recovers(
    tmp_path, store_dir, tally
):
    fresh = {f"fresh-{number}" for number in range(200)}
    for name in fresh:
        write_session(store_dir, name, idle=HOUR)

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))

    arguments = ("--store", str(store_dir), "--config", str(_configuration(tmp_path)))
    with running_agent(*arguments, preexec_fn=few) as agent:
        host, _, port = agent.address.rpartition(":")
        lost, trials = 0, 5
        for _ in range(trials):
            clients = [_connected(host, int(port)) for _ in range(120)]
            for name in ("late-1", "late-2"):
                write_session(store_dir, name, idle=8 * DAY)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:  # the shortage is the experiment
                time.sleep(0.1)
            for client in filter(None, clients):
                client.close()
            eventually(agent.is_ready, within=40, what="it answers again")
            eventually(lambda: agent.value("raptor_store_up") == 1.0, within=40)
            eventually(lambda: not _stems(store_dir) - fresh, within=40, what="runs go on")
            lost += len(fresh - _stems(store_dir))
        trashed = Counter(path.stem for path in _trashed(store_dir))
        lost += sum(trashed[name] != trials for name in ("late-1", "late-2"))
        tally("shortages of file descriptors", trials, lost)
        assert lost == 0
        assert agent.end() == 0


@needs_root
def test_a_store_that_is_unmounted_replaced_or_made_a_link_loses_nothing_of_either(tmp_path, tally):
    place, lost, trials = tmp_path / "store", 0, 0
    mounts = Mounts(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        mounts.tmpfs("16m", at=place)
        mounted = os.open(place, os.O_RDONLY)
        for number in range(50):
            write_session(place, f"mounted-{number}", idle=DAY)
            write_session(elsewhere, f"elsewhere-{number}", idle=DAY)
        arguments = ("--store", str(place), "--config", str(_configuration(tmp_path)))
        with running_agent(*arguments) as agent:

            def sees(count: float) -> None:
                eventually(lambda: agent.value("raptor_sessions", state="valid") == count, within=30)

            sees(50)
            subprocess.run(["umount", "--lazy", place], check=True)
            mounts._targets.clear()
            sees(0)
            for _ in range(5):
                trials += 1
                place.rename(tmp_path / f"gone-{trials}")
                eventually(lambda: agent.value("raptor_store_up") == 0.0, within=30)
                place.symlink_to(elsewhere)
                sees(50)
                place.unlink()
                place.mkdir()
                sees(0)
            lost += len(os.listdir(mounted)) < 50
            lost += 50 - len(_stems(elsewhere))
            assert agent.end() == 0
        os.close(mounted)
    finally:
        mounts.end()
    tally("stores unmounted, replaced and made a link", trials, lost)
    assert lost == 0


def _write_like_the_neighbours(directory: Path, number: int, log: Path, *, in_place: bool) -> None:
    """Save the same overdue sessions until SIGTERM comes: naive times, no lock, no fsync."""
    chance, version = random.Random(number), 0
    asked_to_end: list[int] = []
    # The save at hand is finished: one in place that stopped in its middle has destroyed the one before.
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_end.append(number))
    with log.open("w", buffering=1) as told:
        while not asked_to_end:
            version += 1
            name = f"writer{number}-{chance.randrange(15)}"
            naive = datetime.fromtimestamp(time.time() - 30 * DAY).isoformat()  # noqa: DTZ006
            fields = session_fields(
                name, created_at=naive, last_accessed=naive, metadata={"version": version}
            )
            path = directory / f"{name}.json"
            if in_place:
                with path.open("w") as file:
                    json.dump(fields, file, indent=2)
            else:
                aside = directory / f".{name}.tmp"
                aside.write_text(json.dumps(fields))
                aside.rename(path)
            told.write(f"{name} {version}\n")
            time.sleep(chance.random() * 0.004)


def test_two_agents_beside_four_foreign_writers_lose_no_save(tmp_path, store_dir, tally):
    file = _configuration(tmp_path)
    arguments = ("--store", str(store_dir), "--config", str(file))
    logs = [tmp_path / f"writer-{number}" for number in range(4)]
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                child(lambda n=n, log=log: _write_like_the_neighbours(store_dir, n, log, in_place=n < 2))
            )
            for n, log in enumerate(logs)
        ]
        agents = [stack.enter_context(running_agent(*arguments)) for _ in range(2)]
        deadline = time.monotonic() + SECONDS
        eventually(lambda: time.monotonic() > deadline, within=SECONDS + 5)
        for writer in writers:
            os.kill(writer.pid, signal.SIGTERM)
            assert writer.wait() == 0
        saves = sum(len(log.read_text().splitlines()) for log in logs)
        deleted = [
            agent.value("raptor_cleanup_deleted_sessions_total", policy="idle", reason="idle")
            for agent in agents
        ]
        for agent in agents:
            assert agent.end() == 0
    newest: dict[str, int] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            name, version = line.split()
            newest[name] = int(version)
    found: dict[str, set[int]] = {}
    for path in (*store_dir.glob("*.json"), *_trashed(store_dir)):
        document = json.loads(path.read_bytes())
        found.setdefault(document["session_id"], set()).add(document["metadata"]["version"])
    missing = {n: v for n, v in newest.items() if not any(seen >= v for seen in found.get(n, ()))}
    tally("saves by four foreign writers beside two agents", saves, len(missing))
    assert sum(deleted) > 0
    assert missing == {}


def test_a_flood_of_arrivals_during_refreshes_is_counted_whole_and_holds_up_no_scrape(
    tmp_path, store_dir, tally
):
    write_session(store_dir, "first", idle=HOUR)
    arguments = ("--store", str(store_dir), "--config", str(_configuration(tmp_path)))
    body = json.dumps(session_fields("x", idle=HOUR))
    script = (
        "import sys\n"
        f"for n in range({ARRIVALS}):\n"
        f"    open(f'{store_dir}/arrival-{{n}}.json', 'w').write({body!r})\n"
    )
    with running_agent(*arguments) as agent:
        flood = subprocess.Popen([sys.executable, "-c", script])
        counts = []
        while flood.poll() is None:
            assert agent.value("raptor_store_up") == 1.0
            counts.append(
                agent.value("raptor_sessions", state="valid")
                + agent.value("raptor_sessions", state="invalid")
            )
        assert flood.returncode == 0
        eventually(lambda: agent.value("raptor_sessions", state="valid") == ARRIVALS + 1, within=120)
        lost = ARRIVALS + 1 - len(_stems(store_dir))
        tally("files arriving during refreshes", ARRIVALS, lost)
        assert lost == 0
        assert len(set(counts)) > 1, "no refresh fell into the flood"
        assert agent.end() == 0

"""Runs that are killed at random moments over a real directory, with savers at work.

Every saver notes in its own log what it finished and when, so that afterwards the newest save of each
session is known.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Self

from raptor_exporter.cleanup.execute import recover
from raptor_exporter.cleanup.policy import TrashRules
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.manifest import parse
from raptor_exporter.stores.runs import claimed
from support.cleaning import plan_now, results, run
from support.processes import Child
from support.sessions import DAY, session_fields
from support.waiting import eventually

WAYS = ("own", "rename", "place", "place")  # of saving, one for each saver
NAMES = [f"s{number:03d}" for number in range(120)]
DELETING = ("stores/claiming.py", "stores/trash.py", "stores/runs.py", "stores/posix.py", "stores/journal.py")
KEPT = TrashRules(retain=30 * DAY)


def save(store: FileStore, name: str, generation: str, how: str) -> None:
    """One save of an overdue session: by our own writer, by a rename, or in place as other tools do."""
    fields = session_fields(name, idle=30 * DAY, metadata={"generation": generation})
    path = store.path / f"{name}.json"
    if how == "own":
        store.save(name, fields)
    elif how == "rename":
        aside = store.path / f".{name}.{os.getpid()}"
        aside.write_text(json.dumps(fields))
        os.rename(aside, path)
    else:
        path.write_text(json.dumps(fields))


class Arena:
    """A store under fire. Leaving it ends the savers."""

    def __init__(self, base: Path, seed: int) -> None:
        self.directory = base / "sessions"
        self.directory.mkdir()
        self.store = FileStore(self.directory)
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._base = base
        self._seed = seed
        self._pause = base / "pause"
        self._began = base / "began"
        self._savers: list[Child] = []

    def __enter__(self) -> Self:
        for number in range(len(WAYS)):
            self._log(number).touch()
            self._savers.append(Child(lambda number=number: self._save(number)))
        eventually(lambda: all(self._log(n).stat().st_size > 500 for n in range(len(WAYS))))
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._savers:
            process.kill()

    def kill_run(self) -> None:
        """Kill runs at a random moment; recover, look for every session, and see the next run go on."""
        self._fill()
        if self.counts["killed"] % 2:
            lines = self._random.randrange(3000)
            process = Child(lambda: self._clean(dies_after=lines))
            assert process.wait() == -signal.SIGKILL
        else:
            process = Child(self._clean)
            eventually(self._began.exists)
            time.sleep(self._random.random() * 0.05)  # the moment is the experiment
            process.kill()
            self._began.unlink()
        self.counts["killed"] += 1
        with self._paused():
            self.counts["died in a run"] += any(map(_is_unsealed, self._runs()))
            self.counts["recovered"] += recover(self.store)
            assert not any(map(_is_unsealed, self._runs()))
            self._look_for_every_session()
        report = run(self.store, plan_now(self.store), KEPT)
        assert report.outcome == "success", report.error
        self.counts.update(results(report).values())

    # -- in the children -------------------------------------------------------------------------

    def _clean(self, dies_after: int | None = None) -> None:
        """Run after run. Dies at a random line of the code that touches the store, or is killed."""
        plan = plan_now(self.store)
        if dies_after is None:
            self._began.touch()
        else:
            _die_after_lines(dies_after)
        while True:
            run(self.store, plan, KEPT)
            plan = plan_now(self.store)

    def _save(self, number: int) -> None:
        chosen = random.Random(f"{self._seed}-{number}")
        names = NAMES[number :: len(WAYS)]
        with open(self._log(number), "a", buffering=1) as log:
            generation = 0
            while True:
                generation += 1
                name = chosen.choice(names)
                save(self.store, name, f"{number}-{generation}", WAYS[number])
                log.write(f"{time.monotonic_ns()} {name} {number}-{generation}\n")
                time.sleep(chosen.random() * 0.003)
                if self._pause.exists():
                    self._resting(number).touch()
                    while self._pause.exists():
                        time.sleep(0.001)
                    self._resting(number).unlink()

    def _fill(self) -> None:
        """Give the next run enough to do, and nothing that it did before."""
        with self._paused(), open(self._log(len(WAYS)), "a") as log:
            self.store.trash.empty(now=time.time())
            for name in NAMES:
                if not (self.directory / f"{name}.json").exists():
                    generation = f"filled-{self.counts['killed']}"
                    save(self.store, name, generation, "place")
                    log.write(f"{time.monotonic_ns()} {name} {generation}\n")

    # -- looking ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _paused(self):
        """Between two saves of every saver."""
        resting = [self._resting(number) for number in range(len(WAYS))]
        self._pause.touch()
        eventually(lambda: all(path.exists() for path in resting), what="the savers rest")
        try:
            yield
        finally:
            self._pause.unlink()
        eventually(lambda: not any(path.exists() for path in resting), what="the savers go on")

    def _look_for_every_session(self) -> None:
        in_trash: dict[str, set[str]] = {}
        for folder in self._runs():
            fd = os.open(folder, os.O_RDONLY)
            try:
                for name, _ in claimed(fd):
                    in_trash.setdefault(name, set()).add(_generation(folder / f"{name}.json"))
            finally:
                os.close(fd)
        for name, newest in self._newest().items():
            path = self.directory / f"{name}.json"
            if path.exists():
                self.counts["newest in the store"] += 1
                assert _generation(path) == newest, f"{name}: {_generation(path)}, but {newest} is newer"
            else:
                # A later plan saw this very save, or it would not have been claimed.
                self.counts["newest in the trash"] += 1
                assert newest in in_trash.get(name, ()), f"{name}: {newest} is nowhere"

    def _newest(self) -> dict[str, str]:
        """The last finished save of each session: the clock is one for all processes."""
        saves = [
            line.split(" ")
            for number in range(len(WAYS) + 1)
            for line in self._log(number).read_text().splitlines()
        ]
        saves.sort(key=lambda save: int(save[0]))
        return {name: generation for _, name, generation in saves}

    def _runs(self) -> list[Path]:
        trash = self.directory / ".raptor" / "trash"
        return sorted(trash.iterdir()) if trash.exists() else []

    def _log(self, number: int) -> Path:
        return self._base / f"log{number}"

    def _resting(self, number: int) -> Path:
        return self._base / f"resting{number}"


def _die_after_lines(count: int) -> None:
    """End as by kill -9 before the so-manieth line of the modules that delete."""
    left = count

    def trace(frame, event, _argument):
        nonlocal left
        if not frame.f_code.co_filename.endswith(DELETING):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def _is_unsealed(folder: Path) -> bool:
    manifest = parse((folder / "manifest.json").read_bytes())
    return manifest is None or not manifest.sealed


def _generation(path: Path) -> str:
    return json.loads(path.read_bytes())["metadata"]["generation"]

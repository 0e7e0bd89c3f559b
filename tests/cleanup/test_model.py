"""The executor against a model: random interleavings of saves, restores, deletions and crashes.

No session that was saved or accessed after the plan is ever gone; every deleted one is in the trash with
its manifest; whatever a writer wrote through an open file is found again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.cleaning import hook, plan_now, results, run
from support.sessions import DAY, session_fields

from raptor_exporter.cleanup import execute
from raptor_exporter.cleanup.policy import TrashRules
from raptor_exporter.exceptions import SessionConflict, StoreError
from raptor_exporter.stores.files import FileStore
from raptor_exporter.stores.manifest import parse

SCALE = int(os.environ.get("RAPTOR_TEST_SCALE", "1"))
NAMES = ("a", "b", "manifest")
KEPT = TrashRules(retain=365 * DAY)

names = st.sampled_from(NAMES)
ways = st.sampled_from(("own", "rename", "place"))
deeds = st.sampled_from(
    ("own", "rename", "place", "touch", "mark", "delete", "write", "bring back", "empty", "recover")
)
# What others do in the middle of a run: at which claim, before or after its rename, what, to which session.
scripts = st.lists(st.tuples(st.integers(0, 2), st.booleans(), deeds, names), max_size=4)
crashes = st.none() | st.tuples(st.integers(0, 2), st.booleans())


class Crash(BaseException):
    """The process is gone: nothing after this point happens."""


class Executor(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.path = Path(tempfile.mkdtemp(prefix="raptor-model-", dir=base))
        self.store = FileStore(self.path)
        self.generation = 0
        self.newest = {}  # name → generation in the store, as far as its users know
        self.fresh = set()  # names that were saved or accessed after the plan
        self.late = set()  # generations written into what was claimed, and not looked at since
        self.plan = None
        self.claiming = None  # the name whose claim is under way
        self.crashed = False
        self.held = []  # (name, open file)

    def teardown(self):
        for _, file in self.held:
            file.close()
        shutil.rmtree(self.path)

    # -- users -----------------------------------------------------------------------------------

    def _fields(self, name):
        self.generation += 1
        # No two files have one size: a coarse clock may give them one time.
        padding = "x" * self.generation
        return session_fields(
            name, idle=30 * DAY, metadata={"generation": self.generation, "padding": padding}
        )

    @rule(name=names, how=ways)
    def save(self, name, how):
        fields = self._fields(name)
        path = self.path / f"{name}.json"
        if how == "own":
            self.store.save(name, fields)
        elif how == "rename":
            aside = self.path / "aside"
            aside.write_text(json.dumps(fields))
            os.rename(aside, path)
        else:
            path.write_text(json.dumps(fields))
        self.newest[name] = self.generation
        self.fresh.add(name)

    @rule(name=names)
    def begin_restore(self, name):
        if self.store.touch(name):
            self.fresh.add(name)

    @rule(name=names)
    def end_restore(self, name):
        if self.store.mark_accessed(name, time.time() - 20 * DAY):
            self.fresh.add(name)

    @rule(name=names)
    def delete(self, name):
        self.store.delete(name)
        self.newest.pop(name, None)
        self.fresh.discard(name)

    @rule(name=names)
    def open_file(self, name):
        if (self.path / f"{name}.json").exists() and len(self.held) < 4:
            self.held.append((name, open(self.path / f"{name}.json", "r+b", buffering=0)))  # noqa: SIM115

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def write_through_open_file(self, data):
        self._write(data.draw(st.integers(0, len(self.held) - 1)))

    def _write(self, which):
        name, file = self.held.pop(which)
        before = json.loads(os.pread(file.fileno(), 10_000, 0))["metadata"]["generation"]
        os.truncate(file.fileno(), 0)
        file.write(json.dumps(self._fields(name)).encode())
        if _inode(self.path / f"{name}.json") == os.fstat(file.fileno()).st_ino:
            self.newest[name] = self.generation
            self.fresh.add(name)
        elif os.fstat(file.fileno()).st_nlink:
            self.late.add(self.generation)
            if self.newest.get(name) == before:
                if self.crashed or name == self.claiming:
                    self.newest[name] = self.generation  # claimed, and still to be looked at
                    self.fresh.add(name)
                else:
                    del self.newest[name]  # deleted, so for its users it is gone
                    self.fresh.discard(name)
        file.close()

    # -- cleaning up -----------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: not self.crashed)
    def make_plan(self):
        for path in self.path.glob("*.json"):  # a while has passed since all that happened
            moment = path.stat().st_mtime_ns - 100 * 10**9
            os.utime(path, ns=(moment, moment))
        self.fresh.clear()
        self.plan = plan_now(self.store)

    @rule(script=scripts, crash=crashes)
    @precondition(lambda self: self.plan is not None)
    def carry_out(self, script, crash):
        from _pytest.monkeypatch import MonkeyPatch

        plan, self.plan = self.plan, None
        claim = -1

        def step(after):
            for at, when, deed, name in script:
                if (at, when) == (claim, after):
                    self._do(deed, name)
            if crash == (claim, after):
                raise Crash

        def before(file_name):
            nonlocal claim
            claim += 1
            step(after=False)
            self.claiming = file_name.removesuffix(".json")

        with MonkeyPatch.context() as patch:
            hook(patch, before_rename=before, after_rename=lambda _: step(after=True))
            patch.setattr(execute, "recover", _recover_unless_crashed)
            try:
                report = run(self.store, plan, KEPT)
            except Crash:
                self.crashed = True
                return
            finally:
                self.claiming = None
        assert report.outcome == "success", report.error
        assert report.failed == 0
        for name, result in results(report).items():
            if result == "deleted":
                assert name in _told(self.path, report.run), "deleted, but not told by its manifest"
        self._settle()

    @rule(deed=st.sampled_from(("recover", "run")))
    @precondition(lambda self: self.crashed)
    def recover(self, deed):
        """Whoever comes next finishes it: a recovery, or a run that has nothing else to do."""
        if deed == "recover":
            execute.recover(self.store)
        else:
            run(self.store, plan_now(self.store, now=time.time() - 1000 * DAY), KEPT)
        self.crashed = False
        self.late.clear()  # put back, or kept as superseded: looked at
        self._settle()

    @rule(name=names)
    def bring_back(self, name):
        before = self._in_store().get(name)
        try:
            back = self.store.trash.restore(name)
        except (KeyError, SessionConflict):
            assert self._in_store().get(name) == before
            return
        assert before is None
        assert back == ([name], [])
        self.newest[name] = self._in_store()[name]
        self.fresh.add(name)

    @rule()
    def empty(self):
        kept = self.late & self._everywhere()
        self.store.trash.empty(now=time.time())
        assert kept <= self._everywhere(), "what was written late is gone"
        if not self.crashed:
            self.late.clear()  # put back, or kept as superseded: looked at
            self._settle()

    def _do(self, deed, name):
        """One deed in the middle of a run, by somebody else."""
        match deed:
            case "touch":
                self.begin_restore(name)
            case "mark":
                self.end_restore(name)
            case "delete":
                self.delete(name)
            case "write":
                for which, (held, _) in enumerate(self.held):
                    if held == name:
                        self._write(which)
                        break
            case "bring back":
                self.bring_back(name)
            case "empty":
                self.store.trash.empty(now=time.time())
                self._adopt_what_was_put_back()
            case "recover":
                assert FileStore(self.path).trash.recover() == []
            case _:
                self.save(name, deed)

    # -- looking ---------------------------------------------------------------------------------

    def _settle(self):
        """After a run or a recovery: who was saved or accessed since the plan is there."""
        there = self._in_store()
        for name in self.fresh:
            assert there.get(name) == self.newest[name], f"{name} was saved or accessed after the plan"
        everywhere = self._everywhere()
        for name, generation in self.newest.items():
            assert generation in everywhere, f"{name} is nowhere"
        self._adopt_what_was_put_back()

    def _adopt_what_was_put_back(self):
        """What was written through an open file, or restored, is what the store holds from now on."""
        there = self._in_store()
        self.newest = {
            name: there[name] if name in there else self.newest.get(name)
            for name in {*there, *self.newest}
            if name in there
        }
        self.fresh &= self.newest.keys()

    def _in_store(self):
        return {path.stem: _generation(path) for path in self.path.glob("*.json")}

    def _everywhere(self):
        in_trash = self.path.glob(".raptor/trash/*/*.json")
        claimed = self.path.glob(".raptor/trash/*/.manifest.json")
        return {
            _generation(path)
            for path in (*self.path.glob("*.json"), *in_trash, *claimed)
            if path.name != "manifest.json" or path.parent == self.path
        }

    @invariant()
    def what_users_saved_last_is_somewhere(self):
        assert set(self.newest.values()) <= self._everywhere()

    @invariant()
    def what_was_accessed_is_in_the_store(self):
        if not self.crashed:
            there = self._in_store()
            for name in self.fresh:
                assert there.get(name) == self.newest[name]


def _recover_unless_crashed(store):
    import sys

    if isinstance(sys.exc_info()[1], Crash):
        raise StoreError("the process is gone")
    return REAL_RECOVER(store)


REAL_RECOVER = execute.recover


def _inode(path):
    return path.stat().st_ino if path.exists() else None


def _generation(path):
    return json.loads(path.read_bytes())["metadata"]["generation"]


def _told(path, run_name):
    manifest = parse((path / ".raptor" / "trash" / run_name / "manifest.json").read_bytes())
    assert manifest.sealed
    return {name for name in manifest.chosen if name not in manifest.results}


Executor.TestCase.settings = settings(
    max_examples=60 * SCALE,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestExecutor = Executor.TestCase

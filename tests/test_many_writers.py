"""Eight processes save, restore and delete the same fifty names."""

import json
import os
import subprocess
import sys
from pathlib import Path

from raptor_exporter import SessionManager

ROOT = Path(__file__).parent.parent
PROCESSES = 8
SECONDS = float(os.environ.get("RAPTOR_TEST_WRITERS_SECONDS", "6"))


def test_nothing_is_torn_lost_or_left_over(store_dir):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "support.writers", str(store_dir), str(SECONDS)]
    workers = [
        subprocess.Popen(
            [*command, str(number), str(PROCESSES)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    events = []
    for worker in workers:
        out, err = worker.communicate()
        assert worker.returncode == 0, err
        events += json.loads(out)

    saves = {token: (name, started, ended) for what, name, token, started, ended in events if what == "save"}
    deletions = [(name, started) for what, name, _, started, _ in events if what == "delete"]
    assert len(saves) > PROCESSES * 10, "too few saves to prove anything"
    manager = SessionManager(store_dir)
    for name in manager.list_sessions():
        assert manager.validate_session(name)
        token = manager.get_session_info(name).metadata["token"]
        saved_name, _, ended = saves[token]
        assert saved_name == name
        # No save and no deletion began after this save had ended, or that one would be the last.
        later = [t for t, (n, started, _) in saves.items() if n == name and started > ended]
        later += [started for n, started in deletions if n == name and started > ended]
        assert later == []
    names = {path.name for path in store_dir.iterdir()}
    assert names - {f"{stem}.json" for stem in manager.list_sessions()} == {".raptor"}
    assert list((store_dir / ".raptor/tmp").iterdir()) == []
    assert not (store_dir / ".raptor/trash").exists()


def test_a_session_that_was_not_deleted_last_is_there(store_dir):
    """The other direction: whoever saved last, and was not followed by a deletion, finds it."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    worker = subprocess.run(
        [sys.executable, "-m", "support.writers", str(store_dir), "1", "0", "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    last = {}
    for what, name, token, _, _ in json.loads(worker.stdout):
        if what in ("save", "delete"):
            last[name] = token if what == "save" else None
    there = {name: token for name, token in last.items() if token is not None}
    manager = SessionManager(store_dir)
    assert {
        name: manager.get_session_info(name).metadata["token"] for name in manager.list_sessions()
    } == there

"""Fixtures that tests of several areas share."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from support.command import Command
from support.mounts import Mounts

from raptor_exporter.stores.files import FileStore


def pytest_configure():
    """Let signals mean what they mean on a terminal, to all processes that tests start.

    A job in the background, under nohup or of a CI runner inherits some of them as ignored.
    """
    usual = {signal.SIGINT: signal.default_int_handler}
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual.get(number, signal.SIG_DFL))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """A developer's own RAPTOR_ variables decide nothing here."""
    for name in [name for name in os.environ if name.startswith("RAPTOR_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """What a command sets up for its own process must not decide what the next test sees."""
    loggers = [logging.getLogger(name) for name in ("", "raptor_exporter")]
    levels = [logger.level for logger in loggers]
    handlers = set(loggers[0].handlers)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in set(loggers[0].handlers) - handlers:
        loggers[0].removeHandler(handler)


@pytest.fixture
def store_dir(tmp_path):
    """An empty store's directory."""
    path = tmp_path / "sessions"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def store(store_dir):
    """An empty store."""
    return FileStore(store_dir)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home of the test's own, where browsers' directories go too."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    return path


@pytest.fixture
def command(capfd, home):
    """Call it with a command line's arguments: runs it in this process, gives status, out and err."""
    return Command(capfd)


@pytest.fixture
def mounts(tmp_path):
    """File systems of any size, for tests marked ``needs_root``."""
    made = Mounts(tmp_path)
    yield made
    made.end()


@pytest.fixture
def open_dir():
    """A directory that other users can reach: those of ``tmp_path`` are private."""
    path = Path(tempfile.mkdtemp(prefix="raptor-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)

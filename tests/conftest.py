"""Fixtures that tests of several areas share."""

from __future__ import annotations

import os

import pytest
from support.command import Command

from raptor_exporter.stores.files import FileStore


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """A developer's own RAPTOR_ variables decide nothing here."""
    for name in [name for name in os.environ if name.startswith("RAPTOR_")]:
        monkeypatch.delenv(name)


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
def command(capfd, monkeypatch, tmp_path):
    """Call it with a command line's arguments: runs it in this process, gives status, out and err."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return Command(capfd)

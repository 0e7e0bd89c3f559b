"""The command line, in this process or in one of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def jsonl(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """Runs raptor-exporter in this process: start-up costs more than most tests."""

    def __init__(self, capture) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Result:
        from raptor_exporter.cli import main

        self._capture.readouterr()
        with _logging_restored():
            status = main([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
        out, err = self._capture.readouterr()
        return Result(status, out, err)


@contextmanager
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, showwarning = list(root.handlers), warnings.showwarning
    names = ("", "raptor_exporter", "websockets", "asyncio", "playwright", "uvicorn")
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        warnings.showwarning = showwarning
        root.handlers[:] = handlers
        for logger, level in levels:
            logger.setLevel(level)


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process of ours: no RAPTOR_ variable but the given ones."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAPTOR_")}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def arguments_of(*arguments: object) -> list[str]:
    """The whole command line of raptor-exporter as a process of its own."""
    return [sys.executable, "-m", "raptor_exporter", *map(str, arguments)]


def run_command(*arguments: object, timeout: float = 60.0, **settings: Any) -> Result:
    """Run raptor-exporter as a process without a terminal, to its end."""
    settings.setdefault("env", environment())
    settings.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(
        arguments_of(*arguments), capture_output=True, text=True, timeout=timeout, check=False, **settings
    )
    return Result(done.returncode, done.stdout, done.stderr)

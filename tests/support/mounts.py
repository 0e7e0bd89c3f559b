"""File systems that a test needs to be small, read-only, or another one. Mounting takes root."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and other users' files take root")


class Mounts:
    """Mounts that end with the test."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._targets: list[Path] = []

    def tmpfs(self, size: str, *, at: Path | None = None) -> Path:
        """An empty file system of this size."""
        target = self._target(at)
        self._mount(target, "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs")
        return target

    def read_only(self, path: Path) -> Path:
        """Another path to a directory, by which nothing can be changed."""
        target = self._target(None)
        self._mount(target, "--bind", path)
        subprocess.run(["mount", "-o", "remount,ro,bind", target], check=True)
        return target

    def end(self) -> None:
        for target in reversed(self._targets):
            subprocess.run(["umount", "--lazy", target], check=True)

    def _target(self, at: Path | None) -> Path:
        target = at if at is not None else self._base / f"mount{len(self._targets)}"
        target.mkdir()
        return target

    def _mount(self, target: Path, *arguments: object) -> None:
        subprocess.run(["mount", *arguments, target], check=True)
        self._targets.append(target)


def fill(directory: Path) -> None:
    """Leave no room on the file system of a directory."""
    with open(directory / "filler", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

"""Playwright drivers that this process has running."""

from __future__ import annotations

import os
from pathlib import Path


def drivers() -> list[int]:
    """Process ids of the node drivers below this process."""
    return [pid for pid in _children(os.getpid()) if _is_driver(pid)]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            continue
        for child in direct:
            found += [child, *_children(child)]
    return found


def _is_driver(pid: int) -> bool:
    try:
        return b"run-driver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def connections_to(port: int) -> int:
    """TCP connections that are open to a local port, from whichever process."""
    established = "01"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(
        fields[3] == established and int(fields[2].split(":")[1], 16) == port
        for fields in (line.split() for line in lines)
    )

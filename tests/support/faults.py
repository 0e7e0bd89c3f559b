"""Processes that are killed, or told of an error, at the n-th of some system call: by strace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]
MARKER = "sched_yield"
# What changes something on disk or takes a lock. Between two of these a kill leaves what the last one did.
CHANGING = (
    *(
        "openat",
        "write",
        "fsync",
        "fdatasync",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "rmdir",
    ),
    *("mkdir", "mkdirat", "link", "linkat", "flock", "fchmod", "fchown", "utimensat", "ftruncate"),
)
READING = ("newfstatat", "fstat", "getdents64", "read", "pread64")
# What the kernel's own calls can fail with beside these is EINTR, which Python repeats.
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "ESTALE")
_ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("RAPTOR_")},
    "PYTHONPATH": f"{TESTS.parent}:{TESTS}",
    "PYTHONHASHSEED": "0",  # the same calls in every trial
    "PYTHONDONTWRITEBYTECODE": "1",
}
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


class Place(NamedTuple):
    """The n-th call of one kind in a process."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call}#{self.number}"


def places(script: Path, arguments: tuple[str, ...], calls: tuple[str, ...], log: Path) -> list[Place]:
    """Every one of these calls between the script's two markers, by a run without any fault."""
    done = _strace(script, arguments, f"trace={','.join((*calls, MARKER))}", log)
    assert done.returncode == 0, done.stderr
    before, after = Counter(), Counter()
    markers = 0
    for line in log.read_text(errors="replace").splitlines():
        if (match := _CALL.match(line)) is None:
            continue
        if match[1] == MARKER:
            markers += 1
        elif markers < 2:
            (after if markers else before)[match[1]] += 1
    assert markers == 2, log.read_text()[-2000:]
    return [Place(call, before[call] + n) for call in calls for n in range(1, after[call] + 1)]


def with_fault(
    script: Path, arguments: tuple[str, ...], place: Place, fault: str, log: Path
) -> subprocess.CompletedProcess:
    """Run with ``signal=KILL`` or ``error=EIO`` at that one call."""
    inject = f"inject={place.call}:{fault}:when={place.number}"
    done = _strace(script, arguments, f"trace={place.call}", log, "-e", inject)
    assert done.returncode < 0 or "(INJECTED)" in log.read_text(errors="replace"), (
        f"{place} was never reached"
    )
    return done


def _strace(script: Path, arguments: tuple[str, ...], expression: str, log: Path, *more: str):
    # Without --seccomp-bpf: strace 6.1 injects nothing where a filter is given beside it.
    return subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", expression, *more, sys.executable, script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=_ENVIRONMENT,
    )

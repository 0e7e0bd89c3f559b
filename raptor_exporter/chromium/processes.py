"""Processes of this host as ``/proc`` shows them: who listens on a port, and how to end it for sure."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"  # include/net/tcp_states.h


def is_running(pid: int) -> bool:
    """Whether a process lives. A zombie is dead: only its parent has not noticed yet."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not has_ended(pidfd)
    finally:
        os.close(pidfd)


def has_ended(pidfd: int, timeout: float = 0) -> bool:
    """Whether all threads of a process are gone, or are within ``timeout`` seconds.

    State Z in ``/proc`` does not say that: it is the main thread's, and others may still be at work.
    """
    return bool(select.select([pidfd], [], [], timeout)[0])


def session_of(pid: int) -> int:
    """The id of the process session that a process belongs to; 0 if there is no such process."""
    return _stat(pid)[1]


def command_line(pid: int) -> list[str]:
    """The arguments of a process, exactly; empty if it is gone or belongs to somebody else."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    # Chromium rewrites its title: then the arguments are one text with spaces between.
    return [argument.decode(errors="surrogateescape") for argument in raw.rstrip(b"\0").split(b"\0")]


def listeners(address: str, port: int) -> Iterator[int]:
    """The processes that hold a socket listening where a call to this address and port arrives."""
    wanted = {f"socket:[{inode}]" for inode in _listening_sockets(address, port)}
    if not wanted:
        return
    for pid in _pids():
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) in wanted:
                        yield pid
                        break


def kill_tree(pid: int, pidfd: int, timeout: float) -> bool:
    """Kill a process that ``pidfd`` pins down, and everything that it started, frozen or not.

    Blocks until they are gone, for at most ``timeout`` seconds; returns whether they are.
    """
    # Frozen children would outlive it: they never learn that it is gone.
    family = [fd for child in _family(pid) if (fd := _open(child)) is not None]
    deadline = time.monotonic() + timeout
    try:
        for descriptor in (pidfd, *family):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return all(has_ended(fd, max(0.0, deadline - time.monotonic())) for fd in (pidfd, *family))
    finally:
        for descriptor in family:
            os.close(descriptor)


def _family(pid: int) -> set[int]:
    """Descendants, and the other processes of a session that the process itself leads."""
    table = {candidate: _stat(candidate) for candidate in _pids()}
    found = {candidate for candidate, (_, session) in table.items() if session == pid and candidate != pid}
    frontier = {pid} | found
    while frontier:
        frontier = {c for c, (parent, _) in table.items() if parent in frontier} - found - {pid}
        found |= frontier
    return found


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _stat(pid: int) -> tuple[int, int]:
    """Parent and session of a process; zeros if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0, 0
    # The name in parentheses may itself hold spaces and parentheses.
    _state, parent, _group, session = text.rpartition(b")")[2].split()[:4]
    return int(parent), int(session)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isascii() and name.isdigit())


def _listening_sockets(address: str, port: int) -> Iterator[int]:
    called = ipaddress.ip_address(address.partition("%")[0])
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            host, _, number = fields[1].partition(":")
            if fields[3] != _LISTEN or int(number, 16) != port:
                continue
            bound = _decode(host)
            if bound.is_unspecified or bound == called:
                yield int(fields[9])


def _decode(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as the kernel prints it: 32-bit words in the machine's byte order."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return ipaddress.IPv4Address(raw) if len(raw) == 4 else ipaddress.IPv6Address(raw)

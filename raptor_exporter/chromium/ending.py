"""Ends the browser of a session, and no other one."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from raptor_exporter.chromium import cdp, processes
from raptor_exporter.chromium.profiles import Listening, listening
from raptor_exporter.exceptions import BrowserNotEnded
from raptor_exporter.probe import ProbeKind, ProbeResult, probe_endpoint
from raptor_exporter.probe.hosts import HostNotAllowed, addresses_of, resolve_host
from raptor_exporter.probe.prober import SECURE, target_of
from raptor_exporter.session import Endpoint

CLOSE_COMMAND = "Browser.close"
ASK_SECONDS = 5.0  # a healthy browser confirms within 0.5 s, on a busy machine later
END_SECONDS = 5.0  # from then until its process is gone
_POLL_SECONDS = 0.02


class Ending(StrEnum):
    """How a browser came to be gone."""

    ENDED = "ended"  # it closed itself when asked to
    KILLED = "killed"  # it did not answer, so its process was killed
    GONE = "gone"  # it was not there any more
    REPLACED = "replaced"  # neither; another one answers at its address and was left alone


@dataclass(frozen=True, slots=True)
class Ended:
    """The browser is gone; ``detail`` says to a person how."""

    how: Ending
    detail: str


@dataclass(frozen=True, slots=True)
class _Local:
    """The browser's main process on this host, pinned down by a descriptor."""

    pid: int
    pidfd: int
    verified: bool  # its own directory names the very browser that is to end


async def end_browser(endpoint: Endpoint) -> Ended:
    """End the browser with exactly this identity and wait until it is gone.

    A frozen one on this host is killed, once its directory has proved that it is the right one.

    Raises:
        BrowserNotEnded: it may still be there; the message says why and what to do.
    """
    if not endpoint.path.startswith("/devtools/browser/"):
        raise BrowserNotEnded(
            f"the stored URL names no browser, only the address {endpoint.address}: it can't be told whether "
            "the browser there is the session's, so end it yourself"
        )
    context = ssl.create_default_context() if endpoint.scheme in SECURE else None
    refusal = ""
    hung: BrowserNotEnded | None = None
    for address in await _addresses(endpoint):
        with _local_browser(endpoint, address) as local:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    target = target_of(endpoint, address)
                    await cdp.command(target, endpoint.path, CLOSE_COMMAND, context=context)
            except TimeoutError:
                why = f"did not answer within {ASK_SECONDS:g}s"
                if local is not None and local.verified:
                    return await _kill(endpoint, local, why)
                hung = hung or _not_killed(endpoint, local, why)
            except (OSError, cdp.CommandFailed) as error:
                refusal = str(error)
            else:
                return await _wait_until_gone(endpoint, local)
    if hung is not None:
        raise hung
    return _without_asking(endpoint, await probe_endpoint(endpoint, allowed_hosts=None), refusal)


async def _addresses(endpoint: Endpoint) -> tuple[str, ...]:
    try:
        return await addresses_of(endpoint.host, resolve_host)
    except (OSError, HostNotAllowed) as error:
        raise BrowserNotEnded(f"the name {endpoint.host} did not resolve") from error


def _without_asking(endpoint: Endpoint, found: ProbeResult, why: str) -> Ended:
    if found.kind is ProbeKind.REFUSED:
        return Ended(Ending.GONE, "the browser was gone already")
    if found.kind is ProbeKind.OTHER_BROWSER:
        return Ended(
            Ending.REPLACED,
            f"the session's browser is gone; another one answers at {endpoint.address} and was left alone",
        )
    if found.kind is ProbeKind.ALIVE:
        raise BrowserNotEnded(
            f"the browser at {endpoint.address} answers, but did not take the command: {why}"
        )
    raise BrowserNotEnded(f"the browser at {endpoint.address} could not be asked: {found.detail}")


async def _wait_until_gone(endpoint: Endpoint, local: _Local | None) -> Ended:
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        if local is not None:
            gone = processes.has_ended(local.pidfd)
        else:
            found = await probe_endpoint(endpoint, allowed_hosts=None)
            gone = found.kind not in (ProbeKind.ALIVE, ProbeKind.HUNG)
        if gone:
            return Ended(Ending.ENDED, "the browser has ended")
        await asyncio.sleep(_POLL_SECONDS)
    why = f"agreed to end, but was still there after {END_SECONDS:g}s"
    if local is None or not local.verified:
        raise _not_killed(endpoint, local, why)
    return await _kill(endpoint, local, why)


async def _kill(endpoint: Endpoint, local: _Local, why: str) -> Ended:
    if not await asyncio.to_thread(processes.kill_tree, local.pid, local.pidfd, END_SECONDS):
        raise BrowserNotEnded(f"process {local.pid} at {endpoint.address} survived being killed")
    return Ended(Ending.KILLED, f"the browser {why}, so it was killed")


def _not_killed(endpoint: Endpoint, local: _Local | None, why: str) -> BrowserNotEnded:
    remedy = (
        "and is no process of this host's that can be seen"
        if local is None
        else f"and it can't be told whether process {local.pid} there is the session's browser: look at it, "
        "and end it yourself"
    )
    return BrowserNotEnded(f"the browser at {endpoint.address} {why}, {remedy}")


@contextmanager
def _local_browser(endpoint: Endpoint, address: str) -> Iterator[_Local | None]:
    """The process that listens at an address of the endpoint, if it is a browser that we can see."""
    found = next((pid for pid in processes.listeners(address, endpoint.port) if _profile(pid)), None)
    if found is None:
        yield None
        return
    try:
        pidfd = os.pidfd_open(found)
    except OSError:  # it ended just now
        yield None
        return
    try:
        # Looked at again now that the descriptor holds it: a pid may have gone to another process.
        profile = _profile(found)
        verified = profile is not None and listening(profile) == Listening(endpoint.port, endpoint.path)
        yield _Local(found, pidfd, verified)
    finally:
        os.close(pidfd)


def _profile(pid: int) -> str | None:
    """The directory of a browser's main process; None for any other process."""
    arguments = processes.command_line(pid)
    if any(argument.startswith("--type=") for argument in arguments):
        return None
    # Of several, Chromium obeys the last.
    directories = [a.partition("=")[2] for a in arguments if a.startswith("--user-data-dir=")]
    if not directories or not directories[-1]:
        return None
    try:
        absolute = os.path.join(os.readlink(f"/proc/{pid}/cwd"), directories[-1])
    except OSError:
        return None
    return f"/proc/{pid}/root{absolute}"  # as the process itself sees it, in a container of its own too

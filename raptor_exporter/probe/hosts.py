"""Which hosts may be asked, and the addresses that their names stand for."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence

# The numeric addresses of a host name, best first; raises OSError where there are none.
Resolver = Callable[[str], Awaitable[Sequence[str]]]

LOOPBACK = ("127.0.0.1", "::1")  # a browser listens on either; the second only if the first was taken
MAX_LOOKUPS = 32

_NAME = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9._-]*")

_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)


class HostNotAllowed(Exception):
    """A host is not on the list, or its name leads where no browser of ours can be."""


def is_allowed(host: str, allowed_hosts: Collection[str] | None) -> bool:
    """Whether a host is listed as it is written in the URL; case and brackets don't matter.

    Other spellings of a listed address (``127.1``, ``2130706433``, ``localhost.``) are not on the list.
    """
    return allowed_hosts is None or _plain(host) in {_plain(listed) for listed in allowed_hosts}


def literal_address(host: str) -> str | None:
    """The address that a host is, if it is written as one; a zone is decoded (``fe80::1%eth0``)."""
    address = host.strip("[]").replace("%25", "%")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return address


async def addresses_of(host: str, resolve: Resolver) -> tuple[str, ...]:
    """The addresses to call for a host: one, except for localhost, which is looked up nowhere.

    Raises:
        OSError: the name stands for no address.
        HostNotAllowed: the name stands for an address that is no host's.
    """
    literal = literal_address(host)
    if literal is not None:
        return (literal,)
    if host == "localhost" or host.endswith(".localhost"):
        # Not even a poisoned hosts file leads these names off this machine (RFC 6761).
        return LOOPBACK
    try:
        if not _NAME.fullmatch(host.encode("idna")):
            raise OSError("no name that DNS could hold")  # and that no header or certificate may
        # One lookup, one address: what is judged here is what gets called, whatever DNS says next.
        address = next(iter(await resolve(host)), None)
        ip = ipaddress.ip_address(address or "")
    except ValueError as error:  # also a name that DNS has no encoding for
        raise OSError(f"no address: {error}") from error
    # A name must not lead to what answers for others, such as a cloud's metadata service.
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
        raise HostNotAllowed(f"the name {host} stands for {address}, where no browser can be")
    return (str(ip),)


async def resolve_host(host: str) -> Sequence[str]:
    """Look a name up with the system's resolver.

    The lookup has a daemon thread of its own: one that hangs in DNS delays neither the other
    users of a thread pool nor the end of the process.

    Raises:
        OSError: there is no such name, or too many lookups hang already.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Sequence[str]] = loop.create_future()

    def deliver(found: Sequence[str], error: Exception | None) -> None:
        if future.done():
            return  # nobody waits any more
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(found)

    def look_up() -> None:
        found: Sequence[str] = ()
        failure: Exception | None = None
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
        except (OSError, ValueError) as error:
            failure = error
        finally:
            _lookups.release()
        try:
            loop.call_soon_threadsafe(deliver, found, failure)
        except RuntimeError:
            return  # the loop has ended meanwhile

    if not _lookups.acquire(blocking=False):
        raise OSError(f"{MAX_LOOKUPS} lookups of other names hang")
    try:
        threading.Thread(target=look_up, name="raptor-resolve", daemon=True).start()
    except RuntimeError as error:  # no more threads
        _lookups.release()
        raise OSError(str(error)) from error
    return await future


def _plain(host: str) -> str:
    return host.strip("[]").lower()

"""``--web.listen-address``: from ``host:port`` to listening sockets."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence

BACKLOG = 512

_ADDRESS = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>[^:\[\]/@\s]*)):(?P<port>[0-9]{1,5})", re.ASCII
)
_EVERYWHERE = ("", "::")  # as in Go, where exporters come from: IPv6 and IPv4
_FORM = "host:port such as :19222, 127.0.0.1:19222 or [::1]:19222"


class ListenError(Exception):
    """Nothing can listen on the address; the message says why and what to do."""


def parse_listen_address(text: str) -> tuple[str, int]:
    """Host and port; an empty host is every address of the machine.

    Raises:
        ValueError: it is no such address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        hint = ""
        if text.isascii() and text.isdigit():
            hint = f": did you mean :{text}?"
        elif "://" in text:
            hint = ": leave the scheme out"
        elif text.count(":") > 1 and "[" not in text:
            hint = ": an IPv6 address stands in brackets"
        raise ValueError(f"the listen address {text!r} is not {_FORM}{hint}")
    host, port = match["bracketed"] or match["host"] or "", int(match["port"])
    if port > 65535:
        raise ValueError(f"the listen address {text!r} has a port above 65535")
    if match["bracketed"]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"the listen address {text!r} has no IPv6 address in its brackets") from None
    return host, port


def listen(address: str) -> list[socket.socket]:
    """Listening sockets for an address; for a name one for each of its addresses that the machine has.

    Raises:
        ValueError: it is no address.
        ListenError: it can't be listened on.
    """
    host, port = parse_listen_address(address)
    try:
        if host in _EVERYWHERE:
            sockets = [_listen_everywhere(host, port)]
        else:
            sockets = _listen_on_all(_resolve(host, port), port)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_explain(error)}") from error
    for s in sockets:
        # Accepted sockets inherit it; asyncio sets it only where the socket's protocol is stated. Without it
        # the second packet of an answer on a kept connection waits 40 ms for the client's acknowledgement.
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def _listen_everywhere(host: str, port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        # A kernel without IPv6 has the family compiled out or disabled; then IPv4 is everything there is.
        with contextlib.suppress(_NoSuchAddressError), _telling_missing_addresses():
            return socket.create_server(
                (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
    return socket.create_server(("", port), backlog=BACKLOG)


def _listen_on_all(found: Sequence[tuple[socket.AddressFamily, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, host in found:
            # Port 0 is chosen once: all addresses of a name share it.
            number = sockets[0].getsockname()[1] if sockets else port
            try:
                with _telling_missing_addresses():
                    sockets.append(socket.create_server((host, number), family=family, backlog=BACKLOG))
            except _NoSuchAddressError as error:
                missing = error
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    if not sockets:
        raise missing or OSError(errno.EADDRNOTAVAIL, "no address")
    return sockets


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found = [(family, str(address[0])) for family, _, _, _, address in infos]
    return sorted(set(found), key=lambda pair: pair[0] != socket.AF_INET)


class _NoSuchAddressError(OSError):
    """The machine doesn't have this address or this family of addresses."""


@contextlib.contextmanager
def _telling_missing_addresses() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise _NoSuchAddressError(error.errno, error.strerror) from error
        raise


def _explain(error: OSError) -> str:
    reason = error.strerror or str(error)
    # create_server appends the address to the system's own words.
    reason = re.sub(r" \(while attempting to bind.*\)", "", reason)
    if error.errno == errno.EADDRINUSE:
        return f"{reason}; stop the other process or choose another --web.listen-address"
    if error.errno == errno.EACCES:
        return f"{reason}; ports below 1024 need CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; this machine has no such address"
    return reason


def bound_address(listening: socket.socket) -> str:
    """``host:port`` that a socket is bound to, with the port that was chosen for 0."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def only_loopback(sockets: Sequence[socket.socket]) -> bool:
    """Whether nobody outside of this machine can reach any of them."""
    return all(ipaddress.ip_address(s.getsockname()[0].partition("%")[0]).is_loopback for s in sockets)

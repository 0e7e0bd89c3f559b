"""Who may be connected: how many, how fast, and who makes room when there are too many."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds."""

    connections: int = 512
    # Several times what can be answered: who asks meets no limit, a flood of mere connections does.
    new_per_second: float = 5_000.0
    new_at_once: int = 10_000
    handshake: float = 5.0
    headers: float = 10.0
    response: float = 120.0  # a reload and a slow reader both fit
    keep_alive: float = 130.0  # over twice the usual scrape interval, so that scrapers keep their connection
    linger: float = 10.0  # for the rest of a last response, and for the goodbye of TLS
    header_bytes: int = 16 * 1024
    header_lines: int = 100


class Client(Protocol):
    """One connection."""

    def evict(self) -> None:
        """Cut it, whatever is still unsent."""
        ...


@dataclass
class Guard:
    """Who is connected, and who goes first when there are too many.

    First those who have never finished a request, then those who have, and of each the one that has
    waited longest. A slow client thereby loses its place to a new one. A scraper, which asks at once
    and keeps its connection, doesn't.
    """

    limits: Limits = field(default_factory=Limits)
    tls: Callable[[], ssl.SSLContext | None] = lambda: None
    allows_certificate: Callable[[dict[str, Any]], bool] = lambda _: True
    clock: Callable[[], float] = time.monotonic
    refused: int = 0
    _all: set[Client] = field(default_factory=set)
    _strangers: dict[Client, None] = field(default_factory=dict)  # in the order of their coming
    _idle: dict[Client, None] = field(default_factory=dict)  # in the order of their last answers
    _tokens: float = 0.0
    _filled_at: float = 0.0

    def __post_init__(self) -> None:
        self._tokens = self.limits.new_at_once
        self._filled_at = self.clock()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Half of the file descriptors are for the store and for probes.
        self.most = self.limits.connections if soft <= 0 else max(8, min(self.limits.connections, soft // 2))

    def admit(self, protocol: Client) -> bool:
        """Take a new connection in, if need be for one that waits; False: it must go."""
        now = self.clock()
        gained = (now - self._filled_at) * self.limits.new_per_second
        self._tokens = min(float(self.limits.new_at_once), self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        if len(self._all) >= self.most:
            oldest = next(iter(self._strangers), None) or next(iter(self._idle), None)
            if oldest is None:  # everybody is being served
                self.refused += 1
                return False
            self.gone(oldest)
            oldest.evict()
        self._all.add(protocol)
        self._strangers[protocol] = None
        return True

    def is_served(self, protocol: Client) -> None:
        """It has a request in the works."""
        self._strangers.pop(protocol, None)
        self._idle.pop(protocol, None)

    def is_idle(self, protocol: Client) -> None:
        """It has had its answer."""
        if protocol in self._all:
            self._idle[protocol] = None

    def gone(self, protocol: Client) -> None:
        """It has left."""
        self._all.discard(protocol)
        self.is_served(protocol)

    def evict_all(self) -> None:
        """Cut every connection that is left."""
        for protocol in list(self._all):
            self.gone(protocol)
            protocol.evict()

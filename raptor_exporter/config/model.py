"""The whole configuration as typed values, and the defaults that hold without a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from raptor_exporter.cleanup.policy import BUILT_IN, Rules

DEFAULT_STORE = "~/.raptor/sessions"


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the sessions are. ``refresh_interval`` in seconds; ``timezone`` of naive timestamps."""

    url: str = DEFAULT_STORE
    refresh_interval: float = 30.0
    timezone: tzinfo | None = None  # None: local


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """How endpoints are asked. Seconds. Hosts are listed as they are written in the URL."""

    interval: float = 60.0
    timeout: float = 2.0
    concurrency: int = 50
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration. Without a file: the built-in policies in mode plan."""

    store: StoreConfig = StoreConfig()
    probe: ProbeConfig | None = None
    rules: Rules = BUILT_IN

"""The web configuration in force: read again when it or a file that it names changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from concurrent.futures import Executor
from typing import Any, NamedTuple

from raptor_exporter.exceptions import ConfigError, Problem
from raptor_exporter.web.config import WebConfig, load_web_config
from raptor_exporter.web.tls import TlsError, has_allowed_name, make_context, read_files

logger = logging.getLogger(__name__)

CHECK_INTERVAL = 1.0  # seconds; a handful of small files


class _Reading(NamedTuple):
    data: bytes
    files: dict[str, bytes]


class _State(NamedTuple):
    config: WebConfig
    context: ssl.SSLContext | None
    reading: _Reading


class LiveWebConfig:
    """Holds a configuration that was good as a whole, TLS context included.

    Contents are compared, not times: mounted secrets are swapped by symlinks, and renewals may keep size
    and time.

    Raises:
        ConfigError: the first reading failed.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._failure: str | None = None
        self._state = _State(WebConfig(), None, _Reading(b"", {})) if path is None else _read(path, None)

    @property
    def config(self) -> WebConfig:
        """The configuration in force."""
        return self._state.config

    @property
    def context(self) -> ssl.SSLContext | None:
        """What new connections use; None without TLS."""
        return self._state.context

    def allows_certificate(self, certificate: dict[str, Any]) -> bool:
        """Whether a client's certificate, verified by the handshake, has an allowed name."""
        tls = self.config.tls
        return tls is None or has_allowed_name(certificate, tls.client_allowed_sans)

    def check(self) -> list[str]:
        """Read again; a bad file leaves the old configuration in force. Returns what is wrong."""
        if self._path is None:
            return []
        try:
            state = _read(self._path, self._state)
        except ConfigError as error:
            failure = str(error)
            if failure != self._failure:
                logger.error(
                    "the web configuration is wrong, the old one stays in force",
                    extra={"file": self._path, "error": failure},
                )
            self._failure = failure
            return failure.splitlines()
        if state is not self._state or self._failure is not None:
            logger.info(
                "web configuration in force", extra={"file": self._path, "tls": state.context is not None}
            )
        self._failure = None
        self._state = state
        return []

    async def watch(self, executor: Executor) -> None:
        """Check for ever."""
        if self._path is None:
            return
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await asyncio.get_running_loop().run_in_executor(executor, self.check)
            except Exception:  # the one error boundary of this loop
                logger.exception("the web configuration could not be checked", extra={"file": self._path})


def _read(path: str, old: _State | None) -> _State:
    config, data = load_web_config(path)
    try:
        files = read_files(config.tls) if config.tls is not None else {}
        reading = _Reading(data, files)
        if old is not None and reading == old.reading:
            return old
        context = make_context(config.tls, files) if config.tls is not None else None
    except TlsError as error:
        line, column = config.tls_place
        raise ConfigError([Problem(path, line, column, "tls_server_config", str(error))]) from error
    return _State(config, context, reading)

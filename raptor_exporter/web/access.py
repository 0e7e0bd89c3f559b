"""Who gets an answer, and who sees the names of sessions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers

from raptor_exporter.web.config import WebConfig
from raptor_exporter.web.passwords import PasswordCheck, TooManyLogins

# What a kubelet or a supervisor asks, without a password and by whatever name.
OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})

_LOCAL_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer."""

    status: HTTPStatus
    message: str
    headers: tuple[tuple[str, str], ...] = ()


_FOREIGN_ORIGIN = Refusal(
    HTTPStatus.FORBIDDEN, "A request from a web page is refused: send it without an Origin header."
)
_FOREIGN_HOST = Refusal(
    HTTPStatus.FORBIDDEN,
    "This agent answers to localhost, 127.0.0.1 and [::1] alone, so that no foreign web page reads it "
    "through a name of its own. For other names set a password in --web.config.file.",
)
_NO_PASSWORD = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "A user and password of the web configuration file are needed.",
    (("WWW-Authenticate", 'Basic realm="raptor-exporter", charset="UTF-8"'),),
)
_TOO_MANY_LOGINS = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "Too many passwords wait for verification.", (("Retry-After", "1"),)
)


class Access:
    """Judges requests by the web configuration in force and by where the agent listens."""

    def __init__(
        self, config: Callable[[], WebConfig], passwords: PasswordCheck, *, only_loopback: bool
    ) -> None:
        self._config = config
        self._passwords = passwords
        self._only_loopback = only_loopback

    @property
    def names_visible(self) -> bool:
        """Whether whoever gets an answer at all may see names and metadata."""
        # On loopback without a password, refusal() has sent every foreign Host away.
        return self._config().asks_who_it_is or self._only_loopback

    async def refusal(self, method: str, path: str, headers: Headers) -> Refusal | None:
        """Why a request is refused, or None."""
        if method == "POST" and "origin" in headers:
            return _FOREIGN_ORIGIN
        if path in OPEN_PATHS:
            return None
        config = self._config()
        if config.users:
            try:
                known = await self._passwords.verify(config.users, headers.get("authorization", ""))
            except TooManyLogins:
                return _TOO_MANY_LOGINS
            return None if known else _NO_PASSWORD
        if self._only_loopback and not config.asks_who_it_is and not _is_local(headers):
            return _FOREIGN_HOST
        return None


def _is_local(headers: Headers) -> bool:
    hosts = headers.getlist("host")
    return len(hosts) == 1 and _LOCAL_HOST.fullmatch(hosts[0].strip()) is not None

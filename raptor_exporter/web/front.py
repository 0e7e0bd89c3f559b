"""What every request passes first: limits, access, and the headers of every answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raptor_exporter.web.access import OPEN_PATHS, Access
from raptor_exporter.web.config import RateLimit, WebConfig
from raptor_exporter.web.routes import Pages

logger = logging.getLogger(__name__)

MAX_BODY = 16 * 1024  # nothing here reads a body
BODY_SECONDS = 10.0

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


async def _explain_error(_: Request, error: Exception) -> Response:
    status, headers, detail = 500, None, "Internal Server Error"
    if isinstance(error, HTTPException):
        status, detail = error.status_code, error.detail
        headers = dict(error.headers or {})
        if "Allow" in headers:
            headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return PlainTextResponse(f"{detail}\n", status, headers)


class Front:
    """What every request passes first: limits, access, and headers for every answer."""

    def __init__(self, app: ASGIApp, access: Access, config: Callable[[], WebConfig]) -> None:
        self._app = app
        self._access = access
        self._config = config
        self._bucket = _Bucket()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        config = self._config()
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), config.headers)
            await send(message)

        try:
            response = await self._refuse(scope, headers, receive, config.rate_limit)
            await (response or self._app)(scope, receive, with_headers)
        except Exception:  # the one error boundary of a request
            logger.exception("a request failed", extra={"method": scope["method"], "path": scope["path"]})
            if not started:
                await PlainTextResponse("Internal Server Error\n", 500)(scope, receive, with_headers)

    async def _refuse(
        self, scope: Scope, headers: Headers, receive: Receive, rate: RateLimit | None
    ) -> Response | None:
        if "transfer-encoding" in headers:
            return PlainTextResponse(
                "No request here needs a body.\n", HTTPStatus.LENGTH_REQUIRED, {"Connection": "close"}
            )
        if not await _drain(headers, receive):
            return PlainTextResponse(
                "No request here needs a body.\n",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                {"Connection": "close"},
            )
        # A liveness probe that is turned away would have a busy agent restarted.
        if rate is not None and scope["path"] not in OPEN_PATHS and not self._bucket.take(rate):
            return PlainTextResponse("Too many requests.\n", HTTPStatus.TOO_MANY_REQUESTS)
        refusal = await self._access.refusal(scope["method"], scope["path"], headers)
        if refusal is None:
            return None
        return PlainTextResponse(f"{refusal.message}\n", refusal.status, dict(refusal.headers))


async def _drain(headers: Headers, receive: Receive) -> bool:
    """Read and drop the body; False if it is too large or too slow to go on with the connection."""
    length = headers.get("content-length", "0")
    if length == "0":
        return True
    if not length.isdigit() or int(length) > MAX_BODY:
        return False
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more and size <= MAX_BODY:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return False
    return not more


def _add_headers(headers: MutableHeaders, configured: Mapping[str, str]) -> None:
    for name, value in _HEADERS.items():
        if name == "Cache-Control":
            headers.setdefault(name, value)
        else:
            headers[name] = value
    for name, value in configured.items():
        if value:  # empty: ours is left as it is
            headers[name] = value


class _Bucket:
    """Requests that may come now, over all clients."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit: RateLimit | None = None
        self._tokens = 0.0
        self._filled_at = 0.0

    def take(self, limit: RateLimit) -> bool:
        """Whether one more is allowed."""
        now = self._clock()
        if limit != self._limit:
            self._limit, self._tokens = limit, float(limit.burst)
        else:
            self._tokens = min(float(limit.burst), self._tokens + (now - self._filled_at) / limit.interval)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def build_app(pages: Pages, access: Access, config: Callable[[], WebConfig]) -> ASGIApp:
    """The whole application."""
    app = Starlette(
        routes=pages.routes(), exception_handlers={HTTPException: _explain_error, Exception: _explain_error}
    )
    app.router.redirect_slashes = False
    return Front(app, access, config)

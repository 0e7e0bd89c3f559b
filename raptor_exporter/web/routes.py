"""Every path that answers, and what it says."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from raptor_exporter.web import documents
from raptor_exporter.web.access import Access
from raptor_exporter.web.assets import load_assets
from raptor_exporter.web.exposition import Exposition
from raptor_exporter.web.negotiate import GZIP, IDENTITY, Format, choose_encoding, choose_format
from raptor_exporter.web.page import StatusPage
from raptor_exporter.web.shared import Kept, Shared
from raptor_exporter.web.view import AgentView

logger = logging.getLogger(__name__)

_GZIP_LEVEL = 4  # a third of the time of the default, a tenth more bytes
_GZIP_FROM = 1024
_CHUNK = 64 * 1024
_INLINE_SECONDS = 0.005  # a scrape so short that it may hold up the loop


class _Asked(NamedTuple):
    """What documents are shared by: clients that ask for the same at the same time get the same."""

    document: str
    names: bool
    encoding: str
    offset: int = 0
    limit: int = documents.MOST_SESSIONS


class Pages:
    """The endpoints of all routes."""

    def __init__(
        self,
        view: AgentView,
        access: Access,
        executor: Executor,
        *,
        lifecycle: bool,
        reload_web_config: Callable[[], list[str]],
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._view = view
        self._access = access
        self._executor = executor
        self._lifecycle = lifecycle
        self._reload_web_config = reload_web_config
        self._reloading = asyncio.Lock()
        self._exposition = Exposition(lambda: view.collectors)
        self._metrics: Shared[tuple[Format, str]] = Shared(
            self._write_metrics, executor, inline_below=_INLINE_SECONDS, crowded=crowded
        )
        self._documents: Shared[_Asked] = Shared(self._write_document, executor)
        self._kept: Kept[_Asked] = Kept()
        self._page = StatusPage()
        self._assets = load_assets()

    def routes(self) -> list[Route]:
        """Every path that answers."""
        get = ["GET"]  # and with it HEAD
        return [
            Route("/", self.status_page, methods=get),
            Route("/metrics", self.metrics, methods=get),
            Route("/-/healthy", self.healthy, methods=get),
            Route("/-/ready", self.ready, methods=get),
            Route("/-/reload", self.reload, methods=["POST"]),
            Route("/api/v1/status", self.api_status, methods=get),
            Route("/api/v1/sessions", self.api_sessions, methods=get),
            Route("/api/v1/plan", self.api_plan, methods=get),
            *(Route(path, self.asset, methods=get) for path in self._assets),
        ]

    async def metrics(self, request: Request) -> Response:
        """The exposition, in the format and encoding that the client likes best."""
        fmt = choose_format(_joined(request.headers, "accept"))
        encoding = choose_encoding(_joined(request.headers, "accept-encoding"))
        body = await self._metrics.get((fmt, encoding))
        headers = {"Content-Type": fmt.content_type, "Vary": "Accept, Accept-Encoding"}
        return _send(body, headers, encoding)

    def _write_metrics(self, key: tuple[Format, str]) -> bytes:
        fmt, encoding = key
        return _encode(self._exposition.render(fmt), encoding)

    async def healthy(self, _: Request) -> Response:
        """The process works."""
        if self._view.healthy:
            return PlainTextResponse("raptor-exporter is healthy.\n")
        return PlainTextResponse("raptor-exporter is not healthy: see its log.\n", 503)

    async def ready(self, _: Request) -> Response:
        """A first refresh is in."""
        if self._view.ready:
            return PlainTextResponse("raptor-exporter is ready.\n")
        return PlainTextResponse("raptor-exporter is not ready: no refresh of its store is in yet.\n", 503)

    async def reload(self, _: Request) -> Response:
        """Read the configurations again, and answer when they are in force or refused."""
        if not self._lifecycle:
            return PlainTextResponse("Reloading by HTTP is off: start with --web.enable-lifecycle.\n", 403)
        async with self._reloading:
            errors = list(await self._view.reload())
            loop = asyncio.get_running_loop()
            errors += await loop.run_in_executor(self._executor, self._reload_web_config)
        if errors:
            return PlainTextResponse("".join(f"{error}\n" for error in errors), 500)
        return PlainTextResponse("The configuration was reloaded.\n")

    async def status_page(self, request: Request) -> Response:
        """What is kept, what goes next, and why."""
        return await self._document(request, "page", "text/html; charset=utf-8")

    async def api_status(self, request: Request) -> Response:
        """The figures behind the page."""
        return await self._document(request, "status")

    async def api_plan(self, request: Request) -> Response:
        """What every policy would do now."""
        return await self._document(request, "plan")

    async def api_sessions(self, request: Request) -> Response:
        """Every session with its fate; ``offset`` and ``limit`` choose a part."""
        offset = _number(request, "offset", 0)
        limit = min(_number(request, "limit", documents.MOST_SESSIONS), documents.MOST_SESSIONS)
        return await self._document(request, "sessions", offset=offset, limit=limit)

    async def _document(
        self,
        request: Request,
        name: str,
        content_type: str = "application/json",
        **part: int,
    ) -> Response:
        encoding = choose_encoding(_joined(request.headers, "accept-encoding"))
        asked = _Asked(name, self._access.names_visible, encoding, **part)
        body = await self._documents.get(asked)
        return _send(body, {"Content-Type": content_type, "Vary": "Accept-Encoding"}, encoding)

    def _write_document(self, asked: _Asked) -> bytes:
        view, names = self._view, asked.names
        if asked.document == "page":
            return _encode(self._page.render(view, names=names), asked.encoding)
        if asked.document == "status":
            return _encode(documents.to_json(documents.status(view, names=names)), asked.encoding)
        # Kept in both encodings: clients that don't read hold on to the one copy, not to one each.
        return self._kept.get(
            asked, documents.basis(view), lambda: _encode(self._long(asked), asked.encoding)
        )

    def _long(self, asked: _Asked) -> bytes:
        if asked.document == "plan":
            return documents.to_json(documents.plan(self._view, names=asked.names))
        return documents.to_json(
            documents.sessions(self._view, names=asked.names, offset=asked.offset, limit=asked.limit)
        )

    async def asset(self, request: Request) -> Response:
        """A script, style sheet or icon of the page."""
        asset = self._assets[request.url.path]
        headers = {"Content-Type": asset.content_type, "Cache-Control": "no-cache", "ETag": asset.etag}
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        encoding = choose_encoding(_joined(request.headers, "accept-encoding"))
        headers["Vary"] = "Accept-Encoding"
        return _send(asset.gzipped if encoding == GZIP else asset.body, headers, encoding)


def _joined(headers: Headers, name: str) -> str:
    return ",".join(headers.getlist(name))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise HTTPException(400, f"{name} must be a whole number.")
    return int(text)


def _encode(body: bytes, encoding: str) -> bytes:
    return gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0) if encoding == GZIP else body


def _send(body: bytes, headers: Mapping[str, str], encoding: str) -> Response:
    headers = {**headers, "Content-Length": str(len(body))}
    if encoding != IDENTITY:
        headers["Content-Encoding"] = encoding
    if len(body) <= _CHUNK:
        return Response(body, headers=headers)
    # In pieces, so that a client that doesn't read holds no copy of its own of a large answer.
    return StreamingResponse(_pieces(body), headers=headers)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK):
        yield body[start : start + _CHUNK]
        await asyncio.sleep(0)  # others have their turn, and that the client has left is noticed

"""What both session managers do with browsers, told once for both of Playwright's APIs."""

from __future__ import annotations

import abc
import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from raptor_exporter.browser import BrowserProblem, Connections, Trouble, Turn, capture, check_url, reopen
from raptor_exporter.exceptions import SessionConflict
from raptor_exporter.manager.bookkeeping import Bookkeeping
from raptor_exporter.manager.metadata import checked_metadata
from raptor_exporter.manager.operation import InvalidSession, Operation
from raptor_exporter.names import check_new_name
from raptor_exporter.session import (
    NOT_FOUND,
    SessionInfo,
    check,
    format_timestamp,
    parse_endpoint,
    parse_object,
)
from raptor_exporter.stores.files import FileStore

if TYPE_CHECKING:
    from playwright.async_api import Page

SAVE_SECONDS = 15.0
RESTORE_SECONDS = 4.5  # callers are promised an answer within 5
CLOSE_SECONDS = 15.0


class ManagerBase(Bookkeeping, abc.ABC):
    """Saves and restores through connections of its own; a turn says how it waits."""

    def __init__(
        self,
        storage_dir: str | os.PathLike[str] | None = None,
        *,
        auto_cleanup_on_init: bool = False,
        max_age_days: float = 7,
    ) -> None:
        super().__init__(storage_dir, auto_cleanup_on_init=auto_cleanup_on_init, max_age_days=max_age_days)
        self._connections = self._new_connections()

    @classmethod
    def of_store(cls, store: FileStore) -> Self:
        """A manager over a store that is open already; nothing is made or configured."""
        self = super().of_store(store)
        self._connections = self._new_connections()
        return self

    @abc.abstractmethod
    def _new_connections(self) -> Connections: ...

    async def _save(
        self, turn: Turn, page: Page, name: str, metadata: Mapping[str, Any] | None, cdp_url: str | None
    ) -> SessionInfo:
        with Operation("save_session", name, level=logging.INFO) as operation:
            check_new_name(name)
            given = checked_metadata(metadata)
            captured = await capture(turn, page, cdp_url)
            now = format_timestamp(time.time())
            info = SessionInfo(
                session_id=name,
                cdp_url=captured.cdp_url,
                browser_type=captured.browser_type,
                created_at=now,
                last_accessed=now,
                metadata=given | captured.metadata,
            )
            await turn.aside(self._store.save, name, info.to_dict())
            operation.outcome = f"saved, {info.browser_type} at {_address(info.cdp_url)}"
        return info

    async def _open_browser(self, turn: Turn, cdp_url: str) -> Page:
        with Operation("open_browser", level=logging.INFO) as operation:
            self._connections.enter()
            url = check_url(cdp_url)
            operation.context["address"] = _address(url)
            page = (await reopen(turn, self._connections, url, {})).page
            operation.outcome = f"connected to {_address(url)}"
        return page

    async def _restore(self, turn: Turn, name: str) -> Page:
        with Operation("restore_session", name, level=logging.INFO) as operation:
            self._connections.enter()
            stem = await turn.aside(self._find, name)
            if stem is None:
                raise InvalidSession(NOT_FOUND)
            await turn.aside(self._load, stem)
            # A cleanup that chose it a moment ago spares it from now on; then the file is read as it stays.
            await turn.aside(self._touch, operation, stem)
            document = await turn.aside(self._load, stem)
            operation.context["address"] = _address(document["cdp_url"])
            if document["browser_type"] != "chromium":
                raise BrowserProblem(
                    Trouble.NOT_CHROMIUM,
                    f"it is a session of {document['browser_type']}, which has no CDP to come back by: "
                    "only sessions of Chromium can be restored",
                )
            metadata = document.get("metadata")
            reopened = await reopen(
                turn,
                self._connections,
                document["cdp_url"],
                metadata if isinstance(metadata, dict) else {},
            )
            if reopened.warning is not None:
                operation.warn(reopened.warning)
            await turn.aside(self._mark, operation, stem)
            operation.outcome = f"restored from {operation.context['address']}"
        return reopened.page

    def _load(self, stem: str) -> dict[str, Any]:
        data = self._store.read_settled(stem)
        if data is None:
            raise InvalidSession(NOT_FOUND)
        reason = check(data, self._store.timezone).reason
        document = parse_object(data)
        if reason is not None or document is None:
            raise InvalidSession(reason or "corrupt")
        return document

    def _touch(self, operation: Operation, stem: str) -> None:
        try:
            if not self._store.touch(stem):
                raise InvalidSession(NOT_FOUND)
        except SessionConflict as error:
            operation.warn(str(error))

    def _mark(self, operation: Operation, stem: str) -> None:
        try:
            if not self._store.mark_accessed(stem, time.time()):
                operation.warn("its file was deleted while it was being restored: save it again to keep it")
        except SessionConflict as error:
            operation.warn(f"its last access was not written: {error}")


def _address(cdp_url: str) -> str:
    endpoint = parse_endpoint(cdp_url)
    return "" if endpoint is None else endpoint.address

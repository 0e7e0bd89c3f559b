"""A session as the command line tells it: never its CDP URL, only host and port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raptor_exporter.exceptions import UnreadableSession
from raptor_exporter.redact import redact, redact_metadata
from raptor_exporter.session import (
    INVALID,
    NOT_FOUND,
    UNREADABLE,
    VALID,
    Verdict,
    check,
    parse_object,
)
from raptor_exporter.stores.protocol import Store


def session_rows(store: Store, names: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The named sessions (stems; default all), sorted by name.

    Raises:
        StoreError: the store can't be listed.
    """
    for name in store.stems() if names is None else names:
        row = session_row(store, name)
        if row is not None:
            yield row


def session_row(store: Store, name: str) -> dict[str, Any] | None:
    """One session by its stem; what is not known of it is None. None if there is none."""
    size = None
    try:
        identity = store.identify(name)
        if identity is None:
            return None
        size = identity.size
        data = store.read(name)
    except UnreadableSession:
        return _row(name, size, Verdict(UNREADABLE), {}, UNREADABLE)
    if data is None:
        return None
    verdict = check(data, store.timezone)
    state = VALID if verdict.reason is None else INVALID
    return _row(name, len(data), verdict, parse_object(data) or {}, state)


def missing_row(name: str) -> dict[str, Any]:
    """What can be said of a session that isn't there."""
    keys = ("session_id", "browser_type", "created_at", "last_accessed", "size_bytes", "address", "metadata")
    return {"name": name, "state": None, "reason": NOT_FOUND, **dict.fromkeys(keys)}


def _row(
    name: str, size: int | None, verdict: Verdict, document: dict[str, Any], state: str
) -> dict[str, Any]:
    metadata = document.get("metadata")
    return {
        "name": name,
        "session_id": _text(document, "session_id"),
        "state": state,
        "reason": verdict.reason,
        "browser_type": _text(document, "browser_type"),
        "created_at": _text(document, "created_at"),
        "last_accessed": _text(document, "last_accessed"),
        "size_bytes": size,
        "address": None if verdict.endpoint is None else verdict.endpoint.address,
        "metadata": redact_metadata(metadata) if isinstance(metadata, dict) else None,
    }


def _text(document: dict[str, Any], key: str) -> str | None:
    """A field as it may be shown: a broken file can have its CDP URL in any of them."""
    value = document.get(key)
    return redact(value) if isinstance(value, str) else None

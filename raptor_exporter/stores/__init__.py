"""Where sessions live: the protocol, and the store in a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from raptor_exporter.exceptions import StoreError

if TYPE_CHECKING:
    from raptor_exporter.config import StoreConfig
    from raptor_exporter.stores.files import FileStore


def open_store(config: StoreConfig) -> FileStore:
    """The store that a configuration names by a directory or a ``file://`` URL.

    Raises:
        StoreError: the URL is of another kind.
    """
    from raptor_exporter.stores.files import FileStore

    return FileStore(store_path(config.url), timezone=config.timezone)


def store_path(url: str) -> str:
    """The directory that a store's URL means.

    Raises:
        StoreError: the URL is of another kind than ``file://``.
    """
    if "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        kind = f"{parts.scheme}://"
        raise StoreError(f"a store at {kind} is not supported: name a directory, or file:///path")
    return unquote(parts.path)

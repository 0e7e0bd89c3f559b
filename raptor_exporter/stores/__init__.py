"""Where sessions live: the protocol, and the store in a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raptor_exporter.exceptions import StoreError
from raptor_exporter.stores.location import LOCATION_FORM, store_directory

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
    try:
        return store_directory(url)
    except ValueError as error:
        raise StoreError(f"the store {error}: name {LOCATION_FORM}") from None

"""What a command works on: the configuration and the store that its options name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raptor_exporter.config import Config
    from raptor_exporter.stores.files import FileStore


def _check_location(url: str) -> None:
    from raptor_exporter.stores.location import LOCATION_FORM, store_directory

    try:
        store_directory(url)
    except ValueError as error:
        import click

        raise click.UsageError(f"--store {error}: name {LOCATION_FORM}") from None


class App:
    """Resolves options lazily: an option beats its variable (click does that), which beats the file."""

    def __init__(self, store: str | None, config: str | None) -> None:
        self.store_option = store
        self.config_file = config

    @cached_property
    def config(self) -> Config:
        """The configuration, with the store that was named on the command line.

        Raises:
            ConfigError: the file is wrong.
            click.UsageError: the store's URL is.
        """
        return self.load()

    def load(self) -> Config:
        """Read the configuration, now.

        Raises:
            ConfigError: the file is wrong.
        """
        from dataclasses import replace

        from raptor_exporter.config import Config, load_config

        config = Config() if self.config_file is None else load_config(self.config_file)
        if self.store_option is not None:
            _check_location(self.store_option)
            config = replace(config, store=replace(config.store, url=self.store_option))
        return config

    @cached_property
    def store(self) -> FileStore:
        """The store, which must be there.

        Raises:
            StoreError: it is missing, no directory, or can't be opened.
        """
        store = self.unchecked_store()
        with store.opened():
            return store

    def unchecked_store(self) -> FileStore:
        """The store, whether it is there or not."""
        from raptor_exporter.stores import open_store

        return open_store(self.config.store)

"""The configuration: typed values with their defaults, and the loader that checks a file into them."""

from __future__ import annotations

import os

from raptor_exporter.config.model import DEFAULT_STORE, Config, ProbeConfig, StoreConfig

__all__ = ["DEFAULT_STORE", "Config", "ProbeConfig", "StoreConfig", "load_config", "parse_config"]

# The loader brings PyYAML: programs that only need the values don't pay for it.


def load_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a file.

    Raises:
        ConfigError: it can't be read, or holds all that is wrong with it.
    """
    from raptor_exporter.config import loader

    return loader.load_config(path)


def parse_config(text: str | bytes, file: str) -> Config:
    """The configuration in a text; ``file`` names it in messages and is where relative paths start.

    Raises:
        ConfigError: with everything that is wrong, in the file's order.
    """
    from raptor_exporter.config import loader

    return loader.parse_config(text, file)

"""The configuration: typed values with their defaults, and the loader that checks a file into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raptor_exporter.config.model import DEFAULT_STORE, Config, ProbeConfig, StoreConfig

if TYPE_CHECKING:
    from raptor_exporter.config.loader import load_config, parse_config

__all__ = ["DEFAULT_STORE", "Config", "ProbeConfig", "StoreConfig", "load_config", "parse_config"]


def __getattr__(name: str) -> object:
    # The loader brings PyYAML: programs that only need the values don't pay for it.
    if name in ("load_config", "parse_config"):
        from raptor_exporter.config import loader

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

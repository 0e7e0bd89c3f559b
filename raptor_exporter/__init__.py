"""Saves and restores logged-in browser sessions, watches their store and cleans it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raptor_exporter.chromium.launch import LaunchedBrowser, launch_browser
    from raptor_exporter.exceptions import SessionException
    from raptor_exporter.manager.asynchronous import SessionManager
    from raptor_exporter.manager.synchronous import SyncSessionManager
    from raptor_exporter.session import SessionInfo

__version__ = "0.1.0"

__all__ = [
    "LaunchedBrowser",
    "SessionException",
    "SessionInfo",
    "SessionManager",
    "SyncSessionManager",
    "__version__",
    "launch_browser",
]

_HOMES = {
    "LaunchedBrowser": "chromium.launch",
    "SessionException": "exceptions",
    "SessionInfo": "session",
    "SessionManager": "manager.asynchronous",
    "SyncSessionManager": "manager.synchronous",
    "launch_browser": "chromium.launch",
}


def __getattr__(name: str) -> object:
    # Importing the package loads next to nothing: each name brings what it needs when it is used first.
    from importlib import import_module

    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Saves and restores logged-in browser sessions, watches their store and cleans it up."""

from __future__ import annotations

__version__ = "0.1.0"

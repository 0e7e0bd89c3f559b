"""Finds the Chromium to start."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator

EXECUTABLE_VARIABLE = "RAPTOR_CHROMIUM"

_ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Playwright's own builds, by platform directories old and new; the full browser before its headless shell.
_PLAYWRIGHT = ("chromium-*/chrome-linux*/chrome", "chromium_headless_shell-*/chrome*-linux*/*headless*shell")


def find_executable(executable: str | os.PathLike[str] | None = None) -> str:
    """The Chromium to start: the given one, ``RAPTOR_CHROMIUM``, one on the PATH, or Playwright's.

    Raises:
        FileNotFoundError: there is none; the message says what to install.
    """
    for source, asked in (
        ("executable", os.fspath(executable) if executable is not None else None),
        (EXECUTABLE_VARIABLE, os.environ.get(EXECUTABLE_VARIABLE) or None),
    ):
        if asked is not None:
            found = shutil.which(os.path.expanduser(asked))
            if found is None:
                raise FileNotFoundError(f"{source} is {asked!r}, which is no program that can be run")
            return found
    for name in _ON_PATH:
        found = shutil.which(name)
        if found is not None:
            return found
    for found in _playwright_builds():
        if os.access(found, os.X_OK):
            return found
    raise FileNotFoundError(
        "no Chromium was found: install one (`apt install chromium` or `playwright install chromium`), "
        f"or name it with executable= or {EXECUTABLE_VARIABLE}"
    )


def _playwright_builds() -> Iterator[str]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or os.path.join(cache, "ms-playwright")
    for pattern in _PLAYWRIGHT:
        newest_first = sorted(glob.glob(pattern, root_dir=home), key=_revision, reverse=True)
        yield from (os.path.join(home, found) for found in newest_first)


def _revision(path: str) -> int:
    match = re.search(r"-(\d+)/", path)
    return int(match[1]) if match else 0

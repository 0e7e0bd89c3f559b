"""Directories of browsers: the fresh ones that are ours, and the file in which a browser says where it is."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HOME = "~/.raptor/browsers"
PORT_FILE = "DevToolsActivePort"

_PREFIX = "browser-"
_REMOVAL_SECONDS = 2.0


class Listening(NamedTuple):
    """What a browser on port 0 writes into its directory; ``path`` is a secret."""

    port: int
    path: str


def make_profile(profile: Path) -> None:
    """Make a directory and its missing parents, each 0700: a profile holds logins.

    Raises:
        OSError: it can't be made.
    """
    for path in reversed([p for p in (profile, *profile.parents) if not p.exists()]):
        path.mkdir(mode=0o700, exist_ok=True)
    if not profile.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(profile))


def new_profile() -> Path:
    """A fresh directory for one browser.

    Raises:
        OSError: it can't be made.
    """
    home = Path(HOME).expanduser()
    make_profile(home)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))


def listening(profile: str | os.PathLike[str]) -> Listening | None:
    """Where the browser of a directory listens, or listened before it was killed; None: not said."""
    try:
        port, path = (Path(profile) / PORT_FILE).read_text().split("\n")[:2]
        return Listening(int(port), path) if path.startswith("/devtools/browser/") else None
    except (OSError, ValueError):
        return None


def discard_profile(profile: Path) -> None:
    """Remove a directory that ``new_profile`` made; any other is left alone.

    Children of the browser that die a moment later may still write into it, hence some tries.
    """
    home = Path(HOME).expanduser()
    if profile.parent != home or not profile.name.startswith(_PREFIX) or profile.is_symlink():
        return
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while profile.exists() and time.monotonic() < deadline:
        shutil.rmtree(profile, ignore_errors=True)
        time.sleep(0.02)


def discard_profile_of(port: int, path: str) -> None:
    """Remove the directory that was made for the browser with this very identity, if there is one."""
    with contextlib.suppress(OSError):
        for profile in Path(HOME).expanduser().iterdir():
            if listening(profile) == (port, path):
                discard_profile(profile)

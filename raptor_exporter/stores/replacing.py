"""Replacing a file only if it still is the one that was read, beside writers that know no lock."""

from __future__ import annotations

import contextlib
import os

from raptor_exporter.stores import posix, runs
from raptor_exporter.stores.record import Identity

_TRIES = 20  # how often others can write in the microseconds between two of our steps


def replace_if_unchanged(new: str, name: str, temporary: int, directory: int, expected: Identity) -> bool:
    """Put ``new`` (in ``temporary``) in the place of ``name`` (in ``directory``); False if that changed.

    A look and then a rename would overwrite what another program writes between the two. So the files
    change places, and what came out is looked at: if it is not what was read, both change back. Where
    the file system can't exchange, it is the look and the rename. ``new`` is gone afterwards.

    Raises:
        OSError: it can't be done; nothing was changed.
    """
    mine = _identity(new, temporary)
    try:
        if _identity(name, directory) != expected:
            return False
        if not posix.exchange(new, name, temporary, directory):
            os.rename(new, name, src_dir_fd=temporary, dst_dir_fd=directory)
            return True
        if _identity(new, temporary) == expected:
            return True
        _change_back(new, name, temporary, directory, mine)
        return False
    except FileNotFoundError:
        return False  # deleted, or claimed by a cleanup
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=temporary)


def _change_back(new: str, name: str, temporary: int, directory: int, at_name: Identity | None) -> None:
    """Give a newer file its name again; what is written meanwhile is newer still, and has it then."""
    for _ in range(_TRIES):
        newest = _identity(new, temporary)
        try:
            posix.exchange(new, name, temporary, directory)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                posix.rename_noreplace(new, name, temporary, directory)
                return
            continue
        if _identity(new, temporary) == at_name:
            return
        at_name = newest


def _identity(file_name: str, folder: int) -> Identity | None:
    status = runs.look(file_name, folder)
    return None if status is None else Identity.of(status)

"""`.raptor/journal.jsonl`: what was done to the store and why, one JSON object a line, bounded."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raptor_exporter.exceptions import StoreError
from raptor_exporter.stores import home, posix
from raptor_exporter.stores.lines import json_line

if TYPE_CHECKING:
    from raptor_exporter.stores.files import FileStore

NAME = "journal.jsonl"
MAX_BYTES = 16 * 1024 * 1024  # some 80,000 deletions; past it the older half goes
_CHUNK = 1 << 16


class Journal:
    """Appends to and reads back one store's journal."""

    def __init__(self, store: FileStore, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add entries: all of them, or none if they can't be written.

        Raises:
            StoreError: it can't be written.
        """
        data = b"".join(map(json_line, entries))
        store = self._store
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        try:
            with (
                store.locked() as directory,
                home.folder(directory, permissions=store.permissions) as folder,
                posix.opened(NAME, flags, store.permissions.file, dir_fd=folder) as fd,
            ):
                posix.require_regular(fd, NAME)
                posix.give_to_heir(fd, folder)
                posix.widen(fd, store.permissions.file)
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    data = b"\n" + data  # a crash tore the last line: it must not swallow this one
                posix.append(fd, data)
                if size + len(data) > self._max_bytes:
                    self._shorten(directory, folder, fd)
        except OSError as error:
            raise StoreError(f"the journal of {store.place} can't be written: {error.strerror}") from error

    def _shorten(self, directory: int, folder: int, fd: int) -> None:
        """Keep the newer half, from the start of a line on."""
        keep = self._max_bytes // 2
        status = os.fstat(fd)
        tail = _read(fd, max(status.st_size - keep, 0), keep)
        tail = tail[tail.find(b"\n") + 1 :]
        permissions = self._store.permissions
        with home.folder(directory, home.TEMPORARY, permissions=permissions) as temporary:
            new = home.write_temporary(temporary, tail, stat.S_IMODE(status.st_mode), None)
            os.rename(new, NAME, src_dir_fd=temporary, dst_dir_fd=folder)

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Every entry, the last one first; torn or foreign lines are passed over."""
        store = self._store
        try:
            with (
                store.opened() as directory,
                home.folder(directory, permissions=store.permissions, create=False) as folder,
                posix.opened(NAME, posix.READ_FLAGS, dir_fd=folder) as fd,
            ):
                posix.require_regular(fd, NAME)
                for line in _lines_backwards(fd):
                    try:
                        entry = json.loads(line)
                    except (ValueError, RecursionError):
                        continue
                    if isinstance(entry, dict):
                        yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the journal of {store.place} can't be read: {error.strerror}") from error


def _read(fd: int, position: int, length: int) -> bytes:
    parts = []
    while length and (part := os.pread(fd, length, position)):
        parts.append(part)
        position += len(part)
        length -= len(part)
    return b"".join(parts)


def _lines_backwards(fd: int) -> Iterator[bytes]:
    position = os.fstat(fd).st_size
    rest: list[bytes] = []  # of a line whose start is still to come, backwards
    while position:
        step = min(_CHUNK, position)
        position -= step
        first, *lines = _read(fd, position, step).split(b"\n")
        if lines:
            yield b"".join([lines.pop(), *reversed(rest)])
            yield from reversed(lines)
            rest = []
        rest.append(first)
    if rest:
        yield b"".join(reversed(rest))

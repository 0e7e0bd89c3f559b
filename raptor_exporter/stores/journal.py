"""`.raptor/journal.jsonl`: what was done to the store and why, one JSON object a line, bounded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raptor_exporter.exceptions import StoreError
from raptor_exporter.stores import home, posix

if TYPE_CHECKING:
    from raptor_exporter.stores.files import FileStore

NAME = "journal.jsonl"
MAX_BYTES = 16 * 1024 * 1024  # some 80,000 deletions; past it the older half goes
_CHUNK = 1 << 16


class Journal:
    """Appends to and reads back one store's journal."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add entries, whole or not at all as seen by a reader.

        Raises:
            StoreError: it can't be written.
        """
        data = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        store = self._store
        try:
            with (
                store.locked() as directory,
                home.folder(directory, permissions=store.permissions) as folder,
                posix.opened(
                    NAME,
                    os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW,
                    store.permissions.file,
                    dir_fd=folder,
                ) as fd,
            ):
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    data = b"\n" + data  # a crash tore the last line: it must not swallow this one
                posix.write_all(fd, data)
                if size + len(data) > MAX_BYTES:
                    self._shorten(folder, fd)
        except OSError as error:
            raise StoreError(f"the journal of {store.place} can't be written: {error.strerror}") from error

    def _shorten(self, folder: int, fd: int) -> None:
        size = os.fstat(fd).st_size
        tail = os.pread(fd, MAX_BYTES // 2, size - MAX_BYTES // 2)
        tail = tail[tail.index(b"\n") + 1 :]
        mode = self._store.permissions.file
        new = home.write_temporary(folder, tail, mode, None)
        os.rename(new, NAME, src_dir_fd=folder, dst_dir_fd=folder)

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Every entry, the last one first; torn or foreign lines are passed over."""
        store = self._store
        try:
            with (
                store.opened() as directory,
                home.folder(directory, permissions=store.permissions, create=False) as folder,
                posix.opened(NAME, posix.READ_FLAGS, dir_fd=folder) as fd,
            ):
                for line in _lines_backwards(fd):
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(entry, dict):
                        yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the journal of {store.place} can't be read: {error.strerror}") from error


def _lines_backwards(fd: int) -> Iterator[bytes]:
    position = os.fstat(fd).st_size
    rest = b""
    while position:
        step = min(_CHUNK, position)
        position -= step
        first, *lines = (os.pread(fd, step, position) + rest).split(b"\n")
        yield from reversed([line for line in lines if line])
        rest = first
    if rest:
        yield rest

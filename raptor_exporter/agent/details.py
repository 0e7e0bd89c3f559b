"""What a snapshot leaves out of memory, read from the files when somebody who may see it looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raptor_exporter.exceptions import StoreError
from raptor_exporter.session import parse_object

Metadata = Mapping[str, Any]

_MOST_SESSIONS = 1000  # that many files are read in the time of a few pages
_MOST_BYTES = 64 * 1024  # of a file; a page is no place for more
_SECONDS = 1.0


class Details:
    """Reads whole metadata; a store that hangs costs a page a second, once.

    Args:
        read: the bytes of a session file by name; raises StoreError.
    """

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._reader: threading.Thread | None = None

    def metadata(self, names: Sequence[str]) -> Mapping[str, Metadata]:
        """The metadata of these sessions, of as many as can be read in time; called from a thread."""
        if self._reader is not None and self._reader.is_alive():
            return {}  # it hangs, or is at work for somebody else
        found: dict[str, Metadata] = {}
        # A daemon thread: one that hangs in the kernel must not hold up the end of the process.
        self._reader = threading.Thread(
            target=self._read_all, args=(list(names[:_MOST_SESSIONS]), found), name="details", daemon=True
        )
        self._reader.start()
        self._reader.join(_SECONDS)
        return dict(found)

    def _read_all(self, names: Sequence[str], found: dict[str, Metadata]) -> None:
        for name in names:
            try:
                data = self._read(name)
            except StoreError:
                continue
            if data is None or len(data) > _MOST_BYTES:
                continue
            document = parse_object(data)
            metadata = document.get("metadata") if document is not None else None
            if isinstance(metadata, dict):
                found[name] = metadata

"""One pass over a directory of sessions: stat everything, read only what changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping
from datetime import tzinfo
from types import MappingProxyType

from raptor_exporter.names import SUFFIX
from raptor_exporter.session import (
    BROWSER_TYPES,
    INVALID,
    MAX_FILE_BYTES,
    UNREADABLE,
    VALID,
    Endpoint,
    check,
    select_metadata,
)
from raptor_exporter.stores import posix
from raptor_exporter.stores.base import Record, Wanted

# A file that changed this shortly before it was read may change again under the same timestamps
# (coarse clocks, SMB, FUSE), so the next refresh reads it once more.
_RACY_NS = 2_000_000_000

_NOTHING: Mapping[str, str] = MappingProxyType({})
_TYPES = {name: name for name in BROWSER_TYPES}  # one string for all sessions; no other is kept
_SUFFIX_LENGTH = len(SUFFIX)


class Scanner:
    """Reads one directory's sessions into records, sharing equal parts between them."""

    def __init__(self, directory: int, wanted: Wanted, zone: tzinfo | None) -> None:
        self._directory = directory
        self._wanted = wanted
        self._zone = zone
        self._endpoints: dict[Endpoint, Endpoint] = {}
        self._metadata: dict[frozenset[tuple[str, str]], Mapping[str, str]] = {frozenset(): _NOTHING}

    def scan(self, previous: Mapping[str, Record]) -> dict[str, Record]:
        """All sessions by name. Records of files that did not change are taken from ``previous``.

        Raises:
            OSError: the directory can't be listed.
        """
        records: dict[str, Record] = {}
        known = previous.get
        read = self.read
        with os.scandir(self._directory) as entries:
            for entry in entries:
                file_name = entry.name
                if not file_name.endswith(SUFFIX) or file_name[0] == ".":
                    continue
                try:
                    if not entry.is_file(follow_symlinks=False):
                        continue
                except OSError:
                    continue  # its type is unknown and it can't be asked: no regular file for all we know
                name = file_name[:-_SUFFIX_LENGTH]
                old = known(name)
                if old is not None and old.stamp:
                    try:
                        now = entry.stat(follow_symlinks=False)
                    except OSError:
                        now = None
                    if (
                        now is not None
                        and now.st_ctime_ns == old.stamp
                        and now.st_mtime_ns == old.mtime_ns
                        and now.st_ino == old.inode
                        and now.st_size == old.size
                    ):
                        records[name] = old
                        continue
                record = read(name)
                if record is not None:
                    records[name] = record
        return records

    def read(self, name: str) -> Record | None:
        """One session, read and checked; None if there is none of that name (any more)."""
        try:
            fd = os.open(name + SUFFIX, posix.READ_FLAGS, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None  # a symlink took its place
            return self._unreadable(name)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            if status.st_size > MAX_FILE_BYTES:
                return _unread(name, status, status.st_ctime_ns)
            data = posix.read_up_to(fd, MAX_FILE_BYTES + 1, status.st_size)
        except OSError:
            return self._unreadable(name)
        finally:
            os.close(fd)
        if len(data) > MAX_FILE_BYTES:
            return _unread(name, status, 0)
        racy = -_RACY_NS < time.time_ns() - status.st_mtime_ns < _RACY_NS
        return self._judged(name, status, data, 0 if racy else status.st_ctime_ns)

    def _judged(self, name: str, status: os.stat_result, data: bytes, stamp: int) -> Record:
        verdict = check(data, self._zone)
        keys, whole = self._wanted
        endpoint = verdict.endpoint
        if endpoint is not None:
            if not whole and endpoint.path:
                endpoint = Endpoint(endpoint.scheme, endpoint.host, endpoint.port, "")
            endpoint = self._endpoints.setdefault(endpoint, endpoint)
        metadata = _NOTHING
        if keys:
            chosen = select_metadata(verdict.metadata, keys)
            metadata = self._metadata.setdefault(frozenset(chosen.items()), chosen)
        return Record(
            name,
            status.st_ino,
            status.st_mtime_ns,
            status.st_size,
            stamp,
            VALID if verdict.reason is None else INVALID,
            verdict.reason,
            verdict.accessed,
            verdict.created,
            _TYPES.get(verdict.browser_type or ""),
            endpoint,
            metadata,
        )

    def _unreadable(self, name: str) -> Record | None:
        try:
            status = os.stat(name + SUFFIX, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            # Not even its size is known; it exists, and that alone counts.
            return Record(name, 0, 0, 0, 0, UNREADABLE, None, None, None, None, None, _NOTHING)
        if not stat.S_ISREG(status.st_mode):
            return None
        return _unread(name, status, 0)


def _unread(name: str, status: os.stat_result, stamp: int) -> Record:
    return Record(
        name,
        status.st_ino,
        status.st_mtime_ns,
        status.st_size,
        stamp,
        UNREADABLE,
        None,
        None,
        None,
        None,
        None,
        _NOTHING,
    )

"""One pass over a directory of sessions: stat everything, read only what changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping
from datetime import tzinfo

from raptor_exporter.names import SUFFIX
from raptor_exporter.session import (
    BROWSER_TYPES,
    INVALID,
    MAX_FILE_BYTES,
    UNREADABLE,
    VALID,
    Endpoint,
    check,
    parse_address,
    parse_endpoint,
)
from raptor_exporter.stores import posix
from raptor_exporter.stores.base import Record, Wanted
from raptor_exporter.stores.selection import NOTHING, Selection

# A file that changed this shortly before it was read may change again under the same timestamps
# (coarse clocks, SMB, FUSE), so the next refresh reads it once more.
_RACY_NS = 2_000_000_000

_TYPES = {name: name for name in BROWSER_TYPES}  # one string for all sessions; no other is kept
_SUFFIX_LENGTH = len(SUFFIX)


class Scanner:
    """Reads one directory's sessions into records, sharing equal parts between them.

    This is the loop that everything else waits for: it calls little, and looks nothing up twice.
    """

    def __init__(self, directory: int, wanted: Wanted, zone: tzinfo | None) -> None:
        self._directory = directory
        self._zone = zone
        self._selection = Selection(wanted.keys)
        self._locate = parse_endpoint if wanted.endpoints else parse_address
        self._endpoints: dict[Endpoint, Endpoint] = {}
        self._sizes: dict[int, int] = {}

    def scan(self, previous: Mapping[str, Record]) -> Mapping[str, Record]:
        """All sessions by name. Records of files that did not change are taken from ``previous``.

        Returns:
            ``previous`` itself where nothing changed at all.

        Raises:
            OSError: the directory can't be listed.
        """
        records: dict[str, Record] = {}
        unchanged = 0
        known = previous.get
        with os.scandir(self._directory) as entries:
            for entry in entries:
                file_name = entry.name
                if not file_name.endswith(SUFFIX):
                    continue
                name = file_name[:-_SUFFIX_LENGTH]
                try:
                    old = known(name)
                    if old is not None and old.stamp:
                        now = entry.stat(follow_symlinks=False)
                        if (
                            now.st_ctime_ns == old.stamp
                            and now.st_mtime_ns == old.mtime_ns
                            and now.st_ino == old.inode
                            and now.st_size == old.size
                        ):
                            records[name] = old
                            unchanged += 1
                            continue
                    if file_name[0] == "." or not entry.is_file(follow_symlinks=False):
                        continue
                    record = self.read(file_name)
                except FileNotFoundError:
                    continue
                except OSError:
                    record = self._unreadable(file_name)
                if record is not None:
                    records[name] = record
        return previous if unchanged == len(records) == len(previous) else records

    def read(self, file_name: str) -> Record | None:
        """One session, read and checked; None if there is none of that name (any more)."""
        try:
            fd = os.open(file_name, posix.READ_FLAGS, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None  # a symlink took its place
            return self._unreadable(file_name)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            size = status.st_size
            if size > MAX_FILE_BYTES:
                return _unread(file_name, status, status.st_ctime_ns)
            data = os.read(fd, size + 1)
            if len(data) != size:  # it grew or shrank, or its file system gives less at a time
                data = posix.read_on(fd, data, MAX_FILE_BYTES + 1)
                if len(data) > MAX_FILE_BYTES:
                    return _unread(file_name, status, 0)
        except OSError:
            return self._unreadable(file_name)
        finally:
            os.close(fd)
        return self._judged(file_name, status, data)

    def _judged(self, file_name: str, status: os.stat_result, data: bytes) -> Record:
        verdict = check(data, self._zone, decode=self._selection.decode, locate=self._locate)
        endpoint, metadata = verdict.endpoint, verdict.metadata
        if endpoint is not None and endpoint.path:
            endpoint = self._endpoints.setdefault(endpoint, endpoint)
        changed, stamp = status.st_mtime_ns, status.st_ctime_ns
        if -_RACY_NS < time.time_ns() - changed < _RACY_NS:
            stamp = 0
        elif stamp == changed:
            stamp = changed  # one number instead of two equal ones
        return Record(
            file_name[:-_SUFFIX_LENGTH],
            status.st_ino,
            changed,
            self._sizes.setdefault(status.st_size, status.st_size),
            stamp,
            VALID if verdict.reason is None else INVALID,
            verdict.reason,
            verdict.accessed,
            verdict.created,
            _TYPES.get(verdict.browser_type or ""),
            endpoint,
            NOTHING if metadata is None else self._selection.texts(metadata),
        )

    def _unreadable(self, file_name: str) -> Record | None:
        try:
            status = os.stat(file_name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            # Not even its size is known; it exists, and that alone counts.
            name = file_name[:-_SUFFIX_LENGTH]
            return Record(name, 0, 0, 0, 0, UNREADABLE, None, None, None, None, None, NOTHING)
        return _unread(file_name, status, 0) if stat.S_ISREG(status.st_mode) else None


def _unread(file_name: str, status: os.stat_result, stamp: int) -> Record:
    return Record(
        file_name[:-_SUFFIX_LENGTH],
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
        NOTHING,
    )

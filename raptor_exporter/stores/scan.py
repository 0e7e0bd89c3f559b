"""One pass over a directory of sessions: stat everything, read only what changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping
from datetime import tzinfo

from raptor_exporter.names import SUFFIX
from raptor_exporter.session import MAX_FILE_BYTES, check
from raptor_exporter.stores import posix
from raptor_exporter.stores.kinds import UNREAD, Kinds
from raptor_exporter.stores.record import Record, packed

# A file that changed this shortly before it was read may change again under the same timestamps
# (coarse clocks, SMB, FUSE), so the next refresh reads it once more.
_RACY_NS = 2_000_000_000

_SUFFIX_LENGTH = len(SUFFIX)


class Scanner:
    """Reads one directory's sessions into records, sharing equal parts between them.

    This is the loop that everything else waits for: it calls little, and looks nothing up twice.
    """

    def __init__(self, directory: int, kinds: Kinds, zone: tzinfo | None) -> None:
        self._directory = directory
        self._zone = zone
        self._kinds = kinds
        self._sizes: dict[int, int] = {}

    def scan(self, previous: Mapping[str, Record]) -> Mapping[str, Record]:
        """All sessions by name. Records of files that did not change are taken from ``previous``.

        Returns:
            ``previous`` itself where nothing changed at all.

        Raises:
            OSError: the directory can't be listed.
        """
        records: list[Record] = []
        unchanged = 0
        known = previous.get
        add = records.append
        with os.scandir(self._directory) as entries:
            for entry in entries:
                file_name = entry.name
                if not file_name.endswith(SUFFIX):
                    continue
                try:
                    old = known(file_name[:-_SUFFIX_LENGTH])
                    if old is not None:
                        now = entry.stat(follow_symlinks=False)
                        stamp = now.st_ctime_ns  # 0: its file system has none, and it may have changed unseen
                        file = packed(now.st_ino, now.st_mtime_ns, stamp)
                        if old.file == file and now.st_size == old.size and stamp:
                            add(old)
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
                    add(record)
        if unchanged == len(records) == len(previous):
            return previous
        return {record.name: record for record in records}

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
        verdict = check(data, self._zone, decode=self._kinds.decode, locate=self._kinds.locate)
        changed = status.st_mtime_ns
        racy = -_RACY_NS < time.time_ns() - changed < _RACY_NS
        return Record(
            file_name[:-_SUFFIX_LENGTH],
            self._sizes.setdefault(status.st_size, status.st_size),
            packed(status.st_ino, changed, 0 if racy else status.st_ctime_ns),
            self._kinds.of(verdict),
            verdict.accessed,
            verdict.created,
        )

    def _unreadable(self, file_name: str) -> Record | None:
        try:
            status = os.stat(file_name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            # Not even its size is known; it exists, and that alone counts.
            return _unread(file_name, None, 0)
        return _unread(file_name, status, 0) if stat.S_ISREG(status.st_mode) else None


def _unread(file_name: str, status: os.stat_result | None, stamp: int) -> Record:
    name = file_name[:-_SUFFIX_LENGTH]
    if status is None:
        return Record(name, 0, packed(0, 0, 0), UNREAD, None, None)
    return Record(name, status.st_size, packed(status.st_ino, status.st_mtime_ns, stamp), UNREAD, None, None)

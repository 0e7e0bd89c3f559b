"""One session as a refresh saw it, packed: a million of them have to fit into memory."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from raptor_exporter.session import VALID, Endpoint, State

_SECOND = 1_000_000_000  # nanoseconds
_STAMP_BITS = (1 << 63) - 1

_FILE = struct.Struct("<Qqq")
# File systems outlive the year 2262, in which nanoseconds outgrow 64 bits: seconds and nanoseconds apart.
_FAR_FILE = struct.Struct("<QqIq")
_pack = _FILE.pack


def packed(inode: int, mtime_ns: int, stamp: int) -> bytes:
    """``Record.file`` of a file; of the stamp only what fits."""
    try:
        return _pack(inode, mtime_ns, stamp)
    except struct.error:
        seconds, nanoseconds = divmod(mtime_ns, _SECOND)
        return _FAR_FILE.pack(inode, seconds, nanoseconds, stamp & _STAMP_BITS)


class Identity(NamedTuple):
    """Which very file, in which very state, a decision was made on."""

    inode: int
    mtime_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Of a file that was looked at."""
        return cls(status.st_ino, status.st_mtime_ns, status.st_size)


class Kind(msgspec.Struct, frozen=True, gc=False):
    """What many sessions have in common, so that it is held once."""

    state: State
    reason: str | None  # of an invalid session
    browser_type: str | None
    endpoint: Endpoint | None  # path is empty unless the refresh was asked for endpoints
    metadata: Mapping[str, str]  # only the keys that the refresh was asked for


class Record(msgspec.Struct, frozen=True, gc=False):
    """One session as the last refresh saw it: some 0.3 KB, its place in the snapshot included."""

    name: str  # the stem of its file
    size: int  # bytes
    # What tells its file from others, packed. Its last part, the stamp, changes whenever the file must be
    # read again; 0: at the next refresh in any case.
    file: bytes
    kind: Kind
    accessed: float | None  # POSIX seconds
    created: float | None  # POSIX seconds

    @property
    def identity(self) -> Identity:
        """What a deletion must find again."""
        if len(self.file) == _FILE.size:
            inode, mtime_ns, _ = _FILE.unpack(self.file)
        else:
            inode, seconds, nanoseconds, _ = _FAR_FILE.unpack(self.file)
            mtime_ns = seconds * _SECOND + nanoseconds
        return Identity(inode, mtime_ns, self.size)

    @property
    def modified(self) -> float:
        """POSIX seconds of the last change of the file."""
        return self.identity.mtime_ns / 1e9

    @property
    def state(self) -> State:
        """Valid, invalid or unreadable."""
        return self.kind.state

    @property
    def reason(self) -> str | None:
        """The check that an invalid session fails."""
        return self.kind.reason

    @property
    def browser_type(self) -> str | None:
        """One of the three, or None."""
        return self.kind.browser_type

    @property
    def endpoint(self) -> Endpoint | None:
        """Where its browser listens. The path is empty unless the refresh was asked for endpoints."""
        return self.kind.endpoint

    @property
    def metadata(self) -> Mapping[str, str]:
        """Those keys that the refresh was asked for."""
        return self.kind.metadata

    @property
    def rank(self) -> float:
        """Where the session stands among its neighbours: last access, of invalid ones mtime."""
        if self.accessed is not None and self.kind.state is VALID:
            return self.accessed
        return self.modified

"""Basic authentication against bcrypt hashes, off the event loop and at the same cost for everybody."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

_REMEMBERED = 256
_MOST_WAITING = 32
_BCRYPT_BYTES = 72  # what bcrypt looks at; the library refuses more, others cut it off
_DEFAULT_COST = 10


class TooManyLogins(Exception):
    """So many passwords wait for their verification that one more is turned away."""


def parse_basic(header: str) -> tuple[str, bytes] | None:
    """User and password of an Authorization header; None if it is no basic authentication."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    if not colon:
        return None
    try:
        return user.decode("utf-8"), password
    except UnicodeDecodeError:
        return user.decode("latin-1"), password


class PasswordCheck:
    """Verifies passwords one at a time in a thread of its own, and remembers the right ones.

    A flood of wrong ones can neither slow down the event loop nor push out who is known.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="raptor-bcrypt")
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._waiting = 0

    async def verify(self, users: Mapping[str, bytes], header: str) -> bool:
        """Whether an Authorization header has the right password of one of the users.

        Raises:
            TooManyLogins: try again later.
        """
        credentials = parse_basic(header)
        if credentials is None:
            return False
        user, password = credentials
        hashed = users.get(user)
        known = hashed is not None
        if hashed is None:
            hashed = _stand_in(users)
        digest = self._digest(user, password, hashed)
        if known and digest in self._known:
            self._known.move_to_end(digest)
            return True
        if self._waiting >= _MOST_WAITING:
            raise TooManyLogins
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._executor, _matches, password, hashed)
        finally:
            self._waiting -= 1
        if not (right and known):
            return False
        self._known[digest] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _digest(self, user: str, password: bytes, hashed: bytes) -> bytes:
        # The hash is part of it: a changed password is forgotten at once.
        parts = (user.encode("utf-8", "surrogateescape"), password, hashed)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")

    def close(self) -> None:
        """Let the thread go; a verification in the works is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _stand_in(users: Mapping[str, bytes]) -> bytes:
    """A hash that nothing matches, as dear as those of real users: who exists must not show in time."""
    costs = [int(hashed[4:6]) for hashed in users.values()] or [_DEFAULT_COST]
    return b"$2b$%02d$" % max(costs) + b"." * 53


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte, where the library takes none
        return False

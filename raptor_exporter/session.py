"""One session: its fields, its timestamps and the five checks. Bytes in, verdict out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

State = Literal["valid", "invalid", "unreadable"]
VALID: Final = "valid"
INVALID: Final = "invalid"
UNREADABLE: Final = "unreadable"
STATES: Final = (VALID, INVALID, UNREADABLE)

CORRUPT: Final = "corrupt"
INVALID_TIMESTAMP: Final = "invalid_timestamp"
# In the order of the checks; the first that fails names the session's reason.
REASONS: Final = (
    CORRUPT,
    "missing_session_id",
    "missing_cdp_url",
    INVALID_TIMESTAMP,
    "invalid_browser_type",
)
NOT_FOUND: Final = "not_found"

BROWSER_TYPES: Final = ("chromium", "firefox", "webkit")

MAX_FILE_BYTES: Final = 1024 * 1024

_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_ADDRESS = re.compile(
    r"(wss?|https?)://(?:[^/?#\s]*@)?(\[[0-9a-f:.]+(?:%25[\w.~-]+)?\]|[^\s/?#:@\[\]]+)(?::(0*+[0-9]{0,5}))?(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """Where a session's browser listens. ``path`` is a secret: whoever knows it owns the browser."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> str:
        """``host:port``, all of a CDP URL that may be shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(cdp_url: str) -> Endpoint | None:
    """The endpoint of a ws, wss, http or https URL with a host, or None if it is no such URL."""
    address = parse_address(cdp_url)
    if address is None:
        return None
    if "#" in cdp_url or "?" in cdp_url:
        cdp_url = cdp_url.partition("#")[0].partition("?")[0]
    _, slash, path = cdp_url.partition("://")[2].partition("/")
    return Endpoint(address.scheme, address.host, address.port, slash + path)


def parse_address(cdp_url: str) -> Endpoint | None:
    """The same without its path: one value for all browsers that listen there."""
    end = cdp_url.find("/", len("https://"))
    return _parse_address(cdp_url if end < 0 else cdp_url[:end])


@lru_cache(maxsize=4096)  # many sessions share few addresses
def _parse_address(start_of_url: str) -> Endpoint | None:
    match = _ADDRESS.fullmatch(start_of_url)
    if match is None:
        return None
    scheme, host, port = match.groups()
    scheme = scheme.lower()
    number = int(port[-5:]) if port else _DEFAULT_PORTS[scheme]  # before those it can have zeros alone
    return Endpoint(scheme, host.strip("[]").lower(), number, "") if number <= 65535 else None


def parse_timestamp(text: str, zone: tzinfo | None = None) -> float:
    """POSIX seconds of an ISO 8601 timestamp in any form that ``datetime.fromisoformat`` reads.

    A naive one is in ``zone``, else in local time. Of two possible readings (clocks set back) it is
    the later: a session must not look older than it is.

    Raises:
        ValueError: it does not parse.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return moment.timestamp()
    hour = moment.replace(minute=0, second=0, microsecond=0)
    start = _start_of_steady_hour(hour, zone, (time.tzname, time.timezone))
    if start is None:
        return _later_reading(moment, zone)
    return start + (moment.minute * 60 + moment.second) + moment.microsecond / 1e6


@lru_cache(maxsize=4096)  # local time is slow to ask for, and most hours hold many timestamps
def _start_of_steady_hour(hour: datetime, zone: tzinfo | None, _local: object) -> float | None:
    """POSIX seconds at which an hour begins; None if clocks are moved within it.

    ``_local`` says which zone local time is now, so that nothing is remembered of another one.
    """
    start, end = hour, hour.replace(minute=59, second=59)
    earlier = (_reading(start, zone, fold=0), _reading(end, zone, fold=0))
    later = (_reading(start, zone, fold=1), _reading(end, zone, fold=1))
    return earlier[0] if earlier == later and earlier[1] - earlier[0] == 3599 else None


def _later_reading(moment: datetime, zone: tzinfo | None) -> float:
    return max(_reading(moment, zone, fold=0), _reading(moment, zone, fold=1))


def _reading(moment: datetime, zone: tzinfo | None, fold: int) -> float:
    try:
        return moment.replace(tzinfo=zone, fold=fold).timestamp()
    except (OverflowError, OSError, ValueError):
        # The first and last years of the calendar lie outside what local time can express.
        return moment.replace(tzinfo=UTC).timestamp()


def format_timestamp(seconds: float) -> str:
    """Aware UTC, as this package writes it: ``2024-11-28T10:00:00.000000+00:00``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def metadata_text(value: object) -> str:
    """A metadata value as policies compare it: strings as they are, others as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The six fields of a session file, timestamps as the strings in it. Compares by value."""

    session_id: str
    cdp_url: str = field(repr=False)  # a password to the browser: it must not reach logs
    browser_type: str
    created_at: str
    last_accessed: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The fields as one JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionInfo:
        """A session from one JSON object; other keys are ignored.

        Raises:
            ValueError: a required field is missing or not a string, or metadata is no object.
        """
        values: dict[str, Any] = {}
        for name in ("session_id", "cdp_url", "browser_type", "created_at", "last_accessed"):
            value = data.get(name)
            if not isinstance(value, str):
                raise ValueError(f"{name} must be a string, not {type(value).__name__}")
            values[name] = value
        metadata = data.get("metadata", {})
        if not isinstance(metadata, Mapping):
            raise ValueError(f"metadata must be an object, not {type(metadata).__name__}")
        return cls(**values, metadata=dict(metadata))


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a session file says, and the first check that it fails.

    Fields that could not be read are None, also when a later check was never reached.
    """

    reason: str | None  # None: valid
    session_id: str | None = None
    endpoint: Endpoint | None = None
    browser_type: str | None = None
    created: float | None = None  # POSIX seconds
    accessed: float | None = None  # POSIX seconds
    metadata: object = None  # as ``decode`` gave it; of a file that had to be read the long way its object


class Fields(msgspec.Struct, gc=False):
    """The shape of a well-formed file: decoding straight into it skips everything else."""

    session_id: str
    cdp_url: str
    browser_type: str
    created_at: str
    last_accessed: str


decode_fields = msgspec.json.Decoder(Fields).decode


class LongNumber(str):
    """A whole number with more digits than Python converts: its digits."""

    __slots__ = ()


def parse_object(data: bytes, *, parse_int: Callable[[str], object] | None = None) -> dict[str, Any] | None:
    """The one JSON object that ``data`` is, or None if it isn't one.

    Args:
        data: its bytes.
        parse_int: reads whole numbers; by default those of any length, the longest as ``LongNumber``.
    """
    try:
        value = json.loads(data.decode(), parse_constant=_no_json, parse_int=parse_int or _whole_number)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole_number(digits: str) -> int | LongNumber:
    try:
        return int(digits)
    except ValueError:
        return LongNumber(digits)


def _no_json(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def check(
    data: bytes,
    zone: tzinfo | None = None,
    *,
    decode: Callable[[bytes], Fields] = decode_fields,
    locate: Callable[[str], Endpoint | None] = parse_endpoint,
) -> Verdict:
    """Run the five checks over a file's bytes. Never raises.

    Args:
        data: the file.
        zone: of naive timestamps; None is local time.
        decode: reads the fields, and what else of the file is wanted as ``metadata``.
        locate: how much of the CDP URL is wanted.
    """
    try:
        fields = decode(data)
        if not data.isascii():
            data.decode()  # msgspec skips over what it doesn't need without checking its encoding
        created = parse_timestamp(fields.created_at, zone)
        accessed = parse_timestamp(fields.last_accessed, zone)
    except (ValueError, RecursionError):
        # ValidationError and DecodeError are ValueErrors. Also odd but legal JSON comes this way.
        return _check_object(parse_object(data), zone, locate)
    endpoint = locate(fields.cdp_url)
    session_id, browser_type = fields.session_id or None, fields.browser_type
    reason = _reason(session_id, endpoint, created, accessed, browser_type)
    metadata = getattr(fields, "metadata", None)
    return Verdict(reason, session_id, endpoint, browser_type, created, accessed, metadata)


def _check_object(
    document: dict[str, Any] | None, zone: tzinfo | None, locate: Callable[[str], Endpoint | None]
) -> Verdict:
    if document is None:
        return Verdict(CORRUPT)
    session_id = _text(document.get("session_id"))
    cdp_url = _text(document.get("cdp_url"))
    endpoint = None if cdp_url is None else locate(cdp_url)
    created = _timestamp_or_none(document.get("created_at"), zone)
    accessed = _timestamp_or_none(document.get("last_accessed"), zone)
    browser_type = _text(document.get("browser_type"))
    reason = _reason(session_id, endpoint, created, accessed, browser_type)
    return Verdict(reason, session_id, endpoint, browser_type, created, accessed, document.get("metadata"))


def _reason(
    session_id: str | None,
    endpoint: Endpoint | None,
    created: float | None,
    accessed: float | None,
    browser_type: str | None,
) -> str | None:
    if not session_id:
        return "missing_session_id"
    if endpoint is None:
        return "missing_cdp_url"
    if created is None or accessed is None:
        return INVALID_TIMESTAMP
    return None if browser_type in BROWSER_TYPES else "invalid_browser_type"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and not isinstance(value, LongNumber) else None


def _timestamp_or_none(value: object, zone: tzinfo | None) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_timestamp(value, zone)
    except ValueError:
        return None

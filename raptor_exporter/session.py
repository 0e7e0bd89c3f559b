"""One session: its fields, its timestamps and the five checks. Bytes in, verdict out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, tzinfo
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
_URL = re.compile(
    r"(wss?|https?)://(?:[^/?#\s]*@)?(\[[0-9a-f:.]+(?:%25[\w.~-]+)?\]|[^\s/?#:@\[\]]+)"
    r"(?::(\d{0,5}))?(/[^?#]*)?(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL,
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
    match = _URL.fullmatch(cdp_url)
    if match is None:
        return None
    scheme, host, port, path = match.groups()
    scheme = scheme.lower()
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if number > 65535:
        return None
    return Endpoint(scheme, host.strip("[]").lower(), number, path or "")


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
    if zone is not None:
        moment = moment.replace(tzinfo=zone)
    try:
        return max(moment.timestamp(), moment.replace(fold=1).timestamp())
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
    metadata: msgspec.Raw | Mapping[str, Any] | None = None


class _Fields(msgspec.Struct, gc=False):
    """The shape of a well-formed file: decoding straight into it skips everything else."""

    session_id: str
    cdp_url: str
    browser_type: str
    created_at: str
    last_accessed: str
    metadata: msgspec.Raw = msgspec.Raw()


_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def parse_object(data: bytes) -> dict[str, Any] | None:
    """The one JSON object that ``data`` is, or None if it isn't one."""
    try:
        value = json.loads(data.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_json(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def check(data: bytes, zone: tzinfo | None = None) -> Verdict:
    """Run the five checks over a file's bytes. Never raises."""
    try:
        fields = _decode_fields(data)
        if not data.isascii():
            data.decode()  # msgspec skips over what it doesn't need without checking its encoding
    except (ValueError, RecursionError):
        # ValidationError and DecodeError are ValueErrors. Also odd but legal JSON comes this way.
        return _check_object(parse_object(data), zone)
    return _judge(
        fields.session_id,
        fields.cdp_url,
        fields.created_at,
        fields.last_accessed,
        fields.browser_type,
        fields.metadata,
        zone,
    )


def _check_object(document: dict[str, Any] | None, zone: tzinfo | None) -> Verdict:
    if document is None:
        return Verdict(CORRUPT)
    metadata = document.get("metadata")
    return _judge(
        document.get("session_id"),
        document.get("cdp_url"),
        document.get("created_at"),
        document.get("last_accessed"),
        document.get("browser_type"),
        metadata if isinstance(metadata, dict) else None,
        zone,
    )


def _judge(
    session_id: object,
    cdp_url: object,
    created_at: object,
    last_accessed: object,
    browser_type: object,
    metadata: msgspec.Raw | Mapping[str, Any] | None,
    zone: tzinfo | None,
) -> Verdict:
    endpoint = parse_endpoint(cdp_url) if isinstance(cdp_url, str) else None
    created = _timestamp_or_none(created_at, zone)
    accessed = _timestamp_or_none(last_accessed, zone)
    known_id = session_id if isinstance(session_id, str) and session_id else None
    known_type = browser_type if isinstance(browser_type, str) else None
    if known_id is None:
        reason = "missing_session_id"
    elif endpoint is None:
        reason = "missing_cdp_url"
    elif created is None or accessed is None:
        reason = INVALID_TIMESTAMP
    elif known_type not in BROWSER_TYPES:
        reason = "invalid_browser_type"
    else:
        reason = None
    return Verdict(reason, known_id, endpoint, known_type, created, accessed, metadata)


def _timestamp_or_none(value: object, zone: tzinfo | None) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_timestamp(value, zone)
    except ValueError:
        return None


def decode_metadata(metadata: msgspec.Raw | Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A session's metadata as an object; empty where there is none or it is something else."""
    if metadata is None:
        return {}
    if not isinstance(metadata, msgspec.Raw):
        return metadata
    if not memoryview(metadata):
        return {}
    try:
        return _decode_metadata(metadata)
    except (ValueError, RecursionError):
        return parse_object(bytes(memoryview(metadata))) or {}


def select_metadata(metadata: msgspec.Raw | Mapping[str, Any] | None, keys: frozenset[str]) -> dict[str, str]:
    """The texts of those metadata keys that somebody asks for."""
    metadata = decode_metadata(metadata)
    return {key: metadata_text(metadata[key]) for key in keys if key in metadata}

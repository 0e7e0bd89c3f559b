"""One line an event, in logfmt or JSON, on standard error; no line shows a CDP URL."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

from raptor_exporter.redact import redact

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OWN = frozenset({"ts", "level", "logger", "msg", "exc", "stack"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_NO_KEY = re.compile(r"[^A-Za-z0-9_.-]")
_PLAIN = re.compile(r"[^\s\"=\\]+")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def setup_logging(level: str = "info", fmt: str = "logfmt", stream: TextIO | None = None) -> None:
    """Send every log record of the process to ``stream`` (default: standard error).

    Other packages speak from level warn on, and the HTTP server from error on: what a client sends
    must not fill the log. Called again, it replaces the earlier set-up.

    Raises:
        KeyError: an unknown level or format.
    """
    formatter = {"logfmt": LogfmtFormatter, "json": JsonFormatter}[fmt]()
    number = _LEVELS[level]
    handler = _LineHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("raptor_exporter").setLevel(number)
    # Debugging output of libraries holds whole requests, so it stays off at every level.
    for name in ("websockets", "asyncio", "playwright"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.getLogger("uvicorn").setLevel(logging.INFO if number == logging.DEBUG else logging.ERROR)
    logging.captureWarnings(capture=True)


class _LineHandler(logging.StreamHandler[TextIO]):
    """Writes whole lines; a standard error that is gone or full is nobody's error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


class LogfmtFormatter(logging.Formatter):
    """``ts=… level=info logger=… msg="…" key=value``, as Prometheus and its exporters write it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ``key=value`` pairs."""
        return " ".join(f"{key}={logfmt_value(value)}" for key, value in _fields(self, record))


class JsonFormatter(logging.Formatter):
    """The same fields as one JSON object; everything outside ASCII is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One line with one object."""
        return json.dumps(dict(_fields(self, record)), separators=(",", ":"))


def logfmt_value(value: object) -> str:
    """A value as logfmt writes it: quoted where needed, and never longer than its line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value)
        if isinstance(value, list | dict)
        else str(value)
    )
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    # Not only line ends: terminals obey control characters, and people are misled by bidi overrides.
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    moment = datetime.fromtimestamp(record.created, UTC)
    yield "ts", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", "warn" if record.levelno == logging.WARNING else record.levelname.lower()
    yield "logger", record.name
    yield "msg", redact(_message(record))
    for key, value in vars(record).items():
        if key not in _STANDARD:
            name = _NO_KEY.sub("_", redact(key))
            yield f"{name}_" if name in _OWN else name, _plain(value)
    if record.exc_info and record.exc_info[0] is not None:
        yield "exc", redact(formatter.formatException(record.exc_info))
    elif record.exc_text:
        yield "exc", redact(record.exc_text)
    if record.stack_info:
        yield "stack", redact(record.stack_info)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (its arguments don't fit: {record.args!r})"


def _plain(value: object) -> object:
    """A field's value as JSON can write it, with nothing in it that may not be shown."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {redact(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return redact(str(value))

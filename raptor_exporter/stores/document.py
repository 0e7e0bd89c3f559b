"""Rewriting a session file without touching what was not asked for.

A file's values are carried over as the very text that they are: numbers as they are spelled, integers
of any length and keys that we don't know come out as they went in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from raptor_exporter.session import parse_object

Members = dict[str, bytes]  # the values of a JSON object by key, each as it is spelled

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class NotFaithful(Exception):
    """A file holds something that can't be written again as it is."""


def members(data: bytes) -> Members | None:
    """The top-level values of a session file, in its order; None if it isn't one JSON object.

    Raises:
        NotFaithful: a value can't be carried over as it is.
    """
    try:
        data.decode()
        return {key: bytes(memoryview(value)) for key, value in _decode(data).items()}
    except (ValueError, RecursionError):
        # Corrupt, or legal for Python and odd for others: half of a surrogate pair, for one.
        document = parse_object(data, parse_int=int)
    return None if document is None else {key: _encoded(value) for key, value in document.items()}


def value(found: Members, key: str) -> object:
    """One of the values; None where there is none."""
    try:
        return json.loads(found[key]) if key in found else None
    except (ValueError, RecursionError):
        return None


def rewritten(found: Members, changes: Mapping[str, Any]) -> bytes:
    """A file's bytes with some of its top-level keys set; the others stay, in their order.

    Raises:
        NotFaithful: a value can't be written as JSON.
    """
    lines = (found | {key: _encoded(new) for key, new in changes.items()}).items()
    body = b",\n".join(b"  " + _encoded(key) + b": " + text for key, text in lines)
    return b"{\n" + body + b"\n}\n"


def _encoded(new: object) -> bytes:
    try:
        try:
            return _text(new, ascii_only=False).encode()
        except UnicodeEncodeError:
            return _text(new, ascii_only=True).encode()  # as an escape it is legal JSON
    except (ValueError, RecursionError) as error:
        raise NotFaithful(str(error)) from error


def _text(new: object, *, ascii_only: bool) -> str:
    text = json.dumps(new, indent=2, ensure_ascii=ascii_only, allow_nan=False)
    return text.replace("\n", "\n  ")  # strings have no line ends of their own

"""A user's metadata, checked before it goes into a session file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 100


class BadMetadata(ValueError):
    """Metadata holds something that JSON can't; the message says where."""


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the metadata as it will come out of the file again (tuples are lists then).

    Raises:
        BadMetadata: it holds something that doesn't go into a JSON file unchanged.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise BadMetadata(f"metadata is {_article(metadata)}: give a dict with text keys")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(_plain(metadata, "metadata", _MAX_DEPTH)))
    except ValueError as error:  # an integer of more digits than Python reads back
        if isinstance(error, BadMetadata):
            raise
        raise BadMetadata(f"metadata does not go into JSON: {error}") from error
    return copy


def _plain(value: object, place: str, depth: int) -> object:
    if depth == 0:
        raise BadMetadata(f"metadata is nested deeper than {_MAX_DEPTH} levels, or holds itself")
    match value:
        case None | bool() | int():
            return value
        case str():
            return _checked_text(value, place)
        case float():
            if not math.isfinite(value):
                raise BadMetadata(f"{place} is {value}, which JSON has no number for: give a finite number")
            return value
        case list() | tuple():
            return [_plain(item, f"{place}[{index}]", depth - 1) for index, item in enumerate(value)]
        case Mapping():
            return {
                _checked_key(key, place): _plain(item, f"{place}[{key!r}]", depth - 1)
                for key, item in value.items()
            }
    raise BadMetadata(
        f"{place} is {_article(value)}, which JSON can't hold: give text, a number, a boolean, None, "
        "a list or a dict"
    )


def _checked_key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise BadMetadata(f"{place} has the key {key!r}, which is {_article(key)}: JSON keys are text")
    return _checked_text(key, f"a key of {place}")


def _checked_text(text: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadMetadata(
            f"{place} holds half of a surrogate pair, which no file can hold: give whole characters"
        ) from error
    return text


def _article(value: object) -> str:
    return f"of type {type(value).__name__}"

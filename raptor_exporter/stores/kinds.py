"""What sessions have in common, held once: verdict, browser, and those metadata keys that policies name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

import msgspec

from raptor_exporter.session import (
    BROWSER_TYPES,
    INVALID,
    UNREADABLE,
    VALID,
    Endpoint,
    Fields,
    Verdict,
    decode_fields,
    metadata_text,
    parse_address,
    parse_endpoint,
)
from raptor_exporter.stores.base import Wanted
from raptor_exporter.stores.record import Kind

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
UNREAD: Final = Kind(UNREADABLE, None, None, None, NOTHING)

# Where every session has metadata of its own there is nothing to share, only memory to fill.
_SHARED = 16_384

_Text = str | msgspec.UnsetType
_Key = tuple[str | None, str | None, Endpoint | None, tuple[_Text, ...]]


class Kinds:
    """Decodes session files no further than refreshes need; equal kinds become one.

    Attributes:
        wanted: what the refreshes asked for.
        decode: for ``check``: gives ``Fields`` with a ``metadata`` that ``of`` understands.
        locate: for ``check``: how much of a CDP URL is wanted.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._keys = sorted(wanted.keys)
        self._known: dict[_Key, Kind] = {}
        self.decode: Callable[[bytes], Fields] = _decoder(self._keys) if self._keys else decode_fields
        self.locate = parse_endpoint if wanted.endpoints else parse_address

    def of(self, verdict: Verdict) -> Kind:
        """The kind of a session."""
        metadata = verdict.metadata
        texts = () if metadata is None else self._texts(metadata)
        key = (verdict.reason, verdict.browser_type, verdict.endpoint, texts)
        kind = self._known.get(key)
        return self._new(key) if kind is None else kind

    def _texts(self, metadata: object) -> tuple[_Text, ...]:
        """The values of the wanted keys, as policies compare them."""
        if isinstance(metadata, msgspec.Struct):
            return msgspec.structs.astuple(metadata)
        if isinstance(metadata, Mapping):  # the file was read the long way
            return tuple(
                metadata_text(metadata[key]) if key in metadata else msgspec.UNSET for key in self._keys
            )
        return ()

    def _new(self, key: _Key) -> Kind:
        reason, browser_type, endpoint, texts = key
        pairs = zip(self._keys, texts, strict=False)  # texts of all of them, or of none
        metadata = {k: text for k, text in pairs if not isinstance(text, msgspec.UnsetType)} or NOTHING
        kind = Kind(
            VALID if reason is None else INVALID,
            reason,
            browser_type if browser_type in BROWSER_TYPES else None,
            endpoint,
            metadata,
        )
        if len(self._known) >= _SHARED:
            self._known.clear()
        self._known[key] = kind
        return kind


def _decoder(keys: list[str]) -> Callable[[bytes], Fields]:
    """Files whose values of these keys are all text decode; others raise and are read the long way."""
    # A field's name must be an identifier, a metadata key can be anything.
    fields = {f"key_{number}": key for number, key in enumerate(keys)}
    metadata = msgspec.defstruct(
        "Metadata",
        [(field, str | msgspec.UnsetType, msgspec.UNSET) for field in fields],
        rename=fields,
        gc=False,
    )
    whole = msgspec.defstruct(
        "FieldsWithMetadata",
        [("metadata", metadata | msgspec.UnsetType, msgspec.UNSET)],
        bases=(Fields,),
        gc=False,
    )
    return cast("Callable[[bytes], Fields]", msgspec.json.Decoder(whole).decode)

"""Those metadata keys that some policy names, read from session files without building the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

import msgspec

from raptor_exporter.session import Fields, decode_fields, metadata_text

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Selection:
    """Decodes session files with the texts of some metadata keys; equal ones are shared.

    Attributes:
        decode: for ``check``: gives ``Fields`` with a ``metadata`` that ``texts`` understands.
    """

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = sorted(keys)
        self._shared: dict[tuple[str | msgspec.UnsetType, ...], Mapping[str, str]] = {}
        self.decode: Callable[[bytes], Fields] = _decoder(self._keys) if keys else decode_fields

    def texts(self, metadata: object) -> Mapping[str, str]:
        """The keys that are there, with their values as policies compare them."""
        if isinstance(metadata, msgspec.Struct):
            values = msgspec.structs.astuple(metadata)
        elif isinstance(metadata, Mapping):  # the file was read the long way
            values = tuple(
                metadata_text(metadata[key]) if key in metadata else msgspec.UNSET for key in self._keys
            )
        else:
            return NOTHING
        found = self._shared.get(values)
        if found is None:
            pairs = zip(self._keys, values, strict=True)
            found = self._shared[values] = {k: v for k, v in pairs if v is not msgspec.UNSET}
        return found


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

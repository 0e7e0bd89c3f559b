"""Which exposition format and which encoding a client wants, by the q-values of its headers.

RFC 9110, sections 12.4.2 to 12.5.3. A client that accepts nothing we have still gets text: scrapers in
the field send odd headers, and a 406 would cost them their metrics.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

GZIP: Final = "gzip"
IDENTITY: Final = "identity"

_Q = re.compile(r"(?:0(?:\.\d*)?|1(?:\.0*)?|\.\d+)", re.ASCII)
_PARAMETER = re.compile(r"\s*([^=\s]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|(\S*))\s*", re.DOTALL)
# Commas and semicolons inside of quotes separate nothing.
_ITEMS = re.compile(r"(?:[^,\"]|\"(?:[^\"\\]|\\.)*\"?)+", re.DOTALL)
_PARTS = re.compile(r"(?:[^;\"]|\"(?:[^\"\\]|\\.)*\"?)+", re.DOTALL)


class Format(NamedTuple):
    """One exposition format."""

    media_type: str
    version: str
    content_type: str
    also: tuple[str, ...] = ()  # versions that it answers too


TEXT: Final = Format("text/plain", "0.0.4", "text/plain; version=0.0.4; charset=utf-8")
TEXT_1: Final = Format(
    "text/plain", "1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
)
# 0.0.1 is the draft of 1.0.0, which older scrapers and many a curl ask for by number.
OPENMETRICS: Final = Format(
    "application/openmetrics-text",
    "1.0.0",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    also=("0.0.1",),
)
# In the order that settles what the client leaves open.
FORMATS: Final = (TEXT, OPENMETRICS, TEXT_1)


class _Item(NamedTuple):
    value: str  # lower case
    parameters: dict[str, str]
    q: float


def choose_format(accept: str) -> Format:
    """The format that an Accept header asks for most; plain text where it leaves the choice."""
    items = _parse(accept)
    best, best_rank = TEXT, (0.0, 0)
    for candidate in FORMATS:
        position, q = _wanted(candidate, items)
        rank = (q, -position)  # of equal weights the one that the client names first
        if q > 0 and rank > best_rank:
            best, best_rank = candidate, rank
    return best


def _wanted(candidate: Format, items: list[_Item]) -> tuple[int, float]:
    """Where the most specific range that fits stands in the header, and its q-value."""
    found = (-1, 0, 0.0)  # specificity, position, q
    family = candidate.media_type.partition("/")[0]
    for position, item in enumerate(items):
        version = item.parameters.get("version")
        if item.value == candidate.media_type and version in (None, candidate.version, *candidate.also):
            # Text in its version 1.0.0 is for those who ask for it by number.
            if version is None and candidate is TEXT_1:
                continue
            specificity = 2 + (version is not None) + (version == candidate.version)
        elif item.value == f"{family}/*" and candidate is not TEXT_1:
            specificity = 1
        elif item.value == "*/*" and candidate is not TEXT_1:
            specificity = 0
        else:
            continue
        if specificity > found[0]:
            found = (specificity, position, item.q)
    return found[1], found[2]


def choose_encoding(accept_encoding: str) -> str:
    """``gzip`` where the client accepts it and doesn't like plain bytes better, else ``identity``."""
    weights: dict[str, float] = {}
    for item in _parse(accept_encoding):
        name = GZIP if item.value == "x-gzip" else item.value
        weights.setdefault(name, item.q)
    gzip = weights.get(GZIP, weights.get("*", 0.0))
    # An identity that isn't mentioned is acceptable, but nobody asked for it.
    identity = weights.get(IDENTITY, 0.0)
    return GZIP if gzip > 0 and gzip >= identity else IDENTITY


def _parse(header: str) -> list[_Item]:
    items = []
    for text in _ITEMS.findall(header):
        value, *rest = _PARTS.findall(text) or [""]
        value = value.strip().lower()
        if not value:
            continue
        parameters: dict[str, str] = {}
        for part in rest:
            match = _PARAMETER.fullmatch(part)
            if match:
                quoted = match[2]
                text_value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[3]
                parameters.setdefault(match[1].lower(), text_value)
        items.append(_Item(value, parameters, _q(parameters.get("q", "1"))))
    return items


def _q(text: str) -> float:
    # A weight that is none says nothing against the item.
    return float(text) if _Q.fullmatch(text) else 1.0

"""The forms of single values: texts, words from a list, numbers, durations, sizes, zones and places."""

from __future__ import annotations

import math
import os
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yaml.nodes import Node, ScalarNode

from raptor_exporter.config.nodes import Kind, describe, kind, show
from raptor_exporter.config.problems import At
from raptor_exporter.config.shapes import WRONG, Shape, did_you_mean, listed
from raptor_exporter.stores.location import LOCATION_FORM, store_directory
from raptor_exporter.units import DURATION_FORM, SIZE_FORM, parse_duration, parse_size

_MAX_INTEGER = 2**53 - 1  # what JSON readers everywhere keep exactly; that many sessions are enough
_MAX_BYTES = 2**63 - 1  # what file systems count to


@dataclass(frozen=True)
class Text(Shape):
    """A text, if ``pattern`` is given of that form."""

    accepted: str
    pattern: str = ""
    build: Callable[[str], object] = str

    def read(self, node: Node, at: At) -> object:
        """The text, built."""
        if kind(node) is not Kind.TEXT:
            return self.reject(node, at, text=True)
        if self.pattern and not re.fullmatch(self.pattern, node.value, re.ASCII):
            return self.reject(node, at)
        return self.build(node.value)

    def schema(self) -> dict[str, Any]:
        """A string, with the pattern anchored at both ends."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"} if self.pattern else {"type": "string"}


@dataclass(frozen=True)
class Word(Shape):
    """One word of a list."""

    words: tuple[str, ...]
    build: Callable[[str], object] = str

    @property
    def accepted(self) -> str:  # type: ignore[override]  # computed from the words
        """The words."""
        return listed(self.words, "or")

    def read(self, node: Node, at: At) -> object:
        """The word, built."""
        if kind(node) is not Kind.TEXT:
            return self.reject(node, at)
        if node.value not in self.words:
            hint = did_you_mean(node.value, self.words)
            at.problem(node, f"is {show(node.value)}", self.accepted + hint)
            return WRONG
        return self.build(node.value)

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Number(Shape):
    """A whole number."""

    accepted: str
    least: int
    most: int = _MAX_INTEGER

    def read(self, node: Node, at: At) -> object:
        """The number."""
        if kind(node) is Kind.INTEGER and self.least <= int(node.value) <= self.most:
            return int(node.value)
        return _reject_number(self, node, at)

    def schema(self) -> dict[str, Any]:
        """An integer in its bounds."""
        if self.least == self.most:
            return {"type": "integer", "const": self.least}
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Ratio(Shape):
    """A share of the whole."""

    accepted: str = "a number from 0 to 1, such as 0.5"

    def read(self, node: Node, at: At) -> object:
        """The ratio."""
        if kind(node) in (Kind.INTEGER, Kind.DECIMAL):
            value = float(node.value)
            if math.isfinite(value) and 0 <= value <= 1:
                return value
        return _reject_number(self, node, at)

    def schema(self) -> dict[str, Any]:
        """A number in its bounds."""
        return {"type": "number", "minimum": 0, "maximum": 1}


def _reject_number(shape: Shape, node: Node, at: At) -> object:
    if kind(node) is not Kind.TEXT:
        return shape.reject(node, at)
    quoted = isinstance(node, ScalarNode) and node.style
    at.problem(
        node, f"is the text {show(node.value)}", shape.accepted + (", without quotes" if quoted else "")
    )
    return WRONG


# To YAML 1.1 a number in base 60.
_SEXAGESIMAL = re.compile(r"([0-9]+):([0-5]?[0-9])", re.ASCII)
_LONGEST = "at most 1000y"
_DURATION_PATTERN = r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?".replace(
    r"\d", "[0-9]"
)


@dataclass(frozen=True)
class Duration(Shape):
    """A time span in seconds. ``off``: what 0s switches off; without it there is no zero."""

    off: str = ""

    @property
    def accepted(self) -> str:  # type: ignore[override]  # depends on whether zero is
        """The form, and zero where it is."""
        return f"{DURATION_FORM}; 0s {self.off}" if self.off else DURATION_FORM

    def read(self, node: Node, at: At) -> object:
        """Seconds."""
        value = kind(node)
        if value is Kind.INTEGER and node.value not in ("0", "-0"):
            at.problem(node, f"is {describe(node)} without a unit", self.accepted)
            return WRONG
        if value is not Kind.TEXT and value is not Kind.INTEGER:
            return self._reject_other(node, at)
        try:
            seconds = parse_duration("0" if value is Kind.INTEGER else node.value)
        except ValueError:
            fits = node.value and re.fullmatch(_DURATION_PATTERN, node.value)
            at.problem(
                node, f"is {describe(node)}", f"{self.accepted}, {_LONGEST}" if fits else self.accepted
            )
            return WRONG
        if seconds == 0 and not self.off:
            at.problem(node, "is no time at all", f"{DURATION_FORM}, longer than 0s")
            return WRONG
        return seconds

    def _reject_other(self, node: Node, at: At) -> object:
        base60 = _SEXAGESIMAL.fullmatch(node.value) if isinstance(node.value, str) else None
        hint = ""
        if base60:
            first, second = (int(part) for part in base60.groups())
            hint = f" (write {first}m{second}s or {first}h{second}m)"
        at.problem(node, f"is {describe(node)}", self.accepted + hint)
        return WRONG

    def schema(self) -> dict[str, Any]:
        """A string; zero may be a number."""
        some = rf"(?=[0-9]){_DURATION_PATTERN}"
        if not self.off:
            return {"type": "string", "pattern": f"^(?=.*[1-9]){some}$"}
        return {"anyOf": [{"type": "string", "pattern": f"^(?:0|{some})$"}, {"const": 0}]}


@dataclass(frozen=True)
class Size(Shape):
    """A number of bytes, at least so many. ``none``: that word is no limit."""

    accepted: str = f"{SIZE_FORM}, or a number of bytes"
    least: int = 0
    none: bool = False

    def read(self, node: Node, at: At) -> object:
        """Bytes; None is no limit."""
        value = kind(node)
        if self.none and value is Kind.TEXT and node.value == "none":
            return None
        if value is not Kind.TEXT and value is not Kind.INTEGER:
            return self.reject(node, at)
        try:
            size = parse_size(node.value)
        except ValueError:
            return self.reject(node, at)
        return size if self.least <= size <= _MAX_BYTES else self.reject(node, at)

    def schema(self) -> dict[str, Any]:
        """A string or a number."""
        text = r"[0-9]+(?:\.[0-9]+)?(?:[eE][0-9]{1,2}|(?:[kMGTPE]i?|Ki)?B?)$"
        some = "(?=.*[1-9])" if self.least else ""
        return {
            "anyOf": [
                {"type": "string", "pattern": f"^{some}{text}"},
                {"type": "integer", "minimum": self.least},
                *([{"const": "none"}] if self.none else []),
            ]
        }


@dataclass(frozen=True)
class Zone(Shape):
    """A time zone by its IANA name."""

    accepted: str = "an IANA time zone such as Europe/Paris or UTC"

    def read(self, node: Node, at: At) -> object:
        """The zone."""
        if kind(node) is not Kind.TEXT:
            return self.reject(node, at, text=True)
        try:
            return zoneinfo.ZoneInfo(node.value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            known = zoneinfo.available_timezones()
            if not known:
                wrong = f"is {show(node.value)}, but this machine has no time zone data"
                at.problem(node, wrong, f"{self.accepted} once the package tzdata is installed")
                return WRONG
            by_lower = {name.lower(): name for name in known}
            at.problem(node, f"is {show(node.value)}", self.accepted + _zone_hint(node.value, by_lower))
            return WRONG

    def schema(self) -> dict[str, Any]:
        """Any text: the list of zones belongs to the machine."""
        return {"type": "string", "minLength": 1}


def _zone_hint(text: str, by_lower: dict[str, str]) -> str:
    exact = by_lower.get(text.lower())
    if exact:
        return f" (did you mean {exact}?)"
    by_city = {name.rsplit("/", 1)[-1]: full for name, full in by_lower.items()}
    hint = did_you_mean(text, by_lower) or did_you_mean(text, by_city)
    found = hint.removeprefix(" (did you mean ").removesuffix("?)")
    return f" (did you mean {by_lower.get(found) or by_city.get(found, found)}?)" if found else ""


@dataclass(frozen=True)
class Location(Shape):
    """Where the store is. A relative directory is seen from the configuration file."""

    accepted: str = LOCATION_FORM

    def read(self, node: Node, at: At) -> object:
        """The directory, absolute or below ``~``."""
        if kind(node) is not Kind.TEXT:
            return self.reject(node, at, text=True)
        try:
            directory = store_directory(node.value)
        except ValueError as error:
            at.problem(node, str(error), self.accepted)
            return WRONG
        if directory.startswith(("/", "~")):
            return directory
        return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(at.report.file)), directory))

    def schema(self) -> dict[str, Any]:
        """Any text."""
        return {"type": "string", "minLength": 1}

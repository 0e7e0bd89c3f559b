"""The forms a configuration is made of. Each checks a node into a value and writes its own JSON Schema."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from yaml.nodes import Node, ScalarNode

from raptor_exporter.config.nodes import Kind, describe, kind, quoted_hint, show
from raptor_exporter.config.problems import At

# What `read` gives for a value that was wrong: the problem is in the report, the walk goes on.
WRONG: Final = object()


class Shape(ABC):
    """One accepted form. ``accepted`` completes the sentence "accepted is …"."""

    accepted: str

    @abstractmethod
    def read(self, node: Node, at: At) -> object:
        """The value of a node, or WRONG with what is wrong in the report."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The same form as JSON Schema."""

    def reject(self, node: Node, at: At, *, text: bool = False) -> object:
        """Say that a node is not of this form; ``text`` if the form would be text."""
        at.problem(node, f"is {describe(node)}", self.accepted + (quoted_hint(node) if text else ""))
        return WRONG


@dataclass(frozen=True)
class Key:
    """One key of a mapping: its form, what it is for, and what holds without it."""

    shape: Shape
    doc: str
    required: bool = False
    default: Any = None  # as it would be written; None where there is none


@dataclass(frozen=True)
class Fields(Shape):
    """A mapping with known keys, built into one value."""

    keys: Mapping[str, Key]
    build: Callable[[dict[str, Any]], object] = dict
    any_of: tuple[str, ...] = ()  # at least one of them must be there
    accepted_empty: bool = True

    @property
    def accepted(self) -> str:  # type: ignore[override]  # computed from the keys
        """The keys that are known."""
        return f"a mapping of {listed(self.keys)}"

    def read(self, node: Node, at: At) -> object:
        """The built value, after every key was looked at."""
        if kind(node) is not Kind.MAPPING:
            return self.reject(node, at)
        if not node.value and not self.accepted_empty:
            at.problem(node, "is an empty mapping", self.accepted)
            return WRONG
        values: dict[str, Any] = {}
        sound = True
        for name, value_node, good in entries(node, at):
            key = self.keys.get(name)
            if key is None:
                sound = False
                continue
            value = key.shape.read(value_node, at.key(name))
            sound = sound and good and value is not WRONG
            values.setdefault(name, value)
        sound = self._tell_unknown(node, at) and self._tell_missing(node, values, at) and sound
        return self.build(values) if sound else WRONG

    def _tell_unknown(self, node: Node, at: At) -> bool:
        unknown = [key for key, _ in node.value if kind(key) is Kind.TEXT and key.value not in self.keys]
        for key in unknown:
            hint = did_you_mean(key.value, self.keys)
            at.key(key.value).problem(key, "is an unknown key", listed(self.keys) + hint)
        odd = [key for key, _ in node.value if kind(key) is not Kind.TEXT]
        for key in odd:
            _tell_odd_key(key, at, listed(self.keys))
        return not unknown and not odd

    def _tell_missing(self, node: Node, values: Mapping[str, Any], at: At) -> bool:
        missing = [name for name, key in self.keys.items() if key.required and name not in values]
        for name in missing:
            at.key(name).problem(node, "is missing", self.keys[name].shape.accepted)
        if self.any_of and not any(name in values for name in self.any_of):
            at.key(self.any_of[0]).problem(node, "is missing", f"{listed(self.any_of, 'or')}, or both")
            return False
        return not missing

    def schema(self) -> dict[str, Any]:
        """An object with these properties and no others."""
        properties = {}
        for name, key in self.keys.items():
            entry = {**key.shape.schema(), "description": key.doc}
            if key.default is not None:
                entry["default"] = key.default
            properties[name] = entry
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [name for name, key in self.keys.items() if key.required]
        if required:
            schema["required"] = required
        if self.any_of:
            schema["anyOf"] = [{"required": [name]} for name in self.any_of]
        if not self.accepted_empty:
            schema["minProperties"] = 1
        return schema


@dataclass(frozen=True)
class Table(Shape):
    """A mapping whose keys the user names, such as metadata."""

    item: Shape
    accepted: str

    def read(self, node: Node, at: At) -> object:
        """Pairs of key and value, in the file's order."""
        if kind(node) is not Kind.MAPPING or not node.value:
            wrong = "is an empty mapping" if kind(node) is Kind.MAPPING else f"is {describe(node)}"
            at.problem(node, wrong, self.accepted)
            return WRONG
        pairs: list[tuple[str, Any]] = []
        sound = True
        for key, _ in node.value:
            if kind(key) is not Kind.TEXT:
                _tell_odd_key(key, at, f"a key that is text{quoted_hint(key)}")
                sound = False
        for name, value_node, good in entries(node, at):
            value = self.item.read(value_node, at.key(name))
            sound = sound and good and value is not WRONG
            pairs.append((name, value))
        return tuple(pairs) if sound else WRONG

    def schema(self) -> dict[str, Any]:
        """An object of any keys with values of one form."""
        return {"type": "object", "additionalProperties": self.item.schema(), "minProperties": 1}


@dataclass(frozen=True)
class Items(Shape):
    """A list of values of one form. ``single``: one value may stand without the list."""

    item: Shape
    accepted: str
    single: bool = False
    accepted_empty: bool = True
    unique: str | None = None  # a key whose text no two entries share
    build: Callable[[Iterable[Any]], object] = tuple

    def read(self, node: Node, at: At) -> object:
        """The built list, after every entry was looked at."""
        if kind(node) is not Kind.LIST:
            if self.single and kind(node) is not Kind.MAPPING:
                value = self.item.read(node, at)
                return WRONG if value is WRONG else self.build([value])
            return self.reject(node, at)
        if not node.value and not self.accepted_empty:
            at.problem(node, "is an empty list", self.accepted)
            return WRONG
        values = [self.item.read(entry, at.index(number)) for number, entry in enumerate(node.value)]
        sound = self._tell_repeated(node, at)
        return self.build(values) if sound and WRONG not in values else WRONG

    def _tell_repeated(self, node: Node, at: At) -> bool:
        seen: dict[str, int] = {}
        sound = True
        if self.unique is None:
            return sound
        for number, entry in enumerate(node.value):
            if kind(entry) is not Kind.MAPPING:
                continue
            for key, value in entry.value:
                if key.value != self.unique or kind(value) is not Kind.TEXT:
                    continue
                first = seen.setdefault(value.value, number)
                if first != number:
                    place = at.index(number).key(self.unique)
                    wrong = f"{show(value.value)} is the {self.unique} of {at.index(first).path} already"
                    place.problem(value, wrong, f"a {self.unique} of its own")
                    sound = False
                break
        return sound

    def schema(self) -> dict[str, Any]:
        """An array, or where a single value may stand alone, either."""
        array: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if not self.accepted_empty:
            array["minItems"] = 1
        return {"anyOf": [self.item.schema(), array]} if self.single else array


@dataclass(frozen=True)
class Either(Shape):
    """One word, or another form."""

    word: str
    meaning: object
    other: Shape

    @property
    def accepted(self) -> str:  # type: ignore[override]  # computed from the parts
        """Both ways."""
        return f"the word {self.word}, or {self.other.accepted}"

    def read(self, node: Node, at: At) -> object:
        """The word's meaning, or what the other form reads."""
        if kind(node) is Kind.TEXT and node.value == self.word:
            return self.meaning
        if kind(node) is Kind.MAPPING:
            return self.other.read(node, at)
        hint = did_you_mean(node.value, [self.word]) if kind(node) is Kind.TEXT else ""
        at.problem(node, f"is {describe(node)}", self.accepted + hint)
        return WRONG

    def schema(self) -> dict[str, Any]:
        """Either of them."""
        return {"anyOf": [{"const": self.word}, self.other.schema()]}


@dataclass(frozen=True)
class Probing(Shape):
    """A form that makes sense only where endpoints are probed."""

    shape: Shape

    @property
    def accepted(self) -> str:  # type: ignore[override]  # that of the form within
        """What the form within accepts."""
        return self.shape.accepted

    def read(self, node: Node, at: At) -> object:
        """What the form within reads; the report remembers that it was asked for."""
        at.report.probe_uses.append((node, at.path))
        return self.shape.read(node, at)

    def schema(self) -> dict[str, Any]:
        """That of the form within."""
        return self.shape.schema()


def entries(node: Node, at: At) -> Iterable[tuple[str, Node, bool]]:
    """Text keys and values of a mapping, and whether the key stands here for the first time."""
    seen: dict[str, int] = {}
    for key, value in node.value:
        if kind(key) is not Kind.TEXT:
            continue
        line = key.start_mark.line + 1
        first = seen.get(key.value)
        if first is not None:
            at.key(key.value).problem(key, f"is a duplicate of the key in line {first}", "each key once")
        seen.setdefault(key.value, line)
        yield key.value, value, first is None


def _tell_odd_key(key: Node, at: At, accepted: str) -> None:
    if isinstance(key, ScalarNode) and key.value == "<<" and not key.style:
        at.key("<<").problem(key, "is a merge key", "writing the keys out, or an alias of a whole value")
    else:
        at.problem(key, f"has a key that is {describe(key)}", accepted)


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words as people list them: ``a, b and c``."""
    *most, final = words
    return f"{', '.join(most)} {last} {final}" if most else final


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that is nearest, if one is near."""
    near = difflib.get_close_matches(word[:100].lower(), list(known), 1, 0.6)
    return f" (did you mean {near[0]}?)" if near else ""

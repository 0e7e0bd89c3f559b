"""What a YAML node is, seen by somebody who typed it and not by YAML 1.1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto

from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import Resolver

from raptor_exporter.redact import redact

_YAML = "tag:yaml.org,2002:"
_MAX_SHOWN = 60
_MAX_READ = 1000  # of a text, to look for secrets

# YAML 1.1 reads 010 as 8, 1:30 as 90 and 1_0 as 10: only what everybody reads alike is a number here.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)


class Kind(Enum):
    """The kinds of value that a configuration tells apart."""

    MAPPING = auto()
    LIST = auto()
    TEXT = auto()
    INTEGER = auto()  # written so that everybody reads the same number
    DECIMAL = auto()
    BOOLEAN = auto()
    NULL = auto()
    OTHER = auto()


_SCALARS = {"str": Kind.TEXT, "bool": Kind.BOOLEAN, "null": Kind.NULL}


def kind(node: Node) -> Kind:
    """What a node is."""
    if isinstance(node, MappingNode):
        return Kind.MAPPING if node.tag == f"{_YAML}map" else Kind.OTHER
    if isinstance(node, SequenceNode):
        return Kind.LIST if node.tag == f"{_YAML}seq" else Kind.OTHER
    tag = node.tag.removeprefix(_YAML)
    if tag == "int":
        return Kind.INTEGER if _INTEGER.fullmatch(node.value) else Kind.OTHER
    if tag == "float":
        return Kind.DECIMAL if _DECIMAL.fullmatch(node.value) else Kind.OTHER
    return _SCALARS.get(tag, Kind.OTHER)


def show(text: str) -> str:
    """A text in quotes, of bounded length, without secrets of URLs and what a terminal would obey."""
    text = redact(text[:_MAX_READ])
    quoted = json.dumps(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…", ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in quoted)


def _bare(node: Node) -> str:
    return show(node.value)[1:-1]


def describe(node: Node) -> str:
    """What a value is, for a message that begins with "is"."""
    return _DESCRIPTIONS[kind(node)](node)


def _describe_null(node: Node) -> str:
    return f"{_bare(node)}, to YAML no value" if node.value else "empty"


def _describe_boolean(node: Node) -> str:
    meaning = SafeConstructor.bool_values.get(node.value.lower())
    if meaning is None:
        return f"{show(node.value)} with the tag !!bool"
    word = "true" if meaning else "false"
    return f"the boolean {word}" if node.value == word else f"{_bare(node)}, to YAML the boolean {word}"


def _describe_other(node: Node) -> str:
    tag = node.tag.removeprefix(_YAML)
    if not _is_plain_word(node):
        name = "!!" + tag if node.tag.startswith(_YAML) else tag
        return f"tagged {show(name)[1:-1]}"
    word = _bare(node)
    if tag == "timestamp":
        return f"{word}, to YAML a date"
    if tag in ("int", "float"):
        return f"{word}, to YAML {_yaml_number(node, tag)}"
    return f"{word}, a word that YAML keeps for itself"


def _yaml_number(node: Node, tag: str) -> str:
    constructor = SafeConstructor()
    scalar = ScalarNode(node.tag, node.value)
    try:
        if tag == "int":
            return f"the number {constructor.construct_yaml_int(scalar):.15g}"
        return f"the number {constructor.construct_yaml_float(scalar):.15g}"
    except (ValueError, OverflowError):
        return "a number"


def _is_plain_word(node: Node) -> bool:
    """Whether YAML alone, not its author, made something else than text of an unquoted word."""
    return isinstance(node, ScalarNode) and not node.style and _resolve(node.value) == node.tag


def _resolve(word: str) -> str:
    """The tag that YAML 1.1 gives to an unquoted word."""
    resolver = Resolver()
    return str(resolver.resolve(ScalarNode, word, (True, False)))  # type: ignore[no-untyped-call]


_DESCRIPTIONS: Mapping[Kind, Callable[[Node], str]] = {
    Kind.MAPPING: lambda _: "a mapping",
    Kind.LIST: lambda _: "a list",
    Kind.NULL: _describe_null,
    Kind.TEXT: lambda node: show(node.value),
    Kind.INTEGER: lambda node: f"the number {node.value}",
    Kind.DECIMAL: lambda node: f"the number {node.value:.60}",
    Kind.BOOLEAN: _describe_boolean,
    Kind.OTHER: _describe_other,
}


def quoted_hint(node: Node) -> str:
    """How to write a plain word as the text that it was meant to be; empty where that is no remedy."""
    if _is_plain_word(node) and node.value and kind(node) is not Kind.TEXT:
        return f" (in quotes it is text: {show(node.value)})"
    return ""

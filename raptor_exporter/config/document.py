"""From a file's bytes to one YAML tree whose nodes know their line and column."""

from __future__ import annotations

import re
from typing import NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    ScalarEvent,
)
from yaml.nodes import Node, ScalarNode

from raptor_exporter.exceptions import ConfigError, Problem

MAX_BYTES = 1024 * 1024
# No configuration needs more. PyYAML composes by recursion in C: a deep file would end the process.
MAX_DEPTH = 32
# Keys and values, what aliases repeat included: over a thousand policies, and far under a bomb.
MAX_NODES = 50_000

# What YAML does not allow in a file (its section 5.1), surrogates among them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")

# Built where PyYAML found no libyaml, its own parser gives the same trees, slower.
_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(data: str | bytes, file: str) -> Node:
    """The one YAML document in ``data`` as a tree of nodes.

    Raises:
        ConfigError: it is no YAML, or none that is safe to read on; only the first place is told.
    """
    size = len(data)
    if size > MAX_BYTES:
        _fail(file, 1, 1, "is over 1 MiB, accepted is a configuration of at most 1 MiB")
    text = _decode(data, file) if isinstance(data, bytes) else data
    text = text.removeprefix("\ufeff")
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        line, column = _position(text[: forbidden.start()])
        code = f"U+{ord(forbidden.group()):04X}"
        _fail(
            file, line, column, f"not valid YAML: holds the control character {code}, accepted is plain text"
        )
    try:
        bounds = _Bounds(file)
        for event in yaml.parse(text, Loader=_Loader):
            bounds.see(event)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        _fail_syntax(file, text, error)
    if node is None or (isinstance(node, ScalarNode) and not node.value and node.style in (None, "")):
        _fail(file, 1, 1, "is missing, the file is empty, accepted is the number 1", path="version")
    return node


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8"))
        _fail(file, line, column, f"not valid UTF-8: byte 0x{data[error.start]:02x}, accepted is UTF-8 text")


def _position(before: str) -> tuple[int, int]:
    """Line and column, counted from 1, of what follows a text."""
    lines = _LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


class _Bounds:
    """Refuses depth and repetition that no configuration needs, before a tree is made of them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents = 0
        self.nodes = 0
        self.open: list[tuple[str | None, int]] = []  # anchor, nodes seen before it
        self.sizes: dict[str | None, int] = {}  # nodes below each anchor

    def see(self, event: Event) -> None:
        """Take account of the next event of a file."""
        mark = event.start_mark
        wrong = self._wrong(event)
        if wrong and mark is not None:
            _fail(self.file, mark.line + 1, mark.column + 1, wrong)

    def _wrong(self, event: Event) -> str | None:
        match event:
            case DocumentStartEvent():
                self.documents += 1
            case AliasEvent(anchor=name):
                if any(anchor == name for anchor, _ in self.open):
                    return f"the alias *{name:.60} repeats what it is part of, accepted is an earlier value"
                self.nodes += self.sizes.get(name, 1)
            case CollectionStartEvent(anchor=name):
                self.open.append((name, self.nodes))
                self.nodes += 1
            case CollectionEndEvent():
                name, before = self.open.pop()
                self.sizes[name] = self.nodes - before
            case ScalarEvent(anchor=name):
                self.sizes[name] = 1
                self.nodes += 1
        return self._over()

    def _over(self) -> str | None:
        if self.documents > 1:
            return "a second document starts here, accepted is one document in a file"
        if len(self.open) > MAX_DEPTH:
            return f"is nested too deeply, accepted is at most {MAX_DEPTH} levels"
        if self.nodes > MAX_NODES:
            return f"is one value too many, accepted are at most {MAX_NODES}, what aliases repeat included"
        return None


def _fail_syntax(file: str, text: str, error: yaml.MarkedYAMLError) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    wrong = error.problem or str(error)
    if error.context and not error.context.startswith("expected"):
        wrong = f"{wrong} {error.context}"
    if mark is None:
        _fail(file, 1, 1, f"not valid YAML: {wrong}")
    lines = _LINE_BREAK.split(text)
    if mark.line < len(lines) and lines[mark.line][mark.column :].startswith("\t"):
        wrong += " (a tab: indent with spaces)"
    if wrong.startswith("found undefined alias"):
        wrong += " (a text that begins with * needs quotes)"
    _fail(file, mark.line + 1, mark.column + 1, f"not valid YAML: {wrong}")


def _fail(file: str, line: int, column: int, message: str, *, path: str = "") -> NoReturn:
    raise ConfigError([Problem(file, line, column, path, message)])

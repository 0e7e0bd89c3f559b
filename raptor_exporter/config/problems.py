"""Collecting everything that is wrong with a file, each at its place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yaml.nodes import Node

from raptor_exporter.config.nodes import show
from raptor_exporter.exceptions import ConfigError, Problem

_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]{0,59}", re.ASCII)


@dataclass(slots=True)
class Report:
    """The problems of one file, and which places ask for endpoints to be probed."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    probe_uses: list[tuple[Node, str]] = field(default_factory=list)

    def add(self, node: Node, path: str, message: str) -> None:
        """Note a problem at the start of a node."""
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, path, message))

    def finish(self) -> None:
        """Raise everything that was noted, in the file's order.

        Raises:
            ConfigError: something was.
        """
        if self.problems:
            raise ConfigError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))


@dataclass(frozen=True, slots=True)
class At:
    """Where in the configuration the check stands."""

    report: Report
    path: str = ""

    def key(self, name: str) -> At:
        """The value of a key of this mapping."""
        if not _PLAIN_KEY.fullmatch(name):
            return At(self.report, f"{self.path}[{show(name)}]")
        return At(self.report, f"{self.path}.{name}" if self.path else name)

    def index(self, number: int) -> At:
        """An entry of this list, counted from 0."""
        return At(self.report, f"{self.path}[{number}]")

    def problem(self, node: Node, wrong: str, accepted: str) -> None:
        """Say what is wrong at a node and what is accepted there."""
        self.report.add(node, self.path, f"{wrong}, accepted is {accepted}")

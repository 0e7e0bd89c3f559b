"""A configuration file in, a checked configuration or all of its problems out."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from yaml.nodes import Node

from raptor_exporter.cleanup.policy import Guards, Mode, Policy, Rules, TrashRules
from raptor_exporter.config import tree
from raptor_exporter.config.document import MAX_BYTES, compose
from raptor_exporter.config.model import Config, StoreConfig
from raptor_exporter.config.nodes import Kind, kind
from raptor_exporter.config.problems import At, Report
from raptor_exporter.exceptions import ConfigError, Problem


def load_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a file.

    Raises:
        ConfigError: it can't be read, or holds all that is wrong with it.
    """
    file = os.fspath(path)
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        # A ValueError is a NUL in the name.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot be read: {reason}, accepted is a YAML file that this user may read"
        raise ConfigError([Problem(file, 1, 1, "", message)]) from error
    return parse_config(data, file)


def parse_config(text: str | bytes, file: str) -> Config:
    """The configuration in a text; ``file`` names it in messages and is where relative paths start.

    Raises:
        ConfigError: with everything that is wrong, in the file's order.
    """
    report = Report(file)
    node = compose(text, file)
    config = tree.root(_build).read(node, At(report))
    _tell_unprobed(node, report)
    report.finish()
    if not isinstance(config, Config):
        raise TypeError("a value was wrong, but no problem was noted")
    return config


def _tell_unprobed(node: Node, report: Report) -> None:
    """A rule about endpoints can never fit where nobody asks them."""
    if kind(node) is Kind.MAPPING and any(key.value == "probe" for key, _ in node.value):
        return
    accepted = "accepted is this key beside one (probe: {} takes its defaults)"
    for use, path in report.probe_uses:
        report.add(use, path, f"asks for endpoints without a probe section, {accepted}")


def _build(values: dict[str, Any]) -> Config:
    cleanup = values.get("cleanup", {})
    mode = cleanup.get("mode", Mode.PLAN)
    guards = replace(Guards(), **cleanup.get("guards", {}))
    policies = tuple(
        Policy(**{"mode": mode, **policy, "guards": replace(guards, **policy.get("guards", {}))})
        for policy in values.get("policies", ())
    )
    rules = Rules(policies, cleanup.get("protect", ()), cleanup.get("trash", TrashRules()), guards)
    return Config(values.get("store", StoreConfig()), values.get("probe"), rules)

"""``policy check`` and ``policy schema``: the configuration file, before an agent takes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common

if TYPE_CHECKING:
    from raptor_exporter.config import Config


@click.command(
    epilog="""\b
Examples:
  raptor-exporter policy check raptor.yaml
  raptor-exporter policy check - < raptor.yaml
""",
)
@click.argument("file", required=False, metavar="[FILE]")
@common
def check(app: App, file: str | None) -> None:
    """Check a configuration (default: that of --config); - reads stdin.

    Every mistake is told at once as FILE:LINE:COLUMN, with exit status 2.
    """
    from raptor_exporter.cli.output import printable

    name = file if file is not None else app.config_file
    config = app.config if name is None else _load(name)
    place = "no file, so the built-in policies hold" if name is None else printable(name)
    click.echo(f"{place}: good, {_summary(config)}")
    for warning in (*_shadowed(config), *_emptying(config)):
        click.echo(f"{place}: warning: {warning}", err=True)


@click.command(
    epilog="""\b
Examples:
  raptor-exporter policy schema > raptor.schema.json
""",
)
@common
def schema(_app: App) -> None:
    """Print the JSON Schema (draft 2020-12) of the configuration, for editors and other programs."""
    import json

    from raptor_exporter.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _load(name: str) -> Config:
    from raptor_exporter.config import load_config, parse_config
    from raptor_exporter.config.document import MAX_BYTES

    if name == "-":
        return parse_config(sys.stdin.buffer.read(MAX_BYTES + 1), "-")
    return load_config(name)


def _summary(config: Config) -> str:
    policies = config.rules.policies
    if not policies:
        return "no policies"
    names = ", ".join(f"{policy.name} ({policy.mode})" for policy in policies)
    return f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'}: {names}"


def _shadowed(config: Config) -> list[str]:
    """Policies that own nothing, because an earlier one takes every session of their state."""
    from dataclasses import replace

    from raptor_exporter.cleanup.policy import Match

    takes_all: dict[str, str] = {}  # state to the first policy that takes all of it
    found = []
    for policy in config.rules.policies:
        state = policy.match.state
        states = ("valid", "invalid") if state == "any" else (state,)
        if all(one in takes_all for one in states):
            owners = " and ".join(dict.fromkeys(takes_all[one] for one in states))
            found.append(f"policy {policy.name} owns nothing: {owners} before it takes all")
        if replace(policy.match, state="valid") == Match():
            for one in states:
                takes_all.setdefault(one, policy.name)
    return found


def _emptying(config: Config) -> list[str]:
    """Policies with a cap of nothing, which some take for no cap."""
    return [
        f"policy {policy.name} deletes every session that it owns: its cap is 0, which does not mean no cap"
        for policy in config.rules.policies
        if policy.cap is not None and 0 in (policy.cap.sessions, policy.cap.bytes)
    ]

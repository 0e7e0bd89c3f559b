"""Options that many commands share; each is an environment variable too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from raptor_exporter.cli.app import App

_F = TypeVar("_F", bound=Callable[..., Any])

LIST_FORMATS = ("table", "json", "jsonl", "name")
OBJECT_FORMATS = ("table", "json", "jsonl", "name")
NAMELESS_FORMATS = ("table", "json", "jsonl")


def option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    """`click.option` that also reads a variable: RAPTOR_LOG_LEVEL for ``--log.level``."""
    long = next(name for name in names if name.startswith("--"))
    word = long.split("/")[0].removeprefix("--").replace("-", "_").replace(".", "_")
    settings.setdefault("envvar", f"RAPTOR_{word.upper()}")
    settings.setdefault("show_envvar", True)
    # Click derives no identifier from a name with a dot.
    identifier = () if "." not in long else (word.lower(),)
    return click.option(*names, *identifier, **settings)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the sessions are and how to log. The command gets an `App` as its first argument."""
    return _common(function, "warn")


def common_of_agent(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for the agent, whose log tells what it does."""
    return _common(function, "info")


def _common(function: Callable[..., Any], log_level: str) -> Callable[..., Any]:
    @option("--store", metavar="URL_OR_DIR", help="Directory of the sessions [default: ~/.raptor/sessions].")
    @option("--config", metavar="FILE", help="Configuration in YAML: store, probes, policies.")
    @option(
        "--log.level",
        type=click.Choice(["debug", "info", "warn", "error"], case_sensitive=False),
        default=log_level,
        show_default=True,
        help="How much to log, on stderr.",
    )
    @option(
        "--log.format",
        type=click.Choice(["logfmt", "json"], case_sensitive=False),
        default="logfmt",
        show_default=True,
        help="How a log line looks.",
    )
    @functools.wraps(function)
    def wrapper(
        *args: Any, store: str | None, config: str | None, log_level: str, log_format: str, **kwargs: Any
    ) -> Any:
        from raptor_exporter.log import setup_logging

        setup_logging(log_level, log_format)
        return function(App(store, config), *args, **kwargs)

    return wrapper


def listing(function: _F) -> _F:
    """``-o`` of commands that list something."""
    return option(
        "-o",
        "--output",
        "output",
        type=click.Choice(LIST_FORMATS),
        default="table",
        show_default=True,
        help="How to print: a table, one JSON array, a JSON object a line, or names alone.",
    )(function)


def object_output(function: _F) -> _F:
    """``-o`` of commands that print one object about something that has a name."""
    return option(
        "-o",
        "--output",
        "output",
        type=click.Choice(OBJECT_FORMATS),
        default="table",
        show_default=True,
        help="How to print: for people, one JSON object (jsonl: on one line), or names alone.",
    )(function)


def nameless_output(function: _F) -> _F:
    """``-o`` of commands that print one object about no session in particular."""
    return option(
        "-o",
        "--output",
        "output",
        type=click.Choice(NAMELESS_FORMATS),
        default="table",
        show_default=True,
        help="How to print: for people, or one JSON object (jsonl: on one line).",
    )(function)


every_session = option("--all", "everything", is_flag=True, help="Every session of the store.")


def all_or_named(ctx: click.Context, names: tuple[str, ...], *, everything: bool) -> bool:
    """Whether all sessions are meant. Names beat an ``--all`` that only the environment gives.

    Raises:
        click.UsageError: both are given, or neither.
    """
    given_by = ctx.get_parameter_source("everything")
    if names and everything and given_by is ParameterSource.ENVIRONMENT:
        return False
    if everything == bool(names):
        raise click.UsageError("name the sessions, or give --all" + (", not both" if names else ""))
    return everything


yes = option("--yes", is_flag=True, help="Don't ask before deleting.")
dry_run = option("--dry-run", is_flag=True, help="Say what would be done, and why, and change nothing.")
force = option("--force", is_flag=True, help="Go past the guards.")

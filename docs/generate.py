"""Writes what in docs/ follows from the code alone: `python docs/generate.py`.

That is cli.md, metrics.md, the table of keys in policies.md, and the JSON Schema of the configuration.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from prometheus_client.core import Metric

from raptor_exporter.cleanup.plan import plan
from raptor_exporter.cleanup.policy import BUILT_IN, EndpointState
from raptor_exporter.cli import cli
from raptor_exporter.config.schema import json_schema
from raptor_exporter.config.shapes import Either, Fields, Items, Key, Probing, Shape, Table
from raptor_exporter.config.tree import EXCLUDED, GUARDS, PROTECTED, root
from raptor_exporter.metrics.cleanup import PlanCollector, RunCollector
from raptor_exporter.metrics.exporter import BuildCollector, ConfigCollector
from raptor_exporter.metrics.figures import PolicyFigures, StoreFigures
from raptor_exporter.metrics.histogram import Durations
from raptor_exporter.metrics.probe import ProbeCollector
from raptor_exporter.metrics.store import SessionCollector, StoreCollector
from raptor_exporter.session import Endpoint
from raptor_exporter.stores.base import Snapshot, Wanted
from raptor_exporter.stores.record import Kind, Record, packed
from raptor_exporter.units import DURATION_FORM, SIZE_FORM
from raptor_exporter.web.exposition import collector_errors

DOCS = Path(__file__).resolve().parent

_CLI_HEAD = """\
# The command line

<!-- Written by docs/generate.py; a test holds it to the code. -->

Options stand after the command's own name. Each option is an environment variable too; the option beats the
variable, and the variable beats the configuration file.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the operation failed, in part too; it was refused by a guard; or the session is invalid or not there |
| 2 | usage or configuration error, an unknown policy, or a missing `--yes` without a terminal |
| 130 | Ctrl-C |

Data goes to stdout, everything else to stderr. `NO_COLOR` is obeyed.

Completion, for the shell that you use:

    eval "$(_RAPTOR_EXPORTER_COMPLETE=bash_source raptor-exporter)"     # bash: in ~/.bashrc
    eval "$(_RAPTOR_EXPORTER_COMPLETE=zsh_source raptor-exporter)"      # zsh: in ~/.zshrc
    _RAPTOR_EXPORTER_COMPLETE=fish_source raptor-exporter | source      # fish: in ~/.config/fish/config.fish
"""

_METRICS_HEAD = """\
# Metrics

<!-- Written by docs/generate.py; a test holds it to the code. -->

No label ever carries a session's name, a URL or free text. All known series of counters and of
`raptor_sessions*` exist at 0 from the first refresh on and after a reload; a timestamp is absent until it is
true. Nothing walks the store during a scrape: every figure about sessions is as old as
`raptor_store_last_refresh_timestamp_seconds` says.

Beside these there are the Python client's own `process_*` and `python_*`. `raptor-exporter metrics` prints
the same without the agent's counters.

| name | type | labels | meaning |
|---|---|---|---|
"""


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below one, depth first."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from commands(below, (*path, name))


def cli_page() -> str:
    """Every command with its arguments and options, as the code declares them."""
    page = io.StringIO()
    page.write(_CLI_HEAD)
    for path, command in commands(cli, ("raptor-exporter",)):
        page.write(f"\n## `{' '.join(path)}`\n\n")
        page.write(_text(command.help))
        if isinstance(command, click.Group):
            names = command.list_commands(click.Context(command))
            page.write("\nCommands: " + ", ".join(f"`{name}`" for name in names) + "\n")
        arguments = [
            p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)
        ]
        if arguments:
            page.write("\nArguments: " + " ".join(f"`{argument}`" for argument in arguments) + "\n")
        options = [p for p in command.params if isinstance(p, click.Option)]
        if options and path != ("raptor-exporter",):
            page.write("\n| option | variable | default | |\n|---|---|---|---|\n")
            page.writelines(map(_option, options))
        if command.epilog:
            page.write("\n```text\n" + command.epilog.replace("\b\n", "").rstrip() + "\n```\n")
    return page.getvalue()


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").replace("\b", "").strip().splitlines()) + "\n"


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + _kind(option)
    default = f"`{option.default}`" if isinstance(option.default, str) else ""
    return f"| `{names}{value}` | `{option.envvar}` | {default} | {option.help} |\n"


def _kind(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "\\|".join(option.type.choices)
    return (option.metavar or option.type.name.upper()).replace("|", "\\|")


def families() -> Iterator[Metric]:
    """Every family of the agent, with a sample of each label."""
    browser = Endpoint("ws", "127.0.0.1", 9222, "/devtools/browser/0")
    kind = Kind("valid", None, "chromium", browser, {})
    record = Record("one", 400, packed(1, 1, stamp=1), kind, 1.0, 1.0)
    snapshot = Snapshot({"one": record}, time.time(), (1, 1), Wanted())
    policies = BUILT_IN.policies
    decided = plan(snapshot, BUILT_IN, time.time())
    figures = PolicyFigures(last_run=1.0, last_success=1.0)
    yield from SessionCollector(lambda: snapshot).collect()
    yield from StoreCollector(StoreFigures(last_refresh=1.0), lambda: True, lambda: True).collect()
    yield from ProbeCollector(lambda: {EndpointState.REACHABLE: 1}, Durations()).collect()
    yield from PlanCollector(lambda: policies, lambda: decided).collect()
    yield from RunCollector(
        lambda: policies, lambda: {p.name: figures for p in policies}, lambda _: 1.0
    ).collect()
    yield from ConfigCollector(lambda: True, lambda: 1.0).collect()
    yield from BuildCollector().collect()
    collectors = (SessionCollector, StoreCollector, ProbeCollector, PlanCollector, RunCollector)
    yield collector_errors({c.__name__: 0 for c in (*collectors, ConfigCollector, BuildCollector)})


def metrics_page() -> str:
    """The catalogue of metrics."""
    page = io.StringIO()
    page.write(_METRICS_HEAD)
    for family in families():
        name = family.name + ("_total" if family.type == "counter" else "")
        kind = {"gaugehistogram": "gauge histogram"}.get(family.type, family.type)
        page.write(f"| `{name}` | {kind} | {_labels(family)} | {family.documentation} |\n")
    return page.getvalue()


def _labels(family: Metric) -> str:
    """Label names, with their values where these are a fixed set."""
    values: dict[str, list[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le" and value not in values.setdefault(label, []):
                values[label].append(value)
    free = ("policy", "version", "python_version", "revision")
    return "; ".join(
        f"`{label}`" if label in free else f"`{label}`: {', '.join(known)}" for label, known in values.items()
    )


_KEYS = "<!-- keys: written by docs/generate.py -->\n"
_END_OF_KEYS = "<!-- end of keys -->"


def policies_page() -> str:
    """The page on policies as it is, with its table of keys as the checker has them."""
    page = (DOCS / "policies.md").read_text("utf-8")
    before, rest = page.split(_KEYS)
    after = rest[rest.index(_END_OF_KEYS) :]
    return f"{before}{_KEYS}{''.join(_key_rows(root(dict)))}{after}"


def _key_rows(fields: Fields) -> Iterator[str]:
    yield "\n| key | accepted | default | |\n|---|---|---|---|\n"
    for path, key in _documented(fields):
        default = "required" if key.required else "" if key.default is None else f"`{_value(key.default)}`"
        yield f"| `{path}` | {_accepted(key.shape)} | {default} | {key.doc} |\n"
    yield "\n"


def _documented(fields: Fields, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every key by its path; those of guards, exclude and protect are told once."""
    for name, key in fields.keys.items():
        path = prefix + name
        yield path, key
        shape = key.shape.other if isinstance(key.shape, Either) else key.shape
        if isinstance(shape, Items):
            path, shape = f"{path}[]", shape.item
        again = shape in (EXCLUDED, PROTECTED) or (shape is GUARDS and prefix != "cleanup.")
        if isinstance(shape, Fields) and not again:
            yield from _documented(shape, f"{path}.")


def _accepted(shape: Shape) -> str:
    match shape:
        case Probing(inner):
            return _accepted(inner)
        case Either(word, _, _):
            return f"`{word}`, or a mapping"
        case Fields() if shape in (EXCLUDED, PROTECTED):
            return "the keys of `match`"
        case Fields():
            return "a mapping"
        case Items(item) if item is PROTECTED:
            return "a list of mappings with the keys of `match`"
        case Items(Fields()):
            return "a list of mappings"
        case Table(Items() as item):
            return f"a mapping; of each key {item.accepted}"
        case _:
            return shape.accepted.replace(DURATION_FORM, "a duration").replace(SIZE_FORM, "a size")


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def schema() -> str:
    """The JSON Schema of the configuration."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


PAGES = {
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "policies.md": policies_page,
    "raptor.schema.json": schema,
}


def main() -> int:
    """Write all of them."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every `raptor-exporter …` command line in the pages for operators is one that the command line accepts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from raptor_exporter.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["docs/runbooks.md", "docs/operating.md", "docs/kubernetes.md", "README.md"]
# In backticks on one line, or a line of an indented or fenced block.
IN_TEXT = re.compile(r"`(?:[^`\n]*-- )?(raptor-exporter(?: [^`\n]+)?)`")
IN_BLOCK = re.compile(r"^(?:    |\t)(?:.* -- )?(raptor-exporter [a-z][^\n]*)$", re.MULTILINE)


def command_lines() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for line in dict.fromkeys([*IN_TEXT.findall(text), *IN_BLOCK.findall(text)]):
            command = line.partition(" #")[0].strip()
            if "…" not in command and command != "raptor-exporter":
                found.append((page, command))
    return found


def parse(command: str) -> None:
    """Resolve groups and parse the arguments as click would, without running anything."""
    words = shlex.split(command)[1:]
    context = click.Context(cli, info_name="raptor-exporter")
    group: click.Command = cli
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        assert found is not None, f"there is no {words[0]!r} in {command!r}"
        context = click.Context(found, parent=context, info_name=words[0])
        group, words = found, words[1:]
    assert not isinstance(group, click.Group) or words in (["--help"], ["--version"]), command
    if words not in (["--help"], ["--version"]):
        group.make_parser(context).parse_args(list(words))


@pytest.mark.parametrize(("page", "command"), command_lines())
def test_the_command_line_of_a_page_is_accepted(page, command):
    parse(command)


def test_every_page_for_operators_gives_commands():
    assert {page for page, _ in command_lines()} == set(PAGES)


@pytest.mark.parametrize(
    "command", ["raptor-exporter stast", "raptor-exporter stats --nonsense", "raptor-exporter trash"]
)
def test_a_command_line_that_does_not_exist_would_be_found(command):
    with pytest.raises((AssertionError, click.UsageError)):
        parse(command)


@pytest.mark.parametrize("page", ["docs/runbooks.md", "docs/operating.md", "docs/kubernetes.md"])
def test_every_anchor_that_a_page_leads_to_is_there(page):
    source = ROOT / page
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", source.read_text(encoding="utf-8")):
        text = (source.parent / target if target else source).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{page}: {target}#{anchor}"

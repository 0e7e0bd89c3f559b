"""What tests need to know of PromQL expressions, without a parser of their own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_BRACES = re.compile(r"\{[^}]*\}")


def metrics(expression: str) -> set[str]:
    """Names of the metrics in an expression; a rule's name counts as one."""
    bare = _GROUPING.sub(" ", _BRACES.sub(" ", _STRING.sub('""', expression)))
    return {name for name in NAME.findall(bare) if name.startswith(("raptor", "process_", "store:", "up"))}


def selectors(expression: str) -> list[tuple[str, str]]:
    """Each selector with braces: the metric and its matchers."""
    return re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*)\}", expression)


def check(expressions: list[str], folder: Path) -> None:
    """Have promtool parse every expression; fails with its words."""
    rules = [{"record": f"test:expression:{index}", "expr": text} for index, text in enumerate(expressions)]
    path = folder / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

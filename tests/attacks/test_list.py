"""The list of attacks in docs/reliability.md names tests that exist, and leaves out none of this folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())


def _tests(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_attack_that_is_listed_has_its_test():
    assert len(LISTED) > 20
    assert [f"{path}::{name}" for path, name in LISTED if name not in _tests(path)] == []


def test_every_attack_that_is_tested_here_is_listed():
    here = [p for p in sorted(Path(__file__).parent.glob("test_*.py")) if p != Path(__file__)]
    found = {(str(p.relative_to(ROOT)), name) for p in here for name in _tests(p) if name.startswith("test_")}
    assert found
    assert found - set(LISTED) == set()

"""Counts of trials and losses, told at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

_FIGURES: dict[str, tuple[int, int]] = {}


@pytest.fixture
def tally():
    """Call it with what was tried, how often, and how often something was lost."""

    def count(what: str, trials: int, losses: int) -> None:
        before = _FIGURES.get(what, (0, 0))
        _FIGURES[what] = (before[0] + trials, before[1] + losses)

    return count


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.long)


def pytest_terminal_summary(terminalreporter):
    if _FIGURES:
        terminalreporter.section("trials and losses")
        for what, (trials, losses) in _FIGURES.items():
            terminalreporter.write_line(f"{what:<72} {trials:>8,} trials {losses:>4} losses")

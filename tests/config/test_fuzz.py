"""Whatever a configuration file holds: a checked configuration or its problems, soon, and nothing else."""

import random
import time
from pathlib import Path

import pytest

from raptor_exporter.config import Config, parse_config
from raptor_exporter.exceptions import ConfigError

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "docs" / "raptor.example.yaml"
GOOD = [path.read_bytes() for path in sorted([*HERE.glob("good/*.yaml"), EXAMPLE])]
BAD = [path.read_bytes() for path in sorted(HERE.glob("bad/*.yaml"))]

# One a line, as in a Python string.
PIECES = [
    line.encode().decode("unicode_escape").encode("latin-1")
    for line in (HERE / "fuzz_pieces.txt").read_text().split("\n")
]


def mutated(dice):
    """A file, or halves of two, with a few pieces put in, taken out or doubled."""
    data = dice.choice(dice.choice([GOOD, BAD]))
    if dice.random() < 0.2:
        other = dice.choice(BAD)
        data = data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]
    for _ in range(dice.randrange(5)):
        start = dice.randrange(len(data) + 1)
        end = start + dice.choice([0, 0, 0, 1, 2, 8, 40])
        again = data[start : start + 60] if dice.random() < 0.2 else b""
        data = data[:start] + again + dice.choice(PIECES) + data[end:]
    return data


def outcome(data):
    """What the loader makes of it, held to what must always be so."""
    started = time.process_time()
    problems = []
    try:
        config = parse_config(data, "fuzz.yaml")
    except ConfigError as error:
        problems = error.problems
    assert time.process_time() - started < 1.0
    if not problems:
        assert isinstance(config, Config)
        names = [policy.name for policy in config.rules.policies]
        assert len(set(names)) == len(names)
        assert all(policy.interval > 0 for policy in config.rules.policies)
        return "taken"
    lines = len(data.decode("utf-8", "replace").splitlines()) + 2
    assert problems == sorted(problems, key=lambda p: (p.line, p.column))
    assert all(1 <= p.line <= lines and p.column >= 1 for p in problems)
    assert all(str(p).isprintable() and p.message for p in problems)
    return "refused"


def outcomes(dice, count):
    """The kinds of outcome of so many files; a failure names its file."""
    found = set()
    for _ in range(count):
        data = mutated(dice)
        try:
            found.add(outcome(data))
        except Exception as error:
            error.add_note(f"with {data!r}")
            raise
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_damaged_files_are_taken_or_refused(seed):
    assert outcomes(random.Random(seed), 1000) == {"taken", "refused"}


@pytest.mark.long
def test_a_hundred_thousand_damaged_files_are_taken_or_refused():
    assert outcomes(random.Random(), 100_000) == {"taken", "refused"}

"""Damage to known inputs, case after case, with an end to each: how the fuzz tests make theirs.

``FUZZ_CASES`` says how many cases each test tries, ``FUZZ_SEED`` which ones. A case that failed is told
with its bytes: put it into the corpus beside the test.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

CASES = int(os.environ.get("FUZZ_CASES", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
CPU_SECONDS = 1.0  # of its own CPU: a busy machine makes no hang


def corpus(folder: Path, pattern: str = "*") -> list[bytes]:
    """The files of a folder, in the order of their names."""
    found = [path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()]
    assert found, f"no corpus in {folder}"
    return found


def cases(seeds: Sequence[bytes], words: Sequence[bytes], sample: int) -> Iterator[bytes]:
    """Every seed as it is, then damaged ones: ``sample`` of them, or as many as FUZZ_CASES says."""
    yield from seeds
    chance = random.Random(SEED)
    for _ in range(CASES or sample):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
            chance.choice(_DAMAGES)(chance, data, seeds, words)
        yield bytes(data)


@contextlib.contextmanager
def judged(case: object) -> Iterator[None]:
    """Say which case failed, and let none take more than a second of CPU."""

    def too_long(_number, _frame):
        raise AssertionError(f"more than {CPU_SECONDS:g} s of CPU")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    except BaseException as error:
        error.add_note(f"the case was {case!r}")
        raise
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _place(chance, data) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((0, 1, 1, 2, 4, 8, 30)))


def _flip(chance, data, _seeds, _words):
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _replace(chance, data, _seeds, words):
    start, end = _place(chance, data)
    data[start:end] = chance.choice(words)


def _insert(chance, data, _seeds, words):
    start = chance.randrange(len(data) + 1)
    data[start:start] = chance.choice((chance.choice(words), chance.randbytes(chance.randrange(1, 4))))


def _delete(chance, data, _seeds, _words):
    start, end = _place(chance, data)
    del data[start:end]


def _repeat(chance, data, _seeds, _words):
    start, end = _place(chance, data)
    data[start:end] = data[start:end] * chance.choice((2, 3, 50))


def _splice(chance, data, seeds, _words):
    other = chance.choice(seeds)
    start, _ = _place(chance, data)
    data[start:] = other[chance.randrange(len(other) + 1) :]


def _truncate(chance, data, _seeds, _words):
    del data[chance.randrange(len(data) + 1) :]


_DAMAGES = (
    _flip,
    _flip,
    _replace,
    _replace,
    _replace,
    _insert,
    _insert,
    _delete,
    _repeat,
    _splice,
    _truncate,
)

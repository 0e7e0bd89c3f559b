"""How the time of a cold refresh grows with the number of sessions."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data import make_store
from bench.measure import Row, in_turns, seconds
from bench.sweep import WANTED, read_all
from raptor_exporter.stores.files import FileStore

_TMPFS = "/dev/shm"  # noqa: S108  # a folder of a random name in it
_HELD_FROM = 100_000  # smaller stores fit into caches of the processor that large ones don't
_MOST = 1.2  # times as much as the sessions grew


def growth(stores: Mapping[int, Path]) -> Iterator[Row]:
    """Each size beside the next smaller one: on a tmpfs, and on the disk, which has limits of its own."""
    with tempfile.TemporaryDirectory(prefix="raptor-bench-", dir=_TMPFS) as memory:
        in_memory = {size: make_store(Path(memory) / str(size), size) for size in stores}
        yield from _rows("in memory", in_memory, held=True)
    yield from _rows("on the disk", stores, held=False)


def _rows(where: str, stores: Mapping[int, Path], *, held: bool) -> Iterator[Row]:
    taken = {size: _taken(store) for size, store in stores.items()}
    for small, large in itertools.pairwise(sorted(stores)):
        more = large / small
        limit = _MOST * more if held and small >= _HELD_FROM else None
        (ours_small, cat_small), (ours, cat) = taken[small], taken[large]
        factor = ours / ours_small
        yield Row(
            f"cold refresh {where}, {more:g} times the sessions",
            large,
            seconds(ours),
            f"of {small:,} {seconds(ours_small)}; find, xargs cat {cat / cat_small:.1f} × the time",
            f"{factor:.1f} × the time",
            "" if limit is None else f"≤ {limit:g} ×",
            None if limit is None else factor <= limit,
        )


def _taken(store: Path) -> tuple[float, float]:
    """Seconds of ours and of cat."""
    ours, cat = in_turns(3, lambda: FileStore(store).refresh(None, WANTED), lambda: read_all(store))
    return ours.wall, cat.wall

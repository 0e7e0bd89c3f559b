"""``make bench``: print one table, and write it to docs/benchmarks.md.

``BENCH_SIZES=100,10000`` chooses the sizes of the stores, ``BENCH_ONLY=sweep`` one part, ``BENCH_DIR`` the
place of the stores.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template

from bench import agent, sweep, table
from bench.data import make_store, workplace
from bench.growth import growth
from bench.measure import Row

TEXT = Path(__file__).with_name("document.md")
TARGET = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
Case = Callable[[Path, int], Iterator[Row]]
# Which case at which sizes; one that is not named here stays at its own size whatever is asked for.
TABLE: dict[str, tuple[Case, ...]] = {"table": (table.table, table.restores)}
EVERY: dict[str, tuple[Case, ...]] = {
    "sweep": (sweep.refreshes, sweep.planning, sweep.deletions),
    "scrape": (agent.scrapes,),
    "memory": (agent.memory,),
}
AT_TEN_THOUSAND: dict[str, tuple[Case, ...]] = {"idle": (agent.idle,)}
AT_HUNDRED: dict[str, tuple[Case, ...]] = {**TABLE, "start": (agent.start_up,)}


def main() -> int:
    """Run everything; 1 if a target is missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # agents and stores end with it all the same
    sizes = [int(size) for size in os.environ.get("BENCH_SIZES", "100,10000,100000").split(",")]
    only = os.environ.get("BENCH_ONLY")
    rows: list[Row] = []
    with workplace() as place:
        # All of them first, and only small copies are removed before the end: ext4 makes files five times
        # as slowly while it has to look for inodes that were not deleted just now.
        stores = {size: make_store(place / f"store-{size}", size) for size in sizes}
        for size, store in stores.items():
            for row in _rows(store, size, only):
                rows.append(row)
                print(_line(row), flush=True)
        if only in (None, "growth"):
            rows += growth(stores)
    text = _document(rows, sizes)
    print(text)
    if only is None:
        TARGET.write_text(text)
    return 0 if all(row.met is not False for row in rows) else 1


def _rows(store: Path, size: int, only: str | None) -> Iterator[Row]:
    parts = dict(EVERY)
    if size == 100:
        parts = {**AT_HUNDRED, **parts}
    if size == 10_000:
        parts = {**parts, **AT_TEN_THOUSAND}
    for name, cases in parts.items():
        if only in (None, name):
            for case in cases:
                yield from case(store, size)


def _line(row: Row) -> str:
    mark = {True: "met", False: "MISSED", None: ""}[row.met]
    cells = (row.what, f"{row.sessions:,}", row.ours, row.beside, row.figure, row.target, mark)
    return f"| {' | '.join(cells)} |"


def _document(rows: list[Row], sizes: list[int]) -> str:
    met = sum(row.met is True for row in rows)
    missed = sum(row.met is False for row in rows)
    return Template(TEXT.read_text()).substitute(
        python=platform.python_version(),
        linux=platform.release(),
        cores=os.cpu_count(),
        load=f"{os.getloadavg()[1]:.1f}",
        sizes=", ".join(f"{size:,}" for size in sizes),
        met=met,
        missed=missed,
        rows="\n".join(map(_line, rows)),
    )


if __name__ == "__main__":
    sys.exit(main())

"""The durations that the sessions' own documents promise for 100 sessions, one by one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.data import copy_store
from bench.measure import Row, in_turns, per_call, seconds
from bench.naive import Info, PlainManager
from raptor_exporter import SessionManager, launch_browser
from raptor_exporter.session import format_timestamp
from raptor_exporter.stores.files import FileStore

TIMES_FASTER = 10
RESTORE_SECONDS = 0.1


def table(store: Path, sessions: int) -> Iterator[Row]:
    """Each method beside its promised duration, and beside the plain way of doing it."""
    logging.disable(logging.INFO)
    manager, plain = SessionManager(store), PlainManager(store)
    name = manager.list_sessions()[0]
    yield from _save(store, sessions)
    calls: list[tuple[str, float, Callable[[], object], Callable[[], object]]] = [
        ("validate_session()", 0.001, lambda: manager.validate_session(name), lambda: plain.validate(name)),
        ("list_sessions()", 0.01, manager.list_sessions, plain.list_sessions),
        ("get_session_count()", 0.005, manager.get_session_count, plain.count),
        ("get_storage_size()", 0.01, manager.get_storage_size, plain.size),
    ]
    for what, promised, ours, theirs in calls:
        yield _row(what, sessions, promised, per_call(ours, calls=5), per_call(theirs, calls=5))
    yield from _cleanups(store, sessions)
    logging.disable(logging.NOTSET)


def _save(store: Path, sessions: int) -> Iterator[Row]:
    """Without finding the endpoint; on disk the fsyncs are what there is to see, so also without a disk."""
    now = format_timestamp(time.time())
    info = Info("bench", "ws://127.0.0.1:9222/devtools/browser/1", "chromium", now, now, {"env": "ci"})
    fields = dict(info.__dict__)

    def taken(place: Path) -> tuple[float, float, float]:
        files, plain = FileStore(place), PlainManager(place)
        sides = (lambda: files.save("bench", fields), lambda: plain.save(info), lambda: _floor(place))
        ours, theirs, floor = (times.wall for times in in_turns(60, *sides))
        files.delete("bench")
        return ours, theirs, floor

    with tempfile.TemporaryDirectory(prefix="raptor-bench-", dir="/dev/shm") as memory:  # a tmpfs
        ours, theirs, _ = taken(Path(memory))
        yield _row("save_session() in memory, endpoint known", sessions, 0.01, ours, theirs)
    ours, theirs, floor = taken(store)
    row = _row("save_session(), endpoint known", sessions, 0.01, ours, theirs)
    yield row._replace(
        beside=f"{row.beside}; write, fsync, rename, fsync of the directory {seconds(floor)}",
        figure=f"{row.figure}, {ours / floor:.1f} × its floor",
        target=f"{row.target} or ≤ 1.5 × its floor",
        met=row.met or ours <= 1.5 * floor,
    )


def _floor(place: Path) -> None:
    """What any save costs that a power cut must not undo."""
    aside = place / ".floor"
    with aside.open("wb", buffering=0) as file:
        file.write(b"x" * 400)
        os.fsync(file.fileno())
    aside.replace(place / ".floor-2")
    directory = os.open(place, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    (place / ".floor-2").unlink()


def _cleanups(store: Path, sessions: int) -> Iterator[Row]:
    for what, ours, theirs in (
        ("cleanup_expired_sessions()", "cleanup_expired_sessions", lambda plain: plain.clean_expired(7)),
        ("cleanup_invalid_sessions()", "cleanup_invalid_sessions", PlainManager.clean_invalid),
    ):
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(15):
            for is_ours, times in taken.items():
                copy = copy_store(store, store.with_name(f"copy-{number}"))
                shutil.rmtree(copy / ".raptor", ignore_errors=True)
                work = (
                    getattr(SessionManager(copy), ours)
                    if is_ours
                    else lambda c=copy, w=theirs: w(PlainManager(c))
                )
                times.append(per_call(work, rounds=1))
                shutil.rmtree(copy)
        middle = {is_ours: sorted(times)[len(times) // 2] for is_ours, times in taken.items()}
        yield _row(what, sessions, 0.1, middle[True], middle[False])


def _row(what: str, sessions: int, promised: float, ours: float, theirs: float) -> Row:
    factor = promised / ours
    return Row(
        what,
        sessions,
        seconds(ours),
        f"promised {seconds(promised)}; the plain way {seconds(theirs)}",
        f"{factor:.0f} × under its figure",
        f"≥ {TIMES_FASTER} ×",
        factor >= TIMES_FASTER,
    )


def restores(store: Path, sessions: int) -> Iterator[Row]:
    """Save and restore in a real Chromium, with the driver and the connection warm."""
    taken: dict[str, list[float]] = {"save": [], "restore": []}

    async def work() -> None:
        with contextlib.closing(launch_browser()) as browser:
            async with SessionManager(store) as manager:
                page = await manager.open_browser(browser.cdp_url)
                for number in range(16):
                    started = time.perf_counter()
                    await manager.save_session(page, "bench-browser")
                    saved = time.perf_counter()
                    await manager.restore_session("bench-browser")
                    if number:
                        taken["save"].append(saved - started)
                        taken["restore"].append(time.perf_counter() - saved)
                manager.delete_session("bench-browser")

    asyncio.run(work())
    middle = {what: sorted(times)[len(times) // 2] for what, times in taken.items()}
    yield Row(
        "save_session(), endpoint found in a real Chromium",
        sessions,
        seconds(middle["save"]),
        "",
        "",
        "",
        None,
    )
    restored = middle["restore"]
    yield Row(
        "restore_session(), warm",
        sessions,
        seconds(restored),
        "",
        f"{restored / RESTORE_SECONDS:.2f} of the limit",
        f"≤ {seconds(RESTORE_SECONDS)}",
        restored <= RESTORE_SECONDS,
    )

"""The claims of one run, in two threads where there are many.

Most of a claim is a rename, for which the interpreter is free: meanwhile the other thread looks at its
own session, before and after. A third would only wait, for the kernel renames one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from raptor_exporter.stores.base import Chosen, Outcome
from raptor_exporter.stores.protocol import Run

MANY = 1_000  # below that, nobody waits for a run


def claim_all(
    run: Run,
    chosen: Sequence[Chosen],
    results: list[tuple[Chosen, Outcome]],
    progress: Callable[[int], None],
    stopping: Callable[[], bool],
) -> None:
    """Claim sessions, the first ones first, until all are done or ``stopping`` says so.

    Args:
        run: claims them.
        chosen: what is to go.
        results: where each outcome is added at once, so that nothing done is untold after an error.
        progress: called with the number of sessions done, one more each time, never by both at once.
        stopping: asked before each claim.

    Raises:
        BaseException: what either thread met with; no claim is in flight any more by then.
    """
    claims = _Claims(run, results, progress, stopping)
    if len(chosen) < MANY:
        claims.work(chosen)
    else:
        _work_in_two(claims, chosen)


class _Claims:
    """What both threads share.

    Attributes:
        ended: no further claim is to begin.
    """

    def __init__(
        self,
        run: Run,
        results: list[tuple[Chosen, Outcome]],
        progress: Callable[[int], None],
        stopping: Callable[[], bool],
    ) -> None:
        self.ended = False
        self._run = run
        self._results = results
        self._progress = progress
        self._stopping = stopping
        self._telling = threading.Lock()

    def work(self, part: Sequence[Chosen]) -> None:
        for item in part:
            if self.ended or self._stopping():
                return
            outcome = self._run.claim(item)
            with self._telling:
                self._results.append((item, outcome))
                self._progress(len(self._results))


def _work_in_two(claims: _Claims, chosen: Sequence[Chosen]) -> None:
    errors: list[BaseException] = []
    finished = threading.Event()

    def help_out() -> None:
        try:
            claims.work(chosen[1::2])
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            claims.ended = True
            errors.append(error)
        finally:
            finished.set()

    # A daemon: a file system that hangs must not hold up the end of the process.
    helper = threading.Thread(target=help_out, name="claims", daemon=True)
    try:
        claims.work(chosen[::2] if _starts(helper) else chosen)
    except BaseException as error:  # noqa: BLE001 - raised below
        claims.ended = True
        errors.insert(0, error)
    # Whatever comes, it must not go on after the run's folder is closed. Neither join() nor is_alive() can
    # tell: an interrupted join() takes a thread that still runs for ended. One that has no ident by now
    # was not started, or will find that it has ended before its first claim.
    while True:
        try:
            if helper.ident is None or finished.wait():
                break
        except BaseException as error:  # noqa: BLE001 - raised below
            claims.ended = True
            errors.insert(0, error)
    if errors:
        raise errors[0]


def _starts(thread: threading.Thread) -> bool:
    """Start a thread; False where this machine has none to give."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True

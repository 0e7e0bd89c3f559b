"""The claims of one run, in two threads where there are many.

Most of a claim is a rename, for which the interpreter is free: meanwhile the other thread looks at its
own session, before and after. A third would only wait, for the kernel renames one by one.
"""

from __future__ import annotations

import contextlib
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
    ended = threading.Event()
    telling = threading.Lock()
    errors: list[BaseException] = []

    def work(part: Sequence[Chosen]) -> None:
        for item in part:
            if ended.is_set() or stopping():
                return
            outcome = run.claim(item)
            with telling:
                results.append((item, outcome))
                progress(len(results))

    def help_out() -> None:
        try:
            work(chosen[1::2])
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            errors.append(error)
            ended.set()

    if len(chosen) < MANY:
        work(chosen)
        return
    # A daemon: a file system that hangs must not hold up the end of the process.
    helper = threading.Thread(target=help_out, name="claims", daemon=True)
    helper.start()
    try:
        work(chosen[::2])
    except BaseException:
        ended.set()
        raise
    finally:
        while helper.is_alive():  # whatever comes: it must not go on after the run's folder is closed
            with contextlib.suppress(KeyboardInterrupt):
                helper.join()
    if errors:
        raise errors[0]

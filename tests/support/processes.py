"""Work in a process of its own, which a test may stop, let go on, or see die in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator

NOBODY = 65534


def become(uid: int) -> None:
    """Called in a child: go on as another user, without its groups."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


class Child:
    """A forked process that runs one function and ends with its exit status."""

    def __init__(self, function: Callable[[], object]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Newer Pythons warn of threads; those of other tests only wait.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                function()
                status = 0
            except BaseException:  # noqa: BLE001  # nothing may go on as if it were pytest
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)

    def wait_stopped(self) -> None:
        """Wait until it stopped itself at the place that the test chose."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"ended with {status} instead of stopping"

    def go_on(self) -> int:
        """Let it run to its end; returns its exit status."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def wait(self) -> int:
        """Its exit status; negative is the signal that killed it."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()


@contextlib.contextmanager
def child(function: Callable[[], object]) -> Iterator[Child]:
    """A child for the length of a block."""
    process = Child(function)
    try:
        yield process
    finally:
        process.kill()


def stop_here() -> None:
    """Called in a child: stop until the test lets it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def die_here() -> None:
    """Called in a child: end as by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)

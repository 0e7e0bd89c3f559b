"""`.raptor/trash`: where every deletion goes first, and the way back.

A deletion claims a file by renaming it into its run's folder and then looks at what it got: a rename
is atomic, so whatever another program wrote in between is there to be seen and is put back. Nothing
but emptying unlinks, and emptying looks a second time.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from raptor_exporter.exceptions import SessionConflict, StoreError, StoreReplaced, UnsafeName
from raptor_exporter.names import SUFFIX, safe_name
from raptor_exporter.stores import home, manifest, posix, runs
from raptor_exporter.stores.base import (
    DELETED,
    FAILED,
    SKIPPED,
    SUPERSEDED,
    Chosen,
    Emptied,
    FinishedRun,
    Outcome,
    Restored,
    RunHeader,
    StoreId,
    Trashed,
)
from raptor_exporter.stores.claiming import Run
from raptor_exporter.stores.contents import Usage, trashed, used
from raptor_exporter.stores.manifest import Manifest
from raptor_exporter.stores.record import Identity
from raptor_exporter.stores.restoring import check_free, restore_all
from raptor_exporter.stores.runs import HeldRun

if TYPE_CHECKING:
    from raptor_exporter.stores.files import FileStore

logger = logging.getLogger(__name__)


class Trash:
    """The trash of one store. Every method raises StoreError where it can't be used as a whole."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._usage: dict[str, tuple[int, Usage]] = {}  # run → the folder's mtime_ns, what is in it

    # -- a run -----------------------------------------------------------------------------------

    def check_store(self, store_id: StoreId) -> None:
        """Refuse to work on another store than the one that was planned on.

        Raises:
            StoreReplaced: its device or inode is another one.
        """
        with self._opened() as (directory, _):
            self._check_store(directory, store_id)

    def _check_store(self, directory: int, store_id: StoreId) -> None:
        if _store_id(directory) != store_id:
            raise StoreReplaced(f"{self._store.place} is another directory than the one that was planned on")

    @contextlib.contextmanager
    def run(
        self, policy: str, mode: str, at: float, chosen: Sequence[Chosen], store_id: StoreId
    ) -> Iterator[Run]:
        """A run's folder with its manifest written and locked; sealed when the block ends well.

        After an exception it is left unsealed, for ``recover`` to verify: the session that was being
        claimed may not have been looked at.

        Raises:
            StoreReplaced: the store is another one than the plan was made on.
            StoreError: the trash can't be written.
        """
        store = self._store
        header = RunHeader(runs.new_name(at), policy, mode, at)
        with store.opened() as directory, contextlib.ExitStack() as stack:
            plan = manifest.first_line(header, chosen, store_id)
            try:
                self._check_store(directory, store_id)
                folder, fd = self._begin(stack, directory, header.run, plan)
            except OSError as error:
                message = f"the trash of {store.place} can't be written: {error.strerror}"
                raise StoreError(message) from error
            run = Run(header, directory, folder)
            yield run
            try:
                self._append(directory, HeldRun(header.run, folder, fd), manifest.seal_line(run.outcomes))
                posix.sync_folder(directory)
            except OSError as error:
                message = f"the run's outcome can't be written: {error.strerror}; the next run finishes it"
                raise StoreError(message) from error

    def _begin(self, stack: contextlib.ExitStack, directory: int, run: str, plan: bytes) -> tuple[int, int]:
        """Write the manifest, if need be on what the oldest trash took up."""
        try:
            return self._make_folder(stack, directory, run, plan)
        except OSError as error:
            # A full disk must not keep a cleanup from freeing it: give up the oldest trash, once.
            if not runs.is_full(error) or not self._give_way(directory):
                raise
        return self._make_folder(stack, directory, run, plan)

    def _make_folder(
        self, stack: contextlib.ExitStack, directory: int, run: str, plan: bytes
    ) -> tuple[int, int]:
        """Make the folder aside and move it in whole: nobody ever finds it without its lock."""
        permissions = self._store.permissions
        with contextlib.ExitStack() as opened:
            trash = opened.enter_context(home.folder(directory, home.TRASH, permissions=permissions))
            if os.fstat(trash).st_dev != os.fstat(directory).st_dev:
                message = f"{home.HOME} is on another file system than the sessions: keep them on one"
                raise OSError(errno.EXDEV, message)
            aside = opened.enter_context(home.folder(directory, home.TEMPORARY, permissions=permissions))
            home.remove_stale(aside)
            folder = posix.subdirectory(aside, run, permissions.directory, create=True)
            opened.callback(os.close, folder)
            try:
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(manifest.FILE, flags, permissions.file, dir_fd=folder)
                opened.callback(os.close, fd)
                posix.give_to_heir(fd, folder)
                posix.widen(fd, permissions.file)
                posix.try_flock(fd)
                posix.append(fd, plan)
                posix.sync_folder(folder)
                os.rename(run, run, src_dir_fd=aside, dst_dir_fd=trash)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(manifest.FILE, dir_fd=folder)
                with contextlib.suppress(OSError):
                    os.rmdir(run, dir_fd=aside)
                raise
            posix.sync_folder(trash)
            stack.push(opened.pop_all())
        return folder, fd

    def _append(self, directory: int, run: HeldRun, line: bytes) -> None:
        """Add to a manifest, if need be on what the oldest trash took up."""
        try:
            run.append(line)
        except OSError as error:
            if not runs.is_full(error) or not self._give_way(directory):
                raise
            run.append(line)

    def _give_way(self, directory: int) -> bool:
        """Empty the oldest run that can be, on a full disk. Whether that freed anything."""
        with contextlib.suppress(OSError), self._folder(directory) as trash:
            sealed = [
                (run.manifest.header.at, run.run)
                for run in runs.held(trash, runs.names(trash))
                if run.manifest is not None and run.manifest.sealed
            ]
            for run in runs.held(trash, [name for _, name in sorted(sealed)]):
                done = self._empty_run(directory, trash, run, lambda _run, _name, _at: True)
                if done.sessions:
                    logger.warning(
                        "the disk is full: emptied the oldest trash", extra={"run": run.run, **done._asdict()}
                    )
                    with contextlib.suppress(StoreError):
                        self._store.journal.append([{"type": "emptied", "at": time.time(), **done._asdict()}])
                    return True
        return False

    # -- after a crash ---------------------------------------------------------------------------

    def recover(self) -> list[FinishedRun]:
        """Finish the runs that crashed: verify each claimed file again. Returns what became of them."""
        finished = []
        with self._opened() as (directory, trash):
            crashed = [run.run for run in self._held(trash, writing=False) if not run.settled]
            for run in self._held(trash, crashed):
                if run.settled:
                    continue  # another process was faster
                ended = run.manifest is not None and run.manifest.sealed
                try:
                    plan, outcomes = self._finish(directory, run)
                except OSError as error:
                    extra = {"run": run.run, "error": error.strerror}
                    logger.warning("a run that crashed can't be finished now", extra=extra)
                    continue
                if not ended:
                    logger.warning("finished a run that had crashed", extra={"run": run.run})
                    finished.append(FinishedRun(plan.header, plan.chosen, outcomes))
        return finished

    def _finish(self, directory: int, run: HeldRun) -> tuple[Manifest, list[Outcome]]:
        """Verify what a run had claimed, as it would have done itself."""
        plan = run.manifest or self._adopt(directory, run)
        outcomes = []
        present = dict(runs.claimed(run.folder))
        for name, status in present.items():
            if plan.is_as_claimed(name, Identity.of(status), _store_id(directory)):
                outcomes.append(Outcome(name, SUPERSEDED if plan.is_superseded(name) else DELETED))
            elif plan.knows(name) or not plan.chosen:
                outcomes.append(self._put_back(directory, run, name, status))
        outcomes += [
            Outcome(name, plan.results.get(name, SKIPPED)) for name in plan.chosen if name not in present
        ]
        self._append(directory, run, manifest.seal_line(outcomes))
        posix.sync_folder(directory)
        return plan, outcomes

    def _adopt(self, directory: int, run: HeldRun) -> Manifest:
        """Give a folder whose manifest tells of no plan one that chose nothing."""
        header = RunHeader(run.run, "", "enforce", time.time())
        self._append(directory, run, manifest.first_line(header, (), _store_id(directory)))
        return Manifest(header, _store_id(directory), {})

    def _put_back(self, directory: int, run: HeldRun, name: str, status: os.stat_result) -> Outcome:
        try:
            posix.rename_noreplace(runs.claimed_name(name), name + SUFFIX, run.folder, directory)
        except FileExistsError:
            line = manifest.superseded_line(name, Identity.of(status), time.time())
            self._append(directory, run, line)
            return Outcome(name, SUPERSEDED)
        except OSError as error:
            return Outcome(name, FAILED, error.strerror or str(error))
        return Outcome(name, SKIPPED)

    # -- what is there ---------------------------------------------------------------------------

    def usage(self, directory: int) -> Usage | None:
        """Count what the trash holds, looking only into the runs whose folder changed.

        None where it can't be looked at: the sessions beside it can be, all the same.
        """
        seen: dict[str, tuple[int, Usage]] = {}
        try:
            with self._folder(directory) as trash:
                for run in runs.names(trash):
                    with (
                        contextlib.suppress(FileNotFoundError, NotADirectoryError),
                        runs.opened(trash, run) as folder,
                    ):
                        changed = os.fstat(folder).st_mtime_ns
                        if (known := self._usage.get(run)) is None or known[0] != changed:
                            known = (changed, used(folder))
                        seen[run] = known
        except FileNotFoundError:
            return Usage(0, 0)  # nothing was ever deleted
        except OSError as error:
            logger.debug("the trash can't be looked at: %s", error.strerror)
            return None
        self._usage = seen
        return Usage(sum(u.sessions for _, u in seen.values()), sum(u.bytes for _, u in seen.values()))

    def sessions(self) -> list[Trashed]:
        """Everything in the trash, oldest first. Runs at work, or crashed and not recovered, are left out."""
        return self._sessions()

    def _sessions(self, session_id_of: str | None = None) -> list[Trashed]:
        with self._opened() as (_, trash):
            found = [item for run in self._held(trash, writing=False) for item in trashed(run, session_id_of)]
        return sorted(found, key=lambda t: (t.deleted_at, t.run, t.name))

    def _passed_over(self) -> int:
        """How many runs can't be looked at now."""
        with self._opened() as (_, trash):
            if trash is None:
                return 0
            return len(runs.names(trash)) - sum(1 for _ in self._held(trash, writing=False))

    def last(self, name: str) -> Trashed | None:
        """The session that a name means in the trash, the last deleted one; None if there is none.

        By the rule of the store: the stem of its file, else the file at its safe name if that holds
        this session_id.
        """
        try:
            safe = safe_name(name)
        except UnsafeName:
            safe = name
        items = self._sessions(session_id_of=safe)
        by_stem = [t for t in items if t.name == name]
        by_id = [t for t in items if t.name == safe and t.session_id == name]
        return next(reversed(by_stem or by_id), None)

    # -- the way back ----------------------------------------------------------------------------

    def restore(self, wanted: str) -> Restored:
        """Bring back a run's sessions, or the last deleted session of a name.

        What comes back counts as accessed now: the next run would take it again otherwise.

        Raises:
            KeyError: neither a run nor a session in the trash has that name.
            SessionConflict: a session of that name is in the store, or another process is at work on the
                run; nothing was changed.
        """
        chosen = self._chosen(wanted)
        with self._opened() as (directory, trash):
            check_free(directory, chosen)
            for run in self._held(trash, [chosen[0].run]):
                restored = restore_all(self._store, directory, run, sorted(t.name for t in chosen))
                if not any(restored):
                    raise SessionConflict(f"another process has just restored or emptied {wanted}")
                return restored
        message = (
            f"the run {chosen[0].run} can't be used now: another process is at work on it, or see the log"
        )
        raise SessionConflict(message)

    def check_restorable(self, wanted: str) -> None:
        """Raise what ``restore`` would raise now, and change nothing."""
        chosen = self._chosen(wanted)
        with self._opened() as (directory, _):
            check_free(directory, chosen)

    def _chosen(self, wanted: str) -> list[Trashed]:
        of_run = [t for t in self.sessions() if t.run == wanted]
        # A superseded one has a newer one in the store: it comes back when it is asked for by its name.
        chosen = [t for t in of_run if t.reason != SUPERSEDED] or of_run
        if chosen:
            return chosen
        last = self.last(wanted)
        if last is not None:
            return [last]
        busy = self._passed_over()
        if busy:
            message = (
                f"found in no run that can be looked at, but {busy} can't be now: "
                "another process is at work on them, or see the log"
            )
            raise SessionConflict(message)
        raise KeyError(wanted)

    # -- emptying --------------------------------------------------------------------------------

    def empty(self, *, now: float, retain: float | None = None, max_bytes: int | None = None) -> Emptied:
        """Delete for good: all, or what is older than ``retain`` seconds or over ``max_bytes``."""
        due = self._due(now, retain, max_bytes)
        done = Emptied()
        with self._opened() as (directory, trash):
            if trash is None:
                return done
            names = runs.names(trash)
            if retain:
                names = [name for name in names if runs.began_before(name, now - retain)]
            looked_at = set()
            for run in self._held(trash, names):
                looked_at.add(run.run)
                try:
                    more = self._empty_run(directory, trash, run, due)
                except OSError as error:
                    _warn_of_emptying(run, error)
                    more = Emptied(left=used(run.folder).sessions)
                done = Emptied(*map(sum, zip(done, more, strict=True)))
            if retain is None and max_bytes is None:
                done = done._replace(left=done.left + _held_by_others(trash, set(names) - looked_at))
        return done

    def _due(self, now: float, retain: float | None, max_bytes: int | None) -> _Due:
        if max_bytes is not None:
            items = self.sessions()
            excess = sum(t.size for t in items) - max_bytes
            over = set()
            for item in items:  # oldest first
                if excess <= 0:
                    break
                over.add((item.run, item.name))
                excess -= item.size
            return lambda run, name, _at: (run, name) in over
        if not retain:
            return lambda _run, _name, _at: True
        return lambda _run, _name, at: now - at >= retain

    def _empty_run(self, directory: int, trash: int, run: HeldRun, due: _Due) -> Emptied:
        done = Emptied()
        plan = run.manifest
        if plan is None or not plan.sealed:
            return done
        failure: OSError | None = None
        for name, status in list(runs.claimed(run.folder)):
            if not plan.knows(name) or not due(run.run, name, plan.deleted_at(name)):
                continue
            try:
                if not plan.is_as_claimed(name, Identity.of(status), _store_id(directory)):
                    # Somebody had the file open when it was claimed and wrote to it since.
                    outcome = self._put_back(directory, run, name, status)
                    done = done._replace(
                        put_back=done.put_back + (outcome.result == SKIPPED),
                        left=done.left + (outcome.result == FAILED),
                    )
                    continue
                os.unlink(runs.claimed_name(name), dir_fd=run.folder)
                done = done._replace(sessions=done.sessions + 1, bytes=done.bytes + status.st_size)
            except OSError as error:  # one that can't be deleted must not keep the others
                failure = error
                done = done._replace(left=done.left + 1)
        try:
            runs.remove(trash, run)
        except OSError as error:
            failure = error
        if failure is not None:
            _warn_of_emptying(run, failure)
        return done

    # -- folders ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[int, int | None]]:
        """The store's descriptor and that of its trash, which is None where there is none yet."""
        try:
            with self._store.opened() as directory, contextlib.ExitStack() as stack:
                try:
                    trash = stack.enter_context(self._folder(directory))
                except FileNotFoundError:
                    trash = None
                yield directory, trash
        except OSError as error:
            message = f"the trash of {self._store.place} can't be used: {error.strerror}"
            raise StoreError(message) from error

    def _folder(self, directory: int) -> contextlib.AbstractContextManager[int]:
        return home.folder(directory, home.TRASH, permissions=self._store.permissions, create=False)

    def _held(
        self, trash: int | None, only: list[str] | None = None, *, writing: bool = True
    ) -> Iterator[HeldRun]:
        if trash is None:
            return iter(())
        return runs.held(trash, runs.names(trash) if only is None else only, writing=writing)


_Due = Callable[[str, str, float], bool]


def _warn_of_emptying(run: HeldRun, error: OSError) -> None:
    logger.warning("trash that can't be emptied now", extra={"run": run.run, "error": error.strerror})


def _held_by_others(trash: int, names: Iterable[str]) -> int:
    """How many sessions are in runs that can't be had now."""
    sessions = 0
    for run in names:
        with (
            contextlib.suppress(OSError),  # another user's, or emptied by now
            runs.opened(trash, run) as folder,
        ):
            sessions += used(folder).sessions
    return sessions


def _store_id(directory: int) -> StoreId:
    status = os.fstat(directory)
    return (status.st_dev, status.st_ino)

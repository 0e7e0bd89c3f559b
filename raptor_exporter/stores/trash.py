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
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from raptor_exporter.exceptions import SessionConflict, StoreError
from raptor_exporter.names import SUFFIX, is_session_file
from raptor_exporter.session import check
from raptor_exporter.stores import home, manifest, posix
from raptor_exporter.stores.base import Chosen, Identity, Outcome, RunHeader
from raptor_exporter.stores.manifest import Manifest

if TYPE_CHECKING:
    from raptor_exporter.stores.files import FileStore

logger = logging.getLogger(__name__)

DELETED = "deleted"
SKIPPED = "skipped"  # changed since it was chosen, so spared
GONE = "gone"  # somebody else deleted it
SUPERSEDED = "superseded"  # claimed, found changed, and a newer file has its name: kept in the trash
FAILED = "failed"


class Usage(NamedTuple):
    """What the trash holds."""

    sessions: int
    bytes: int


class Trashed(NamedTuple):
    """One session in the trash."""

    name: str
    run: str
    policy: str
    reason: str
    detail: str
    deleted_at: float  # POSIX seconds
    size: int  # bytes


class Emptied(NamedTuple):
    """What an emptying did."""

    sessions: int = 0
    bytes: int = 0
    put_back: int = 0


class Trash:
    """The trash of one store."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._usage: dict[str, tuple[int, Usage]] = {}  # run → the folder's mtime_ns, what is in it

    # -- a run -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def run(
        self, policy: str, mode: str, at: float, chosen: Sequence[Chosen], store_id: tuple[int, ...]
    ) -> Iterator[Run]:
        """A run's folder with its manifest written and locked; sealed when the block ends.

        Raises:
            StoreError: the store is another one than the plan was made on, or can't be written.
        """
        store = self._store
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        header = RunHeader(f"{stamp}-{secrets.token_hex(3)}", policy, mode, at)
        plan = manifest.first_line(header, chosen, store_id)
        with store.opened() as directory, contextlib.ExitStack() as stack:
            status = os.fstat(directory)
            if (status.st_dev, status.st_ino) != store_id:
                raise StoreReplaced(f"{store.place} is another directory than the one that was planned on")
            try:
                folder, fd = self._begin(stack, directory, header.run, plan)
            except OSError as error:
                message = f"the trash of {store.place} can't be written: {error.strerror}"
                raise StoreError(message) from error
            run = Run(header, directory, folder)
            try:
                yield run
            finally:
                # Also after an error: what was claimed until then is told.
                posix.write_all(fd, manifest.seal_line(run.outcomes))
                os.fsync(fd)
                os.fsync(directory)

    def _begin(self, stack: contextlib.ExitStack, directory: int, run: str, plan: bytes) -> tuple[int, int]:
        """Make the folder aside and move it in whole: nobody ever finds it without its lock."""
        permissions = self._store.permissions
        trash = stack.enter_context(home.folder(directory, home.TRASH, permissions=permissions))
        aside = stack.enter_context(home.folder(directory, home.TEMPORARY, permissions=permissions))
        home.remove_stale(aside)
        folder = posix.subdirectory(aside, run, permissions.directory, create=True)
        stack.callback(os.close, folder)
        try:
            fd = os.open(
                manifest.FILE,
                os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                permissions.file,
                dir_fd=folder,
            )
            stack.callback(os.close, fd)
            posix.try_flock(fd)
            self._write_plan(directory, fd, plan)
            os.rename(run, run, src_dir_fd=aside, dst_dir_fd=trash)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(manifest.FILE, dir_fd=folder)
                os.rmdir(run, dir_fd=aside)
            raise
        os.fsync(trash)
        return folder, fd

    def _write_plan(self, directory: int, fd: int, plan: bytes) -> None:
        try:
            posix.write_all(fd, plan)
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # A full disk must not keep a cleanup from freeing it: give up the oldest trash, once.
            if not self._empty(directory, _Oldest()).sessions:
                raise
            os.ftruncate(fd, 0)
            posix.write_all(fd, plan)
            os.fsync(fd)

    # -- after a crash ---------------------------------------------------------------------------

    def recover(self) -> list[tuple[Manifest, list[Outcome]]]:
        """Finish the runs that crashed: verify each claimed file again. Returns what became of them."""
        finished = []
        with self._opened_store() as directory:
            for held in self._held_runs(directory):
                if held.manifest is None or not held.manifest.sealed:
                    outcomes = self._finish(directory, held)
                    if held.manifest is not None:
                        finished.append((held.manifest, outcomes))
        return finished

    def _finish(self, directory: int, held: _Held) -> list[Outcome]:
        """Verify what a crashed run had claimed, as it would have done itself."""
        plan = held.manifest
        outcomes = []
        present = dict(_claimed(held.folder))
        for name, status in present.items():
            expected = None if plan is None else plan.identity(name)
            if expected is not None and _identity(status) == expected:
                outcomes.append(Outcome(name, DELETED))
            else:
                outcomes.append(Outcome(name, self._put_back(directory, held, name, status)))
        if plan is not None:
            outcomes += [Outcome(name, SKIPPED) for name in plan.chosen if name not in present]
            posix.write_all(held.fd, b"\n" + manifest.seal_line(outcomes))
            os.fsync(held.fd)
            os.fsync(directory)
        elif not any(_claimed(held.folder)):
            self._remove_run(directory, held)
        logger.warning("finished a run that had crashed", extra={"run": held.run, "sessions": len(present)})
        return outcomes

    def _put_back(self, directory: int, held: _Held, name: str, status: os.stat_result) -> str:
        try:
            posix.rename_noreplace(_claimed_name(name), name + SUFFIX, held.folder, directory)
        except FileExistsError:
            line = manifest.superseded_line(name, _identity(status), time.time())
            posix.write_all(held.fd, b"\n" + line)
            return SUPERSEDED
        return SKIPPED

    # -- what is there ---------------------------------------------------------------------------

    def usage(self, directory: int) -> Usage:
        """Count what the trash holds, looking only into the runs whose folder changed."""
        seen: dict[str, tuple[int, Usage]] = {}
        with self._opened(directory) as trash:
            for run in _runs(trash):
                with (
                    contextlib.suppress(FileNotFoundError, NotADirectoryError),
                    posix.opened(run, posix.DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=trash) as folder,
                ):
                    changed = os.fstat(folder).st_mtime_ns
                    if (known := self._usage.get(run)) is None or known[0] != changed:
                        sizes = [status.st_size for _, status in _claimed(folder)]
                        known = (changed, Usage(len(sizes), sum(sizes)))
                    seen[run] = known
        self._usage = seen
        return Usage(sum(u.sessions for _, u in seen.values()), sum(u.bytes for _, u in seen.values()))

    def sessions(self) -> list[Trashed]:
        """Everything in the trash, oldest first. Runs at work, or crashed and not recovered, are left out."""
        with self._opened_store() as directory:
            found = [item for held in self._held_runs(directory) for item in _trashed(held)]
        return sorted(found, key=lambda t: (t.deleted_at, t.run, t.name))

    # -- the way back ----------------------------------------------------------------------------

    def restore(self, wanted: str) -> list[str]:
        """Bring back a run's sessions, or the last deleted session of a name.

        What comes back counts as accessed now: the next run would take it again otherwise.

        Returns:
            the names that came back.

        Raises:
            KeyError: neither a run nor a session in the trash has that name.
            SessionConflict: a session of that name is in the store; nothing was changed.
        """
        items = self.sessions()
        chosen = [t for t in items if t.run == wanted] or [t for t in items if t.name == wanted][-1:]
        if not chosen:
            raise KeyError(wanted)
        with self._opened_store() as directory:
            there = [t.name for t in chosen if _stat(t.name + SUFFIX, directory) is not None]
            if there:
                names = ", ".join(sorted(there)[:5])
                message = (
                    f"{len(there)} of {len(chosen)} are in the store again ({names}): "
                    "nothing was restored; delete or rename them there first"
                )
                raise SessionConflict(message)
            names_of_run = {t.name for t in chosen}
            for held in self._held_runs(directory, only=chosen[0].run):
                return [n for n in sorted(names_of_run) if self._restore_one(directory, held, n)]
        raise SessionConflict(f"the run {chosen[0].run} is at work: try again when it has ended")

    def _restore_one(self, directory: int, held: _Held, name: str) -> bool:
        claimed = _claimed_name(name)
        try:
            # Before it is visible, so that no run in flight can take it by its old age.
            os.utime(claimed, dir_fd=held.folder, follow_symlinks=False)
        except PermissionError:
            logger.warning("restored with its old mtime: its owner is another user", extra={"name_": name})
        try:
            posix.rename_noreplace(claimed, name + SUFFIX, held.folder, directory)
        except FileNotFoundError:
            return False
        except FileExistsError as error:
            message = f"{name}{SUFFIX} came into the store meanwhile: it was not restored"
            raise SessionConflict(message) from error
        os.fsync(directory)
        data = self._store.read(name)
        if data is not None and check(data).reason is None:
            try:
                self._store.mark_accessed(name, time.time())
            except SessionConflict as error:
                logger.warning("restored with its old last_accessed: %s", error)
        return True

    # -- emptying --------------------------------------------------------------------------------

    def empty(self, *, now: float, retain: float | None = None, max_bytes: int | None = None) -> Emptied:
        """Delete for good: all, or what is older than ``retain`` seconds or over ``max_bytes``."""
        if max_bytes is not None:
            items = self.sessions()
            excess = sum(t.size for t in items) - max_bytes
            over = set()
            for item in items:  # oldest first
                if excess <= 0:
                    break
                over.add((item.run, item.name))
                excess -= item.size
            due: _Due = lambda run, name, _at: (run, name) in over  # noqa: E731
        elif retain is None:
            due = lambda _run, _name, _at: True  # noqa: E731
        else:
            due = lambda _run, _name, at: now - at >= retain  # noqa: E731
        with self._opened_store() as directory:
            return self._empty(directory, due)

    def _empty(self, directory: int, due: _Due) -> Emptied:
        done = Emptied()
        for held in self._held_runs(directory):
            if held.manifest is None or not held.manifest.sealed:
                continue
            for name, status in list(_claimed(held.folder)):
                if not due(held.run, name, held.manifest.deleted_at(name)):
                    continue
                if _identity(status) != held.manifest.identity(name):
                    # Somebody had the file open when it was claimed and wrote to it since.
                    result = self._put_back(directory, held, name, status)
                    done = done._replace(put_back=done.put_back + (result == SKIPPED))
                    continue
                os.unlink(_claimed_name(name), dir_fd=held.folder)
                done = Emptied(done.sessions + 1, done.bytes + status.st_size, done.put_back)
            if not any(_claimed(held.folder)):
                self._remove_run(directory, held)
        return done

    def _remove_run(self, directory: int, held: _Held) -> None:
        with self._opened(directory) as trash:
            os.unlink(manifest.FILE, dir_fd=held.folder)
            try:
                os.rmdir(held.run, dir_fd=trash)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                logger.warning("left a folder of the trash that holds foreign files", extra={"run": held.run})

    # -- folders ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened_store(self) -> Iterator[int]:
        with self._store.opened() as directory:
            try:
                yield directory
            except OSError as error:
                message = f"the trash of {self._store.place} can't be used: {error.strerror}"
                raise StoreError(message) from error

    @contextlib.contextmanager
    def _opened(self, directory: int) -> Iterator[int]:
        """The trash's descriptor, or -1 where there is none yet."""
        try:
            with home.folder(
                directory, home.TRASH, permissions=self._store.permissions, create=False
            ) as trash:
                yield trash
        except FileNotFoundError:
            yield -1

    def _held_runs(self, directory: int, only: str | None = None) -> Iterator[_Held]:
        """Each run whose lock is free, oldest first, with its lock held while it is looked at."""
        with self._opened(directory) as trash:
            for run in [only] if only is not None else _runs(trash):
                with (
                    contextlib.suppress(FileNotFoundError, NotADirectoryError),
                    contextlib.ExitStack() as stack,
                ):
                    folder = stack.enter_context(
                        posix.opened(run, posix.DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=trash)
                    )
                    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
                    fd = stack.enter_context(posix.opened(manifest.FILE, flags, dir_fd=folder))
                    if not posix.try_flock(fd):
                        continue
                    size = os.fstat(fd).st_size
                    yield _Held(run, folder, fd, manifest.parse(os.pread(fd, size, 0)))


_Due = Callable[[str, str, float], bool]


class _Oldest:
    """Names the sessions of the first run that it is asked about as due."""

    def __init__(self) -> None:
        self._run: str | None = None

    def __call__(self, run: str, _name: str, _at: float) -> bool:
        self._run = self._run or run
        return run == self._run


class StoreReplaced(StoreError):
    """The store is not the directory that the plan was made on: the run is refused."""


class _Held(NamedTuple):
    run: str
    folder: int
    fd: int
    manifest: Manifest | None


class Run:
    """A run at work: claims its sessions one by one."""

    def __init__(self, header: RunHeader, directory: int, folder: int) -> None:
        self.header = header
        self.outcomes: list[Outcome] = []
        self._directory = directory
        self._folder = folder

    def claim(self, chosen: Chosen) -> Outcome:
        """Move one session into the trash if it still is what was planned on."""
        try:
            outcome = Outcome(chosen.name, self._claim(chosen))
        except OSError as error:
            outcome = Outcome(chosen.name, FAILED, error.strerror or str(error))
        self.outcomes.append(outcome)
        return outcome

    def _claim(self, chosen: Chosen) -> str:
        file_name = chosen.name + SUFFIX
        status = _stat(file_name, self._directory)
        if status is None:
            return GONE
        if _identity(status) != chosen.identity:
            return SKIPPED
        claimed = _claimed_name(chosen.name)
        try:
            os.rename(file_name, claimed, src_dir_fd=self._directory, dst_dir_fd=self._folder)
        except FileNotFoundError:
            return GONE
        status = os.stat(claimed, dir_fd=self._folder, follow_symlinks=False)
        if _identity(status) == chosen.identity:
            return DELETED
        try:
            posix.rename_noreplace(claimed, file_name, self._folder, self._directory)
        except FileExistsError:
            return SUPERSEDED
        return SKIPPED


def _claimed_name(name: str) -> str:
    """Under its own name, but for the one that is the manifest's: no session's starts with a dot."""
    file_name = name + SUFFIX
    return "." + file_name if file_name == manifest.FILE else file_name


def _claimed(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """The sessions in a run's folder."""
    for file_name in os.listdir(folder):
        if file_name == manifest.FILE:
            continue
        real = file_name[1:] if file_name == "." + manifest.FILE else file_name
        status = _stat(file_name, folder)
        if status is not None and is_session_file(real):
            yield real[: -len(SUFFIX)], status


def _trashed(held: _Held) -> Iterator[Trashed]:
    plan = held.manifest
    if plan is None or not plan.sealed:
        return
    for name, status in _claimed(held.folder):
        chosen = plan.chosen.get(name)
        reason, detail = (chosen.reason, chosen.detail) if chosen is not None else ("", "")
        if name in plan.superseded or plan.results.get(name) == SUPERSEDED:
            detail = "changed while it was deleted, and saved anew since"
            reason = SUPERSEDED
        if stat.S_ISREG(status.st_mode):
            yield Trashed(
                name, held.run, plan.header.policy, reason, detail, plan.deleted_at(name), status.st_size
            )


def _runs(trash: int) -> list[str]:
    if trash < 0:
        return []
    with os.scandir(trash) as entries:
        return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))


def _stat(file_name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(file_name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_ino, status.st_mtime_ns, status.st_size)

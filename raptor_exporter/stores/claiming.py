"""A run at work: claims its sessions one by one, and verifies each."""

from __future__ import annotations

import os

from raptor_exporter.names import SUFFIX
from raptor_exporter.stores import posix, runs
from raptor_exporter.stores.base import DELETED, FAILED, GONE, SKIPPED, SUPERSEDED, Chosen, Outcome, RunHeader
from raptor_exporter.stores.record import Identity


class Run:
    """The sessions of one run on their way into its folder.

    Attributes:
        header: what the manifest says of the run.
        outcomes: what became of each session so far.
    """

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
        status = runs.look(file_name, self._directory)
        if status is None:
            return GONE
        if not _is_still(status, chosen.identity):
            return SKIPPED
        claimed = runs.claimed_name(chosen.name)
        try:
            os.rename(file_name, claimed, src_dir_fd=self._directory, dst_dir_fd=self._folder)
        except FileNotFoundError:
            if runs.look(file_name, self._directory) is not None:
                raise  # it is there: it is the run's folder that somebody took away
            return GONE
        status = os.stat(claimed, dir_fd=self._folder, follow_symlinks=False)
        if _is_still(status, chosen.identity):
            return DELETED
        try:
            posix.rename_noreplace(claimed, file_name, self._folder, self._directory)
        except FileExistsError:
            return SUPERSEDED
        return SKIPPED


def _is_still(status: os.stat_result, identity: Identity) -> bool:
    inode, changed, size = identity
    return status.st_ino == inode and status.st_mtime_ns == changed and status.st_size == size

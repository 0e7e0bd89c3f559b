"""kill -9 at random moments of runs over a real directory, with savers at work in other processes.

``RAPTOR_TEST_SCALE`` multiplies the number of killed runs: 9 makes 324 of them.
"""

from __future__ import annotations

import os

import pytest
from support.killing import Arena

KILLS = 18


SCALE = int(os.environ.get("RAPTOR_TEST_SCALE", "1"))  # read before the variables of a user are put away


@pytest.mark.parametrize("seed", [1, 2])
def test_after_every_kill_each_newest_save_is_in_the_store_or_in_the_trash_and_runs_go_on(
    tmp_path, seed, capsys
):
    with Arena(tmp_path, seed) as arena:
        for _ in range(KILLS * SCALE):
            arena.kill_run()
    counts = arena.counts
    with capsys.disabled():
        if SCALE > 1:
            print(dict(counts))  # noqa: T201  # the figures of a long run are what it is for
    assert counts["killed"] == KILLS * SCALE
    assert counts["recovered"] >= counts["died in a run"] > 0
    assert counts["deleted"] > 0
    assert counts["newest in the store"] > 0

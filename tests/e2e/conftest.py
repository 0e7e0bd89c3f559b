"""Real images and pods, in a network namespace of the tests' own: `make e2e`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import images
from support.podman import Podman


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def podman():
    """Podman with all images built. Its containers are ended when the tests are."""
    assert os.geteuid() == 0, "`make e2e` runs containers: become root"
    runner = Podman(images.MATERIALS / "podman")
    _clear(runner)
    images.build(runner)
    yield runner
    _clear(runner)


def _clear(runner: Podman) -> None:
    """Nothing of an earlier run that was interrupted: these names are the tests' own storage's."""
    runner("pod", "rm", "--all", "--force", "--time=2")
    runner("rm", "--all", "--force", "--time=2")
    runner("volume", "prune", "--force")


@pytest.fixture(scope="session")
def figures():
    """Sizes that were measured: call it with a name and bytes. They are written to .make/e2e/figures.txt."""
    found: dict[str, float] = {}
    yield found.__setitem__
    text = "".join(f"{name}: {size / 1e6:.2f} MB\n" for name, size in sorted(found.items()))
    (images.MATERIALS / "figures.txt").write_text(text)

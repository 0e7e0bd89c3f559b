"""The stores in stores/ are read from real files, planned, and come out as each of them says.

Read them in their order to learn the engine; support/example_stores.py explains their keys.
"""

from pathlib import Path

import pytest
from support.example_stores import expected, load, outcome, planned

STORES = sorted((Path(__file__).parent / "stores").glob("*.yaml"))


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_a_store_is_planned_as_it_says(path, tmp_path):
    story = load(path)
    assert outcome(planned(story, story["config"], tmp_path / "store")) == expected(story)


def test_there_are_twenty_and_each_teaches_something():
    assert len(STORES) >= 20
    assert all(load(path)["about"] for path in STORES)

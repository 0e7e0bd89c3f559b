"""The stores in stores/ are read from real files, planned, and come out as each of them says.

Read them in their order to learn the engine; support/example_stores.py explains their keys.
"""

from pathlib import Path

import pytest
from support.example_stores import expected, load, outcome, planned, recipe

HERE = Path(__file__).parent
RECIPES = sorted((HERE / "recipes").glob("*.yaml"))
PAGE = (HERE.parents[1] / "docs" / "policies.md").read_text()
STORES = sorted((HERE / "stores").glob("*.yaml"))


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_a_store_is_planned_as_it_says(path, tmp_path):
    story = load(path)
    assert outcome(planned(story, story["config"], tmp_path / "store")) == expected(story)


def test_there_are_twenty_and_each_teaches_something():
    assert len(STORES) >= 20
    assert all(load(path)["about"] for path in STORES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_the_documents_does_to_a_store_what_it_promises(path, tmp_path):
    story = load(path)
    decided = planned(story, recipe(PAGE, story["recipe"]), tmp_path / "store")
    assert outcome(decided) == expected(story)
    modes = {p.policy.name: str(p.policy.mode) for p in decided.policies}
    assert modes == story.get("modes", dict.fromkeys(modes, "enforce"))


def test_every_recipe_has_its_store():
    lines = PAGE.split("## Recipes")[1].splitlines()
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert headings == {load(path)["recipe"] for path in RECIPES}
    assert len(headings) == 5

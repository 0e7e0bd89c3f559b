"""A user's metadata before it goes into a file."""

import datetime as dt
from types import MappingProxyType

import pytest

from raptor_exporter.manager.metadata import BadMetadata, checked_metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"env": "ci", "retries": 3, "ratio": 0.5, "ok": True, "none": None},
        {"nested": {"list": [1, "zwei", {"drei": []}]}, "": "empty key", "emoji": "🦖"},
        {"big": 10**400},
    ],
)
def test_what_json_can_hold_comes_back_equal_and_as_a_copy(metadata):
    checked = checked_metadata(metadata)
    assert checked == metadata
    assert checked is not metadata


def test_tuples_and_other_mappings_become_what_the_file_gives_back():
    assert checked_metadata(MappingProxyType({"pair": (1, 2)})) == {"pair": [1, 2]}
    assert checked_metadata(None) == {}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"when": dt.date(2024, 1, 1)}, r"metadata\['when'\] is of type date, which JSON can't hold"),
        ({"a": [1, {"b": {1, 2}}]}, r"metadata\['a'\]\[1\]\['b'\] is of type set"),
        ({"n": float("nan")}, r"metadata\['n'\] is nan, which JSON has no number for"),
        ({"n": [float("-inf")]}, r"metadata\['n'\]\[0\] is -inf"),
        ({5: "five"}, r"metadata has the key 5, which is of type int: JSON keys are text"),
        ({"x": {None: 1}}, r"metadata\['x'\] has the key None"),
        ({"s": "\ud83e"}, r"metadata\['s'\] holds half of a surrogate pair"),
        ({"\ud83e": 1}, r"a key of metadata holds half of a surrogate pair"),
        ({"b": b"bytes"}, r"metadata\['b'\] is of type bytes"),
        ([("a", 1)], r"metadata is of type list: give a dict"),
        ("text", r"metadata is of type str"),
        ({"big": 10**5000}, r"metadata does not go into JSON"),
    ],
)
def test_what_json_cannot_hold_is_an_error_that_names_the_place(metadata, message):
    with pytest.raises(BadMetadata, match=message):
        checked_metadata(metadata)


def test_metadata_that_holds_itself_is_an_error():
    metadata = {}
    metadata["self"] = metadata
    with pytest.raises(BadMetadata, match="holds itself"):
        checked_metadata(metadata)

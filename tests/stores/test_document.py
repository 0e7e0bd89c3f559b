"""Rewriting a file changes what was asked for and not one character of any other value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raptor_exporter.stores.document import NotFaithful, members, rewritten, value

SPELLINGS = [
    "1.10",
    "1e3",
    "1E+400",
    "-0.0",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "9" * 5000,
    '"\\u00e9"',
    '"é"',
    '"\\/"',
    "[1,2 , 3]",
    '{"deep":{"deeper":[{"n":1.0}]}}',
    "[" * 900 + "]" * 900,
    "null",
    "true",
    '""',
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_value_comes_out_as_it_is_spelled(spelling):
    data = f'{{"first": 1, "kept": {spelling}, "last_accessed": "then"}}'.encode()
    out = rewritten(members(data), {"last_accessed": "now"})
    assert f'"kept": {spelling},'.encode() in out
    assert value(members(out), "last_accessed") == "now"


def test_keys_keep_their_order_and_new_ones_come_last():
    data = b'{"z": 1, "last_accessed": "then", "a": 2}'
    out = rewritten(members(data), {"new": [1, {"x": None}], "last_accessed": "now"})
    assert list(json.loads(out)) == ["z", "last_accessed", "a", "new"]


def test_of_a_key_that_stands_twice_the_last_counts_as_everywhere():
    data = b'{"a": 1, "a": 2}'
    assert json.loads(rewritten(members(data), {})) == json.loads(data)


def test_half_of_a_surrogate_pair_stays_an_escape():
    out = rewritten(members(b'{"kept": "\\ud800", "n": 1}'), {"last_accessed": "now"})
    assert b'"\\ud800"' in out
    assert json.loads(out.decode("utf-8")) == {"kept": "\ud800", "n": 1, "last_accessed": "now"}


def test_what_would_come_out_as_something_else_is_refused():
    with pytest.raises(NotFaithful):
        members(b'{"half": "\\ud800", "large": 1e999}')
    with pytest.raises(NotFaithful):
        rewritten({}, {"metadata": {"n": float("nan")}})


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"7", b"{", b'{"a": NaN}', b"\xff{}", b'{"a": "\xed\xa0\x80"}', b"{}{}", b"[" * 100_000],
)
def test_what_is_not_one_json_object_has_no_members(data):
    assert members(data) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(
    document=st.dictionaries(st.text(max_size=8), JSON, max_size=6),
    changes=st.dictionaries(st.text(max_size=8), JSON, max_size=3),
    ascii_only=st.booleans(),
    indent=st.none() | st.integers(0, 3),
)
def test_any_object_reads_back_as_itself_with_the_changes(document, changes, ascii_only, indent):
    data = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    found = members(data)
    if found is None:
        assert b"\xed" in data  # text that is no UTF-8 is no JSON
        return
    assert json.loads(rewritten(found, changes)) == document | changes

"""Session names to safe file names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raptor_exporter.exceptions import UnsafeName
from raptor_exporter.names import could_be_stem, is_session_file, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("login", "login"),
        ("test/../../../etc/passwd", "testetcpasswd"),
        ("a.b c\td", "abcd"),
        ("-_-", "-_-"),
        (".hidden", "hidden"),
        ("naïve 日本 ①", "naïve日本①"),  # alphanumeric is what Python calls so, the seed's rule
        ("x" * 250, "x" * 250),
        ("é" * 125 + "/", "é" * 125),
    ],
)
def test_the_safe_name_is_what_is_alphanumeric_or_dash_or_underscore_in_order(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["", "/", "../..", " \n", "🦖", "x" * 251, "é" * 126, "日" * 84])
def test_a_name_with_nothing_left_or_too_long_is_an_error_that_says_so(name):
    with pytest.raises(UnsafeName, match=r"has no letter, digit, '-' or '_'|bytes long as a file name"):
        safe_name(name)


@given(st.text())
def test_a_safe_name_leads_nowhere_else_and_is_its_own_safe_name(name):
    try:
        safe = safe_name(name)
    except UnsafeName:
        return
    assert not set(safe) & set("/\0.")
    assert len(safe.encode()) <= 250
    assert safe_name(safe) == safe
    assert could_be_stem(safe)
    assert is_session_file(safe + ".json")


@pytest.mark.parametrize(
    ("file_name", "is_one"),
    [
        ("a.json", True),
        ("a.b.json", True),
        (" .json", True),
        (".json", False),
        (".a.json", False),
        ("a.JSON", False),
        ("a.json~", False),
        ("json", False),
    ],
)
def test_a_session_file_ends_in_json_and_starts_with_no_dot(file_name, is_one):
    assert is_session_file(file_name) is is_one


@pytest.mark.parametrize("name", ["", ".a", "a/b", "a\0", "x" * 251, "\ud800"])
def test_what_could_be_no_stem(name):
    assert not could_be_stem(name)


def test_a_stem_may_be_undecodable_as_python_spells_it():
    assert could_be_stem(b"caf\xe9".decode("utf-8", "surrogateescape"))

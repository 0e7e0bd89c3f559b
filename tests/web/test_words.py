from __future__ import annotations

import pytest

from raptor_exporter.web.documents import moment
from raptor_exporter.web.page import count, idle, relative, span, until, visible

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("away", "words", "due"),
    [
        (90, "in 1m", "in 1m"),
        (3_700, "in 1h1m", "in 1h1m"),
        (1, "in 1s", "in 1s"),
        (0.5, "now", "now"),
        (-0.5, "now", "now"),
        (-45, "45s ago", "now"),
        (-200_000, "2d7h ago", "now"),
    ],
)
def test_moments_are_told_by_their_distance(away, words, due):
    when = moment(NOW + away)
    assert relative(when, NOW) == words
    assert until(when, NOW) == due


def test_what_is_not_known_is_a_dash_and_the_future_is_named():
    assert idle(None, NOW) == "—"
    assert count(None) == "—"
    assert count(1234567) == "1,234,567"
    assert idle(moment(NOW + 60), NOW) == "in the future"
    assert span(0.2) == "0s"
    assert moment(1e300) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("<b>", "&lt;b&gt;"),
        (" x ", r"\u0020x\u0020"),
        ("a\u202eb\nc\x00", r"a\u202eb\u000ac\u0000"),
        ("\ud800", r"\ud800"),
        ("\u3164", r"\u3164"),
        ("日本 é", "日本 é"),
    ],
)
def test_characters_that_hide_or_reorder_are_shown_by_their_numbers(text, shown):
    assert str(visible(text)) == shown

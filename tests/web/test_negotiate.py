from __future__ import annotations

import pytest

from raptor_exporter.web.negotiate import (
    GZIP,
    IDENTITY,
    OPENMETRICS,
    TEXT,
    TEXT_1,
    choose_encoding,
    choose_format,
)

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OM = "application/openmetrics-text"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", OPENMETRICS),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", TEXT_1),
        ("text/plain;version=1.0.0;q=0.4, text/plain;version=0.0.4;q=0.3", TEXT_1),
        (OM, OPENMETRICS),
        (f"{OM};version=1.0.0", OPENMETRICS),
        (f'{OM}; version="1.0.0"', OPENMETRICS),
        (f"{OM};version=0.0.1", OPENMETRICS),
        (f"{OM};version=0.0.1;q=0.2, {OM};version=1.0.0;q=0.6, text/plain;q=0.5", OPENMETRICS),
        (f"{OM};version=0.0.2", TEXT),
        (f"{OM};version=2.0.0, text/plain;q=0.1", TEXT),
        (OM.upper(), OPENMETRICS),
        (f"{OM};q=0", TEXT),
        (f"{OM};q=0, */*", TEXT),
        (f"{OM};q=0.4, text/plain;q=0.5", TEXT),
        (f"{OM};q=0.5, text/plain;q=0.4", OPENMETRICS),
        (f"text/plain;q=0.5, {OM};q=0.9", OPENMETRICS),
        (f"text/plain, {OM}", TEXT),
        (f"{OM}, text/plain", OPENMETRICS),
        (f"{OM}, */*", OPENMETRICS),
        (f"*/*, {OM}", TEXT),
        (f"*/*;q=0.9, {OM};q=0.1", TEXT),
        (f"text/plain;q=0, {OM};q=0.001", OPENMETRICS),
        ("text/plain;q=0, */*;q=0.1", OPENMETRICS),
        ("*/*;q=0", TEXT),
        ("application/json", TEXT),
        (f"{OM};q=nonsense", OPENMETRICS),
        (f'{OM};x="a,b;q=0"', OPENMETRICS),
        (",,;;,", TEXT),
        (f" {OM} ; q=1.000 , ", OPENMETRICS),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
    ],
)
def test_the_format_with_the_highest_weight_wins_and_text_is_the_default(accept, expected):
    assert choose_format(accept) == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", IDENTITY),
        ("gzip", GZIP),
        ("GZIP", GZIP),
        ("x-gzip", GZIP),
        ("gzip;q=0", IDENTITY),
        ("gzip;q=0.0", IDENTITY),
        ("gzip; q=0.000", IDENTITY),
        ("gzip;q=0.001", GZIP),
        ("gzip, deflate, br", GZIP),
        ("deflate, br", IDENTITY),
        ("*", GZIP),
        ("*;q=0", IDENTITY),
        ("gzip;q=0, *", IDENTITY),
        ("*;q=0, gzip", GZIP),
        ("identity", IDENTITY),
        ("identity;q=1, gzip;q=0.5", IDENTITY),
        ("identity;q=0.5, gzip;q=1", GZIP),
        ("identity;q=0.5, gzip;q=0.5", GZIP),
        ("identity;q=0, *;q=0.5", GZIP),
        ("identity;q=0", IDENTITY),
        ("gzip;q=bogus", GZIP),
        ("gzipped", IDENTITY),
    ],
)
def test_gzip_is_used_only_where_its_weight_is_above_zero_and_not_below_identitys(accept_encoding, expected):
    assert choose_encoding(accept_encoding) == expected

"""Durations as in Prometheus and sizes as in Kubernetes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raptor_exporter.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("1ms", 0.001),
        ("250ms", 0.25),
        ("45s", 45.0),
        ("15m", 900.0),
        ("1h30m", 5_400.0),
        ("24h", 86_400.0),
        ("90m", 5_400.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("1y", 31_536_000.0),
        ("1y2w3d4h5m6s7ms", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3_600 + 5 * 60 + 6 + 0.007),
        ("007d", 604_800.0),
        ("1000y", 31_536_000_000.0),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "1",
        "00",
        "s",
        "1 h",
        " 1h",
        "1h ",
        "1h\n",
        "30s1m",
        "1m1m",
        "1.5h",
        "-1h",
        "+1h",
        "1H",
        "1min",
        "1h30",
        "1001y",
        "9" * 400 + "y",
        "9" * 5000 + "s",
        "\u0661d",
        "7days",
        "1d,2h",
        "inf",
        "nan",
        "1:30",
    ],
)
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the message is Python's own for thousands of digits
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1k", 1000),
        ("1kB", 1000),
        ("512Ki", 512 * 1024),
        ("512KiB", 512 * 1024),
        ("50MiB", 50 * 1024**2),
        ("50M", 50_000_000),
        ("50MB", 50_000_000),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("0.5Ki", 512),
        ("1G", 10**9),
        ("2Ti", 2 * 1024**4),
        ("1P", 10**15),
        ("1Ei", 1024**6),
        ("16Ei", 16 * 1024**6),
        ("0.001k", 1),
        ("1e3", 1000),
        ("12E6", 12_000_000),
        ("1.5e3", 1500),
        ("1E", 10**18),
    ],
)
def test_a_size_is_read_in_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "Ki",
        "-1",
        "+1",
        "1 MiB",
        "1KB",
        "1K",
        "1mib",
        "1MIB",
        "0.5",
        "1.5B",
        "0.0001k",
        "1e",
        "1e-1",
        "1e3Ki",
        "1,5M",
        "1_000",
        "0x10",
        "1Zi",
        "9" * 5000,
        "inf",
        "nan",
        "1e99",
        "\u0661M",
        "1M\n",
    ],
)
def test_what_is_no_whole_number_of_bytes_is_an_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the message is Python's own for thousands of digits
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3_599, "59m59s"),
        (3_600, "1h"),
        (3_601, "1h"),
        (86_399, "23h59m"),
        (86_400, "1d"),
        (90_061, "1d1h"),
        (31 * 86_400, "31d"),
        (400 * 86_400, "1y35d"),
    ],
)
def test_a_duration_is_told_in_at_most_two_units_and_rounded_down(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(0, 10**10))
def test_a_told_duration_is_never_longer_than_the_real_one_nor_far_from_it(seconds):
    told = parse_duration(format_duration(seconds))
    assert told <= seconds
    assert seconds - told <= max(60, seconds / 10)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 * 1024**5, "5120.0 TiB"),
    ],
)
def test_a_size_is_told_with_its_unit(size, text):
    assert format_size(size) == text

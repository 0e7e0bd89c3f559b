"""Durations as in Prometheus, sizes as in Kubernetes: text to number and back."""

from __future__ import annotations

import re

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_SECONDS = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
# Without weeks: "31d" reads better than "4w3d".
_SHOWN = (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_MAX_SECONDS = 1_000 * _SECONDS[0]  # past this no date can be computed any more

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:[eE](\d{1,2})|(?:([kMGTPE])(i)?|(K)i)?B?)", re.ASCII)
_MAX_EXPONENT = 24
_POWERS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}

DURATION_FORM = "a duration such as 30s, 15m, 1h30m, 7d or 2w"
SIZE_FORM = "a size such as 512Ki, 50MiB or 1G"


def parse_duration(text: str) -> float:
    """Seconds of a duration written as Prometheus does: ``1h30m``, ``7d``, ``2w``; ``0`` is zero.

    Raises:
        ValueError: it is none, or longer than 1000 years.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not {DURATION_FORM}")
    # Whole milliseconds: a float overflows on numbers that are merely absurd.
    milliseconds = sum(
        int(n) * int(unit * 1000) for n, unit in zip(match.groups(), _SECONDS, strict=True) if n
    )
    if milliseconds > _MAX_SECONDS * 1000:
        raise ValueError(f"{text!r} is longer than 1000y")
    return milliseconds / 1000


def format_duration(seconds: float, *, parts: int = 2) -> str:
    """A duration for people, at most ``parts`` units long and rounded down: ``6d23h``, ``45s``."""
    if seconds < 1:
        return "0s" if seconds <= 0 else f"{int(seconds * 1000)}ms"
    rest = int(seconds)
    words: list[str] = []
    for unit, size in _SHOWN:
        if rest >= size:
            count, rest = divmod(rest, size)
            words.append(f"{count}{unit}")
            if len(words) == parts:
                break
        elif words:
            break
    return "".join(words)


def parse_size(text: str) -> int:
    """Bytes of a size written as Kubernetes does (``512Ki``, ``2G``) or with a B (``50MiB``).

    Raises:
        ValueError: it is none, or is not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {SIZE_FORM}")
    number, exponent, prefix, binary, kibi = match.groups()
    power = _POWERS[prefix or kibi] if prefix or kibi else 0
    factor: int = (1024 if binary or kibi else 1000) ** power
    if exponent:
        if int(exponent) > _MAX_EXPONENT:
            raise ValueError(f"{text!r} is more than any disk holds")
        factor = 10 ** int(exponent)
    whole, _, fraction = number.partition(".")
    # Whole arithmetic: a float would lose bytes of large sizes.
    scaled: int = int(whole + fraction) * factor
    divisor: int = 10 ** len(fraction)
    scaled, rest = divmod(scaled, divisor)
    if rest:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return scaled


def format_size(size: float) -> str:
    """A number of bytes for people: ``512 B``, ``1.5 MiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")

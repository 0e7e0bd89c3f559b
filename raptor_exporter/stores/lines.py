"""One JSON object a line, as the journal and the manifests of the trash hold them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def json_line(value: Any) -> bytes:
    """A value on a line of its own, in ASCII: no name in it can speak to a terminal."""
    try:
        line = _encode(value)  # five times as fast as json, which counts where half a store goes
    except UnicodeEncodeError:  # a file name that is no UTF-8
        line = b""
    if not line or not line.isascii():
        line = json.dumps(value).encode()
    return line + b"\n"

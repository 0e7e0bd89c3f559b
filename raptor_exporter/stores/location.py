"""Where a store is, as a person writes it: a directory or a URL."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

LOCATION_FORM = "a directory such as ~/.raptor/sessions or /var/lib/raptor, or a file: URL of one"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def store_directory(url: str) -> str:
    """The directory that a store's URL names; ``~`` and relative paths are left as they are.

    Raises:
        ValueError: it names none. The message completes "the store …" and shows no more of a URL
            than its scheme, for it may hold a password.
    """
    if not url:
        raise ValueError("is empty")
    if _CONTROL.search(unquote(url)):
        raise ValueError("holds a control character")
    scheme = _SCHEME.match(url)
    if scheme is None:
        if url.startswith("~") and os.path.expanduser(url).startswith("~"):
            raise ValueError("is below the home of a user that this machine doesn't know")
        return url
    name = (scheme.group(1) or scheme.group(2)).lower()
    if name != "file":
        raise ValueError(f"is a URL of the scheme {name if len(name) <= 20 else name[:20] + '…'}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is no URL that can be read") from None
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost"):
        raise ValueError("is a file: URL of another host (a path begins with a third slash)")
    if parts.query or parts.fragment or not path.startswith("/"):
        raise ValueError("is a file: URL without an absolute path alone")
    return path

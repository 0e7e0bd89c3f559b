"""What may be shown of a URL: a CDP URL is a password to a browser, a page URL may carry one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "…"

# As it stands in texts, in JSON with escaped slashes, and percent-encoded inside another URL.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)(?P<slashes>:(?:\\?/){2}|%3A%2F%2F)(?P<authority>[^/?#\\\s]*)(?P<rest>\S*)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:[^\s/?#:@\[\]\"'<>%,;(){}|^`]+|\[[0-9a-f:.]+\])(?::\d{0,5})?", re.IGNORECASE)
# A quote or bracket that closes behind a URL belongs to the sentence around it.
_CLOSING = re.compile(r"[\"'`>)\]},.;:!]*\Z")
_DEVTOOLS = re.compile(r"((?:\\?/|%2F)devtools(?:\\?/|%2F)[a-z_]+(?:\\?/|%2F))[^\s\"'<>]+", re.IGNORECASE)

_PAGE_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<slashes>//)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_PATH_END = re.compile(r"[?#\s]")  # of what follows a space nothing is known to be harmless
_PLAIN_SCHEMES = frozenset({"http", "https", "ftp", "file", "about", "chrome", "chrome-extension"})
_PAGE_URL_KEY = "page_url"


def redact(text: str) -> str:
    """The same text with every URL cut to its scheme, host and port.

    Nothing is kept that a browser, a proxy before it or a web page could take for a secret: no
    user, path, query or fragment, and no DevTools identifier that stands alone.
    """
    if "://" in text or ":\\/" in text or "%3" in text:
        text = _URL.sub(_address_only, text)
    if "devtools" in text.lower():
        text = _DEVTOOLS.sub(lambda match: match[1] + HIDDEN, text)
    return text


def _address_only(match: re.Match[str]) -> str:
    scheme, authority, rest = match["scheme"], match["authority"], match["rest"]
    closing = _CLOSING.search(rest or authority)
    tail = closing[0] if closing else ""
    _, at, address = authority.rpartition("@")
    if not rest:
        address = address.removesuffix(tail)
    if not _ADDRESS.fullmatch(address):
        return f"{scheme}://{HIDDEN}{tail}"
    path = rest.removesuffix(tail)
    if at or path not in ("", "/"):
        path = f"/{HIDDEN}"
    return f"{scheme}://{address}{path}{tail}"


def redact_page_url(url: str) -> str:
    """The URL of a web page without its user, query and fragment; the path stays."""
    url = url.strip()
    match = _PAGE_URL.fullmatch(url)
    if match is None:
        return redact(_without_scheme(url))
    scheme = match["scheme"].lower()
    if scheme not in _PLAIN_SCHEMES:
        # Of data:, blob:, view-source:, ws: and what comes next year, nothing is known to be harmless.
        return redact(url.split(maxsplit=1)[0]) if match["slashes"] else f"{scheme}:{HIDDEN}"
    rest = _PATH_END.split(match["rest"], maxsplit=1)[0]
    if not match["slashes"]:
        return f"{scheme}:{rest if scheme == 'about' else HIDDEN}"
    authority, slash, path = rest.partition("/")
    address = authority.rpartition("@")[2]
    if scheme in ("http", "https") and not _ADDRESS.fullmatch(address):
        return f"{scheme}://{HIDDEN}"
    return redact_devtools(f"{scheme}://{address}{slash}{path}")


def _without_scheme(url: str) -> str:
    """``host/path`` of what a program wrote as the URL of a page all the same."""
    start, slash, path = re.split(r"[?#]", url, maxsplit=1)[0].lstrip("/").partition("/")
    return f"{start.rpartition('@')[2]}{slash}{path}"


def redact_devtools(text: str) -> str:
    """The same text without the identifiers of browsers and tabs."""
    return _DEVTOOLS.sub(lambda match: match[1] + HIDDEN, text)


_DEEPEST = 30  # levels of metadata that are shown; a file may nest deeper than Python can follow


def redact_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A session's metadata as it may be shown: every URL in it without what could be a secret."""
    return {
        redact(key): redact_value(key, value) if isinstance(value, str) else _shown(value)
        for key, value in metadata.items()
    }


def redact_value(key: str, value: str) -> str:
    """The text of one metadata key as it may be shown.

    One that is a page's URL keeps its path: it tells sessions apart.
    """
    is_url = key == _PAGE_URL_KEY or re.match(r"https?://\S+\Z", value, re.IGNORECASE)
    return redact_page_url(value) if is_url else redact(value)


def _shown(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return redact_value("", value)
    if depth > _DEEPEST and isinstance(value, Mapping | list):
        return "…"
    if isinstance(value, Mapping):
        return {redact(str(key)): _shown(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, depth + 1) for item in value]
    return value

"""Session name to safe file name."""

from __future__ import annotations

from raptor_exporter.exceptions import UnsafeName

SUFFIX = ".json"
MAX_STEM_BYTES = 250  # with the suffix 255, the longest name that Linux file systems take


def safe_name(session_name: str) -> str:
    """The characters of a session name that are alphanumeric, ``-`` or ``_``, in order.

    Raises:
        UnsafeName: nothing is left over, or more than 250 bytes of UTF-8 are.
    """
    safe = "".join(c for c in session_name if c.isalnum() or c in "-_")
    if not safe:
        raise UnsafeName(
            f"the session name {session_name!r} has no letter, digit, '-' or '_': give it at least one"
        )
    length = len(safe.encode())
    if length > MAX_STEM_BYTES:
        raise UnsafeName(
            f"the session name is {length} bytes long as a file name; at most {MAX_STEM_BYTES} fit"
        )
    return safe


def check_new_name(name: object) -> None:
    """Check the name that a session is to be saved by.

    Raises:
        UnsafeName: it is no text, has no safe file name, or no file can hold it.
    """
    if not isinstance(name, str):
        raise UnsafeName(f"a session name is text, not {type(name).__name__}")
    safe_name(name)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnsafeName("the session name holds half of a surrogate pair: give whole characters") from error


def is_session_file(file_name: str) -> bool:
    """Whether a regular file of this name in the store is a session."""
    return file_name.endswith(SUFFIX) and not file_name.startswith(".")


def could_be_stem(name: str) -> bool:
    """Whether a name could be the stem of a session file: no path, no hidden file, not too long."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        return False
    try:
        encoded = name.encode("utf-8", "surrogateescape")  # how Python spells undecodable file names
    except UnicodeEncodeError:
        return False
    return len(encoded) <= MAX_STEM_BYTES

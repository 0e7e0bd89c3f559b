"""The configuration file as JSON Schema, for editors and for other programs that write it."""

from __future__ import annotations

from typing import Any

from raptor_exporter.config import tree


def json_schema() -> dict[str, Any]:
    """The schema in draft 2020-12.

    It can't say that names are unique, that a time zone exists, or what YAML makes of an unquoted
    word: the loader checks that too.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "raptor-exporter configuration",
        **tree.root(dict).schema(),
    }

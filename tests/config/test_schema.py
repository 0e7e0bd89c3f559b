"""The JSON Schema says what the loader says, wherever a schema can say it."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from raptor_exporter.config.schema import json_schema

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# What JSON Schema can't say, or what the data doesn't show any more once YAML was read.
BEYOND_A_SCHEMA = {
    "duplicate-key": "the data has each key once",
    "duplicate-metadata-key": "the data has each key once",
    "duplicate-section": "the data has each key once",
    "duration-absurd": "arithmetic",
    "duration-too-long": "arithmetic",
    "endpoint-without-probe": "a rule between two places",
    "metadata-key-is-a-number": "to JSON every key is text",
    "ratio-nan": "no JSON, and outside of every comparison",
    "utf-16": "the encoding of the file",
    "merge-key": "merged before the data is seen",
    "policy-name-is-a-date": "to JSON a date is text",
    "protect-endpoint-without-probe": "a rule between two places",
    "size-part-of-a-byte": "arithmetic",
    "store-url-other-host": "what a URL means",
    "store-url-other-scheme": "what a URL means",
    "store-url-broken": "what a URL means",
    "store-url-control": "what a path means",
    "store-url-query": "what a URL means",
    "store-url-unknown-user": "users of the machine",
    "timezone-case": "zones of the machine",
    "timezone-number": "zones of the machine",
    "timezone-city": "zones of the machine",
    "timezone-path": "zones of the machine",
    "timezone-unknown": "zones of the machine",
    "two-policies-of-one-name": "uniqueness of one key",
    "unreachable-for-without-probe": "a rule between two places",
    "version-decimal": "to JSON 1.0 is the number 1",
    "version-octal": "the data is the number 1",
}


def validator():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def as_data(path):
    """What an editor would check."""
    return json.loads(json.dumps(yaml.safe_load(path.read_bytes()), default=str))


def wrong_but_yaml():
    for path in sorted(HERE.glob("bad/*.yaml")):
        if path.stem in ("billion-laughs", "alias-of-itself"):  # not to be expanded
            continue
        try:
            yield pytest.param(as_data(path), path.stem, id=path.stem)
        except (yaml.YAMLError, ValueError, TypeError, LookupError):  # PyYAML trips over odd tags
            continue


@pytest.mark.parametrize(("data", "name"), list(wrong_but_yaml()))
def test_the_schema_refuses_what_the_loader_refuses(data, name):
    assert validator().is_valid(data) == (name in BEYOND_A_SCHEMA)


def test_most_wrong_files_are_wrong_to_the_schema_too():
    assert len(list(wrong_but_yaml())) - len(BEYOND_A_SCHEMA) > 70


@pytest.mark.parametrize(
    "path",
    [*sorted(HERE.glob("good/*.yaml")), ROOT / "docs" / "raptor.example.yaml"],
    ids=lambda path: path.stem,
)
def test_the_schema_takes_what_the_loader_takes(path):
    validator().validate(as_data(path))


def test_the_example_names_the_schema_for_editors():
    first = (ROOT / "docs" / "raptor.example.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=raptor.schema.json"

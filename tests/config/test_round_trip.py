"""Any rules, written as YAML or as JSON, are read back as they were, and the schema takes them."""

import json

import jsonschema
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plan_strategies import rules

from raptor_exporter.config import Config, parse_config
from raptor_exporter.config.schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def seconds(value):
    return f"{round(value * 1000)}ms"


def written_match(match, default="valid"):
    found = {}
    if match.name is not None:
        found["name"] = list(match.name.patterns)
    if match.browser_type is not None:
        found["browser_type"] = sorted(match.browser_type)
    if match.metadata:
        found["metadata"] = {key: list(globs.patterns) for key, globs in match.metadata}
    if match.state != default:
        found["state"] = match.state
    if match.endpoint is not None:
        found["endpoint"] = str(match.endpoint)
    if match.exclude is not None:
        # An exclude of nothing is refused, so its default is written out.
        found["exclude"] = written_match(match.exclude, "any") or {"state": "any"}
    return found


def written_policy(policy):
    limits = {key: getattr(policy.expire, key) for key in ("idle_for", "older_than", "unmodified_for")}
    limits["unreachable_for"] = policy.expire.unreachable_for
    found = {
        "name": policy.name,
        "interval": seconds(policy.interval),
        "match": written_match(policy.match),
        "mode": str(policy.mode),
        "guards": {
            "max_delete_ratio": policy.guards.max_delete_ratio,
            "max_clock_jump": seconds(policy.guards.max_clock_jump),
            "min_age": seconds(policy.guards.min_age),
        },
        "expire": {key: seconds(limit) for key, limit in limits.items() if limit is not None},
    }
    if policy.cap is not None:
        cap = {"sessions": policy.cap.sessions, "bytes": policy.cap.bytes}
        found["cap"] = {key: value for key, value in cap.items() if value is not None}
    if policy.keep is not None:
        found["keep"] = {"last": policy.keep.last}
        if policy.keep.per is not None:
            found["keep"]["per"] = f"metadata.{policy.keep.per}"
    return {key: value for key, value in found.items() if value or key == "match"}


def readable(rules_):
    """Every policy has a reason to delete: others can't be written."""
    return all(
        (p.cap is not None and (p.cap.sessions is not None or p.cap.bytes is not None))
        or (p.cap is None and written_policy(p).get("expire"))
        for p in rules_.policies
    )


@settings(deadline=None, max_examples=100)
@given(rules().filter(readable), st.booleans(), st.booleans())
def test_rules_are_read_as_they_were_written(rules_, flow, as_json):
    document = {
        "version": 1,
        "probe": {},
        "cleanup": {"protect": [written_match(match) for match in rules_.protect]},
        "policies": [written_policy(policy) for policy in rules_.policies],
    }
    VALIDATOR.validate(document)
    text = (
        json.dumps(document)
        if as_json
        else yaml.safe_dump(document, default_flow_style=flow, sort_keys=False)
    )
    config = parse_config(text, "raptor.yaml")
    assert isinstance(config, Config)
    assert config.rules == rules_


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Cn"], include_characters="\n\t\x07")
KEYS = st.text(CHARACTERS, min_size=1, max_size=20)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(KEYS, st.text(CHARACTERS, max_size=20), min_size=1, max_size=3))
def test_metadata_of_any_text_is_read_as_it_was_written(metadata):
    document = {"version": 1, "cleanup": {"protect": [{"metadata": metadata}]}}
    as_json, as_yaml = json.dumps(document, ensure_ascii=False), yaml.safe_dump(document, allow_unicode=True)
    for text in (as_json, as_yaml):
        (match,) = parse_config(text, "raptor.yaml").rules.protect
        assert {key: globs.patterns for key, globs in match.metadata} == {
            key: (value,) for key, value in metadata.items()
        }

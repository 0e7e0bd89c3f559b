"""A configuration file in, typed values out; every wrong one has its file in bad/ with its exact message."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from raptor_exporter.cleanup.policy import (
    Cap,
    EndpointState,
    Expire,
    Globs,
    Guards,
    Keep,
    Match,
    Mode,
    Policy,
    Rules,
    TrashRules,
)
from raptor_exporter.config import DEFAULT_STORE, Config, ProbeConfig, StoreConfig, load_config, parse_config
from raptor_exporter.exceptions import ConfigError, Problem

HERE = Path(__file__).parent
BAD = sorted(HERE.glob("bad/*.yaml"))
GOOD = sorted(HERE.glob("good/*.yaml"))


def problems(text, file="raptor.yaml"):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, file)
    return caught.value.problems


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_wrong_file_is_answered_with_every_problem_at_its_place(path):
    with pytest.raises(ConfigError) as caught:
        parse_config(path.read_bytes(), path.name)
    assert str(caught.value) + "\n" == path.with_suffix(".txt").read_text()


def test_each_wrong_file_has_its_message_and_there_are_many():
    assert len(BAD) >= 100
    assert {path.stem for path in BAD} == {path.stem for path in HERE.glob("bad/*.txt")}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_is_taken(path):
    assert isinstance(load_config(path), Config)


def shipped():
    root = HERE.parents[1]
    for page in [root / "README.md", *sorted(root.glob("docs/*.md"))]:
        blocks = page.read_text().split("```yaml\n")[1:]
        for number, block in enumerate(blocks):
            text = block.split("```")[0]
            if text.startswith("version:"):
                yield pytest.param(text, id=f"{page.name}-{number}")
    for path in sorted(root.glob("deploy/**/raptor*.yaml")):
        yield pytest.param(path.read_text(), id=str(path.relative_to(root)))
    for path in sorted(root.glob("deploy/kubernetes/**/*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and "raptor.yaml" in (document.get("data") or {}):
                yield pytest.param(document["data"]["raptor.yaml"], id=str(path.relative_to(root)))


@pytest.mark.parametrize("text", list(shipped()))
def test_every_configuration_of_the_documents_and_of_deploy_is_good(text):
    assert isinstance(parse_config(text, "shipped"), Config)


def test_the_whole_of_a_full_file_becomes_typed_values():
    config = load_config(HERE.parents[1] / "docs" / "raptor.example.yaml")
    guards = Guards(max_delete_ratio=0.5, max_clock_jump=600.0, min_age=60.0)
    assert config == Config(
        StoreConfig("~/.raptor/sessions", 30.0, None),
        ProbeConfig(60.0, 2.0, 50, ("localhost", "127.0.0.1", "::1")),
        Rules(
            (
                Policy(
                    "ci-sessions",
                    900.0,
                    Match(
                        browser_type=frozenset({"chromium"}),
                        metadata=(("env", Globs(("ci", "preview-*"))),),
                        exclude=Match(name=Globs(("golden-*",)), state="any"),
                    ),
                    Expire(idle_for=86_400.0, older_than=604_800.0),
                    keep=Keep(3, "repo"),
                    guards=guards,
                ),
                Policy(
                    "broken", 900.0, Match(state="invalid"), Expire(unmodified_for=3_600.0), guards=guards
                ),
                Policy(
                    "everything-else",
                    3_600.0,
                    Match(),
                    Expire(idle_for=2_592_000.0),
                    Cap(500, 50 * 1024 * 1024),
                    guards=guards,
                ),
            ),
            (Match(metadata=(("pinned", Globs(("true",))),)), Match(endpoint=EndpointState.REACHABLE)),
            TrashRules(604_800.0, 100 * 1024 * 1024),
        ),
    )


def test_a_file_without_policies_has_none_and_otherwise_the_defaults():
    assert parse_config("version: 1", "f") == Config(rules=Rules())
    assert parse_config("version: 1", "f").store.url == DEFAULT_STORE


def test_an_empty_probe_section_asks_with_the_defaults():
    assert parse_config("version: 1\nprobe: {}", "f").probe == ProbeConfig()


def test_quoted_words_are_text_whatever_yaml_would_make_of_them_bare():
    policy = load_config(HERE / "good" / "quoted.yaml").rules.policies[0]
    assert policy == Policy(
        "2024",
        900.0,
        Match(
            name=Globs(("no", "010", "1:30", "5")),
            browser_type=frozenset({"chromium"}),
            metadata=(
                ("5", Globs(("true",))),
                ("on", Globs(("",))),
                ("a key with spaces", Globs(("*",))),
            ),
        ),
        Expire(idle_for=31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3_600 + 5 * 60 + 6 + 0.007),
        Cap(bytes=1536),
        Keep(1, "a key with spaces"),
        Mode.ENFORCE,
    )


def test_a_policy_inherits_the_mode_and_each_guard_that_it_does_not_name():
    config = parse_config(
        """
version: 1
cleanup: {mode: enforce, guards: {max_delete_ratio: 0.2, min_age: 5m}}
policies:
  - {name: a, interval: 1h, cap: {sessions: 1}}
  - {name: b, interval: 1h, cap: {sessions: 1}, mode: plan, guards: {min_age: 0s}}
""",
        "f",
    )
    guards = Guards(max_delete_ratio=0.2, max_clock_jump=600.0, min_age=300.0)
    assert [(p.mode, p.guards) for p in config.rules.policies] == [
        (Mode.ENFORCE, guards),
        (Mode.PLAN, replace(guards, min_age=0.0)),
    ]


def test_no_trash_is_a_trash_that_keeps_nothing_until_the_next_run():
    assert parse_config("version: 1\ncleanup: {trash: none}", "f").rules.trash == TrashRules(retain=0.0)


def test_match_and_protect_mean_valid_sessions_and_exclude_means_any():
    config = parse_config(
        """
version: 1
cleanup: {protect: [{name: a}]}
policies:
  - {name: a, interval: 1h, cap: {sessions: 1}, match: {name: a, exclude: {name: b}}}
""",
        "f",
    )
    match = config.rules.policies[0].match
    assert (match.state, match.exclude.state, config.rules.protect[0].state) == ("valid", "any", "valid")


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("~/x", "~/x"),
        ("/var/lib/raptor", "/var/lib/raptor"),
        ("file:///var/lib/a%20b", "/var/lib/a b"),
        ("file://localhost/srv", "/srv"),
        ("file:/srv", "/srv"),
        ("sessions", "/etc/raptor/sessions"),
        ("../sessions", "/etc/sessions"),
    ],
)
def test_a_store_is_a_directory_seen_from_the_file_or_a_file_url(url, directory):
    assert (
        parse_config(f"version: 1\nstore: {{url: '{url}'}}", "/etc/raptor/raptor.yaml").store.url == directory
    )


def test_a_time_zone_is_loaded():
    config = parse_config("version: 1\nstore: {timezone: Europe/Paris}", "f")
    assert config.store.timezone == ZoneInfo("Europe/Paris")


def test_a_machine_without_time_zone_data_says_so(monkeypatch):
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    (problem,) = problems("version: 1\nstore: {timezone: Nowhere/Known}")
    assert problem.message.startswith(
        'is "Nowhere/Known", but this machine has no time zone data, accepted is'
    )
    assert problem.message.endswith("once the package tzdata is installed")


def test_hosts_are_listed_as_in_the_url_brackets_and_capitals_apart():
    config = parse_config('version: 1\nprobe: {allowed_hosts: [Browser.svc, "[::1]", "fe80::1%eth0"]}', "f")
    assert config.probe.allowed_hosts == ("browser.svc", "::1", "fe80::1%eth0")


def test_a_file_that_cannot_be_read_is_a_problem_at_its_start(tmp_path):
    missing = tmp_path / "missing.yaml"
    for path, reason in [(missing, "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        message = f"cannot be read: {reason}, accepted is a YAML file that this user may read"
        assert caught.value.problems == [Problem(str(path), 1, 1, "", message)]


def test_a_file_over_one_mebibyte_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text("version: 1\n" + "#" * 1024 * 1024)
    with pytest.raises(ConfigError, match=r":1:1: is over 1 MiB, accepted is"):
        load_config(path)


@pytest.mark.parametrize(
    "text",
    ["[" * 500_000, "- " * 400_000, "{a: " * 200_000, "a: &a [" + "x," * 300_000 + "]", "? " * 300_000],
    ids=["flow", "block", "mappings", "many", "keys"],
)
def test_a_bomb_is_refused_at_its_place_without_being_built(text):
    (problem,) = problems(text)
    assert problem.line == 1
    assert problem.column > 1


LAUGHS = [
    "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 60)),
    "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 60)),
]


@pytest.mark.parametrize("text", LAUGHS, ids=["lists", "mappings"])
def test_aliases_of_aliases_are_counted_before_they_are_built(text):
    (problem,) = problems("version: 1\n" + text)
    assert (
        problem.message == "is one value too many, accepted are at most 50000, what aliases repeat included"
    )
    (itself,) = problems("version: 1\nstore: &s {url: *s}\n")
    assert itself.message == "the alias *s repeats what it is part of, accepted is an earlier value"


def test_problems_stand_in_the_order_of_the_file_even_from_repeated_parts():
    found = problems("version: 1\npolicies:\n  - &p {name: a, interval: 5}\n  - *p\n")
    assert [(p.line, p.path) for p in found] == [
        (3, "policies[0].expire"),
        (3, "policies[1].expire"),
        (3, "policies[1].name"),
        (3, "policies[0].interval"),
        (3, "policies[1].interval"),
    ]
    assert found == sorted(found, key=lambda p: (p.line, p.column))


def test_a_column_counts_characters_and_a_byte_order_mark_is_none():
    found = problems("\ufeffversion: 1\nstore: {'é': 1, x: 2}\n".encode())
    assert [(p.line, p.column, p.path) for p in found] == [(2, 9, 'store["é"]'), (2, 17, "store.x")]


def test_a_message_holds_nothing_that_a_terminal_would_obey_and_no_secret_of_a_url():
    (escape,) = problems('version: 1\n"\\e[31m\\x9b\\u202e": 1\n')
    assert escape.path == '["\\u001b[31m\\x9b\\u202e"]'
    (url,) = problems("version: 1\nstore: {url: 's3://key:secret@bucket/x'}\n")
    assert url.message.startswith("is a URL of the scheme s3, accepted is")
    assert "secret" not in url.message
    text = "version: 1\nprobe: {allowed_hosts: ['ws://u:p@h:9222/devtools/browser/secret']}\n"
    (host,) = problems(text + "'ws://h/devtools/browser/key-secret': 1\n")[1:]
    assert (host.path, host.message[:38]) == ('["ws://h/…"]', "is an unknown key, accepted is version")
    assert not any("secret" in str(p) for p in problems(text))


def test_a_python_tag_is_never_obeyed(tmp_path):
    flag = tmp_path / "flag"
    problems(f'version: 1\nstore: !!python/object/apply:os.system ["touch {flag}"]\n')
    problems(f'!!python/object/apply:os.system ["touch {flag}"]\n')
    assert not flag.exists()

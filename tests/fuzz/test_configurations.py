"""Damaged configuration files: a checked configuration comes out, or problems with their places."""

from __future__ import annotations

import re
from pathlib import Path

from support.fuzzing import cases, corpus, judged

from raptor_exporter.config import Config
from raptor_exporter.config.loader import parse_config
from raptor_exporter.exceptions import ConfigError
from raptor_exporter.web.config import WebConfig, parse_web_config

HERE = Path(__file__).parent
SEEDS = corpus(HERE.parent / "config" / "good", "*.yaml") + corpus(HERE.parent / "config" / "bad", "*.yaml")
WEB_SEEDS = corpus(HERE / "web")
SIGNS = (
    *(
        b":",
        b": ",
        b"- ",
        b"\n",
        b"\n  ",
        b"  ",
        b"\t",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"&a ",
        b"*a",
        b"<<: *a",
    ),
    *(
        b"!!python/object/apply:os.system [id]",
        b"!!binary ",
        b"!!set ",
        b"!!timestamp ",
        b"!",
        b"!!int ",
        b"!!float ",
        b"!!bool ",
        b"!!null ",
        b"! ",
        b"|",
        b">",
    ),
    *(
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"#",
        b"'",
        b'"',
        b"\\",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc2\x85",
    ),
    *(
        b"null",
        b"~",
        b"yes",
        b"no",
        b"0",
        b"-1",
        b"1",
        b"0x1f",
        b"0o17",
        b"1_000",
        b"1:30",
        b".nan",
        b".inf",
        b"1e400",
    ),
    *(b"9" * 400, b"? ", b"\r\n", b"[" * 200, b"{a: " * 200, b"a" * 3000),
)
WORDS = (
    *SIGNS,
    *(b"version", b"store", b"url", b"refresh_interval", b"timezone", b"probe", b"interval", b"timeout"),
    *(b"concurrency", b"allowed_hosts", b"cleanup", b"mode", b"enforce", b"trash", b"retain", b"max_bytes"),
    *(
        b"guards",
        b"max_delete_ratio",
        b"max_clock_jump",
        b"min_age",
        b"protect",
        b"policies",
        b"name",
        b"match",
    ),
    *(b"browser_type", b"metadata", b"exclude", b"expire", b"idle_for", b"older_than", b"unmodified_for"),
    *(
        b"unreachable_for",
        b"keep",
        b"last",
        b"per",
        b"cap",
        b"sessions",
        b"bytes",
        b"state",
        b"endpoint",
        b"1h30m",
    ),
    *(
        b"7d",
        b"0s",
        b"50MiB",
        b"0.5",
        b"reachable",
        b"any",
        b"metadata.repo",
        b"Europe/Paris",
        b"none",
        b"plan",
    ),
)
WEB_WORDS = (
    *SIGNS,
    *(
        b"tls_server_config",
        b"cert_file",
        b"key_file",
        b"cert",
        b"key",
        b"client_auth_type",
        b"client_ca_file",
    ),
    *(b"min_version", b"TLS12", b"cipher_suites", b"http_server_config", b"http2", b"headers", b"rate_limit"),
    *(b"basic_auth_users", b"$2y$10$", b"burst", b"RequireAndVerifyClientCert", b"client_allowed_sans"),
)
PLACE = re.compile(r"FILE:[1-9]\d*:[1-9]\d*: \S", re.DOTALL)


def _problems(parse, wanted, case):
    try:
        assert isinstance(parse(case, "FILE"), wanted)
    except ConfigError as error:
        return error.problems
    return None


def _hold_to_their_form(problems):
    assert problems, "refused without saying why"
    assert problems == sorted(problems, key=lambda p: (p.line, p.column)), "not in the file's order"
    for problem in problems:
        text = str(problem)
        assert PLACE.match(text), text
        assert text.isprintable(), text
        assert len(text) < 3000, text


def test_any_bytes_give_a_configuration_or_problems_at_their_places():
    for case in cases(SEEDS, WORDS, sample=1200):
        with judged(case):
            problems = _problems(parse_config, Config, case)
            if problems is not None:
                _hold_to_their_form(problems)


def test_a_damaged_configuration_never_deletes_more_than_it_says():
    """Enforcement, and every duration that deletes, stand in the file in letters."""
    for case in cases(SEEDS, WORDS, sample=600):
        with judged(case):
            try:
                rules = parse_config(case, "FILE").rules
            except ConfigError:
                continue
            text = case.decode("utf-16" if case[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
            assert len({policy.name for policy in rules.policies}) == len(rules.policies)
            for policy in rules.policies:
                assert policy.mode == "plan" or "enforce" in text or "\\" in text
                assert policy.interval > 0
                expire = policy.expire
                assert not expire.invalid
                assert not expire.requested
                durations = (
                    expire.idle_for,
                    expire.older_than,
                    expire.unmodified_for,
                    expire.unreachable_for,
                )
                assert policy.cap is not None or any(d is not None for d in durations)


def test_any_bytes_give_a_web_configuration_or_problems_at_their_places():
    for case in cases(WEB_SEEDS, WEB_WORDS, sample=1200):
        with judged(case):
            problems = _problems(parse_web_config, WebConfig, case)
            if problems is not None:
                _hold_to_their_form(problems)


def test_users_in_a_damaged_web_configuration_are_never_silently_left_out():
    """A file that names users either asks for a password or is refused."""
    for case in cases(WEB_SEEDS, WEB_WORDS, sample=600):
        if (
            not re.search(rb"^basic_auth_users:\s*\n  \w+: \S", case, re.MULTILINE)
            or b"basic_auth_users" not in case
        ):
            continue
        with judged(case):
            try:
                config = parse_web_config(case, "FILE")
            except ConfigError:
                continue
            # The line may have become part of a comment, a block of text or another document's end.
            assert config.users or re.search(rb"[|>'\"#]", case), case

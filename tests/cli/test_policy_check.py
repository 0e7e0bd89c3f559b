"""`policy check` says what is wrong with a file before an agent does; `policy schema` prints its form."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from raptor_exporter.cli import main
from raptor_exporter.config.schema import json_schema

CONFIGS = Path(__file__).parents[1] / "config"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("RAPTOR_CONFIG", "RAPTOR_STORE"):
        monkeypatch.delenv(name, raising=False)


def run(capsys, *arguments):
    status = main(["policy", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_good_file_is_named_with_its_policies_and_modes(capsys, tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text(
        "version: 1\npolicies:\n"
        "  - {name: a, interval: 1h, match: {name: x*}, cap: {sessions: 1}, mode: enforce}\n"
        "  - {name: b, interval: 1h, cap: {sessions: 1}}\n"
    )
    assert run(capsys, "check", str(path)) == (0, f"{path}: good, 2 policies: a (enforce), b (plan)\n", "")


def test_a_wrong_file_is_status_2_with_every_problem_on_stderr_and_nothing_on_stdout(capsys, monkeypatch):
    monkeypatch.chdir(CONFIGS / "bad")
    expected = Path("everything-at-once.txt").read_text()
    assert run(capsys, "check", "everything-at-once.yaml") == (2, "", expected)


def test_the_file_of_the_option_or_the_variable_is_checked_when_none_is_named(capsys, monkeypatch):
    path = str(CONFIGS / "good" / "minimal.yaml")
    expected = (0, f"{path}: good, no policies\n", "")
    assert run(capsys, "check", "--config", path) == expected
    monkeypatch.setenv("RAPTOR_CONFIG", path)
    assert run(capsys, "check") == expected


def test_a_named_file_is_checked_and_not_that_of_the_option(capsys):
    wrong, good = str(CONFIGS / "bad" / "empty.yaml"), str(CONFIGS / "good" / "minimal.yaml")
    assert run(capsys, "check", good, "--config", wrong)[0] == 0
    assert run(capsys, "check", wrong, "--config", good)[0] == 2


def test_without_any_file_the_built_in_policies_are_told(capsys):
    status, out, err = run(capsys, "check")
    assert (status, err) == (0, "")
    assert out == "no file, so the built-in policies hold: good, 2 policies: expired (plan), invalid (plan)\n"


def test_a_missing_file_is_status_2_without_a_traceback(capsys, tmp_path):
    status, out, err = run(capsys, "check", str(tmp_path / "missing.yaml"))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "missing.yaml:1:1: cannot be read: No such file or directory" in err


def test_a_dash_reads_stdin(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"version: 2\n")))
    assert run(capsys, "check", "-") == (
        2,
        "",
        "-:1:10: version: is the number 2, accepted is the number 1\n",
    )


def test_a_policy_that_can_never_own_a_session_is_a_warning(capsys, tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text(
        "version: 1\npolicies:\n"
        "  - {name: all, interval: 1h, cap: {sessions: 1}}\n"
        "  - {name: late, interval: 1h, match: {name: x*}, cap: {sessions: 1}}\n"
        "  - {name: broken, interval: 1h, match: {state: invalid}, expire: {idle_for: 1h}}\n"
        "  - {name: rest, interval: 1h, match: {state: any}, expire: {idle_for: 1h}}\n"
    )
    status, _, err = run(capsys, "check", str(path))
    assert (status, err) == (
        0,
        (
            f"{path}: warning: policy late owns nothing: all before it takes all\n"
            f"{path}: warning: policy rest owns nothing: all and broken before it takes all\n"
        ),
    )


def test_a_cap_of_nothing_is_a_warning(capsys, tmp_path):
    path = tmp_path / "raptor.yaml"
    path.write_text("version: 1\npolicies: [{name: a, interval: 1h, cap: {sessions: 0}}]\n")
    status, _, err = run(capsys, "check", str(path))
    assert status == 0
    assert err.startswith(f"{path}: warning: policy a deletes every session that it owns: its cap is 0")


def test_the_schema_is_printed_as_json(capsys):
    status, out, err = run(capsys, "schema")
    assert (status, json.loads(out), err) == (0, json_schema(), "")


@pytest.mark.parametrize("url", ["redis://user:secret@cache/0", "file://host/x"])
def test_a_store_of_an_unknown_kind_is_a_usage_error_that_keeps_its_secret(capsys, url):
    assert main(["stats", "--store", url]) == 2
    err = capsys.readouterr().err
    assert "name a directory" in err
    assert "secret" not in err

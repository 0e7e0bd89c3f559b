"""`session launch`, `probe` and `close`, on real browsers."""

from __future__ import annotations

import contextlib
import json
import os
import signal

import pytest
from support.chromium import running_chromium
from support.command import Command, run_command
from support.listeners import answering, free_port, silent
from support.sessions import read_session, write_session

from raptor_exporter.chromium import ending, processes
from raptor_exporter.session import parse_endpoint

PAGE = "data:text/html,<title>Hello</title>"


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def store(tmp_path):
    """A store whose sessions' browsers are ended at the end of the test."""
    directory = tmp_path / "store"
    directory.mkdir()
    yield directory
    for profile in (tmp_path / "home" / ".raptor" / "browsers").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            port = int((profile / "DevToolsActivePort").read_text().split("\n")[0])
            for pid in processes.listeners("127.0.0.1", port):
                os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def raptor(capsys):
    return Command(capsys)


@pytest.fixture
def profiles(home):
    return lambda: sorted(path.name for path in (home / ".raptor" / "browsers").glob("*"))


def pid_of(store, name):
    (pid,) = processes.listeners("127.0.0.1", parse_endpoint(read_session(store, name)["cdp_url"]).port)
    return pid


class TestLaunchProbeClose:
    def test_a_session_is_launched_found_alive_restored_and_closed(self, raptor, store, profiles):
        launched = raptor("session", "launch", "my login", "--url", PAGE, "--store", store)
        assert launched.status == 0, launched.err
        pid = pid_of(store, "mylogin")
        document = read_session(store, "mylogin")
        address = parse_endpoint(document["cdp_url"]).address
        assert launched.out == f"my login launched at {address} (process {pid})\n"
        assert document["session_id"] == "my login"
        assert document["metadata"]["page_title"] == "Hello"
        assert document["metadata"]["page_url"] == PAGE

        probed = raptor("session", "probe", "my login", "-o", "json", "--store", store)
        assert probed.status == 0
        (row,) = probed.json
        assert {k: row[k] for k in ("name", "session_id", "state", "address", "endpoint", "detail")} == {
            "name": "mylogin",
            "session_id": "my login",
            "state": "valid",
            "address": address,
            "endpoint": "reachable",
            "detail": "answers and is the same browser",
        }

        restored = raptor("session", "restore", "my login", "--store", store)
        assert restored.status == 0
        assert "Hello" in restored.out

        closed = raptor("session", "close", "my login", "--yes", "--store", store)
        assert (closed.status, closed.out) == (0, "mylogin deleted\n")
        assert "mylogin: the browser has ended\n" in closed.err
        assert not processes.is_running(pid)
        assert profiles() == []
        assert list(store.glob("*.json")) == []
        trashed = raptor("trash", "list", "-o", "json", "--store", store).json
        assert [(entry["name"], entry["reason"]) for entry in trashed] == [("mylogin", "requested")]
        for result in (launched, probed, closed):
            assert "/devtools/" not in result.out + result.err

    def test_it_outlives_the_command_that_launched_it(self, store):
        launched = run_command("session", "launch", "login", "--store", store)
        assert launched.status == 0, launched.err
        probed = run_command("session", "probe", "login", "-o", "name", "--store", store)
        assert (probed.status, probed.out) == (0, "login\n")
        assert processes.is_running(pid_of(store, "login"))


class TestLaunch:
    def test_a_page_that_cannot_be_opened_leaves_no_browser_and_no_session(self, raptor, store, profiles):
        url = f"http://user:secret@127.0.0.1:{free_port()}/x?secret"
        result = raptor("session", "launch", "login", "--url", url, "--store", store)
        assert (result.status, result.out) == (1, "")
        assert "could not be opened: net::ERR_CONNECTION_REFUSED" in result.err
        assert "secret" not in result.err
        assert profiles() == []
        assert list(store.glob("*.json")) == []

    def test_a_name_that_is_taken_leaves_no_browser_and_the_other_session(self, raptor, store, profiles):
        path = write_session(store, "mylogin", session_id="another")
        before = path.read_bytes()
        result = raptor("session", "launch", "my login", "--store", store)
        assert result.status == 1
        assert "belongs to the session 'another'" in result.err
        assert profiles() == []
        assert path.read_bytes() == before

    @pytest.mark.parametrize("name", ["", "../..", "\N{SNOWMAN}", "a\udcff", "n" * 251])
    def test_an_unsafe_name_starts_nothing(self, raptor, store, profiles, name):
        assert raptor("session", "launch", name, "--store", store).status == 1
        assert profiles() == []

    def test_a_missing_store_starts_nothing(self, raptor, tmp_path, profiles):
        result = raptor("session", "launch", "login", "--store", tmp_path / "nowhere")
        assert result.status == 1
        assert profiles() == []
        assert not (tmp_path / "nowhere").exists()

    def test_a_window_needs_a_display(self, raptor, store, monkeypatch):
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        result = raptor("session", "launch", "login", "--headed", "--store", store)
        assert result.status == 1
        assert "Error: a browser with a window needs a display: set DISPLAY" in result.err

    def test_without_a_browser_it_says_what_to_install(self, raptor, store, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nowhere")
        result = raptor("session", "launch", "login", "--store", store)
        assert result.status == 1
        assert "Error: no Chromium was found: install one" in result.err

    def test_launching_a_name_again_is_a_new_session_and_the_running_browser_is_named(self, raptor, store):
        raptor("session", "launch", "login", "--store", store)
        first = read_session(store, "login")
        again = raptor("session", "launch", "login", "--store", store)
        assert again.status == 0
        assert read_session(store, "login")["cdp_url"] != first["cdp_url"]
        address = parse_endpoint(first["cdp_url"]).address
        assert f"Warning: the browser that login had before, at {address}, still runs" in again.err


class TestProbe:
    def test_every_session_is_told_with_what_its_browser_said(self, raptor, store):
        with running_chromium() as browser, silent() as hung, answering(b"hello\n") as garbage:
            dead = free_port()
            write_session(store, "alive", cdp_url=browser.ws_url)
            write_session(store, "any", cdp_url=browser.http_url)
            write_session(store, "dead", cdp_url=f"ws://127.0.0.1:{dead}/devtools/browser/secret")
            write_session(store, "garbage", cdp_url=f"ws://{garbage.address}/devtools/browser/secret")
            write_session(store, "hung", cdp_url=f"ws://{hung.address}/devtools/browser/secret")
            write_session(store, "no-url", cdp_url="")
            write_session(store, "other", cdp_url=f"{browser.http_url}/devtools/browser/secret")
            write_session(store, "far", cdp_url="ws://192.0.2.1:9222/devtools/browser/secret")
            write_session(store, "torn", data="{")
            result = raptor("session", "probe", "--all", "-o", "json", "--store", store)
        assert result.status == 0
        assert [(row["name"], row["endpoint"], row["detail"]) for row in result.json] == [
            ("alive", "reachable", "answers and is the same browser"),
            ("any", "reachable", "answers"),
            ("dead", "unreachable", "connection refused"),
            ("far", "unknown", "the host 192.0.2.1 is not in probe.allowed_hosts, so it was not called"),
            ("garbage", "unknown", "gave no whole HTTP answer, so it is not a browser"),
            ("hung", "unknown", "did not answer within 2s"),
            ("no-url", None, "its file names no address: missing_cdp_url"),
            ("other", "unreachable", f"another browser answers at 127.0.0.1:{browser.port}"),
            ("torn", None, "its file names no address: corrupt"),
        ]
        assert "secret" not in result.out + result.err

    def test_the_configuration_decides_how_long_and_whom_it_asks(self, raptor, store, tmp_path):
        config = tmp_path / "raptor.yaml"
        config.write_text("version: 1\nprobe: {timeout: 100ms, allowed_hosts: [127.0.0.1]}\n")
        with silent() as hung:
            write_session(store, "hung", cdp_url=f"ws://{hung.address}/devtools/browser/1")
            write_session(store, "name", cdp_url=f"ws://localhost:{hung.port}/devtools/browser/1")
            result = raptor("session", "probe", "--all", "-o", "jsonl", "--config", config, "--store", store)
        assert [(row["name"], row["detail"]) for row in result.jsonl] == [
            ("hung", "did not answer within 0.1s"),
            ("name", "the host localhost is not in probe.allowed_hosts, so it was not called"),
        ]

    def test_a_dead_browser_is_an_answer_and_no_failure(self, raptor, store):
        write_session(store, "dead", cdp_url=f"ws://127.0.0.1:{free_port()}/devtools/browser/1")
        result = raptor("session", "probe", "dead", "--store", store)
        assert result.status == 0
        _, line = result.out.splitlines()
        assert line.split(maxsplit=3)[2:] == ["unreachable", "connection refused"]

    def test_a_named_session_that_is_invalid_or_not_there_is_status_1(self, raptor, store):
        write_session(store, "torn", data="{")
        assert raptor("session", "probe", "torn", "--store", store).status == 1
        missing = raptor("session", "probe", "nope", "-o", "json", "--store", store)
        assert missing.status == 1
        assert {k: v for k, v in missing.json[0].items() if v is not None} == {
            "name": "nope",
            "reason": "not_found",
            "detail": "there is no such session",
        }

    @pytest.mark.parametrize("arguments", [[], ["--all", "name"]])
    def test_names_or_all_but_not_both(self, raptor, store, arguments):
        assert raptor("session", "probe", *arguments, "--store", store).status == 2

    def test_probing_changes_no_file(self, raptor, store):
        path = write_session(store, "dead", idle=1000)
        before = path.stat()
        raptor("session", "probe", "--all", "--store", store)
        after = path.stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


class TestClose:
    def test_a_session_stays_if_its_browser_cannot_be_ended(self, raptor, store, monkeypatch):
        monkeypatch.setattr(ending, "ASK_SECONDS", 0.5)
        with silent() as hung:
            path = write_session(store, "hung", cdp_url=f"ws://{hung.address}/devtools/browser/secret")
            result = raptor("session", "close", "hung", "--yes", "--store", store)
        assert (result.status, result.out) == (1, "")
        assert f"Error: hung stays: the browser at {hung.address} did not answer within 0.5s" in result.err
        assert "secret" not in result.err
        assert path.exists()

    def test_a_browser_that_took_the_place_of_the_sessions_lives_on_and_the_session_goes(self, raptor, store):
        with running_chromium() as browser:
            url = f"ws://127.0.0.1:{browser.port}/devtools/browser/stale"
            path = write_session(store, "stale", cdp_url=url)
            result = raptor("session", "close", "stale", "--yes", "--store", store)
            assert browser.version()
        assert (result.status, result.out) == (0, "stale deleted\n")
        assert "another one answers" in result.err
        assert "left alone" in result.err
        assert not path.exists()

    def test_two_sessions_of_one_browser_go_together_and_a_missing_one_is_told(self, raptor, store):
        with running_chromium() as browser:
            for name in ("one", "two"):
                write_session(store, name, cdp_url=browser.ws_url)
            result = raptor("session", "close", "one", "nope", "two", "one", "--yes", "--store", store)
            assert browser.process.wait(10) is not None
        assert (result.status, result.out) == (1, "one deleted\ntwo deleted\n")
        assert "there is no session 'nope'" in result.err
        assert list(store.glob("*.json")) == []

    def test_a_file_without_a_browser_stays(self, raptor, store):
        path = write_session(store, "torn", data="{")
        result = raptor("session", "close", "torn", "--yes", "--store", store)
        assert result.status == 1
        assert "torn stays: its file names no browser that could be ended" in result.err
        assert path.exists()

    def test_without_a_terminal_it_needs_yes_and_ends_nothing(self, store):
        with running_chromium() as browser:
            path = write_session(store, "login", cdp_url=browser.ws_url)
            result = run_command("session", "close", "login", "--store", store)
            assert browser.version()
        assert (result.status, result.out) == (2, "")
        assert "there is no terminal to ask on: give --yes\n" in result.err
        assert path.exists()

    def test_with_nothing_to_delete_nobody_is_asked(self, store):
        assert run_command("session", "close", "nope", "--store", store).status == 1

    def test_a_session_that_is_saved_again_meanwhile_stays(self, raptor, store, monkeypatch):
        path = write_session(store, "login", cdp_url=f"ws://127.0.0.1:{free_port()}/devtools/browser/1")
        real = ending.end_browser

        async def slow(endpoint):
            write_session(store, "login", metadata={"saved": "again"})
            return await real(endpoint)

        monkeypatch.setattr(ending, "end_browser", slow)
        result = raptor("session", "close", "login", "--yes", "--store", store)
        assert result.status == 1
        assert "it was saved again meanwhile" in result.err
        assert json.loads(path.read_text())["metadata"] == {"saved": "again"}

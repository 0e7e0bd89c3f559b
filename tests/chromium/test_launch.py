"""A launched browser outlives its script, and says clearly why it did not start."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

from raptor_exporter.chromium import executable as executable_module
from raptor_exporter.chromium import processes, starting
from raptor_exporter.chromium.executable import find_executable
from raptor_exporter.chromium.launch import LaunchedBrowser, launch_browser
from raptor_exporter.exceptions import SessionException
from raptor_exporter.probe import ProbeKind, probe_endpoint
from raptor_exporter.session import parse_endpoint

CHROMIUM = "/usr/bin/chromium"


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def launch():
    """``launch_browser``, with every browser closed at the end."""
    launched = []

    def start(*arguments, **options):
        browser = launch_browser(*arguments, **options)
        launched.append(browser)
        return browser

    yield start
    for browser in launched:
        browser.close()


def kind(cdp_url):
    return asyncio.run(probe_endpoint(parse_endpoint(cdp_url), allowed_hosts=None)).kind


def program(tmp_path, text, name="browser"):
    """A shell script in the place of a browser."""
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class TestLife:
    def test_it_can_be_reached_and_close_ends_it_with_its_fresh_directory(self, launch, home):
        browser = launch()
        assert kind(browser.cdp_url) is ProbeKind.ALIVE
        assert processes.is_running(browser.pid)
        assert browser.user_data_dir.parent == home / ".raptor" / "browsers"
        for directory in (browser.user_data_dir, home / ".raptor" / "browsers", home / ".raptor"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        browser.close()
        assert kind(browser.cdp_url) is ProbeKind.REFUSED
        assert not browser.user_data_dir.exists()
        assert not os.path.exists(f"/proc/{browser.pid}")  # no zombie either
        browser.close()  # closed twice is closed

    def test_it_closes_inside_a_running_event_loop(self, launch):
        browser = launch()

        async def close():
            browser.close()

        asyncio.run(close())
        assert not processes.is_running(browser.pid)

    def test_a_directory_that_was_given_stays_and_is_used_again(self, launch, tmp_path):
        profile = tmp_path / "deep" / "profile"
        first = launch(profile)
        first.close()
        assert (profile / "Local State").exists()
        os.kill((crashed := launch(str(profile))).pid, signal.SIGKILL)
        eventually(lambda: not processes.is_running(crashed.pid))
        assert (profile / "DevToolsActivePort").exists()  # stale now
        third = launch(profile)
        assert third.cdp_url != crashed.cdp_url
        assert kind(third.cdp_url) is ProbeKind.ALIVE

    def test_close_ends_a_frozen_browser_and_all_its_processes(self, launch):
        browser = launch()
        os.killpg(browser.pid, signal.SIGSTOP)
        browser.close()
        family = [pid for pid in processes._pids() if processes.session_of(pid) == browser.pid]
        assert not [pid for pid in family if processes.is_running(pid)]

    def test_the_repr_does_not_show_the_url(self):
        browser = LaunchedBrowser("ws://127.0.0.1:1/devtools/browser/secret", 5, Path("/x"))
        assert "secret" not in repr(browser)

    def test_two_browsers_run_beside_each_other(self, launch):
        one, two = launch(), launch()
        one.close()
        assert kind(two.cdp_url) is ProbeKind.ALIVE

    def test_more_arguments_reach_the_browser(self, launch):
        browser = launch(args=["--lang=fr", "about:version"])
        assert {"--lang=fr", "about:version"} <= set(processes.command_line(browser.pid))
        assert "about:blank" not in processes.command_line(browser.pid)


class TestOutlivingItsScript:
    SCRIPT = (
        "import sys, time; from raptor_exporter.chromium.launch import launch_browser;"
        "b = launch_browser(sys.argv[1]);"
        "print(b.cdp_url, flush=True);"
    )

    def script(self, profile, more=""):
        return [sys.executable, "-c", self.SCRIPT + more, str(profile)]

    def end(self, url, profile):
        port, path = (Path(profile) / "DevToolsActivePort").read_text().split("\n")[:2]
        assert url == f"ws://127.0.0.1:{port}{path}"
        (pid,) = processes.listeners("127.0.0.1", int(port))
        LaunchedBrowser(url, pid, Path(profile)).close()

    def test_it_lives_on_after_its_script_and_holds_none_of_its_descriptors(self, tmp_path):
        # run() returns only once nobody holds the other ends of the pipes any more.
        done = subprocess.run(
            self.script(tmp_path / "p"), capture_output=True, text=True, timeout=60, check=True
        )
        url = done.stdout.strip()
        try:
            assert kind(url) is ProbeKind.ALIVE
        finally:
            self.end(url, tmp_path / "p")
        assert "ResourceWarning" not in done.stderr

    def test_it_survives_ctrl_c_and_a_kill_of_the_whole_process_group(self, tmp_path):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
            profile = tmp_path / number.name
            with subprocess.Popen(
                self.script(profile, "time.sleep(600)"),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            ) as script:
                url = script.stdout.readline().strip()
                os.killpg(script.pid, number)
                try:
                    script.wait(30)
                    assert kind(url) is ProbeKind.ALIVE, number.name
                finally:
                    script.kill()
                    self.end(url, profile)


class TestFailures:
    def fails(self, **options):
        with pytest.raises(SessionException) as caught:
            launch_browser(**options)
        assert caught.value.operation == "launch_browser"
        return str(caught.value)

    def test_a_profile_in_use_is_named_and_its_browser_goes_on(self, launch, tmp_path):
        first = launch(tmp_path / "profile")
        message = self.fails(user_data_dir=tmp_path / "profile")
        assert message.startswith(
            f"the profile {tmp_path / 'profile'} is in use by a running browser: close that"
        )
        assert kind(first.cdp_url) is ProbeKind.ALIVE

    def test_a_crash_at_the_start_is_told_with_the_last_lines_and_leaves_nothing(self, tmp_path, home):
        crashing = program(
            tmp_path, "echo one >&2; echo ws://127.0.0.1:9/devtools/browser/secret >&2; exit 7"
        )
        assert self.fails(executable=crashing) == (
            "the browser ended at its start with exit status 7; its last words: one / ws://127.0.0.1:9/…"
        )
        assert list((home / ".raptor" / "browsers").iterdir()) == []

    def test_a_missing_sandbox_is_told_with_its_remedy(self, tmp_path):
        crashing = program(tmp_path, "echo 'No usable sandbox!' >&2; kill -TRAP $$")
        assert self.fails(executable=crashing) == (
            "the browser ended at its start with signal 5; its last words: No usable sandbox!; "
            "where the system allows no sandbox, add args=['--no-sandbox'] and visit only pages you trust"
        )

    def test_only_the_end_of_a_long_story_is_told(self, tmp_path):
        chatty = program(
            tmp_path, "i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"
        )
        assert self.fails(executable=chatty).endswith(
            "its last words: line 4995 / line 4996 / line 4997 / line 4998 / line 4999"
        )

    def test_one_that_never_listens_is_killed_with_its_children(self, tmp_path, monkeypatch):
        monkeypatch.setattr(starting, "START_SECONDS", 1.0)
        hanging = program(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; echo waiting >&2; wait")
        assert self.fails(executable=hanging) == (
            "the browser did not say where it listens within 1s; its last words: waiting"
        )
        child = int((tmp_path / "child").read_text())
        eventually(lambda: not processes.is_running(child))

    def test_a_program_that_cannot_run_is_told(self, tmp_path):
        text = tmp_path / "text"
        text.write_text("not a program")
        text.chmod(0o755)
        assert self.fails(executable=text) == f"{text} could not be started: Exec format error"

    @pytest.mark.parametrize(
        ("argument", "remedy"),
        [
            ("--user-data-dir=/x", "give user_data_dir= instead"),
            ("--remote-debugging-port=9222", "the browser takes a free port by itself"),
            ("--remote-debugging-pipe", "a browser on a pipe cannot be reached again"),
        ],
    )
    def test_arguments_that_would_make_it_unreachable_are_refused(self, argument, remedy):
        assert self.fails(args=[argument]) == f"args must not hold {argument.partition('=')[0]}: {remedy}"

    @pytest.mark.parametrize("argument", ["--lang=a\0b", "--lang=\ud800"])
    def test_arguments_that_no_process_can_get_are_refused(self, argument):
        assert self.fails(args=[argument]).startswith("args must not hold a NUL character or half")

    @pytest.mark.parametrize("directory", ["a\0b", "\ud800"])
    def test_a_directory_that_can_not_be_is_refused(self, directory):
        message = self.fails(user_data_dir=directory)
        assert message.startswith("there is no directory for the browser's profile: ")

    def test_a_window_without_a_display_is_refused(self, monkeypatch):
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert "needs a display" in self.fails(headless=False)

    def test_a_file_in_the_place_of_the_directory_is_told(self, tmp_path):
        (tmp_path / "file").touch()
        assert "Not a directory" in self.fails(user_data_dir=tmp_path / "file")

    def test_a_place_where_no_directory_can_be_is_told(self):
        assert self.fails(user_data_dir="/proc/nowhere/x").startswith(
            "there is no directory for the browser's profile: "
        )

    def test_the_failure_is_logged_without_a_traceback(self, tmp_path, caplog):
        self.fails(executable=tmp_path / "none")
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info is None


@pytest.fixture
def no_children():
    """This process ignores what becomes of its children, as one below `nohup` or some servers does."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


def test_a_script_that_ignores_its_children_can_launch_and_hears_of_a_crash(no_children, launch, tmp_path):
    browser = launch()
    browser.close()
    assert not processes.is_running(browser.pid)
    with pytest.raises(
        SessionException, match=r"ended at its start with an unknown status; its last words: one$"
    ):
        launch_browser(executable=program(tmp_path, "echo one >&2; exit 7"))


def test_a_wrapper_that_stays_is_not_mistaken_for_the_browser(launch, tmp_path):
    wrapper = program(tmp_path, f'{CHROMIUM} "$@"\nexit $?')
    browser = launch(executable=wrapper)
    assert browser.pid != browser._child
    assert browser.pid in processes.listeners("127.0.0.1", parse_endpoint(browser.cdp_url).port)


@pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox is given up for root alone")
def test_root_is_told_that_there_is_no_sandbox(launch, caplog):
    browser = launch()
    assert "without its sandbox" in caplog.records[0].message
    assert "--no-sandbox" in processes.command_line(browser.pid)


class TestExecutable:
    def test_the_given_one_beats_the_variable_and_the_variable_beats_the_path(self, tmp_path, monkeypatch):
        given, named, found = (program(tmp_path, "", name) for name in ("given", "named", "chromium"))
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_executable() == str(found)
        monkeypatch.setenv("RAPTOR_CHROMIUM", str(named))
        assert find_executable() == str(named)
        assert find_executable(given) == str(given)

    def test_playwrights_newest_full_build_is_the_last_resort(self, tmp_path, monkeypatch):
        builds = [
            "chromium-999/chrome-linux/chrome",
            "chromium-1100/chrome-linux64/chrome",
            "chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell",
        ]
        for build in builds:
            (tmp_path / build).parent.mkdir(parents=True)
            program((tmp_path / build).parent, "", Path(build).name)
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        assert find_executable() == str(tmp_path / builds[1])
        (tmp_path / builds[0]).unlink()
        (tmp_path / builds[1]).unlink()
        assert find_executable() == str(tmp_path / builds[2])

    def test_without_any_the_error_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        with pytest.raises(FileNotFoundError, match="no Chromium was found: install one"):
            find_executable()

    def test_a_wrong_one_is_not_replaced_by_another(self, monkeypatch):
        monkeypatch.setenv(executable_module.EXECUTABLE_VARIABLE, "/nowhere/chrome")
        with pytest.raises(
            FileNotFoundError, match="RAPTOR_CHROMIUM is '/nowhere/chrome', which is no program"
        ):
            find_executable()

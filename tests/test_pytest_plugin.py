"""The `raptor_session` fixture, in pytest runs of its own."""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support.documents import read_session, write_session

from raptor_exporter import SessionManager
from raptor_exporter.chromium.processes import listeners
from raptor_exporter.session import parse_endpoint

pytest_plugins = ["pytester"]

SUITE = """
    import pytest

    def log_in(page):
        print("LOGGED IN")
        page.goto("data:text/html,<title>Inside</title>")
        page.evaluate("window.visits = 0")

    @pytest.fixture
    def page(raptor_session):
        return raptor_session("login", create=log_in)

    def test_one(page):
        assert page.title() == "Inside"
        print("VISIT", page.evaluate("++window.visits"))

    def test_two(page):
        print("VISIT", page.evaluate("++window.visits"))
"""


@pytest.fixture
def store(pytester, monkeypatch):
    """A store for the inner runs; browsers that they leave behind are ended."""
    root = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(pytester.path))
    store = pytester.path / "sessions"
    yield store
    for name in SessionManager(store).list_sessions():
        subprocess.run(
            [sys.executable, "-m", "raptor_exporter", "session", "close", name, "--yes", "--store", store],
            cwd=root,
            check=False,
            capture_output=True,
        )


def run(pytester, *arguments):
    installed = any(e.value == "raptor_exporter.pytest_plugin" for e in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "raptor_exporter.pytest_plugin"]
    return pytester.runpytest_subprocess(*plugin, "-s", "-p", "no:cacheprovider", *arguments)


def said(result, word):
    """What the tests printed behind a word, in order; pytest prints dots and names between."""
    return [line.partition(word)[2].strip() for line in result.outlines if word in line]


def browser_of(store, name="login"):
    endpoint = parse_endpoint(read_session(store / f"{name}.json")["cdp_url"])
    return next(iter(listeners("127.0.0.1", endpoint.port)))


def test_a_suite_logs_in_once_and_later_runs_find_the_very_tab(pytester, store):
    pytester.makepyfile(SUITE)
    first = run(pytester, "--raptor-store", store)
    first.assert_outcomes(passed=2)
    second = run(pytester, "--raptor-store", store)
    second.assert_outcomes(passed=2)
    assert (said(first, "LOGGED IN"), said(second, "LOGGED IN")) == ([""], [])
    assert said(second, "VISIT") == ["3", "4"]


def test_a_browser_that_is_gone_is_replaced_by_a_new_log_in(pytester, store):
    pytester.makepyfile(SUITE)
    run(pytester, "--raptor-store", store).assert_outcomes(passed=2)
    pid = browser_of(store)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while browser_is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    again = run(pytester, "--raptor-store", store)
    again.assert_outcomes(passed=2)
    assert said(again, "LOGGED IN") == [""]
    assert browser_of(store) != pid


def browser_is_there(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_frozen_browser_of_an_earlier_run_is_ended_and_replaced(pytester, store):
    pytester.makepyfile(SUITE)
    run(pytester, "--raptor-store", store).assert_outcomes(passed=2)
    pid = browser_of(store)
    os.kill(pid, signal.SIGSTOP)
    run(pytester, "--raptor-store", store).assert_outcomes(passed=2)
    assert not browser_is_there(pid)


def test_a_check_that_fails_renews_the_session_in_the_same_tab(pytester, store):
    pytester.makepyfile(
        """
        def log_in(page):
            print("LOGGED IN")
            page.goto("data:text/html,<title>Inside</title>")

        def test_it(raptor_session):
            page = raptor_session("login", create=log_in)
            page.goto("data:text/html,<title>Logged out</title>")
            def inside(page):
                return page.title() == "Inside"
            assert raptor_session("login", create=log_in, check=inside) is page
            assert inside(page)
            assert raptor_session("login", check=inside) is page
        """
    )
    result = run(pytester, "--raptor-store", store)
    result.assert_outcomes(passed=1)
    assert said(result, "LOGGED IN") == ["", ""]
    assert read_session(store / "login.json")["metadata"]["made_by"] == "raptor_session"


def test_without_create_a_session_that_is_not_there_is_an_error(pytester, store):
    pytester.makepyfile("def test_it(raptor_session): raptor_session('nobody')")
    result = run(pytester, "--raptor-store", store)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*SessionException: restore_session 'nobody': there is no session*"])


def test_a_log_in_that_fails_leaves_no_browser_and_no_session(pytester, store):
    pytester.makepyfile(
        """
        def test_it(raptor_session):
            raptor_session("login", create=lambda page: page.no_such_method())
        """
    )
    run(pytester, "--raptor-store", store).assert_outcomes(failed=1)
    assert SessionManager(store).list_sessions() == []
    assert list((pytester.path / ".raptor/browsers").iterdir()) == []


def test_a_session_that_is_stuck_in_a_browser_of_somebody_else_is_an_error(pytester, store):
    from support.listeners import silent

    pytester.makepyfile(SUITE)
    with silent() as listener:
        write_session(store, "login", cdp_url=f"ws://{listener.address}/devtools/browser/x")
        result = run(pytester, "--raptor-store", store)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*SessionException: restore_session 'login': its browser at * hangs*"])


def test_the_ini_file_names_the_store_and_arguments(pytester, store):
    pytester.makeini("[pytest]\nraptor_store = below/root\nraptor_browser_args = --user-agent=Raptor")
    pytester.makepyfile(
        """
        def test_it(raptor_session):
            page = raptor_session("ini", create=lambda page: None)
            assert page.evaluate("navigator.userAgent") == "Raptor"
        """
    )
    run(pytester).assert_outcomes(passed=1)
    (pytester.path / "below/root").rename(store)
    assert SessionManager(store).list_sessions() == ["ini"]


def test_beside_pytest_playwright_its_driver_is_used(pytester, store):
    """Two drivers of the synchronous kind cannot run in one thread."""
    pytester.makepyfile(
        playwright_like="""
        import pytest
        from playwright.sync_api import sync_playwright

        @pytest.fixture(scope="session")
        def playwright():
            with sync_playwright() as playwright:
                yield playwright
        """
    )
    pytester.makeconftest(
        """
        import playwright_like

        def pytest_configure(config):
            config.pluginmanager.register(playwright_like, "playwright")
        """
    )
    pytester.makepyfile(
        test_it="""
        def test_it(playwright, raptor_session):
            assert raptor_session("login", create=lambda page: None).title() == ""
            playwright.selectors  # still runs
        """
    )
    pytester.syspathinsert()
    run(pytester, "--raptor-store", store).assert_outcomes(passed=1)


def test_a_pytest_run_that_does_not_use_it_imports_nothing_for_it():
    code = (
        "import sys, raptor_exporter.pytest_plugin\n"
        "print(sorted({'playwright', 'msgspec', 'click', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The browser of a session ends, whatever state it is in, and no other one ever does."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from support.chromium import running_chromium
from support.listeners import answering, free_port, http_answer, silent
from websockets.sync.server import serve

from raptor_exporter.chromium import ending, processes
from raptor_exporter.chromium.ending import Ending, end_browser
from raptor_exporter.exceptions import BrowserNotEnded
from raptor_exporter.session import parse_endpoint

STALE = "/devtools/browser/00000000-secret"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(ending, "ASK_SECONDS", 0.5)


def end(url):
    return asyncio.run(end_browser(parse_endpoint(url)))


def refused(url):
    with pytest.raises(BrowserNotEnded) as caught:
        end(url)
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "page",
    [
        "about:blank",
        "data:text/html,<script>for(;;);</script>",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html,<script>onbeforeunload=()=>'stay'</script>",
    ],
    ids=["idle", "busy loop", "open dialog", "beforeunload"],
)
def test_a_browser_ends_whatever_its_tabs_do(page):
    with running_chromium() as browser:
        browser.open_tab(page)
        ended = end(browser.ws_url)
        assert (ended.how, ended.detail) == (Ending.ENDED, "the browser has ended")
        assert browser.process.wait(0) is not None  # gone by then, not soon


def test_it_is_found_on_localhost_beside_another_one_that_lives_on():
    with running_chromium() as first, running_chromium(port=first.port) as second:
        ended = end(second.ws_url.replace("[::1]", "localhost"))
        assert ended.how is Ending.ENDED
        assert second.process.wait(10) is not None
        assert first.version()


def test_by_a_stale_id_the_browser_that_is_there_now_is_left_alone():
    with running_chromium() as browser:
        ended = end(f"ws://127.0.0.1:{browser.port}{STALE}")
        assert ended.how is Ending.REPLACED
        assert ended.detail == (
            "the session's browser is gone; "
            f"another one answers at 127.0.0.1:{browser.port} and was left alone"
        )
        assert browser.running
        assert browser.version()


def test_one_that_is_gone_already_is_no_failure():
    ended = end(f"ws://127.0.0.1:{free_port()}{STALE}")
    assert (ended.how, ended.detail) == (Ending.GONE, "the browser was gone already")


def test_a_frozen_browser_is_killed_with_its_frozen_children(impatient):
    with running_chromium() as browser:
        children = processes._family(browser.pid)
        assert children
        browser.stop()
        ended = end(browser.ws_url)
        assert (ended.how, ended.detail) == (
            Ending.KILLED,
            "the browser did not answer within 0.5s, so it was killed",
        )
        assert browser.process.wait(0) == -signal.SIGKILL
        assert not [pid for pid in children if processes.is_running(pid)]


def test_a_zombie_counts_as_ended():
    # Nobody here waits for the process, so it stays a zombie.
    with running_chromium() as browser:
        end(browser.ws_url)
        assert " Z " in Path(f"/proc/{browser.pid}/stat").read_text()
        assert not processes.is_running(browser.pid)


def test_a_frozen_browser_of_another_id_is_not_killed(impatient):
    with running_chromium() as browser:
        browser.stop()
        message = refused(f"ws://127.0.0.1:{browser.port}{STALE}")
        browser.cont()
        assert browser.running
        assert message == (
            f"the browser at 127.0.0.1:{browser.port} did not answer within 0.5s, "
            f"and it can't be told whether process {browser.pid} there is the session's browser: "
            "look at it, and end it yourself"
        )


def test_a_frozen_browser_on_a_fixed_port_leaves_no_proof_so_it_is_not_killed(impatient):
    with running_chromium(port=free_port()) as browser:
        browser.stop()
        assert f"whether process {browser.pid} there" in refused(browser.ws_url)
        browser.cont()
        assert browser.running


def test_a_listener_that_is_no_browser_is_not_killed(impatient):
    with silent() as listener:
        assert refused(f"ws://{listener.address}{STALE}") == (
            f"the browser at {listener.address} did not answer within 0.5s, "
            "and is no process of this host's that can be seen"
        )
    assert os.getpid()  # the listener was this very process


def test_an_answer_of_something_else_ends_nothing():
    with answering(http_answer("hello")) as listener:
        assert refused(f"ws://{listener.address}{STALE}") == (
            f"the browser at {listener.address} could not be asked: answered, but is not a browser"
        )


@pytest.mark.parametrize("path", ["", "/", "/devtools/page/T-secret", "/json/version"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_url_that_names_no_browser_is_refused_without_a_call(scheme, path):
    with answering(b"") as listener:
        message = refused(f"{scheme}://{listener.address}{path}")
    assert "the stored URL names no browser" in message
    assert listener.connections == []


def test_a_redirect_is_not_followed():
    with answering(b"", host="127.0.0.2") as elsewhere:
        location = f"Location: ws://127.0.0.2:{elsewhere.port}{STALE}\r\n"
        with answering(http_answer("", "302 Found", location)) as listener:
            refused(f"ws://{listener.address}{STALE}")
    assert elsewhere.connections == []


@pytest.mark.parametrize("odd", ["\u00e9", "\ud800"])
def test_a_path_that_no_browser_has_is_another_browsers(odd):
    with running_chromium() as browser:
        ended = end(f"ws://127.0.0.1:{browser.port}/devtools/browser/{odd}")
        assert (ended.how, browser.running) == (Ending.REPLACED, True)


@pytest.mark.parametrize("answer", ["[" * 200_000, '{"id":1,"result":' + "[" * 50_000, "hello", "9" * 5000])
def test_an_answer_that_is_no_cdp_ends_nothing(answer):
    with serve(lambda connection: connection.send(answer), "127.0.0.1", 0) as server:
        port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert "could not be asked" in refused(f"ws://127.0.0.1:{port}{STALE}")
        finally:
            server.shutdown()
            thread.join()


def test_a_browser_that_refuses_the_command_is_told(monkeypatch):
    with running_chromium() as browser:
        monkeypatch.setattr("raptor_exporter.chromium.ending.CLOSE_COMMAND", "Browser.noSuchCommand")
        message = refused(browser.ws_url)
        assert browser.running
    assert message == (
        f"the browser at 127.0.0.1:{browser.port} answers, but did not take the command: "
        "the browser refused: 'Browser.noSuchCommand' wasn't found"
    )

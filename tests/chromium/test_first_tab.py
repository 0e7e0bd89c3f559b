"""The first tab of a launched browser is found and its page opened, without a driver."""

from __future__ import annotations

import asyncio

import pytest
from support.chromium import running_chromium
from support.listeners import answering, free_port, http_answer, silent

from raptor_exporter.chromium import first_tab as module
from raptor_exporter.chromium.first_tab import Tab, TabProblem, first_tab
from raptor_exporter.session import parse_endpoint

HTML = "Content-Type: text/html; charset=utf-8\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def browser():
    with running_chromium() as chromium:
        yield chromium


def tab(browser, url=None):
    return asyncio.run(first_tab(parse_endpoint(browser.ws_url), url))


def problem(browser, url):
    with pytest.raises(TabProblem) as caught:
        tab(browser, url)
    return str(caught.value)


def test_it_is_the_tab_that_the_browser_opened_by_itself(browser):
    found = tab(browser)
    assert found == Tab(found.target_id, "about:blank", "")
    assert found.target_id in [target["id"] for target in browser.targets()]


def test_it_shows_the_page_that_was_asked_for_after_its_redirects(browser):
    page = http_answer("<title>Ho\u0308me \U0001f995</title><p>", headers=HTML)
    with answering(page) as target:
        there = f"http://{target.address}/home"
        with answering(
            http_answer("", "302 Found", f"Location: {there}\r\nConnection: close\r\n")
        ) as listener:
            found = tab(browser, f"http://{listener.address}/")
    assert (found.url, found.title) == (there, "Ho\u0308me \U0001f995")
    assert found.target_id == tab(browser).target_id


def test_half_a_character_in_a_title_is_no_failure(browser):
    assert tab(browser, "data:text/html,<script>document.title='a\\ud800'</script>").title.startswith("a")


@pytest.mark.parametrize("script", ["for(;;);", "alert(1)"])
def test_a_page_that_blocks_its_tab_is_no_failure(script):
    with running_chromium() as blocked:
        url = f"data:text/html,<title>T</title><script>setTimeout(()=>{{ {script} }})</script>"
        found = tab(blocked, url)
    assert found.title == "T"


def test_a_page_that_goes_on_loading_is_no_failure(browser):
    def slow_image(connection, request):
        if b"GET / " in request:
            connection.sendall(http_answer("<title>T</title><img src=/slow>", headers=HTML))
        else:
            connection.recv(1)  # until the browser gives up

    with answering(slow_image) as listener:
        assert tab(browser, f"http://{listener.address}/").title == "T"


def test_a_page_that_cannot_be_reached_is_told(browser):
    assert problem(browser, f"http://127.0.0.1:{free_port()}/") == "net::ERR_CONNECTION_REFUSED"


def test_a_url_that_is_none_is_told(browser):
    assert problem(browser, "no url") == "the browser refused: Cannot navigate to invalid URL"


def test_a_server_that_never_answers_is_given_up(browser, monkeypatch):
    monkeypatch.setattr(module, "OPEN_SECONDS", 0.5)
    with silent() as listener:
        assert problem(browser, f"http://{listener.address}/") == "nothing came within 0.5s"


def test_a_browser_that_is_gone_is_told():
    with running_chromium() as chromium:
        chromium.kill()
        assert problem(chromium, None) == "the browser is gone again"

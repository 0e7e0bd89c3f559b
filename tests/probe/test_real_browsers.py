"""Verdicts on real Chromium: alive, replaced, frozen, killed; and a thousand sessions in one pass."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter

import pytest
from support.chromium import running_chromium
from support.listeners import free_port, silent

from raptor_exporter.cleanup.policy import EndpointState
from raptor_exporter.probe import ProbeKind, probe_endpoint, probe_endpoints
from raptor_exporter.session import parse_endpoint

LOCAL = ("localhost", "127.0.0.1", "::1")


def probe(url, timeout=2.0):
    return asyncio.run(probe_endpoint(parse_endpoint(url), timeout=timeout, allowed_hosts=LOCAL))


@pytest.fixture(scope="module")
def browser():
    with running_chromium() as chromium:
        yield chromium


def test_a_running_browser_is_the_same_by_every_spelling_of_its_address(browser):
    for url in (browser.ws_url, browser.ws_url.replace("127.0.0.1", "localhost")):
        assert probe(url).kind is ProbeKind.ALIVE, url
    assert probe(browser.http_url).kind is ProbeKind.ALIVE


def test_a_tab_in_a_busy_loop_does_not_make_its_browser_look_dead(browser):
    browser.open_tab("data:text/html,<script>for(;;);</script>")
    assert probe(browser.ws_url).kind is ProbeKind.ALIVE


def test_a_browser_on_a_port_that_was_taken_answers_on_ipv6(browser):
    with running_chromium(port=browser.port) as second:
        assert second.host == "[::1]"
        assert probe(second.ws_url).kind is ProbeKind.ALIVE
        assert probe(second.ws_url.replace("[::1]", "localhost")).kind is ProbeKind.ALIVE
        assert probe(second.ws_url.replace("[::1]", "127.0.0.1")).kind is ProbeKind.OTHER_BROWSER


def test_a_frozen_browser_is_unknown_and_alive_again_when_it_goes_on(browser):
    browser.stop()
    try:
        frozen = probe(browser.ws_url, timeout=0.3)
    finally:
        browser.cont()
    assert (frozen.kind, frozen.state) == (ProbeKind.HUNG, EndpointState.UNKNOWN)
    assert probe(browser.ws_url).kind is ProbeKind.ALIVE


def test_a_killed_browser_is_unreachable_and_so_is_it_after_another_took_its_port():
    with running_chromium() as first:
        url, port = first.ws_url, first.port
        first.kill()
        assert probe(url).kind is ProbeKind.REFUSED
    with running_chromium(port=port) as second:
        assert second.port == port
        assert probe(url).kind is ProbeKind.OTHER_BROWSER
        assert probe(second.http_url).kind is ProbeKind.ALIVE


def test_a_thousand_sessions_get_no_false_verdict_in_one_pass():
    """1,000 sessions on 3 browsers, 200 dead ports, 5 hung ones, and 50 that a new browser replaced."""
    with contextlib.ExitStack() as stack:
        browsers = [stack.enter_context(running_chromium()) for _ in range(3)]
        hung = [stack.enter_context(silent()) for _ in range(5)]
        expected = {}
        for number in range(1000):
            browser = browsers[number % 3]
            spelling = ("127.0.0.1", "localhost")[number % 2]
            url = browser.ws_url.replace("127.0.0.1", spelling)
            expected[f"{number}", parse_endpoint(url)] = ProbeKind.ALIVE
        for number in range(50):
            stale = f"{browsers[number % 3].http_url.replace('http', 'ws')}/devtools/browser/stale-{number}"
            expected[f"stale-{number}", parse_endpoint(stale)] = ProbeKind.OTHER_BROWSER
        for number in range(200):
            dead = f"ws://127.0.0.1:{free_port()}/devtools/browser/dead-{number}"
            expected[f"dead-{number}", parse_endpoint(dead)] = ProbeKind.REFUSED
        for number, listener in enumerate(hung):
            silence = f"ws://{listener.address}/devtools/browser/hung-{number}"
            expected[f"hung-{number}", parse_endpoint(silence)] = ProbeKind.HUNG

        started = time.perf_counter()
        results = asyncio.run(probe_endpoints([endpoint for _, endpoint in expected], allowed_hosts=LOCAL))
        logging.getLogger(__name__).info("one pass took %.3f s", time.perf_counter() - started)

    verdicts = {key: results[key[1]].kind for key in expected}
    assert verdicts == expected
    assert Counter(verdicts.values()) == {
        ProbeKind.ALIVE: 1000,
        ProbeKind.OTHER_BROWSER: 50,
        ProbeKind.REFUSED: 200,
        ProbeKind.HUNG: 5,
    }

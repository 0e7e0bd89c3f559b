"""Where Playwright is not installed, as in the agent's image."""

from __future__ import annotations

import sys

from support.chromium import running_chromium


def test_a_command_that_needs_playwright_says_what_is_missing(command, monkeypatch, store_dir):
    for name in [name for name in sys.modules if name.partition(".")[0] == "playwright"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "playwright", None)
    with running_chromium() as chromium:
        done = command("session", "save", "login", "--cdp-url", chromium.ws_url, "--store", store_dir)
    assert done.status == 1
    assert "it takes Playwright, which is not installed here" in done.err
    assert "Traceback" not in done.err
    assert list(store_dir.glob("*.json")) == []

"""Firefox and WebKit, which have no CDP: kept as a record, restored never. Their pages here are made up."""

import asyncio
from types import SimpleNamespace

import pytest

from raptor_exporter import SessionException, SessionManager, SyncSessionManager

BOTH = pytest.mark.parametrize("browser_type", ["firefox", "webkit"])


class Page:
    """As much of a page as a browser without CDP has for a session."""

    url = "https://example.com/inbox"

    def __init__(self, browser_type, *, closed=False, connected=True):
        browser = SimpleNamespace(
            browser_type=SimpleNamespace(name=browser_type), is_connected=lambda: connected
        )
        self.context = SimpleNamespace(browser=browser)
        self.is_closed = lambda: closed

    async def title(self):
        return "Inbox"


class BlockingPage(Page):
    def title(self):
        return "Inbox"


@BOTH
def test_with_a_url_it_is_saved_and_valid(tmp_path, browser_type):
    manager = SessionManager(tmp_path)
    url = "wss://proxy.example/firefox?token=t"
    info = asyncio.run(manager.save_session(Page(browser_type), "login", {"env": "ci"}, cdp_url=url))
    assert (info.browser_type, info.cdp_url) == (browser_type, url)
    assert info.metadata == {"env": "ci", "page_url": "https://example.com/inbox", "page_title": "Inbox"}
    assert manager.get_session_info("login") == info
    assert manager.validate_session("login")
    with pytest.raises(SessionException, match=f"a session of {browser_type}, which has no CDP"):
        asyncio.run(manager.restore_session("login"))


@BOTH
def test_the_synchronous_half_does_the_same(tmp_path, browser_type):
    manager = SyncSessionManager(tmp_path)
    manager.save_session(BlockingPage(browser_type), "login", cdp_url="ws://h/")
    assert manager.validate_session("login")


@BOTH
def test_without_a_url_it_is_refused_with_what_to_do(tmp_path, browser_type):
    manager = SessionManager(tmp_path)
    with pytest.raises(SessionException, match=rf"{browser_type} has no CDP endpoint.*give cdp_url="):
        asyncio.run(manager.save_session(Page(browser_type), "login"))
    assert manager.list_sessions() == []


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page("firefox", closed=True), "the page is closed"),
        (Page("firefox", connected=False), "gone or disconnected"),
        (
            SimpleNamespace(context=SimpleNamespace(browser=None), url="", title=None, is_closed=bool),
            "no browser",
        ),
        (object(), "not a Playwright page but object"),
    ],
)
def test_pages_that_are_over_are_refused_with_a_url_too(tmp_path, page, why):
    with pytest.raises(SessionException, match=why):
        asyncio.run(SessionManager(tmp_path).save_session(page, "login", cdp_url="ws://h/"))

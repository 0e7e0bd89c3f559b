"""What a session file has to say of a live page, so that its tab can be found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from raptor_exporter.browser.endpoint import browser_url, check_url, find_endpoint
from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.tab import default_context_id, target_of, title_of
from raptor_exporter.browser.turn import Turn

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

_MAX_TITLE = 1000  # characters; a page may have megabytes


class Captured(NamedTuple):
    """The fields of a session that come from its page."""

    cdp_url: str
    browser_type: str
    metadata: dict[str, Any]


async def capture(turn: Turn, page: Page, cdp_url: str | None) -> Captured:
    """Ask a page for what identifies it.

    Args:
        turn: with the time limit.
        page: of either of Playwright's APIs, the one that the turn is for.
        cdp_url: where its user says that the browser can be reached; None: find out.

    Raises:
        BrowserProblem: the page can't be saved, and what to do.
    """
    if cdp_url is not None:
        check_url(cdp_url)
    browser = _browser_of(turn, page)
    browser_type = browser.browser_type.name
    try:
        if browser_type != "chromium":
            return await _capture_without_cdp(turn, page, browser_type, cdp_url)
        return await _capture_chromium(turn, page, browser, cdp_url)
    except DriverError as error:
        if page.is_closed():
            raise _closed_page() from error
        raise BrowserProblem(
            Trouble.DROPPED, f"the browser did not answer ({error}): save again if it is alive"
        ) from error
    except TimeoutError as error:
        raise BrowserProblem(Trouble.HUNG, "the browser did not answer in time: is it frozen?") from error


def _browser_of(turn: Turn, page: Page) -> Browser:
    if type(page).__module__.startswith(turn.other_api):
        raise BrowserProblem(
            Trouble.NOT_A_PAGE, f"the page is one of {turn.other_api}: use {turn.other_manager} for it"
        )
    if not all(hasattr(page, name) for name in ("context", "url", "title", "is_closed")):
        raise BrowserProblem(
            Trouble.NOT_A_PAGE, f"what was given is not a Playwright page but {type(page).__name__}"
        )
    if page.is_closed():
        raise _closed_page()
    browser = page.context.browser
    if browser is None:
        raise BrowserProblem(
            Trouble.NO_BROWSER,
            "the page has no browser that could be reached again: open it in a browser from launch_browser() "
            "or connect_over_cdp()",
        )
    if not browser.is_connected():
        raise BrowserProblem(
            Trouble.NO_BROWSER, "the browser of the page is gone or disconnected: connect to it, then save"
        )
    return browser


def _closed_page() -> BrowserProblem:
    return BrowserProblem(Trouble.CLOSED_PAGE, "the page is closed: save a page that is open")


async def _capture_without_cdp(turn: Turn, page: Page, browser_type: str, cdp_url: str | None) -> Captured:
    if cdp_url is None:
        raise BrowserProblem(
            Trouble.NOT_CHROMIUM,
            f"{browser_type} has no CDP endpoint to come back to: use Chromium, or give cdp_url= to keep a "
            "record that can't be restored",
        )
    title = await title_of(turn, page, None)
    return Captured(cdp_url, browser_type, page_metadata(page.url, title))


async def _capture_chromium(turn: Turn, page: Page, browser: Browser, cdp_url: str | None) -> Captured:
    target = await target_of(turn, page)
    default = await default_context_id(turn, browser)
    if default is not None and target.context_id not in (None, default):
        raise BrowserProblem(
            Trouble.VANISHING_CONTEXT,
            "the page is in a context of its own (browser.new_context() or browser.new_page()), which "
            "vanishes with its script: open it in the default context, browser.contexts[0] of a browser from "
            "launch_browser() or connect_over_cdp(), or in launch_persistent_context()",
        )
    if cdp_url is None:
        url = await find_endpoint(turn, browser, target.id)
    else:
        url = await turn.aside(browser_url, cdp_url, target.id)
    title = await title_of(turn, page, target)
    return Captured(url, "chromium", page_metadata(page.url, title, target.id))


def page_metadata(url: str, title: str, target_id: str | None = None) -> dict[str, Any]:
    """What a session's metadata say of its page."""
    said = {"page_url": _text(url), "page_title": _text(title)[:_MAX_TITLE]}
    return said if target_id is None else said | {"page_target_id": target_id}


def _text(text: str) -> str:
    """A page may put anything into its title and URL, halves of surrogate pairs too, which no file takes."""
    return text.encode("utf-8", "replace").decode()

"""From the fields of a session back to its tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from raptor_exporter.browser.connections import Connections, Link
from raptor_exporter.browser.endpoint import BROWSER_PATH, at_address, current_browser_url, is_plain_http
from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.tab import target_of
from raptor_exporter.browser.turn import Turn
from raptor_exporter.probe import ProbeKind, ProbeResult, probe_endpoint
from raptor_exporter.probe.hosts import HostNotAllowed, addresses_of, literal_address, resolve_host
from raptor_exporter.redact import redact_page_url
from raptor_exporter.session import parse_endpoint

if TYPE_CHECKING:
    from playwright.async_api import Page

_PROBE_SECONDS = 1.5  # for each of two attempts
_DOUBTFUL_SECONDS = 1.5  # for a connection to what did not look like a browser

# A saved URL comes out of a file, and some are commands: javascript:, chrome://quit, about:crash.
_SCHEMES = ("http://", "https://", "data:", "file://")
_BLANK = "about:blank"
_NO_USER_TABS = ("devtools://", "chrome-extension://")


class Reopened(NamedTuple):
    """A tab, and what its user has to know of it."""

    page: Page
    warning: str | None = None


async def reopen(turn: Turn, connections: Connections, cdp_url: str, metadata: Mapping[str, Any]) -> Reopened:
    """The tab that was saved, or the one that stands in for it.

    Raises:
        BrowserProblem: there is none to be had, and why.
    """
    address = _checked_address(cdp_url)
    cdp_url = _as_drivers_read_it(cdp_url)
    doubt = await _ask_for_browser(turn, cdp_url, address)
    try:
        link, cached = await _connect(turn, connections, cdp_url, address, doubt)
        try:
            return await _tab(turn, connections, link, metadata)
        except DriverError as error:
            if not (cached and error.closed):
                raise
        # The connection from earlier had broken without our hearing of it.
        connections.drop(cdp_url)
        link, _ = await _connect(turn, connections, cdp_url, address, doubt)
        return await _tab(turn, connections, link, metadata)
    except DriverError as error:
        raise BrowserProblem(
            Trouble.DROPPED,
            f"the connection to its browser at {address} broke off ({error}): restore again if it is alive",
        ) from error
    except TimeoutError as error:
        raise _blocked(address) from error


def _as_drivers_read_it(cdp_url: str) -> str:
    """Its scheme in lower case, and no fragment: other spellings are legal and not understood."""
    scheme, separator, rest = cdp_url.partition("#")[0].partition("://")
    return f"{scheme.lower()}{separator}{rest}"


def _checked_address(cdp_url: str) -> str:
    endpoint = parse_endpoint(cdp_url)
    if endpoint is None:
        raise BrowserProblem(Trouble.BAD_CDP_URL, "its cdp_url is not a browser's: save the session again")
    if endpoint.path.startswith("/devtools/") and not endpoint.path.startswith(BROWSER_PATH):
        raise BrowserProblem(
            Trouble.BAD_CDP_URL,
            f"its cdp_url names a single tab at {endpoint.address}, not the browser there: "
            "save the session again",
        )
    return endpoint.address


def _blocked(address: str) -> BrowserProblem:
    return BrowserProblem(
        Trouble.BLOCKED,
        f"its browser at {address} is alive, but a tab in it is blocked by a busy script or an open dialog: "
        "end that there, or close the tab, then restore again",
    )


async def _ask_for_browser(turn: Turn, cdp_url: str, address: str) -> BrowserProblem | None:
    """Ask for the browser before anything is started for it.

    Returns the problem it will be if the connection fails too: behind a proxy a browser may be there
    that doesn't answer this way.
    """
    endpoint = parse_endpoint(cdp_url)
    assert endpoint is not None  # checked before  # noqa: S101
    result = await turn.talk(probe_endpoint(endpoint, timeout=_PROBE_SECONDS, allowed_hosts=None))
    if result.kind is ProbeKind.ALIVE:
        return None
    problem = _problem_of(result, address)
    if result.kind is ProbeKind.GARBAGE:
        return problem
    raise problem


def _problem_of(result: ProbeResult, address: str) -> BrowserProblem:
    match result.kind:
        case ProbeKind.REFUSED:
            trouble = Trouble.DEAD
            what = f"its browser is gone: nothing listens at {address} any more; start one and save it again"
        case ProbeKind.OTHER_BROWSER:
            trouble = Trouble.REPLACED
            what = f"its browser is gone: another browser was started at {address}; save the session again"
        case ProbeKind.HUNG:
            trouble = Trouble.HUNG
            what = f"its browser at {address} hangs: it {result.detail}"
        case ProbeKind.GARBAGE:
            trouble = Trouble.NOT_A_BROWSER
            what = f"its browser is gone: what listens at {address} {result.detail}"
        case _:
            trouble = Trouble.UNREACHABLE
            what = f"its browser at {address} can't be reached: {result.detail}"
    return BrowserProblem(trouble, what)


async def _ways_to(turn: Turn, cdp_url: str) -> list[str]:
    """The URL, and the same with each address of its host.

    Chromium refuses a Host header that is a name, while a proxy may go by it. And of two browsers on
    one port of localhost each has one of its addresses.
    """
    endpoint = parse_endpoint(cdp_url)
    if endpoint is None or endpoint.scheme not in ("ws", "http"):
        return [cdp_url]
    try:
        addresses = await turn.talk(addresses_of(endpoint.host, resolve_host))
    except (OSError, HostNotAllowed):
        addresses = ()
    if is_plain_http(cdp_url):
        asked = [await turn.aside(current_browser_url, address, endpoint.port) for address in addresses]
        return [*(url for url in asked if url is not None), cdp_url]
    if literal_address(endpoint.host):
        return [cdp_url]
    return [cdp_url, *(at_address(cdp_url, endpoint, address) for address in addresses)]


async def _connect(
    turn: Turn, connections: Connections, cdp_url: str, address: str, doubt: BrowserProblem | None
) -> tuple[Link, bool]:
    try:
        ways = await _ways_to(turn, cdp_url)
        return await connections.open(turn, cdp_url, ways, _DOUBTFUL_SECONDS if doubt else None)
    except (DriverError, TimeoutError) as error:
        if doubt is not None:
            raise doubt from error
        if isinstance(error, TimeoutError) or error.timed_out:
            raise _blocked(address) from error
        raise


async def _tab(turn: Turn, connections: Connections, link: Link, metadata: Mapping[str, Any]) -> Reopened:
    contexts = link.browser.contexts
    if not contexts:
        raise BrowserProblem(
            Trouble.BAD_CDP_URL, "its cdp_url leads to no browser of its own: save the session again"
        )
    wanted = metadata.get("page_target_id")
    page_url = metadata.get("page_url")
    if not isinstance(wanted, str) or not wanted:
        pages = [p for p in contexts[0].pages if not p.url.startswith(_NO_USER_TABS)]
        if pages:
            return Reopened(await _answering(turn, pages[0]))
        return await _new_tab(turn, link, page_url, "the browser has no tab")
    # Two that restore at once must not open two tabs.
    return await connections.once(
        turn, (id(link), wanted), lambda: _found_or_new(turn, link, wanted, page_url)
    )


async def _found_or_new(turn: Turn, link: Link, target_id: str, page_url: object) -> Reopened:
    page = await _find(turn, link, target_id, page_url)
    if page is not None:
        return Reopened(await _answering(turn, page))
    opened = await _new_tab(turn, link, page_url, "its tab was closed")
    link.replaced[target_id] = opened.page
    return opened


async def _find(turn: Turn, link: Link, target_id: str, page_url: object) -> Page | None:
    """The page of a target; every page has to be asked, the likely ones first."""
    if target_id in link.replaced:
        return link.replaced[target_id]
    pages = [page for context in link.browser.contexts for page in context.pages]
    pages.sort(key=lambda page: (link.target_ids.get(page) != target_id, page.url != page_url))
    for page in pages:
        if page not in link.target_ids:
            try:
                link.target_ids[page] = (await target_of(turn, page)).id
            except DriverError:
                if not page.is_closed() or not link.browser.is_connected():
                    raise
                continue  # it was closed just now
        if link.target_ids[page] == target_id:
            return page
    return None


async def _answering(turn: Turn, page: Page) -> Page:
    """The page, if its tab works; one that is blocked would hang its user's first call."""
    try:
        await turn.call(page.title)
    except DriverError as error:
        if error.closed:
            raise
        # It answered: a navigation of just now breaks such calls off, and they work a moment later.
        await turn.call(page.title)
    return page


async def _new_tab(turn: Turn, link: Link, page_url: object, why: str) -> Reopened:
    page = await turn.call(link.browser.contexts[0].new_page)
    if not isinstance(page_url, str) or page_url in ("", _BLANK):
        return Reopened(page, f"{why}; an empty one was opened instead")
    shown = redact_page_url(page_url)
    if not page_url.lower().startswith(_SCHEMES):
        return Reopened(page, f"{why}; an empty one was opened instead, because {shown} is no page to open")
    try:
        # A little less than is left, so that a slow page is still the user's to wait for.
        milliseconds = max(1.0, (turn.left() - 0.3) * 1000)
        await turn.call(page.goto, page_url, wait_until="domcontentloaded", timeout=milliseconds)
    except DriverError as error:
        if error.closed:
            raise
        state = "is still loading" if error.timed_out else f"did not load ({error})"
        return Reopened(page, f"{why}; a new one was opened, but {shown} {state}")
    return Reopened(page, f"{why}; a new one was opened at {shown}")

"""A tab as the browser itself knows it. Asked of the browser process, so blocked tabs answer too."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.turn import Turn

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

_DETACH_SECONDS = 0.5
_TITLE_SECONDS = 2.0


class Target(NamedTuple):
    """What identifies a tab for as long as it lives, across connections."""

    id: str
    context_id: str | None
    title: str


async def target_of(turn: Turn, page: Page) -> Target:
    """The target of a page.

    Raises:
        DriverError: the page is gone, or its browser is not Chromium.
    """
    session = await turn.call(page.context.new_cdp_session, page)
    info = (await turn.call(session.send, "Target.getTargetInfo"))["targetInfo"]
    with contextlib.suppress(TimeoutError):  # a blocked tab does not let go; the connection's end does
        await turn.call_within(_DETACH_SECONDS, session.detach)
    return Target(info["targetId"], info.get("browserContextId"), info.get("title", ""))


async def default_context_id(turn: Turn, browser: Browser) -> str | None:
    """The context that stays when every client has disconnected; None if the browser doesn't say."""
    session = await turn.call(browser.new_browser_cdp_session)
    contexts: dict[str, Any] = await turn.call(session.send, "Target.getBrowserContexts")
    await turn.call(session.detach)
    return contexts.get("defaultBrowserContextId")


async def title_of(turn: Turn, page: Page, target: Target | None) -> str:
    """The title of a page; of a tab that doesn't answer what the browser last heard."""
    try:
        return await turn.call_within(_TITLE_SECONDS, page.title)
    except (TimeoutError, DriverError) as error:
        if target is not None:
            return target.title
        raise BrowserProblem(
            Trouble.BLOCKED, "the page does not answer: end its busy script or its dialog, then save again"
        ) from error

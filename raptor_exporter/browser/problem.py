"""What can go wrong between a session and its browser, told without a CDP URL."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """Which kind of problem it is; stands in the context of a SessionException as ``problem``."""

    NOT_A_PAGE = "not_a_page"
    CLOSED_PAGE = "closed_page"
    NO_BROWSER = "no_browser"
    NOT_CHROMIUM = "not_chromium"
    VANISHING_CONTEXT = "vanishing_context"
    NO_ENDPOINT = "no_endpoint"
    BAD_CDP_URL = "bad_cdp_url"
    DEAD = "dead"
    REPLACED = "replaced"
    HUNG = "hung"
    BLOCKED = "blocked"
    NOT_A_BROWSER = "not_a_browser"
    UNREACHABLE = "unreachable"
    DROPPED = "dropped"
    DRIVER = "driver"
    OTHER_LOOP = "other_loop"
    CLOSED_MANAGER = "closed_manager"


class BrowserProblem(Exception):
    """An operation on a browser can't be done; the message says why and what to do."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class DriverError(Exception):
    """Playwright refused or failed a call. Its words, with every URL cut to its address.

    Attributes:
        timed_out: the call had a time limit of Playwright's own, which passed.
        closed: the page, context, browser or driver is not there any more.
    """

    def __init__(self, message: str, *, timed_out: bool = False, closed: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.closed = closed

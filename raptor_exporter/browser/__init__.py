"""The only room that knows Playwright: from a live page to the fields of a session, and back to the tab.

Importing it does not import Playwright; the first use of a browser does.
"""

from __future__ import annotations

from raptor_exporter.browser.capture import Captured, capture, page_metadata
from raptor_exporter.browser.connections import Connections
from raptor_exporter.browser.endpoint import check_url
from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.reopen import Reopened, reopen
from raptor_exporter.browser.turn import AwaitingTurn, BlockingTurn, Turn, run_now

__all__ = [
    "AwaitingTurn",
    "BlockingTurn",
    "BrowserProblem",
    "Captured",
    "Connections",
    "DriverError",
    "Reopened",
    "Trouble",
    "Turn",
    "capture",
    "check_url",
    "page_metadata",
    "reopen",
    "run_now",
]

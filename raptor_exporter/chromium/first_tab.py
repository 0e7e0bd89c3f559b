"""The tab of a browser that was launched just now, over CDP alone: a driver takes longer to start than it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, NamedTuple

from raptor_exporter.chromium import cdp
from raptor_exporter.probe.prober import target_of
from raptor_exporter.session import Endpoint

OPEN_SECONDS = 30.0  # for a page to answer, as in Playwright
_TAB_SECONDS = 10.0  # the tab comes some milliseconds after the port
_ANSWER_SECONDS = 1.0
_POLL_SECONDS = 0.02
_LOOK = "JSON.stringify([document.readyState, location.href, document.title])"


class TabProblem(Exception):
    """The tab did not come, or its page could not be opened; the message says why."""


class Tab(NamedTuple):
    """A tab with what it shows."""

    target_id: str
    url: str
    title: str


async def first_tab(endpoint: Endpoint, url: str | None = None) -> Tab:
    """The first tab of a browser on this host, with ``url`` opened in it up to its document.

    A page that goes on loading is no failure, nor one that is blocked by its script or a dialog.

    Raises:
        TabProblem: there is no tab, or the page could not be opened.
    """
    try:
        target_id = await _wait_for_tab(endpoint)
        if url is not None:
            await _open(endpoint, target_id, url)
        return await _look(endpoint, target_id)
    except TimeoutError as error:
        raise TabProblem("the browser did not answer in time") from error
    except OSError as error:
        raise TabProblem("the browser is gone again") from error
    except cdp.CommandFailed as error:
        raise TabProblem(str(error)) from error


async def _wait_for_tab(endpoint: Endpoint) -> str:
    deadline = time.monotonic() + _TAB_SECONDS
    while time.monotonic() < deadline:
        for info in await _targets(endpoint):
            if info.get("type") == "page":
                return str(info["targetId"])
        await asyncio.sleep(_POLL_SECONDS)
    raise TabProblem("the browser opened no tab")


async def _open(endpoint: Endpoint, target_id: str, url: str) -> None:
    try:
        result = await _command(endpoint, target_id, "Page.navigate", {"url": url}, OPEN_SECONDS)
    except TimeoutError as error:
        raise TabProblem(f"nothing came within {OPEN_SECONDS:g}s") from error
    if "errorText" in result:
        raise TabProblem(str(result["errorText"]))


async def _look(endpoint: Endpoint, target_id: str) -> Tab:
    deadline = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < deadline:
        try:
            result = await _command(
                endpoint, target_id, "Runtime.evaluate", {"expression": _LOOK}, _ANSWER_SECONDS
            )
        except TimeoutError:
            break
        # A page may have replaced JSON.stringify, which harms nobody but itself.
        state, url, title = _strings(result.get("result", {}).get("value"))
        if state in ("interactive", "complete"):
            return Tab(target_id, url, title)
        await asyncio.sleep(_POLL_SECONDS)
    for info in await _targets(endpoint):
        if info.get("targetId") == target_id:
            return Tab(target_id, str(info.get("url", "")), str(info.get("title", "")))
    raise TabProblem("the tab was closed")


def _strings(text: object) -> tuple[str, str, str]:
    try:
        state, url, title = json.loads(text) if isinstance(text, str) else ("", "", "")
    except (ValueError, TypeError):
        return "", "", ""
    return str(state), str(url), str(title)


async def _targets(endpoint: Endpoint) -> list[dict[str, Any]]:
    async with asyncio.timeout(_TAB_SECONDS):
        result = await cdp.command(target_of(endpoint, endpoint.host), endpoint.path, "Target.getTargets")
    return list(result.get("targetInfos", []))


async def _command(
    endpoint: Endpoint, target_id: str, method: str, params: dict[str, Any], seconds: float
) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        return await cdp.command(
            target_of(endpoint, endpoint.host), f"/devtools/page/{target_id}", method, params
        )

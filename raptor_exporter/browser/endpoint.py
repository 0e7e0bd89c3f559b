"""Where the browser of a live page can be reached again, found out from the browser itself.

Playwright for Python doesn't tell, so the browser is asked how it was started.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from raptor_exporter.browser.problem import BrowserProblem, DriverError, Trouble
from raptor_exporter.browser.turn import Turn
from raptor_exporter.session import Endpoint, parse_endpoint

if TYPE_CHECKING:
    from playwright.async_api import Browser

BROWSER_PATH = "/devtools/browser/"

# A second browser on a busy fixed port starts silently on ::1.
_HOSTS = ("127.0.0.1", "::1")
_MAX_ANSWER = 32 * 1024 * 1024  # the list of tabs holds their whole URLs, data: ones too
_ANSWER_SECONDS = 3.0

_HOW_TO_START = (
    "start it with raptor_exporter.launch_browser(), or with --remote-debugging-port=0 and a "
    "--user-data-dir of its own"
)


class Flags(NamedTuple):
    """The two flags of a browser's command line that say where it listens."""

    port: str | None
    user_data_dir: str | None


async def find_endpoint(turn: Turn, browser: Browser, target_id: str) -> str:
    """The ws:// browser URL at which the tab ``target_id`` of this browser can be reached.

    Raises:
        BrowserProblem: there is none, with what to do.
        DriverError: the browser did not answer.
    """
    flags = await _flags_of(turn, browser)
    if flags.port is None:
        raise BrowserProblem(
            Trouble.NO_ENDPOINT,
            "the browser listens on no port (Playwright's default is a pipe), so nobody can reach it again: "
            + _HOW_TO_START,
        )
    port = await turn.aside(_actual_port, flags)
    if port is not None:
        for host in _HOSTS:
            url = await turn.aside(_verified_url, host, port, target_id)
            if url is not None:
                return url
    raise BrowserProblem(
        Trouble.NO_ENDPOINT,
        f"the browser was started with --remote-debugging-port={flags.port}, but does not listen for it on "
        f"this machine: {_HOW_TO_START}; of a browser elsewhere or behind a proxy, give the URL as cdp_url=",
    )


async def _flags_of(turn: Turn, browser: Browser) -> Flags:
    session = await turn.call(browser.new_browser_cdp_session)
    info: dict[str, Any] = await turn.call(session.send, "SystemInfo.getInfo")
    command_line: str = info.get("commandLine", "")
    try:
        processes = await turn.call(session.send, "SystemInfo.getProcessInfo")
    except DriverError:  # what follows does without it
        processes = {}
    await turn.call(session.detach)
    pids = [p["id"] for p in processes.get("processInfo", ()) if p.get("type") == "browser"]
    return await turn.aside(_exact_flags, command_line, pids)


def _exact_flags(command_line: str, pids: Iterable[int]) -> Flags:
    """From the kernel where it knows this very process; the browser's own text quotes nothing."""
    told = flags_in_text(command_line)
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = os.fsdecode(file.read()).split("\0")
            directory = os.readlink(f"/proc/{pid}/cwd")
        except OSError:  # another host, another pid namespace, or another user's
            continue
        exact = flags_in_arguments(arguments)
        # The same number may be some other process here, so it has to agree with what the browser says.
        if exact.port != told.port or f"--user-data-dir={exact.user_data_dir or ''}" not in command_line:
            continue
        if exact.user_data_dir is not None:
            exact = exact._replace(user_data_dir=os.path.join(directory, exact.user_data_dir))
        return exact
    return told


def flags_in_arguments(arguments: Iterable[str]) -> Flags:
    """The flags in a list of arguments; of repeated ones the last counts, as in Chromium."""
    values: dict[str, str] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if separator:
            values[name] = value
    return Flags(values.get("--remote-debugging-port"), values.get("--user-data-dir"))


def flags_in_text(command_line: str) -> Flags:
    """The flags in a command line without quotes: a value goes on until the next flag or URL."""
    ports = re.findall(r"(?:^|\s)--remote-debugging-port=(\S*)", command_line)
    directories = re.findall(
        r"(?:^|\s)--user-data-dir=(.*?)(?=\s+--|\s+[a-z-]+:|\s*$)", command_line, re.DOTALL
    )
    return Flags(ports[-1] if ports else None, directories[-1] if directories else None)


def _actual_port(flags: Flags) -> int | None:
    """The port in the flags; of port 0 the one that the browser wrote into its profile."""
    port = _port_number(flags.port or "")
    if port != 0:
        return port
    if not flags.user_data_dir:
        return None
    try:
        with open(os.path.join(flags.user_data_dir, "DevToolsActivePort"), "rb") as file:
            first = file.readline(16)
    except OSError:
        return None
    return _port_number(first.decode("ascii", "replace").strip()) or None


def _port_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and int(text) < 65536 else None


def _verified_url(host: str, port: int, target_id: str) -> str | None:
    """The browser URL at an address, if that browser has the tab; an old port file proves nothing."""
    tabs = _get_json(Endpoint("http", host, port, "/json/list"))
    if not isinstance(tabs, list) or not any(_id_of(tab) == target_id for tab in tabs):
        return None
    return current_browser_url(host, port)


def _id_of(tab: object) -> object:
    return tab.get("id") if isinstance(tab, dict) else None


def _browser_path(version: object) -> str | None:
    """The path of the browser's WebSocket URL; its host is only the Host header, echoed."""
    url = version.get("webSocketDebuggerUrl") if isinstance(version, dict) else None
    endpoint = parse_endpoint(url) if isinstance(url, str) else None
    return endpoint.path if endpoint is not None and endpoint.path.startswith(BROWSER_PATH) else None


def _get_json(endpoint: Endpoint) -> object:
    """What a browser answers at an http:// endpoint, or None if there is no JSON to be had."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", endpoint.path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return json.loads(response.read(_MAX_ANSWER)) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()


def check_url(cdp_url: object) -> str:
    """A URL that a user gave, if it can be one of a browser.

    Raises:
        BrowserProblem: it is no ws, wss, http or https URL with a host.
    """
    if (
        isinstance(cdp_url, str)
        and cdp_url.isprintable()
        and " " not in cdp_url
        and parse_endpoint(cdp_url) is not None
    ):
        return cdp_url
    raise BrowserProblem(
        Trouble.BAD_CDP_URL,
        "cdp_url is not a ws, wss, http or https URL with a host: give the one that the browser printed "
        "behind 'DevTools listening on'",
    )


def is_plain_http(cdp_url: str) -> bool:
    """Whether a URL is http:// with nothing but a host and a port, so that it names no single browser."""
    return re.fullmatch(r"(?i)http://[^/?#@]*/?", cdp_url) is not None


def current_browser_url(host: str, port: int) -> str | None:
    """The ws:// URL of the browser that listens at an address now.

    Playwright would ask for it too, but through a proxy that the environment names.
    """
    path = _browser_path(_get_json(Endpoint("http", host, port, "/json/version")))
    return None if path is None else f"ws://{Endpoint('ws', host, port, path).address}{path}"


def browser_url(cdp_url: str, target_id: str) -> str:
    """Of a plain http:// URL whose browser has the tab: its ws:// browser URL. Any other as it is.

    By an http:// URL one reaches whichever browser listens there; after a restart, another one.
    """
    endpoint = parse_endpoint(cdp_url)
    if endpoint is None or not is_plain_http(cdp_url):
        return cdp_url
    return _verified_url(endpoint.host, endpoint.port, target_id) or cdp_url


def at_address(cdp_url: str, endpoint: Endpoint, address: str) -> str:
    """The same URL with a numeric address in place of its host's name."""
    scheme, _, rest = cdp_url.partition("://")
    authority = re.match(r"[^/?#]*", rest)
    length = authority.end() if authority else 0
    user, at, _ = rest[:length].rpartition("@")
    return (
        f"{scheme}://{user}{at}{Endpoint(endpoint.scheme, address, endpoint.port, '').address}{rest[length:]}"
    )

"""``session launch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, option

if TYPE_CHECKING:
    from raptor_exporter.session import Endpoint, SessionInfo

_LOAD_SECONDS = 30


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session launch login --url https://example.com/login --headed
  raptor-exporter session restore login
  raptor-exporter session close login
""",
)
@click.argument("name")
@common
@option("--url", metavar="URL", help="Page to open first.")
@option("--headed", is_flag=True, help="With a window, to log in by hand.")
def launch(app: App, name: str, url: str | None, *, headed: bool) -> None:
    """Start a Chromium that outlives this command, and save its tab as a session.

    It runs until `session close` ends it. If anything fails, no browser is left behind.
    """
    import asyncio

    from raptor_exporter.cli.output import printable
    from raptor_exporter.launch import launch_browser
    from raptor_exporter.names import safe_name
    from raptor_exporter.session import parse_endpoint

    safe_name(name)
    earlier = _running_browser(app, name)
    browser = launch_browser(headless=not headed)
    try:
        info = asyncio.run(_open_and_save(app, browser.cdp_url, name, url))
    except BaseException:
        browser.close()
        raise
    endpoint = parse_endpoint(info.cdp_url)
    address = "" if endpoint is None else endpoint.address
    click.echo(f"{printable(name)} launched at {address} (process {browser.pid})")
    if earlier is not None:
        before = f"the browser that {printable(name)} had before, at {earlier.address}"
        click.echo(f"Warning: {before}, still runs: end it yourself", err=True)


async def _open_and_save(app: App, cdp_url: str, name: str, url: str | None) -> SessionInfo:
    from playwright.async_api import Error

    from raptor_exporter.manager import SessionManager
    from raptor_exporter.redact import redact, redact_page_url

    async with SessionManager.of_store(app.store) as manager:
        page = await manager.open_browser(cdp_url)
        if url is not None:
            try:
                await page.goto(url, wait_until="domcontentloaded", timeout=_LOAD_SECONDS * 1000)
            except Error as error:
                # The first line alone: the rest is Playwright's log of the call.
                why = redact(error.message.partition("\n")[0].removeprefix("Page.goto: "))
                raise click.ClickException(f"{redact_page_url(url)} could not be opened: {why}") from error
        return await manager.save_session(page, name)


def _running_browser(app: App, name: str) -> Endpoint | None:
    """The browser that the session of this name has now, if it runs; saving the name forgets it."""
    import asyncio

    from raptor_exporter.cli.endpoints import endpoint_of
    from raptor_exporter.config import ProbeConfig
    from raptor_exporter.probe import ProbeKind, probe_endpoint

    stem = app.store.find(name)
    endpoint = None if stem is None else endpoint_of(app, stem)
    if endpoint is None:
        return None
    result = asyncio.run(
        probe_endpoint(endpoint, timeout=1.0, allowed_hosts=(app.config.probe or ProbeConfig()).allowed_hosts)
    )
    return endpoint if result.kind in (ProbeKind.ALIVE, ProbeKind.HUNG) else None

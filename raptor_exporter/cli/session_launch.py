"""``session launch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, option

if TYPE_CHECKING:
    from raptor_exporter.session import Endpoint


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
    from raptor_exporter.chromium.launch import launch_browser
    from raptor_exporter.cli.output import printable
    from raptor_exporter.names import check_new_name
    from raptor_exporter.session import parse_endpoint

    check_new_name(name)
    earlier = _running_browser(app, name)
    browser = launch_browser(headless=not headed)
    try:
        endpoint = parse_endpoint(browser.cdp_url)
        assert endpoint is not None  # noqa: S101  # launch_browser made it
        _open_and_save(app, browser.cdp_url, endpoint, name, url)
    except BaseException:
        browser.close()
        raise
    click.echo(f"{printable(name)} launched at {endpoint.address} (process {browser.pid})")
    if earlier is not None:
        before = f"the browser that {printable(name)} had before, at {earlier.address}"
        click.echo(f"Warning: {before}, still runs: end it yourself", err=True)


def _open_and_save(app: App, cdp_url: str, endpoint: Endpoint, name: str, url: str | None) -> None:
    import asyncio
    import time

    from raptor_exporter.browser import page_metadata
    from raptor_exporter.chromium.first_tab import TabProblem, first_tab
    from raptor_exporter.redact import redact_page_url
    from raptor_exporter.session import SessionInfo, format_timestamp

    try:
        tab = asyncio.run(first_tab(endpoint, url))
    except TabProblem as error:
        what = "the browser" if url is None else redact_page_url(url)
        raise click.ClickException(f"{what} could not be opened: {error}") from error
    now = format_timestamp(time.time())
    metadata = page_metadata(tab.url, tab.title, tab.target_id)
    app.store.save(name, SessionInfo(name, cdp_url, "chromium", now, now, metadata).to_dict())


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

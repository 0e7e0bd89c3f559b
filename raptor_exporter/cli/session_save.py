"""``session save``."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, option


def _checked(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    from raptor_exporter.browser import BrowserProblem, check_url

    try:
        return check_url(value)
    except BrowserProblem as error:
        raise click.BadParameter(str(error).removeprefix("cdp_url ")) from error


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session save login --cdp-url http://127.0.0.1:9222
  raptor-exporter session save login --cdp-url ws://127.0.0.1:9222/devtools/browser/...
""",
)
@click.argument("name")
@common
@option(
    "--cdp-url",
    required=True,
    metavar="URL",
    callback=_checked,
    help="Where the browser listens: its ws:// or http:// URL.",
)
def save(app: App, name: str, cdp_url: str) -> None:
    """Save the first tab of a running browser, so that it can be restored.

    Saving a name again makes a new session of it.
    """
    import asyncio

    from raptor_exporter.cli.output import printable
    from raptor_exporter.cli.telling import failures_told_once
    from raptor_exporter.manager.asynchronous import SessionManager
    from raptor_exporter.names import safe_name
    from raptor_exporter.session import SessionInfo, parse_endpoint

    safe_name(name)
    manager = SessionManager.of_store(app.store)

    async def work() -> SessionInfo:
        async with manager:
            page = await manager.open_browser(cdp_url)
            return await manager.save_session(page, name, cdp_url=cdp_url)

    with failures_told_once():
        info = asyncio.run(work())
    endpoint = parse_endpoint(info.cdp_url)
    click.echo(f"{printable(name)} saved" + (f", at {endpoint.address}" if endpoint is not None else ""))

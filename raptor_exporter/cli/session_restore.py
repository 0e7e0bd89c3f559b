"""``session restore``."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, object_output


@click.command(
    epilog="""\b
Examples:
  raptor-exporter session restore login
""",
)
@click.argument("name")
@common
@object_output
def restore(app: App, name: str, output: str) -> None:
    """Connect to a session's browser and tell the title and URL of its tab; the browser stays as it is.

    The session counts as accessed now.
    """
    import asyncio

    from raptor_exporter.cli.output import emit_object
    from raptor_exporter.cli.telling import failures_told_once
    from raptor_exporter.manager.asynchronous import SessionManager
    from raptor_exporter.redact import redact, redact_page_url

    if app.store.find(name) is None:
        raise click.ClickException(f"there is no session {name!r} in {app.store.place}")
    manager = SessionManager.of_store(app.store)

    async def work() -> tuple[str, str]:
        async with manager:
            page = await manager.restore_session(name)
            return await page.title(), page.url

    with failures_told_once():
        title, url = asyncio.run(work())
    shown = {"name": name, "title": redact(title), "url": redact_page_url(url)}
    emit_object(shown, output, [("Title", shown["title"]), ("URL", shown["url"])])

"""``serve``: the agent."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common_of_agent, option
from raptor_exporter.cli.parameters import DURATION


@click.command(
    epilog="""\b
Examples:
  raptor-exporter serve                                      built-in policies in mode plan
  raptor-exporter serve --config raptor.yaml --web.listen-address 127.0.0.1:19222
  raptor-exporter serve --web.config.file web.yaml           TLS and passwords
""",
)
@common_of_agent
@option("--web.listen-address", default=":19222", show_default=True, help="Where to listen, HOST:PORT.")
@option("--web.config.file", metavar="FILE", help="TLS and passwords, in the exporter-toolkit format.")
@option("--web.enable-lifecycle", is_flag=True, help="Let POST /-/reload read the configuration again.")
@option(
    "--config.reload-interval",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How often the configuration file is looked at for changes; 0 is never.",
)
def serve(
    app: App,
    *,
    web_listen_address: str,
    web_config_file: str | None,
    web_enable_lifecycle: bool,
    config_reload_interval: float,
) -> int:
    """Run the agent: metrics, status page and cleanup policies, until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration again.
    """
    import asyncio
    import logging
    import sys

    from raptor_exporter.agent.agent import Agent
    from raptor_exporter.config import DEFAULT_STORE
    from raptor_exporter.notify import Notifier
    from raptor_exporter.web.listen import ListenError
    from raptor_exporter.web.server import HttpServer

    logger = logging.getLogger("raptor_exporter.serve")
    store = app.unchecked_store()
    if app.config.store.url == DEFAULT_STORE:
        store.create()  # any other one may be a volume that is not mounted yet

    # A scrape waits at most so long for the interpreter while a refresh or a plan is computed: seconds.
    sys.setswitchinterval(0.001)
    notifier = Notifier()

    async def run() -> None:
        agent = Agent(
            store,
            app.config,
            config_file=app.config_file,
            load=app.load,
            reload_interval=config_reload_interval,
        )
        server = HttpServer(
            agent, web_listen_address, web_config_file=web_config_file, lifecycle=web_enable_lifecycle
        )
        logger.info("starting", extra={"version": agent.build.version, "store": store.place})

        def start(_: Agent) -> asyncio.Task[None]:
            notifier.ready()
            return asyncio.create_task(server.serve(), name="http")

        await agent.run(start, asyncio.Event())
        notifier.stopping()

    try:
        asyncio.run(run())
    except ListenError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return 0

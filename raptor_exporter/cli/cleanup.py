"""``cleanup``: delete sessions, into the trash."""

from __future__ import annotations

import click

from raptor_exporter.cli.app import App
from raptor_exporter.cli.options import common, dry_run, force, listing, option, yes
from raptor_exporter.cli.parameters import DURATION


@click.group(
    epilog="""\b
Examples:
  raptor-exporter cleanup run --dry-run --config raptor.yaml
  raptor-exporter cleanup run ci-sessions --enforce --yes
  raptor-exporter cleanup expired --max-age 3d
""",
)
def cleanup() -> None:
    """Delete sessions, into the trash. Guards and `protect` hold; --dry-run shows what and why."""


@cleanup.command(
    epilog="""\b
Examples:
  raptor-exporter cleanup expired --dry-run
  raptor-exporter cleanup expired --max-age 3d --yes
""",
)
@common
@listing
@option(
    "--max-age", type=DURATION, default="7d", show_default=True, help="Not accessed for longer than this."
)
@force
@dry_run
@yes
@click.pass_context
def expired(
    ctx: click.Context, app: App, output: str, *, max_age: float, force: bool, dry_run: bool, yes: bool
) -> None:
    """Delete what was not accessed for too long, and what can't tell when it was."""
    from raptor_exporter.cleanup import once
    from raptor_exporter.cli.deleting import clean_up

    rules = once.expired(app.config.rules, max_age)
    rules = rules.without_guards() if force else rules
    ctx.exit(clean_up(app, rules, None, output=output, yes=yes, dry_run=dry_run))


@cleanup.command(
    epilog="""\b
Examples:
  raptor-exporter cleanup invalid --dry-run
  raptor-exporter cleanup invalid --yes
""",
)
@common
@listing
@force
@dry_run
@yes
@click.pass_context
def invalid(ctx: click.Context, app: App, output: str, *, force: bool, dry_run: bool, yes: bool) -> None:
    """Delete what fails one of the five checks. Unreadable files stay."""
    from raptor_exporter.cleanup import once
    from raptor_exporter.cli.deleting import clean_up

    rules = once.invalid(app.config.rules)
    rules = rules.without_guards() if force else rules
    ctx.exit(clean_up(app, rules, None, output=output, yes=yes, dry_run=dry_run))


@cleanup.command(
    "all",
    epilog="""\b
Examples:
  raptor-exporter cleanup all --dry-run
  raptor-exporter cleanup all --yes
""",
)
@common
@listing
@dry_run
@yes
@click.pass_context
def everything(ctx: click.Context, app: App, output: str, *, dry_run: bool, yes: bool) -> None:
    """Delete every session that can be read and is not protected. Knows no guards."""
    from raptor_exporter.cleanup import once
    from raptor_exporter.cli.deleting import clean_up

    rules = once.everything(app.config.rules)
    ctx.exit(clean_up(app, rules, None, output=output, yes=yes, dry_run=dry_run))


@cleanup.command(
    epilog="""\b
Examples:
  raptor-exporter cleanup run --dry-run
  raptor-exporter cleanup run ci-sessions --enforce --yes
""",
)
@click.argument("policies", nargs=-1, metavar="[POLICY]...")
@common
@listing
@option("--enforce", is_flag=True, help="Carry out policies in mode plan too, this once.")
@force
@dry_run
@yes
@click.pass_context
def run(
    ctx: click.Context,
    app: App,
    policies: tuple[str, ...],
    output: str,
    *,
    enforce: bool,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Run the configured policies (default: all) once, each by its mode."""
    from raptor_exporter.cli.deleting import clean_up
    from raptor_exporter.cli.parameters import known_policies

    names = known_policies(app.config, policies)
    rules = app.config.rules
    rules = rules.enforced(names) if enforce else rules
    rules = rules.without_guards() if force else rules
    ctx.exit(clean_up(app, rules, names, output=output, yes=yes, dry_run=dry_run))

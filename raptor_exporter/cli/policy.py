"""``policy``: check policies and see what they would do."""

from __future__ import annotations

import click

from raptor_exporter.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    commands={
        "check": (
            "raptor_exporter.cli.policy_check:check",
            "Check a configuration file, every mistake at once.",
        ),
        "plan": ("raptor_exporter.cli.policy_plan:plan", "Say what would be deleted, now or later, and why."),
        "explain": ("raptor_exporter.cli.policy_explain:explain", "Say why one session stays, goes or went."),
        "schema": ("raptor_exporter.cli.policy_check:schema", "Print the JSON Schema of the configuration."),
    },
    epilog="""\b
Examples:
  raptor-exporter policy check raptor.yaml
  raptor-exporter policy plan --config raptor.yaml --at +7d
  raptor-exporter policy explain login
""",
)
def policy() -> None:
    """Check policies and see what they would do."""

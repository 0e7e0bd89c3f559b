"""The command line. ``main`` turns every foreseeable error into one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from raptor_exporter import __version__
from raptor_exporter.cli.lazy import LazyGroup, ReaderGone

DONE = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130

_EPILOG = """\b
Examples:
  raptor-exporter serve                          the agent, on :19222
  raptor-exporter session list -o json           every session with its state
  raptor-exporter policy plan --at +7d           what would go in a week, and why
  raptor-exporter cleanup expired --dry-run      the same planner, nothing deleted
  raptor-exporter trash restore NAME             take a deletion back
"""


@click.group(
    cls=LazyGroup,
    commands={
        "serve": (
            "raptor_exporter.cli.serve:serve",
            "Run the agent: metrics, status page and cleanup policies.",
        ),
        "session": ("raptor_exporter.cli.session:session", "Look at, save, restore and end sessions."),
        "cleanup": ("raptor_exporter.cli.cleanup:cleanup", "Delete sessions, into the trash."),
        "policy": ("raptor_exporter.cli.policy:policy", "Check policies and see what they would do."),
        "stats": ("raptor_exporter.cli.stats:stats", "Count the sessions of a store and their bytes."),
        "metrics": ("raptor_exporter.cli.metrics:metrics", "Print the exposition once, without an agent."),
        "trash": ("raptor_exporter.cli.trash:trash", "List, restore and empty what was deleted."),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="raptor-exporter")
def cli() -> None:
    """Save and restore logged-in browser sessions, watch their store and clean it up by policy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 usage or configuration, 130 Ctrl-C."""
    _open_closed_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        _discard_stdout()
        return DONE
    except OSError as error:  # a full disk behind stdout, for one: what stores and browsers raise is named
        _discard_stdout()
        _complain(error.strerror or str(error))
        return FAILED
    return status


def _open_closed_streams() -> None:
    """A program may be started without stdout or stderr; what it says is lost then, not its work."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # to the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # to the end


def _discard_stdout() -> None:
    """Python would complain once more when it closes stdout with something left to write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str] | None) -> int:
    from raptor_exporter.exceptions import ConfigError, SessionException, StoreError, UnsafeName

    try:
        status = cli.main(args=arguments, prog_name="raptor-exporter", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        _complain(error.format_message())
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        return USAGE
    except (SessionException, StoreError, UnsafeName) as error:
        _complain(str(error))
        return FAILED
    return status if isinstance(status, int) else DONE


def _complain(message: str) -> None:
    from raptor_exporter.cli.output import printable
    from raptor_exporter.redact import redact

    click.echo(f"Error: {printable(redact(message))}", err=True)

"""Kinds of arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from raptor_exporter.config import Config


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """A duration as in Prometheus; gives seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of ``7d``."""
        if isinstance(value, float):
            return value
        from raptor_exporter.units import parse_duration

        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """A time from now (``+7d``) or an ISO 8601 timestamp; gives POSIX seconds."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """POSIX seconds of ``+7d``."""
        if isinstance(value, float):
            return value
        import time

        from raptor_exporter.session import parse_timestamp
        from raptor_exporter.units import parse_duration

        text = str(value)
        try:
            if text.startswith("+"):
                return time.time() + parse_duration(text[1:])
            return parse_timestamp(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a time from now such as +7d nor an ISO 8601 timestamp", param, ctx
            )


DURATION = Duration()
MOMENT = Moment()


def known_policies(config: Config, names: tuple[str, ...]) -> list[str]:
    """The named policies, or all.

    Raises:
        click.UsageError: one of them isn't configured.
    """
    known = [p.name for p in config.rules.policies]
    unknown = [name for name in names if name not in known]
    if unknown:
        from raptor_exporter.cli.output import printable

        listed = ", ".join(known) or "none"
        message = f"no policy of the name {printable(', '.join(unknown))}; the configured ones are: {listed}"
        raise click.UsageError(message)
    return list(dict.fromkeys(names)) if names else known

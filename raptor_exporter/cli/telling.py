"""What a command says once must not stand in its log as well."""

from __future__ import annotations

import logging


def tell_failures_once() -> None:
    """Keep a manager's line about a foreseen failure out of the log: it is the command's error message."""
    logging.getLogger("raptor_exporter.manager").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno != logging.ERROR or record.exc_info is not None

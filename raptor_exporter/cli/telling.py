"""What a command says once must not stand in its log as well."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def failures_told_once() -> Iterator[None]:
    """Keep a manager's line about a foreseen failure out of the log: it is the command's error message."""
    manager_logger = logging.getLogger("raptor_exporter.manager")
    manager_logger.addFilter(_is_news)
    try:
        yield
    finally:
        manager_logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno != logging.ERROR or record.exc_info is not None

"""Reading the configuration again: whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from raptor_exporter.config import Config
from raptor_exporter.exceptions import ConfigError, Problem

logger = logging.getLogger(__name__)


class Reloader:
    """Holds the configuration in force and swaps in a good new one.

    Args:
        file: the configuration file, or None for the built-in policies.
        load: reads it; raises ConfigError.
        config: as it was read at the start.
    """

    def __init__(self, file: str | None, load: Callable[[], Config], config: Config) -> None:
        self._load = load
        self._digest = _digest(file)
        self.file = file
        self.config = config
        self.loaded_at = time.time()
        self.errors: tuple[str, ...] = ()

    def has_changed(self) -> bool:
        """Whether the file's content is another than at the last reading, good or bad.

        The content is compared, not its time: a ConfigMap changes by swapping symlinks.
        """
        return self.file is not None and _digest(self.file) != self._digest

    def reload(self) -> bool:
        """Read the file; whether a new configuration is in force now."""
        self._digest = _digest(self.file)
        try:
            config = self._load()
            self._check_store(config)
        except ConfigError as error:
            self.errors = tuple(map(str, error.problems))
            for problem in self.errors:
                logger.error("configuration not reloaded", extra={"problem": problem})
            return False
        except Exception as error:  # the error boundary of a reload: the old configuration stays
            logger.exception("configuration not reloaded")
            self.errors = (f"unexpected {type(error).__name__}, see the log",)
            return False
        self.config = config
        self.loaded_at = time.time()
        self.errors = ()
        logger.info("configuration reloaded", extra={"policies": len(config.rules.policies)})
        return True

    def _check_store(self, config: Config) -> None:
        if config.store != self.config.store:
            place = self.file or ""
            message = (
                "must not change while the agent runs, accepted is the store it started with; restart it"
            )
            raise ConfigError([Problem(place, _line_of(place, "store"), 1, "store", message)])


def _digest(file: str | None) -> bytes | None:
    if file is None:
        return None
    try:
        return hashlib.sha256(Path(file).read_bytes()).digest()
    except OSError as error:
        return str(error.errno).encode()


def _line_of(file: str, key: str) -> int:
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    return next((number for number, line in enumerate(lines, 1) if line.startswith(key)), 1)

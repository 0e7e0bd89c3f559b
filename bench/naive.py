"""How sessions were kept before there was a snapshot: each method globs, and loads what it is asked about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BROWSER_TYPES = ("chromium", "firefox", "webkit")


@dataclass
class Info:
    """The fields of one file."""

    session_id: str
    cdp_url: str
    browser_type: str
    created_at: str
    last_accessed: str
    metadata: dict[str, Any]


class PlainManager:
    """Sessions in a directory by glob, json and fromisoformat."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.store / f"{''.join(c for c in name if c.isalnum() or c in '-_')}.json"

    def save(self, info: Info) -> None:
        """Write the file in place."""
        with self.path(info.session_id).open("w") as file:
            json.dump(info.__dict__, file, indent=2)

    def list_sessions(self) -> list[str]:
        """All names, sorted."""
        return sorted(file.stem for file in self.store.glob("*.json"))

    def info(self, name: str) -> Info | None:
        """The fields of a session."""
        path = self.path(name)
        if not path.exists():
            return None
        try:
            with path.open() as file:
                document = json.load(file)
            return Info(**document)
        except (OSError, ValueError, TypeError):
            return None

    def validate(self, name: str) -> bool:
        """The five checks."""
        info = self.info(name)
        if info is None or not info.session_id or not info.cdp_url:
            return False
        try:
            datetime.fromisoformat(info.created_at)
            datetime.fromisoformat(info.last_accessed)
        except ValueError:
            return False
        return info.browser_type in BROWSER_TYPES

    def count(self) -> int:
        """The number of sessions."""
        return len(list(self.store.glob("*.json")))

    def size(self) -> int:
        """Their bytes."""
        return sum(file.stat().st_size for file in self.store.glob("*.json"))

    def delete(self, name: str) -> bool:
        """Unlink the file."""
        path = self.path(name)
        if not path.exists():
            return False
        path.unlink()
        return True

    def clean_expired(self, max_age_days: float) -> int:
        """Delete what was not accessed for so long, or does not say when."""
        deleted = 0
        for name in self.list_sessions():
            info = self.info(name)
            if info is None or self._age_days(info) > max_age_days:
                deleted += self.delete(name)
        return deleted

    def clean_invalid(self) -> int:
        """Delete what fails a check."""
        return sum(self.delete(name) for name in self.list_sessions() if not self.validate(name))

    def figures(self) -> tuple[int, int, int, list[float]]:
        """What one refresh of the agent learns: count, valid ones, bytes, ages."""
        names = self.list_sessions()
        valid = [name for name in names if self.validate(name)]
        infos = [info for name in valid if (info := self.info(name)) is not None]
        return len(names), len(valid), self.size(), sorted(map(self._age_days, infos))

    def _age_days(self, info: Info) -> float:
        try:
            accessed = datetime.fromisoformat(info.last_accessed).astimezone(UTC)
        except ValueError:
            return float("inf")
        return (datetime.now(UTC) - accessed).total_seconds() / 86_400

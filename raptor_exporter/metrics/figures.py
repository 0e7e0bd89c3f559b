"""The figures that the agent's loops keep for the collectors. Written by its loop, read by scrapes."""

from __future__ import annotations

from dataclasses import dataclass, field

from raptor_exporter.cleanup.execute import OUTCOMES, REASONS, SUCCESS, Report
from raptor_exporter.metrics.histogram import Durations


@dataclass(slots=True)
class StoreFigures:
    """Of the refresh loop."""

    durations: Durations = field(default_factory=Durations)
    errors: int = 0
    last_refresh: float | None = None  # POSIX seconds of the last good one


@dataclass(slots=True)
class PolicyFigures:
    """Of one policy's runs."""

    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    deleted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    deleted_bytes: int = 0
    failures: int = 0
    skipped: int = 0
    durations: Durations = field(default_factory=Durations)
    last_run: float | None = None  # POSIX seconds
    last_success: float | None = None  # POSIX seconds
    last_outcome: str | None = None
    last_detail: str | None = None

    def add(self, report: Report, at: float) -> None:
        """Count a run that ended at ``at`` (POSIX seconds)."""
        self.runs[report.outcome] += 1
        for reason, count in report.deleted.items():
            self.deleted[reason] += count
        self.deleted_bytes += report.deleted_bytes
        self.failures += report.failed
        self.skipped += report.skipped
        self.durations.observe(report.duration)
        self.last_run = at
        if report.outcome == SUCCESS:
            self.last_success = at
        self.last_outcome = report.outcome
        self.last_detail = report.error or (report.breach.message if report.breach is not None else None)

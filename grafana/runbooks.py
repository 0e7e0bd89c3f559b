"""Where each alert's runbook stands: as the alerting rules say."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml

_RULES = Path(__file__).resolve().parents[1] / "deploy" / "prometheus" / "alerting-rules.yml"


@functools.cache
def _urls() -> dict[str, str]:
    groups = yaml.safe_load(_RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}


def url(alert: str) -> str:
    """The chapter of one alert; KeyError if there is no such alert."""
    return _urls()[alert]


def page() -> str:
    """The page of all runbooks."""
    return next(iter(_urls().values())).partition("#")[0]

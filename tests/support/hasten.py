"""The shipped rules, quicker: what the end-to-end tests change about them, and nothing else.

Expressions, labels and annotations stay; only durations and the size limit shrink, so that an alert that
takes a quarter of an hour in the field takes seconds. tests/deploy tests them as shipped, with promtool.
"""

from __future__ import annotations

import re
from pathlib import Path

QUICKER = {
    "recording-rules.yml": {
        r"\[1h\]": "[20s]",
    },
    "alerting-rules.yml": {
        r"for: \d+[smh]": "for: 2s",
        r"15 \* 60": "5",
        r"\[1h:1m\]": "[20s:1s]",
        r"\[6h\], 24 \* 3600": "[20s], 60",
        r"256 \* 1024 \* 1024": "2 * 1024 * 1024",
    },
}


def rules(shipped: Path, target: Path) -> list[str]:
    """Write the quicker rules into ``target``; returns their paths."""
    written = []
    for name, changes in QUICKER.items():
        text = (shipped / name).read_text()
        for pattern, replacement in changes.items():
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{name} has no {pattern} any more"
        (target / name).write_text(text)
        written.append(str(target / name))
    return written

"""Durations as users write them: "500ms", "90s", "1h30m"."""

from __future__ import annotations

import datetime
import re

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_STEP = re.compile(r"(\d+\.?\d*|\.\d+)(ms|us|µs|ns|h|m|s)")


def parse_duration(text: str) -> datetime.timedelta:
    """Parses a duration. Anything else is a ValueError."""
    rest, sign = text, 1
    if rest[:1] in "+-":
        sign = -1 if rest[:1] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return datetime.timedelta(0)
    seconds = 0.0
    while rest or not text:
        step = _STEP.match(rest)
        if step is None:
            raise ValueError(f'"{text}" is not a duration\nWrite a number and a unit: "500ms", "90s", "1h30m".')
        seconds += float(step.group(1)) * _SECONDS[step.group(2)]
        rest = rest[step.end() :]
    return datetime.timedelta(seconds=sign * seconds)


def format_duration(duration: datetime.timedelta) -> str:
    """Writes a duration in seconds."""
    seconds = duration.total_seconds()
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds!r}s"

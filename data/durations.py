"""Time spans and dates as users write them: `90m`, `12h`, `7d`, `2026-03-01`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from .errors import ConfigError

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def span_s(option: str, text: str) -> float:
    """Return a time span in seconds.

    Args:
        option: Name of the option, for the message.
        text: Number and unit, such as `90m`.

    Raises:
        ConfigError: The text is not a time span.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigError(
            f"{option} is {text!r}; allowed: a number and a unit s, m, h, d or w, such as 7d"
        )
    return float(match[1]) * _SECONDS[match[2]]


def span(seconds: float) -> str:
    """Return a time span as users write it, in the largest unit that divides it: `6h`, `90s`."""
    unit = next((unit for unit in "dhm" if seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def since(option: str, text: str, *, now: datetime) -> datetime:
    """Return the time of a date, or of a span before now, in UTC.

    Args:
        option: Name of the option, for the message.
        text: Span such as `7d`, or a date or time in ISO 8601; without a zone, in UTC.
        now: Reference time of a span.

    Raises:
        ConfigError: The text is neither, or the time is out of range.
    """
    try:
        if _SPAN.fullmatch(text.strip().lower()):
            return now - timedelta(seconds=span_s(option, text))
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{option} is {text!r}; allowed: a span such as 7d, or a date such as 2026-03-01"
        ) from error

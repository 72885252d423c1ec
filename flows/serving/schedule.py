"""Schedules as users write them: a cron expression or an interval, in a time zone."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ...data.durations import span, span_s
from ...data.errors import ConfigError

_MINUTE_S: Final = 60.0
# Intervals count from a fixed midnight: the same deployment registered again keeps its times.
_ANCHOR: Final = datetime(2020, 1, 1)  # noqa: DTZ001 - the midnight of the schedule's zone


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of Prefect: a cron expression, or an interval counted from a midnight.

    Attributes:
        cron: Five cron fields; None for an interval.
        interval_s: Interval in seconds; None for a cron expression.
        timezone: IANA name of the time zone.
    """

    cron: str | None
    interval_s: float | None
    timezone: str

    def to_prefect(self) -> dict[str, Any]:
        """Return the schedule as an entry of `schedules` in a prefect.yaml."""
        if self.cron is not None:
            return {"cron": self.cron, "timezone": self.timezone}
        anchor = _ANCHOR.replace(tzinfo=zoneinfo.ZoneInfo(self.timezone)).isoformat()
        return {"interval": self.interval_s, "anchor_date": anchor, "timezone": self.timezone}

    def for_client(self) -> Any:
        """Return the schedule as an object of Prefect's client."""
        from prefect.client.schemas.actions import DeploymentScheduleCreate
        from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

        kind: Any = CronSchedule if self.cron is not None else IntervalSchedule
        return DeploymentScheduleCreate(schedule=kind(**self.to_prefect()), active=True)

    def __str__(self) -> str:
        what = f"cron {self.cron}" if self.interval_s is None else f"every {span(self.interval_s)}"
        return f"{what}, {self.timezone}"


def schedule_of(cron: str | None, interval: str | None, timezone: str) -> Schedule | None:
    """Return the schedule of the options; None without a cron expression and an interval.

    Args:
        cron: Five cron fields, such as `0 * * * *`.
        interval: Number and unit, such as `15m`.
        timezone: IANA name, such as `Europe/Berlin`.

    Raises:
        ConfigError: Both are given, or one of them or the time zone is invalid.
    """
    if cron is not None and interval is not None:
        raise ConfigError("--cron and --interval exclude each other; pass one of them")
    if timezone not in zoneinfo.available_timezones():
        raise ConfigError(
            f"--timezone {timezone!r} is not a time zone; give an IANA name such as UTC or"
            " Europe/Berlin"
        )
    if cron is not None:
        check_cron(cron)
        return Schedule(cron, None, timezone)
    if interval is None:
        return None
    seconds = span_s("--interval", interval)
    if seconds < _MINUTE_S:
        raise ConfigError(f"--interval is {interval!r}; allowed: 1m or more")
    return Schedule(None, seconds, timezone)


def check_cron(cron: str) -> None:
    """Check a cron expression as Prefect does.

    Raises:
        ConfigError: The text is not a cron expression.
    """
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError as error:
        raise ConfigError(
            f"--cron {cron!r} is not a cron expression; give five fields, "
            "such as '0 * * * *' for every full hour"
        ) from error

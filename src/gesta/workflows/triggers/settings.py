"""What bounds triggers."""

from __future__ import annotations

import msgspec


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`cron_seconds`: whether a cron expression may have a sixth field. `least_period_s`: between two moments of a
    schedule that repeats every so many seconds. `schedules`: of one organization."""

    cron_seconds: bool = True
    least_period_s: float = 1.0
    schedules: int = 10_000

    def __post_init__(self) -> None:
        if not self.least_period_s >= 1:
            raise ValueError(f"least_period_s: at least 1, not {self.least_period_s}")
        if self.schedules < 0:
            raise ValueError(f"schedules: at least 0, not {self.schedules}")

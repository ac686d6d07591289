"""What bounds triggers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What schedules may be."""

    cron_seconds: Annotated[
        bool, Meta(description="Whether a cron expression may have a sixth field, for the seconds.")
    ] = True
    least_period_s: Annotated[
        float, Meta(ge=1, le=31_622_400, description="Least `every_s` of a schedule that repeats so.")
    ] = 1.0
    schedules: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="Schedules that an organization may have, those of triggers included."),
    ] = 10_000

    def __post_init__(self) -> None:
        if not self.least_period_s >= 1:
            raise ValueError(f"least_period_s: at least 1, not {self.least_period_s}")
        if self.schedules < 0:
            raise ValueError(f"schedules: at least 0, not {self.schedules}")

"""Times as .NET prints them: seven fractional digits, in the zone of an account. Pure.

Gesta's microseconds end at the sixth digit; the seventh is 0 unless a posted object said otherwise.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from gesta.kernel.times import DAY_US, EPOCH, format_us


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def local_time(at_us: int, zone: str) -> str:
    """The round-trip form without a zone: `2025-09-26T18:09:38.3736780`."""
    offset_us = _offset_of_day(zone, at_us // DAY_US)
    if offset_us is None:
        return moment_in(at_us, zone).replace(tzinfo=None).isoformat(timespec="microseconds") + "0"
    day, rest_us = divmod(at_us + offset_us, DAY_US)
    second, micros = divmod(rest_us, 1_000_000)
    return f"{_date_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{micros:06d}0"


def offset_time(at_us: int, zone: str) -> str:
    """With the zone's offset: `2025-03-10T07:53:13.0908800-07:00`."""
    offset = moment_in(at_us, zone).isoformat(timespec="minutes")[16:]
    return local_time(at_us, zone) + offset


def utc_time(at_us: int) -> str:
    """In UTC: `2026-03-18T20:00:00.0000000Z`."""
    return format_us(at_us)[:-1] + "0Z"


def moment_in(at_us: int, zone: str) -> datetime:
    moment = EPOCH + timedelta(microseconds=at_us)
    with suppress(OverflowError):  # the first and last day of the calendar have no local time in every zone
        moment = moment.astimezone(zone_of(zone))
    return moment


@lru_cache(maxsize=16_384)
def _offset_of_day(zone: str, day: int) -> int | None:
    """The zone's offset if it is the same all through that UTC day, else None. A page of fills comes from few days, so
    this replaces most of the calendar's work."""
    try:
        # No zone changes its clock twice within six hours.
        offsets = {
            (EPOCH + timedelta(days=day, hours=6 * part)).astimezone(zone_of(zone)).utcoffset() for part in range(5)
        }
    except OverflowError:
        return None
    offset = offsets.pop()
    return None if offsets or offset is None else offset // timedelta(microseconds=1)


@lru_cache(maxsize=16_384)
def _date_text(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()

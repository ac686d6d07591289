"""Text forms of UTC microseconds. No clock is read here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gesta.kernel.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
DAY_US = 86_400_000_000
MIN_US = -62_135_596_800_000_000
MAX_US = 253_402_300_799_999_999

_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):?(\d{2}))?", re.ASCII
)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)


def from_datetime(moment: datetime) -> int:
    """UTC microseconds of an aware datetime, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def parse_rfc3339(text: str, *, field: str | None = None) -> int:
    """UTC microseconds of an ISO/RFC 3339 timestamp; digits past the microsecond are cut, no zone means UTC.

    Raises InvalidInput for any other text and for impossible dates.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text[:64]!r} is not a timestamp like 2026-03-10T12:00:00Z", field=field)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction_us = int(((match[7] or "") + "000000")[:6])
    offset_us = 0
    if match[9]:
        if int(match[10]) > 23 or int(match[11]) > 59:
            raise InvalidInput(f"{text[:64]!r} is not a possible date and time: no such time zone", field=field)
        offset_us = (int(match[10]) * 3600 + int(match[11]) * 60) * 1_000_000 * (-1 if match[9] == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput(f"{text[:64]!r} is not a possible date and time: {error}", field=field) from None
    at_us = from_datetime(moment) + fraction_us - offset_us
    if not MIN_US <= at_us <= MAX_US:
        raise InvalidInput(f"{text[:64]!r} is outside the years 1 to 9999 in UTC", field=field)
    return at_us


def parse_date(text: str, *, field: str | None = None) -> int | None:
    """UTC microseconds of midnight of a `YYYY-MM-DD` date; None if the text has another form.

    Raises InvalidInput for an impossible date.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return from_datetime(datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC))
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a possible date: {error}", field=field) from None


def format_ms(at_us: int) -> str:
    """`2023-10-31T14:19:34.788Z`: RFC 3339 with milliseconds, sub-milliseconds cut."""
    day, rest = divmod(at_us, DAY_US)
    seconds, micros = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    return f"{format_day(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{micros // 1000:03d}Z"


def format_us(at_us: int) -> str:
    """RFC 3339 with six digits."""
    day, rest = divmod(at_us, DAY_US)
    seconds, micros = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    return f"{format_day(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{micros:06d}Z"


def format_shortest(at_us: int) -> str:
    """RFC 3339 with only the fraction digits that are not zero: `2024-01-15T10:30:00Z`."""
    text = format_us(at_us)[:-1].rstrip("0")
    return text.rstrip(".") + "Z"


def day_of(at_us: int) -> int:
    """Days since 1970-01-01, UTC."""
    return at_us // DAY_US


@lru_cache(maxsize=4096)
def format_day(day: int) -> str:
    """`2023-10-31` of days since 1970-01-01. Remembered: the rows of a page share few days."""
    return to_datetime(day * DAY_US).date().isoformat()

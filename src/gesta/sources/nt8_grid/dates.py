"""Local dates and times as a Windows culture writes them, and their UTC instant."""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from gesta.kernel.times import from_datetime
from gesta.sources.nt8_grid.headers import normal
from gesta.sources.nt8_grid.words import MONTHS, half_of_day
from gesta.sources.row import RowError

_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class DateOrder(enum.StrEnum):
    MDY = "mdy"
    DMY = "dmy"
    YMD = "ymd"


class WallClock(msgspec.Struct, frozen=True, kw_only=True):
    """A time cell taken apart, its three date numbers not yet named. `month_word` says that the second was a word."""

    numbers: tuple[int, int, int]
    separator: str
    year_first: bool
    month_word: bool
    hour: int
    minute: int
    second: int
    microsecond: int
    has_half: bool


_MARKS = re.compile("[\u200e\u200f\u202a-\u202c\u2066-\u2069\ufeff]")
_BLANKS = re.compile(r"[\s\u00a0\u202f]+")
_DATE = re.compile(
    r"(?P<a>\d{1,4})\s?(?P<sep>[./\-]|\s|년|年)\s?(?P<b>\d{1,2}|[^\W\d]+\.?)\s?(?:[./\-]|\s|월|月)\s?(?P<c>\d{1,4})(?:\.|일|日|,)?"
)
_TIME = re.compile(
    r"(?P<before>[^\d:]*?)\s?(?P<h>\d{1,2})[:.h](?P<m>\d{2})(?:[:.](?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?\s?(?P<after>[^\d:]*)"
)


def take_apart(text: str) -> WallClock:
    """Read a date and a time of day, seconds and halves optional. Raises RowError for any other text."""
    cell = _BLANKS.sub(" ", _MARKS.sub("", text)).strip()
    date = _DATE.match(cell)
    rest = cell[date.end() :] if date else ""
    if date is None or not (rest[:1] in (" ", "T") or rest[:1].isalpha()):
        raise _no_time(text)
    time = _TIME.fullmatch(rest[1:].strip() if rest[:1] in (" ", "T") else rest.strip())
    if time is None:
        raise _no_time(text)
    half_text = f"{time['before']}{time['after']}".strip(" ,")
    half = half_of_day(half_text) if half_text else None
    if half_text and half is None:
        raise RowError(f"{half_text[:20]!r} in {text[:40]!r} is no half of the day that is known", field="time")
    hour = int(time["h"])
    if half is not None:
        if not 0 <= hour <= 12:
            raise _no_time(text)
        hour = hour % 12 + (12 if half == "pm" else 0)
    middle = date["b"]
    month = None if middle.isdigit() else MONTHS.get(normal(middle))
    if month is None and not middle.isdigit():
        raise RowError(f"{middle[:20]!r} is no month that is known", field="time")
    return WallClock(
        numbers=(int(date["a"]), month if month is not None else int(middle), int(date["c"])),
        separator=date["sep"],
        year_first=len(date["a"]) == 4,
        month_word=month is not None,
        hour=hour,
        minute=int(time["m"]),
        second=int(time["s"] or 0),
        microsecond=int(((time["f"] or "") + "000000")[:6]),
        has_half=half is not None,
    )


def _no_time(text: str) -> RowError:
    return RowError(f"{text[:40]!r} is not a date and a time of day", field="time")


def proof(clock: WallClock) -> DateOrder | None:
    """The order that this date alone proves; None if two orders fit."""
    first, second, _ = clock.numbers
    if clock.year_first:
        return DateOrder.YMD
    if clock.month_word or first > 12 or clock.separator == ".":
        return DateOrder.DMY
    return DateOrder.MDY if second > 12 else None


def local_datetime(clock: WallClock, order: DateOrder) -> datetime:
    """The naive local time. Raises RowError if the date is impossible in this order."""
    first, second, third = clock.numbers
    if clock.year_first:
        year, month, day = first, second, third
    elif clock.month_word:
        year, month, day = third, second, first
    elif order is DateOrder.YMD:
        year, month, day = first, second, third
    else:
        year, (month, day) = third, ((first, second) if order is DateOrder.MDY else (second, first))
    year += 2000 if year < 70 else 1900 if year < 100 else 0
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise RowError(f"the year {year} is not between {_FIRST_YEAR} and {_LAST_YEAR}", field="time")
    try:
        return datetime(year, month, day, clock.hour, clock.minute, clock.second, clock.microsecond)  # noqa: DTZ001
    except ValueError as error:
        spelled = f"{first}{clock.separator}{second}{clock.separator}{third}"
        raise RowError(f"{spelled} read as {order} is impossible: {error}", field="time") from None


def to_utc(local: datetime, zone: ZoneInfo) -> tuple[int, str | None]:
    """UTC microseconds of a wall-clock time, and a note if the clock showed it twice (the first time is taken).

    Raises RowError for a time that the clock skipped.
    """
    at = local.replace(tzinfo=zone)
    moment = at.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local:
        raise RowError(f"{local} did not exist in {zone.key}: the clock was put forward", field="time")
    second = at.replace(fold=1).utcoffset()
    ambiguous = second is not None and second != at.utcoffset()
    note = f"{local} happened twice in {zone.key}; the first was taken" if ambiguous else None
    return from_datetime(moment), note


__all__ = ["DateOrder", "WallClock", "local_datetime", "proof", "take_apart", "to_utc"]

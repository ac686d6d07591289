"""When a schedule starts a run. Pure: no clock is read here.

A cron expression is about the clock on the wall of its time zone. Where that clock is set forward, a moment that the
wall never shows is taken at the first moment after the gap; where it is set back, a moment that the wall shows twice is
taken the first time. An expression whose hour is `*` or `*/1` means every hour that passes, whatever the wall shows: it
goes on through the hour that comes twice, and what falls into the gap is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from croniter import CroniterError, croniter

from gesta.kernel.times import MAX_US, from_datetime, to_datetime
from gesta.workflows.face import CatchUp

US: Final = 1_000_000
#: What is started at once of the moments that passed; those beyond are left out.
MOST_CAUGHT_UP: Final = 100
#: With `skip`, what is late by less is not missed: a busy server looks a little later.
GRACE_US: Final = 30 * US
# 29 February comes after eight years around 2100, and on a certain weekday after forty.
_YEARS: Final = 50
_LAST_YEAR: Final = 9900
# Zones change at most so often within the search for one moment.
_MOST_CHANGES: Final = 1000


class Timing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exactly one of `cron` (5 fields, or a sixth for the seconds), `every_us` (counted from `anchor_us`), `at_us`
    (once) and `dates_us` (once each, in order). What is before `from_us` or after `until_us` is left out."""

    cron: str = ""
    every_us: int = 0
    at_us: int | None = None
    timezone: str = "UTC"
    anchor_us: int = 0
    catch_up: CatchUp = CatchUp.ONE
    dates_us: tuple[int, ...] = ()
    from_us: int | None = None
    until_us: int | None = None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Moments that start a run each, oldest first, and the first moment that is not due yet (None: it has ended)."""

    moments: tuple[int, ...]
    next_us: int | None


def next_at(timing: Timing, after_us: int) -> int | None:
    """The first moment of a schedule after another; None if there is none."""
    if timing.from_us is not None:
        after_us = max(after_us, timing.from_us - 1)
    found = _next_ever(timing, after_us)
    is_late = found is not None and timing.until_us is not None and found > timing.until_us
    return None if is_late else found


def _next_ever(timing: Timing, after_us: int) -> int | None:
    if timing.dates_us:
        return next((each for each in timing.dates_us if each > after_us), None)
    if timing.at_us is not None:
        return timing.at_us if timing.at_us > after_us else None
    if timing.every_us:
        rounds = (after_us - timing.anchor_us) // timing.every_us + 1
        moment = timing.anchor_us + max(1, rounds) * timing.every_us
        return moment if moment <= MAX_US else None
    if not 0 <= after_us < from_datetime(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)):
        return None
    zone = _zone(timing.timezone)
    if _is_every_hour(timing.cron):
        return _next_passing(timing.cron, zone, after_us)
    return _next_shown(timing.cron, zone, after_us)


def due(timing: Timing, last_us: int, now_us: int) -> Due:
    """What is to be started of the moments after `last_us` up to now, by the schedule's policy. Nothing of these is due
    again if the next `last_us` is `now_us`, or anything before `next_us`.

    `one`: the oldest, for all of them; it stays the same however late it is asked for again. `all`: the oldest
    `MOST_CAUGHT_UP`. `skip`: the newest, unless it is later than `GRACE_US`.
    """
    now_us = max(last_us, now_us)
    match timing.catch_up:
        case CatchUp.SKIP:
            recent = tuple(_moments(timing, max(last_us, now_us - GRACE_US), now_us))
            moments = recent[-1:]
        case CatchUp.ONE:
            moments = tuple(islice(_moments(timing, last_us, now_us), 1))
        case CatchUp.ALL:
            moments = tuple(islice(_moments(timing, last_us, now_us), MOST_CAUGHT_UP))
    return Due(moments=moments, next_us=next_at(timing, now_us))


def _moments(timing: Timing, after_us: int, until_us: int) -> Iterator[int]:
    moment = next_at(timing, after_us)
    while moment is not None and moment <= until_us:
        yield moment
        moment = next_at(timing, moment)


# -- cron on the wall


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _is_every_hour(cron: str) -> bool:
    return cron.split()[1] in ("*", "*/1")


def _wall(at_us: int, zone: ZoneInfo) -> datetime:
    """What the wall shows, in whole seconds."""
    return to_datetime(at_us).astimezone(zone).replace(tzinfo=None, microsecond=0)


def _after(cron: str, wall: datetime) -> Iterator[datetime]:
    """What the wall shows at the expression's moments, as if it were never set."""
    try:
        found = croniter(cron, wall, max_years_between_matches=_YEARS)
        while True:
            yield found.get_next(datetime)
    except (CroniterError, OverflowError):
        return


def _next_shown(cron: str, zone: ZoneInfo, after_us: int) -> int | None:
    for wall in _after(cron, _wall(after_us, zone)):
        moment = _first_shown(wall, zone)
        if moment > after_us:
            return moment
    return None


def _first_shown(wall: datetime, zone: ZoneInfo) -> int:
    """When the wall shows it first, or the end of the gap in which it never does."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return from_datetime(moment)
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return from_datetime(_change(zone, before, moment))


def _next_passing(cron: str, zone: ZoneInfo, after_us: int) -> int | None:
    """Between two changes of the zone the wall runs like any clock: the next moment there, or else after the change."""
    start, is_change = to_datetime(after_us), False
    for _ in range(_MOST_CHANGES):
        offset = _offset(start, zone)
        wall = (start + offset).replace(tzinfo=None)
        if is_change:
            # The moment of the change itself counts.
            wall -= timedelta(seconds=1)
        found = next(_after(cron, wall.replace(microsecond=0)), None)
        if found is None:
            return None
        moment = found.replace(tzinfo=UTC) - offset
        change = _first_change(zone, start, moment)
        if change is None:
            return from_datetime(moment)
        start, is_change = change, True
    return None


def _first_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The first moment after `start`, up to `end`, at which the zone's offset is another."""
    day, at = timedelta(days=1), start
    while at < end:
        until = min(at + day, end)
        if _offset(until, zone) != _offset(at, zone):
            return _change(zone, at, until)
        at = until
    return None


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second at which the offset of `before` ends."""
    offset = _offset(before, zone)
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset

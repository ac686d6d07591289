"""When markets are open, and which trading day a moment belongs to.

A calendar is a rule in the exchange's local time, so that it follows daylight saving, and a table of the days that
differ from it (`session_tables.py`, generated). Outside the years of the table the rule alone holds. A session is named
by the date on which it closes: that of Monday begins on Sunday evening at the CME.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import from_datetime
from gesta.trading.session_tables import TABLES

_DAY: Final = timedelta(days=1)
_SECOND_US: Final = 1_000_000
# The years in which a session can be given: a day less than the calendar has, on both sides.
_FIRST_S: Final = int(datetime(2, 1, 1, tzinfo=UTC).timestamp())
_LAST_S: Final = int(datetime(9998, 12, 1, tzinfo=UTC).timestamp())


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The regular trading day, in local time. `opens_day_before`: the session begins on the evening before.
    `pause` is a time within the session without trading. `every_day`: weekends are trading days too."""

    zone: ZoneInfo
    opens: time
    closes: time
    opens_day_before: bool = True
    pause: tuple[time, time] | None = None
    every_day: bool = False


class Session(msgspec.Struct, frozen=True, gc=False):
    """One trading day. Open from `start_us` until just before `end_us`, except for the pause; the pause is empty
    (0, 0) where there is none. UTC microseconds."""

    day: date
    start_us: int
    end_us: int
    pause_start_us: int = 0
    pause_end_us: int = 0


_CHICAGO: Final = ZoneInfo("America/Chicago")
_GLOBEX: Final = Rule(zone=_CHICAGO, opens=time(17), closes=time(16))

RULES: Final[dict[str, Rule]] = {
    # Never closed; the trading day, which ends a DAY order, ends when that of the CME begins.
    "always": Rule(zone=_CHICAGO, opens=time(17), closes=time(17), every_day=True),
    "cme_equity": _GLOBEX,
    "cme_currencies": _GLOBEX,
    "cme_rates": _GLOBEX,
    "cme_energy_metals": _GLOBEX,
    "cme_crypto": _GLOBEX,
    "cbot_grains": Rule(zone=_CHICAGO, opens=time(19), closes=time(13, 20), pause=(time(7, 45), time(8, 30))),
    "eurex": Rule(zone=ZoneInfo("Europe/Berlin"), opens=time(1, 10), closes=time(22), opens_day_before=False),
}


def session_at(calendar: str, at_us: int) -> Session:
    """The session that is open at that moment or, while closed, the next one.

    Raises InvalidInput for an unknown calendar and for a moment outside the years 2 to 9998.
    """
    rule = _rule(calendar)
    seconds = at_us // _SECOND_US
    if not _FIRST_S <= seconds < _LAST_S:
        raise InvalidInput("The time is out of range.", field="time")
    day = datetime.fromtimestamp(seconds, rule.zone).date()
    while True:
        session = _session(calendar, day)
        if session is not None and at_us < session.end_us:
            return session
        day += _DAY


def is_open(calendar: str, at_us: int) -> bool:
    """Whether there is trading at that moment. Raises as `session_at` does."""
    session = session_at(calendar, at_us)
    return session.start_us <= at_us and not session.pause_start_us <= at_us < session.pause_end_us


def session_date(calendar: str, at_us: int) -> date:
    """The trading day that the moment belongs to; while closed, the next one."""
    return session_at(calendar, at_us).day


def session_start_us(calendar: str, at_us: int) -> int:
    """When the session of the moment began or, while closed, when the next one begins."""
    return session_at(calendar, at_us).start_us


def session_end_us(calendar: str, at_us: int) -> int:
    """The close at which a DAY order of that moment expires: always after `at_us`. One given while the market is closed
    lives through the next session."""
    return session_at(calendar, at_us).end_us


def _rule(calendar: str) -> Rule:
    rule = RULES.get(calendar)
    if rule is None:
        raise InvalidInput(
            f"No calendar is called {calendar[:64]!r}. Known: {', '.join(sorted(RULES))}.", field="calendar"
        )
    return rule


@lru_cache(maxsize=4096)
def _session(calendar: str, day: date) -> Session | None:
    """The session that closes on that day, None if there is none."""
    rule = RULES[calendar]
    exceptions = _exceptions(calendar)
    if day.weekday() >= 5 and not rule.every_day:
        return None
    closes = exceptions.get(day, rule.closes)
    if closes is None:
        return None
    start_us = _moment(rule, day - _DAY if rule.opens_day_before else day, rule.opens)
    end_us = _moment(rule, day, closes)
    if rule.pause is None:
        return Session(day, start_us, end_us)
    return Session(day, start_us, end_us, _moment(rule, day, rule.pause[0]), _moment(rule, day, rule.pause[1]))


def _moment(rule: Rule, day: date, local: time) -> int:
    return from_datetime(datetime.combine(day, local, rule.zone).astimezone(UTC))


@lru_cache(maxsize=32)
def _exceptions(calendar: str) -> dict[date, time | None]:
    """The days that differ: the local time of the close, or None for a day without a session."""
    found: dict[date, time | None] = {}
    for line in TABLES.get(calendar, "").splitlines():
        year, what, *days = line.split()
        close = None if what == "closed" else time.fromisoformat(what)
        found.update({date.fromisoformat(f"{year}-{day}"): close for day in days})
    return found

"""When futures contracts expire, and when the market moves from one to the next.

An expiry is a rule of the exchange, counted in its business days. The roll is a convention: `roll_days` calendar days
(8 unless a root says otherwise) before the expiry or, where holders of a contract may be made to deliver, before the
last business day ahead of the contract month.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from gesta.trading.contracts import MONTH_CODES, Contract

DEFAULT_ROLL_DAYS: Final = 8

_DAY: Final = timedelta(days=1)
_JUNETEENTH_SINCE: Final = 2022
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2099


class Expiry(enum.StrEnum):
    """The last day of trading, by the rule that the exchange prints. Each moves to the business day before if it is
    none."""

    THIRD_FRIDAY = "third Friday of the month"
    BEFORE_SECOND_FRIDAY = "business day before the second Friday"
    LAST_FRIDAY = "last Friday of the month"
    TWO_BEFORE_THIRD_WEDNESDAY = "second business day before the third Wednesday"
    ONE_BEFORE_THIRD_WEDNESDAY = "business day before the third Wednesday"
    THIRD_LAST_BUSINESS_DAY = "third last business day of the month"
    LAST_BUSINESS_DAY = "last business day of the month"
    SEVENTH_BEFORE_LAST_BUSINESS_DAY = "seventh business day before the last one of the month"
    BEFORE_FIFTEENTH = "business day before the 15th"
    CRUDE = "third business day before the 25th of the month before"
    BEFORE_CRUDE = "fourth business day before the 25th of the month before"
    GAS = "third business day before the first of the month"
    BEFORE_GAS = "fourth business day before the first of the month"
    MONTH_BEFORE = "last business day of the month before"
    TWO_BEFORE_TENTH = "second business day before the 10th, or before the business day that follows it"


class Anchor(enum.StrEnum):
    """What the roll days are counted back from."""

    EXPIRY = "expiry"
    NOTICE = "last business day before the contract month"


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """Which months of a root trade, which of them the market rolls through, and when. Months are exchange codes."""

    months: str
    active: str
    expiry: Expiry
    anchor: Anchor = Anchor.EXPIRY
    roll_days: int = DEFAULT_ROLL_DAYS

    def trades(self, contract: Contract) -> bool:
        return MONTH_CODES[contract.month - 1] in self.months


def expiry_date(cycle: Cycle, contract: Contract) -> date:
    """The last day on which the contract trades."""
    return _expiry(cycle.expiry, contract.year, contract.month)


def roll_date(cycle: Cycle, contract: Contract, roll_days: int | None = None) -> date:
    """The day from which the contract is no longer the front month. `roll_days` overrides the cycle's own.

    Where the expiry is the third Friday, the days are counted from that Friday even if it is a holiday.
    """
    days = timedelta(days=cycle.roll_days if roll_days is None else roll_days)
    if cycle.anchor is Anchor.NOTICE:
        return _business_before(date(contract.year, contract.month, 1)) - days
    if cycle.expiry is Expiry.THIRD_FRIDAY:
        return nth_weekday(contract.year, contract.month, 4, 3) - days
    return expiry_date(cycle, contract) - days


def front_month(root: str, cycle: Cycle, at: date, *, position: int = 1, roll_days: int | None = None) -> Contract:
    """The contract that the market trades on that day; `position` 2 is the one that it will roll into, and so on.

    Raises ValueError where there is none: the years of names have two digits, which stand for 2000 to 2099.
    """
    for contract in _active(root, cycle, at):
        if at < roll_date(cycle, contract, roll_days):
            position -= 1
            if not position:
                return contract
    raise ValueError(f"{root} has no active contract on {at}")


def nth_weekday(year: int, month: int, weekday: int, number: int) -> date:
    """The first is number 1; Monday is weekday 0."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar, by the anonymous algorithm."""
    century, rest = divmod(year, 100)
    golden = year % 19
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=256)
def holidays(year: int) -> frozenset[date]:
    """The weekdays of a year that are no business days at the American exchanges."""
    found = {
        nth_weekday(year, 1, 0, 3),  # Martin Luther King
        nth_weekday(year, 2, 0, 3),  # Presidents' Day
        easter(year) - timedelta(days=2),
        _last_weekday(year, 5, 0),  # Memorial Day
        _observed(date(year, 7, 4)),
        nth_weekday(year, 9, 0, 1),  # Labor Day
        nth_weekday(year, 11, 3, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
    }
    if date(year, 1, 1).weekday() != 5:  # on a Saturday, the last business day of the old year stays one
        found.add(_observed(date(year, 1, 1)))
    if year >= _JUNETEENTH_SINCE:
        found.add(_observed(date(year, 6, 19)))
    return frozenset(found)


def is_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in holidays(day.year)


def _active(root: str, cycle: Cycle, at: date) -> Iterator[Contract]:
    first = at.year * 12 + at.month - 1 if at.year >= _FIRST_YEAR else (_LAST_YEAR + 1) * 12
    for index in range(first, (_LAST_YEAR + 1) * 12):
        year, month = divmod(index, 12)
        if MONTH_CODES[month] in cycle.active:
            yield Contract(root, year, month + 1)


@lru_cache(maxsize=4096)
def _expiry(rule: Expiry, year: int, month: int) -> date:
    return _RULES[rule](year, month)


def _observed(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _last_weekday(year: int, month: int, weekday: int) -> date:
    last = _month_after(year, month) - _DAY
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def _month_after(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1)


def _month_before(year: int, month: int) -> date:
    return (date(year, month, 1) - _DAY).replace(day=1)


def _business_before(day: date, count: int = 1) -> date:
    """The `count`-th business day before `day`, which need not be one itself."""
    while count:
        day -= _DAY
        count -= is_business_day(day)
    return day


def _at_or_before(day: date) -> date:
    return day if is_business_day(day) else _business_before(day)


def _at_or_after(day: date) -> date:
    while not is_business_day(day):
        day += _DAY
    return day


def _crude(year: int, month: int, count: int) -> date:
    return _business_before(_at_or_before(_month_before(year, month).replace(day=25)), count)


_RULES: Final[dict[Expiry, Callable[[int, int], date]]] = {
    Expiry.THIRD_FRIDAY: lambda year, month: _at_or_before(nth_weekday(year, month, 4, 3)),
    Expiry.BEFORE_SECOND_FRIDAY: lambda year, month: _business_before(nth_weekday(year, month, 4, 2)),
    Expiry.LAST_FRIDAY: lambda year, month: _at_or_before(_last_weekday(year, month, 4)),
    Expiry.TWO_BEFORE_THIRD_WEDNESDAY: lambda year, month: _business_before(nth_weekday(year, month, 2, 3), 2),
    Expiry.ONE_BEFORE_THIRD_WEDNESDAY: lambda year, month: _business_before(nth_weekday(year, month, 2, 3)),
    Expiry.THIRD_LAST_BUSINESS_DAY: lambda year, month: _business_before(_month_after(year, month), 3),
    Expiry.LAST_BUSINESS_DAY: lambda year, month: _business_before(_month_after(year, month)),
    Expiry.SEVENTH_BEFORE_LAST_BUSINESS_DAY: lambda year, month: _business_before(_month_after(year, month), 8),
    Expiry.BEFORE_FIFTEENTH: lambda year, month: _business_before(date(year, month, 15)),
    Expiry.CRUDE: lambda year, month: _crude(year, month, 3),
    Expiry.BEFORE_CRUDE: lambda year, month: _crude(year, month, 4),
    Expiry.GAS: lambda year, month: _business_before(date(year, month, 1), 3),
    Expiry.BEFORE_GAS: lambda year, month: _business_before(date(year, month, 1), 4),
    Expiry.MONTH_BEFORE: lambda year, month: _business_before(date(year, month, 1)),
    Expiry.TWO_BEFORE_TENTH: lambda year, month: _business_before(_at_or_after(date(year, month, 10)), 2),
}

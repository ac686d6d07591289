"""What only NinjaTrader's Execution object has: wall clocks without a zone, and money as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from gesta.apis.common.posted import MAX_NAME, PostedObject, plain_object
from gesta.kernel.errors import InvalidInput

T = TypeVar("T")

# 0001-01-02 to 9999-12-30: every such moment has a wall clock in every zone.
_FIRST_MS: Final = -62_135_510_400_000
_LAST_MS: Final = 253_402_214_399_999
_LAST_DAY: Final = date.max.toordinal()
_INT64: Final = 2**63

_AMOUNT = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,30})?", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?",
    re.ASCII,
)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What an object says about its time: a wall clock (in `offset`, else in the account's zone), an epoch, or both."""

    wall: datetime | None
    offset: tzinfo | None
    epoch_ms: int | None


class PostedExecution:
    """Typed access to a posted object, `fields`. An absent key and null are the same: not said."""

    def __init__(self, posted: Mapping[str, Any]) -> None:
        self.fields = plain_object(posted)
        self._read = PostedObject(self.fields)

    def id(self) -> str:
        return self._read.id("id")

    def text(self, key: str, default: str | None = None) -> str:
        """At most 256 characters; without a default the key must be there and not empty."""
        value = self._read.text(key, max_length=MAX_NAME)
        if default is None and not value:
            raise InvalidInput(f"`{key}` is missing or empty.", field=key)
        return (default or "") if value is None else value

    def flag(self, key: str) -> bool:
        return self._read.flag(key) or False

    def word(self, key: str, words: Mapping[str, T]) -> T:
        return _required(self._read.word(key, words), key)

    def number(self, key: str, default: int | None = None) -> Decimal:
        value = self._read.decimal(key)
        return _required(value if value is not None or default is None else Decimal(default), key)

    def integer(self, key: str) -> int:
        number = self.number(key, 0)
        if number != number.to_integral_value() or not -_INT64 <= number < _INT64:
            raise InvalidInput(f"`{key}` must be a whole number of 64 bits.", field=key)
        return int(number)

    def quantity(self, key: str) -> Decimal:
        number = self.number(key)
        if number < 0:
            raise InvalidInput(f"`{key}` is unsigned; `marketPosition` says the direction.", field=key)
        return number

    def amount(self, key: str) -> Decimal:
        """Money as published, text such as `"0.00"`; a JSON number is understood too. 0 if it is not said."""
        value = self.fields.get(key)
        if not isinstance(value, str):
            return self.number(key, 0)
        if _AMOUNT.fullmatch(value) is None:
            raise InvalidInput(f"`{key}` must be an amount such as 0.00.", field=key)
        return Decimal(value)

    def moment(self) -> Moment:
        """`time` and `epoch`, at least one of them."""
        epoch_ms = None
        if self.fields.get("epoch") is not None:
            epoch_ms = self.integer("epoch")
            if not _FIRST_MS <= epoch_ms <= _LAST_MS:
                raise InvalidInput("`epoch` is milliseconds since 1970 within the years 1 to 9999.", field="epoch")
        text = self.text("time", "")
        if not text:
            if epoch_ms is None:
                raise InvalidInput("One of `time` and `epoch` must be given.", field="time")
            return Moment(wall=None, offset=None, epoch_ms=epoch_ms)
        wall, offset = _wall_clock(text)
        return Moment(wall=wall, offset=offset, epoch_ms=epoch_ms)


def _required(value: T | None, key: str) -> T:
    if value is None:
        raise InvalidInput(f"`{key}` is missing.", field=key)
    return value


def _wall_clock(text: str) -> tuple[datetime, tzinfo | None]:
    """Digits past the microsecond are cut here; the codec keeps the text."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidInput("`time` must look like 2025-09-26T18:09:38.3736787.", field="time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micros = int(((match[7] or "") + "000000")[:6])
    offset: tzinfo | None = UTC if match[8] else None
    try:
        wall = datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - a wall clock has no zone
        if match[9]:
            shift = timedelta(hours=int(match[10]), minutes=int(match[11]))
            offset = timezone(-shift if match[9] == "-" else shift)
    except ValueError as error:
        raise InvalidInput(f"`time` is not a possible date and time: {error}", field="time") from None
    if not 1 < wall.toordinal() < _LAST_DAY:
        raise InvalidInput("`time` must be within the years 1 to 9999.", field="time")
    return wall, offset

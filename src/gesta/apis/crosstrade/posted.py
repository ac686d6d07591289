"""Reading the keys of a posted Execution object. Every defect is InvalidInput naming its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.kernel.json import encode_json

MAX_TEXT: Final = 512
# Beyond every price and quantity there is; it bounds what sums and SQL must hold.
_LARGEST: Final = Decimal(10) ** 24
_FINEST_EXPONENT: Final = -30
_INT64: Final = 2**63
# 0001-01-02 to 9999-12-30: every such moment has a wall clock in every zone.
_FIRST_MS: Final = -62_135_510_400_000
_LAST_MS: Final = 253_402_214_399_999
_LAST_DAY: Final = date.max.toordinal()

_AMOUNT = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,30})?", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?",
    re.ASCII,
)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What an object says about its time: a wall clock (in `offset`, else in the account's zone), an epoch, or both."""

    wall: datetime | None
    offset: timezone | None
    epoch_ms: int | None


class Posted:
    """One posted object. An absent key and null are the same: not said."""

    def __init__(self, posted: Mapping[str, Any]) -> None:
        if not isinstance(posted, Mapping):
            raise InvalidInput("An execution is a JSON object")
        self._posted = posted

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        value = self._posted.get(key)
        if value is None:
            if required:
                raise InvalidInput(f"`{key}` is missing", field=key)
            return default
        if not isinstance(value, str):
            raise InvalidInput(f"`{key}` must be text", field=key)
        if required and not value.strip():
            raise InvalidInput(f"`{key}` is empty", field=key)
        if len(value) > MAX_TEXT or "\0" in value:
            raise InvalidInput(f"`{key}` must have at most {MAX_TEXT} characters and no NUL", field=key)
        return value

    def flag(self, key: str) -> bool:
        value = self._posted.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise InvalidInput(f"`{key}` must be true or false", field=key)
        return value

    def number(self, key: str, default: Decimal | None = None, *, minimum: int | None = None) -> Decimal:
        value = self._posted.get(key)
        if value is None:
            if default is None:
                raise InvalidInput(f"`{key}` is missing", field=key)
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise InvalidInput(f"`{key}` must be a number", field=key)
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or number.copy_abs() >= _LARGEST or exponent < _FINEST_EXPONENT:
            raise InvalidInput(f"`{key}` is out of range", field=key)
        if minimum is not None and number < minimum:
            raise InvalidInput(f"`{key}` must be at least {minimum}", field=key)
        return number

    def integer(self, key: str, default: int = 0) -> int:
        number = self.number(key, Decimal(default))
        if number != number.to_integral_value() or not -_INT64 <= number < _INT64:
            raise InvalidInput(f"`{key}` must be a whole number of 64 bits", field=key)
        return int(number)

    def amount(self, key: str) -> Decimal:
        """Money as published, text such as `"0.00"`; a JSON number is understood too."""
        value = self._posted.get(key)
        if not isinstance(value, str):
            return self.number(key, Decimal(0))
        if _AMOUNT.fullmatch(value) is None:
            raise InvalidInput(f"`{key}` must be an amount such as 0.00", field=key)
        return Decimal(value)

    def moment(self) -> Moment:
        epoch_ms = None
        if self._posted.get("epoch") is not None:
            epoch_ms = self.integer("epoch")
            if not _FIRST_MS <= epoch_ms <= _LAST_MS:
                raise InvalidInput("`epoch` is milliseconds since 1970 within the years 1 to 9999", field="epoch")
        text = self.text("time")
        if not text:
            if epoch_ms is None:
                raise InvalidInput("One of `time` and `epoch` must be given", field="time")
            return Moment(wall=None, offset=None, epoch_ms=epoch_ms)
        wall, offset = _wall_clock(text)
        return Moment(wall=wall, offset=offset, epoch_ms=epoch_ms)


def _wall_clock(text: str) -> tuple[datetime, timezone | None]:
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidInput("`time` must look like 2025-09-26T18:09:38.3736787", field="time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micros = int(((match[7] or "") + "000000")[:6])
    offset = timezone.utc if match[8] else None  # noqa: UP017 - the type here is `timezone`, beside fixed offsets
    try:
        wall = datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - a wall clock has no zone
        if match[9]:
            shift = timedelta(hours=int(match[10]), minutes=int(match[11]))
            offset = timezone(-shift if match[9] == "-" else shift)
    except ValueError as error:
        raise InvalidInput(f"`time` is not a possible date and time: {error}", field="time") from None
    if not 1 < wall.toordinal() < _LAST_DAY:
        raise InvalidInput("`time` must be within the years 1 to 9999", field="time")
    return wall, offset


def as_sent(value: Any, key: str) -> Any:
    """A value of an unknown key, fit to be kept: its numbers as JSON numbers. Raises InvalidInput if it is too deep."""
    try:
        kept = _plain(value)
        encode_json(kept)
    except (RecursionError, UnicodeEncodeError, TypeError, OverflowError) as error:
        raise InvalidInput(f"`{key[:64]}` cannot be kept: {type(error).__name__}", field=key[:64]) from None
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value

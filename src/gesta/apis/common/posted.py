"""Read a vendor's own execution object field by field. Pure; every defect is InvalidInput with the field's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from gesta.kernel.errors import InvalidInput
from gesta.kernel.times import MAX_US, MIN_US, parse_rfc3339
from gesta.ledger.records import Execution, NewExecution

T = TypeVar("T")

MAX_DEPTH = 64
MAX_TEXT = 65_536
MAX_ID = 128
MAX_NAME = 256
# Wide enough for any token's smallest unit and any turnover, and narrow enough that exact sums stay short.
MAX_NUMBER = Decimal(10) ** 24
MIN_EXPONENT = -60
MAX_INTEGER = 2**53 - 1


def plain_object(posted: Any) -> dict[str, Any]:
    """A copy with JSON values only: at most 64 levels, no NUL in any text, numbers as int or float.

    Raises InvalidInput for anything else.
    """
    if not isinstance(posted, Mapping):
        raise InvalidInput("An execution is a JSON object.")
    return {_text_key(key): _plain(value, str(key), 1) for key, value in posted.items()}


def _plain(value: Any, field: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"`{field[:64]}` is nested deeper than {MAX_DEPTH} levels.", field=field)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidInput(f"`{field[:64]}` contains a NUL character.", field=field)
        return value
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise InvalidInput(f"`{field[:64]}` contains an integer of more than 64 bits.", field=field)
        return value
    if isinstance(value, (float, Decimal)):
        number = float(value)
        if not math.isfinite(number):
            raise InvalidInput(f"`{field[:64]}` contains a number that is not finite.", field=field)
        return number
    if isinstance(value, Mapping):
        return {_text_key(key): _plain(item, field, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, field, depth + 1) for item in value]
    raise InvalidInput(f"`{field[:64]}` is not a JSON value.", field=field)


def _text_key(key: Any) -> str:
    if not isinstance(key, str) or "\0" in key:
        raise InvalidInput("A key of the object is not text, or contains a NUL character.")
    return key


class PostedObject:
    """Typed access to the fields of an object that `plain_object` gave.

    An absent field, null, and a text for which `is_unset` holds all read as None.
    """

    def __init__(self, fields: Mapping[str, Any], *, is_unset: Callable[[str], bool] = lambda text: False) -> None:
        self._fields = fields
        self._is_unset = is_unset

    def _get(self, key: str) -> Any:
        value = self._fields.get(key)
        return None if isinstance(value, str) and self._is_unset(value) else value

    def id(self, key: str) -> str:
        """An opaque id that a URL can name: 1 to 128 characters, none a control character or `/`."""
        value = self._fields.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or "/" in value or not value.isprintable():
            raise InvalidInput(f"`{key}` must be text of 1 to {MAX_ID} printable characters without `/`.", field=key)
        return value

    def text(self, key: str, *, max_length: int = MAX_TEXT) -> str | None:
        value = self._get(key)
        if value is not None and (not isinstance(value, str) or len(value) > max_length):
            raise InvalidInput(f"`{key}` must be text of at most {max_length} characters, or null.", field=key)
        return value

    def flag(self, key: str) -> bool | None:
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            raise InvalidInput(f"`{key}` must be true or false.", field=key)
        return value

    def decimal(self, key: str) -> Decimal | None:
        """Exactly the digits of the posted number."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidInput(f"`{key}` must be a number.", field=key)
        number = Decimal(str(value))
        exponent = number.as_tuple().exponent
        if abs(number) > MAX_NUMBER or not isinstance(exponent, int) or exponent < MIN_EXPONENT:
            raise InvalidInput(f"`{key}` is larger or finer than any amount that can be recorded.", field=key)
        return number

    def count(self, key: str) -> int | None:
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
            raise InvalidInput(f"`{key}` must be a whole number from 0.", field=key)
        return value

    def document(self, key: str) -> dict[str, Any] | None:
        value = self._get(key)
        if value is not None and not isinstance(value, dict):
            raise InvalidInput(f"`{key}` must be a JSON object, or null.", field=key)
        return value

    def word(self, key: str, words: Mapping[str, T]) -> T | None:
        """One of the vendor's words, in the vendor's spelling, by its table."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str) or value not in words:
            raise InvalidInput(f"`{key}` must be one of {', '.join(words)}.", field=key)
        return words[value]

    def time_us(self, key: str) -> int | None:
        """UTC microseconds of an RFC 3339 text."""
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidInput(f"`{key}` must be a timestamp like 2026-03-10T12:00:00Z.", field=key)
        return parse_rfc3339(value, field=key)

    def unix_us(self, key: str) -> int | None:
        """UTC microseconds of a number of seconds since 1970, to the nearest microsecond."""
        seconds = self.decimal(key)
        if seconds is None:
            return None
        at_us = int((seconds * 1_000_000).to_integral_value())
        if not MIN_US <= at_us <= MAX_US:
            raise InvalidInput(f"`{key}` is outside the years 1 to 9999.", field=key)
        return at_us


def as_recorded(row: NewExecution) -> Execution:
    """The execution that a new row becomes, for deriving what its dialect will print of it. Not for storing: the
    numbers that the ledger gives (organization, version, seq, recording time) are 0."""
    return Execution(
        id=row.id,
        organization=0,
        account=row.account,
        kind=row.kind,
        name=row.name,
        status=row.status,
        source=row.source,
        mode=row.mode,
        origin=row.origin,
        external_id=row.id,
        parent_id=row.parent_id,
        correlation=row.correlation,
        created_at_us=row.created_at_us,
        started_at_us=row.started_at_us,
        finished_at_us=row.finished_at_us,
        updated_at_us=row.created_at_us if row.updated_at_us is None else row.updated_at_us,
        recorded_at_us=0,
        version=0,
        seq=0,
        detail=row.detail,
    )

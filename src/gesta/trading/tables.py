"""Reading an operator's TOML tables: every complaint names the field and says what would be right. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gesta.kernel.errors import InvalidInput

_LONGEST_TEXT: Final = 128
_LONGEST_NUMBER: Final = 40


class Table:
    """One table. Each reader takes a field out of it; `done` refuses what is left."""

    def __init__(self, row: object, where: str) -> None:
        """`where` stands before the field in every complaint: `instrument 2`."""
        self._where = where
        if not isinstance(row, Mapping):
            raise InvalidInput(f"`{where}` must be a table.", field=where)
        self._row: dict[str, Any] = dict(row)
        self._known: list[str] = []

    def __contains__(self, field: str) -> bool:
        return field in self._row

    def error(self, field: str, what: str) -> InvalidInput:
        return InvalidInput(f"{self._where}: `{field}`: {what}.", field=field)

    def text(self, field: str, default: str = "", *, required: bool = False) -> str:
        value = self._take(field, default, required)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
            raise self.error(field, f"must be printable text of at most {_LONGEST_TEXT} characters")
        if required and not value.strip():
            raise self.error(field, "must not be empty")
        return value.strip()

    def choice(self, field: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of `choices`. Required if there is no default."""
        value = self._take(field, default, default is None)
        if not isinstance(value, str) or value not in choices:
            raise self.error(field, f"must be one of {', '.join(choice for choice in choices if choice)}")
        return value

    def decimal(
        self,
        field: str,
        default: Decimal | None = None,
        *,
        above: Decimal | None = None,
        least: Decimal | None = None,
        most: Decimal,
        digits: int,
    ) -> Decimal:
        """An exact number, written as text or as a number. Required if there is no default. `above` excludes its own
        value, `least` and `most` include theirs; `digits` counts those after the point."""
        value = self._take(field, default, default is None)
        number = _number(value)
        if number is None:
            raise self.error(field, 'must be a number, best written as text: "0.25"')
        if (above is not None and number <= above) or (least is not None and number < least) or number > most:
            low = f"more than {above}" if above is not None else f"at least {least}"
            raise self.error(field, f"must be {low} and at most {most}")
        exponent = number.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > digits:
            raise self.error(field, f"has at most {digits} digits after the point")
        return number

    def day(self, field: str) -> date | None:
        """A date, as TOML has it or as text; None where it is missing."""
        value = self._take(field, None, False)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value)
            except ValueError:
                value = ""
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise self.error(field, "must be a date like 2026-12-18")

    def tables(self, field: str) -> list[Table]:
        """The tables of `[[field]]`, none where it is missing."""
        value = self._take(field, [], False)
        if not isinstance(value, list):
            raise self.error(field, f"must be tables, each under [[{field}]]")
        return [Table(row, f"{field} {number}") for number, row in enumerate(value, 1)]

    def done(self) -> None:
        """Raises InvalidInput for a field that nobody asked for."""
        for field in self._row:
            shown = str(field)[:_LONGEST_TEXT]
            raise self.error(shown, f"is unknown; the fields are {', '.join(self._known)}")

    def _take(self, field: str, default: Any, required: bool) -> Any:
        self._known.append(field)
        if field in self._row:
            return self._row.pop(field)
        if required:
            raise self.error(field, "is missing")
        return default


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        return None
    text = str(value)  # a float as it is written: 0.1, not the binary fraction behind it
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None

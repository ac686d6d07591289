"""Decimal texts of one instrument as ticks and lots, remembered: a market says the same numbers again and again."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from gesta.kernel.errors import InvalidInput
from gesta.trading.instruments import Instrument

_REMEMBERED = 1 << 16
_LONGEST = 40


class _Remembered(dict[str, int]):
    """Texts already converted; `__missing__` converts, so that a known text costs one look-up."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._instrument = instrument

    def __missing__(self, text: str) -> int:
        number = self._convert(_decimal(text))
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = number
        return number

    def _convert(self, number: Decimal) -> int:
        raise NotImplementedError


class Ticks(_Remembered):
    """Prices. Raises InvalidInput for what is no number, off tick or not above 0."""

    def _convert(self, number: Decimal) -> int:
        ticks = self._instrument.ticks(number)
        if ticks <= 0:
            raise InvalidInput(f"`price` {number} is not above 0.", field="price")
        return ticks


class Lots(_Remembered):
    """Sizes, 0 included. Raises InvalidInput for what is no number, negative or no multiple of the lot."""

    def _convert(self, number: Decimal) -> int:
        return 0 if number == 0 else self._instrument.lots(number, "size")


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST:
        raise InvalidInput("A number is longer than any price or size.")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"{text!r} is not a number.") from None
    if not number.is_finite():
        raise InvalidInput(f"{text!r} is not a finite number.")
    return number

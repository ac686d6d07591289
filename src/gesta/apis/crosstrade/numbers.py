"""Numbers as NinjaTrader's JSON prints them: doubles with a point, whole quantities without. Pure.

A Decimal that no double says exactly stays a Decimal: `encode_reply` prints it with all its digits.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

_CENT: Final = Decimal("0.01")
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_reply(body: Any) -> bytes:
    """JSON bytes of a body made of what the codecs return."""
    return _encoder.encode(body)


def double(value: Decimal) -> float | Decimal:
    """A float where it says the decimal exactly as text, else the Decimal."""
    number = float(value)
    # The first comparison is the cheap one, and decides for whole numbers, halves and quarters.
    return number if value == number or Decimal(repr(number)) == value else value


# Rates, lot sizes and slippages are few: nearly always 1 and 0.
usual_double = lru_cache(maxsize=1024)(double)


def whole(value: Decimal) -> int | float | Decimal:
    """An int where the value is whole: 1 for `1`, `1.0` and `1E0`."""
    if value.adjusted() > 18:
        return value
    return int(value) if value == value.to_integral_value() else double(value)


def money_text(value: Decimal) -> str:
    """Two decimals, halves away from zero as .NET rounds them, and no negative zero."""
    if value.adjusted() > 24:
        return f"{value:f}"
    if not value:
        return "0.00"
    text = f"{value.quantize(_CENT, ROUND_HALF_UP):f}"
    return "0.00" if text == "-0.00" else text

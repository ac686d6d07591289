"""Money as an integer of its smallest unit: 10^-12 of the currency, so fine that a tick of any instrument is whole."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

DIGITS: Final = 12
UNITS: Final = 10**DIGITS

# Sixty digits hold any amount that the ledger takes; one that needs more is an error, never rounded in silence.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


def to_units(amount: Decimal) -> int:
    """Units of an exact amount. Raises decimal.Inexact for one that is finer than a unit."""
    return int(_EXACT.to_integral_exact(_EXACT.scaleb(amount, DIGITS)))


def from_units(units: int) -> Decimal:
    """The exact amount, without trailing zeros behind the point: `Decimal("12.5")`, `Decimal("100")`."""
    whole, rest = divmod(abs(units), UNITS)
    sign = "-" if units < 0 else ""
    if not rest:
        return Decimal(f"{sign}{whole}")
    return Decimal(f"{sign}{whole}.{rest:0{DIGITS}d}".rstrip("0"))


def divided(numerator: int, denominator: int) -> int:
    """The quotient, halves to even. `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient

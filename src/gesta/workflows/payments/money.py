"""Amounts in a currency's own unit and in minor units, as card networks count. Pure."""

from __future__ import annotations

from decimal import Decimal

from gesta.kernel.errors import InvalidInput

# docs.stripe.com/currencies, "Zero-decimal currencies".
ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
# The same page, "Special cases": counted in hundredths, and charged in whole units only.
WHOLE_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
# The same page, "Three-decimal currencies": the last digit has to be 0.
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# What a charge may be at most, in minor units (the same page, "Minimum and maximum charge amounts").
MOST_MINOR = 99_999_999


def decimals(currency: str) -> int:
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_minor(amount: Decimal, currency: str) -> int:
    """`amount` in minor units. Raises InvalidInput for what is not exact, not positive, or too much."""
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha() or not currency.isupper():
        raise InvalidInput("A currency is three capital letters, such as USD.", field="currency")
    if not amount.is_finite() or amount <= 0:
        raise InvalidInput("A price is more than 0.", field="amount")
    digits = decimals(currency)
    # The smallest step that can be charged, in powers of ten.
    charged = {0: 0, 2: 2, 3: 2}[digits] if currency not in WHOLE_IN_HUNDREDTHS else 0
    # Beyond it the amount may be of any size, so that it is not scaled before it is bounded.
    if amount > MOST_MINOR:
        raise InvalidInput(f"A price is at most {from_minor(MOST_MINOR, currency)} {currency}.", field="amount")
    if amount.scaleb(charged) % 1:
        said = f"at most {charged} decimals" if charged else "no decimals"
        raise InvalidInput(f"An amount in {currency} has {said}; {amount} cannot be charged exactly.", field="amount")
    minor = int(amount.scaleb(digits))
    if minor > MOST_MINOR:
        raise InvalidInput(f"A price is at most {from_minor(MOST_MINOR, currency)} {currency}.", field="amount")
    return minor


def from_minor(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-decimals(currency))


def printed(amount: Decimal, currency: str) -> str:
    """As a person reads it: `4.50 USD`, `500 JPY`; of a coin every decimal that is given."""
    if len(currency) != 3:
        return f"{amount:,f} {currency}"
    digits = 0 if currency in WHOLE_IN_HUNDREDTHS else decimals(currency)
    return f"{amount:,.{digits}f} {currency}"

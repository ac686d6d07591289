"""Reading what an order is made of: words without case, exact numbers, flags. Text or JSON values. Pure.

Every defect is InvalidInput with the argument's name and a message that says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from gesta.kernel.errors import InvalidInput

T = TypeVar("T")

# As long as the trading desk takes.
MAX_TEXT: Final = 64
# Finer or larger than any price or quantity that trades anywhere.
MAX_DIGITS: Final = 18
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})", re.ASCII)
_SEPARATORS = str.maketrans("", "", " _-")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def missing(name: str) -> InvalidInput:
    return InvalidInput(f"`{name}` is missing", field=name)


def read_text(args: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    """At most 64 printable characters, trimmed; None where it is absent, null or empty."""
    value = args.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_DIGITS:
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"`{name}` must be text", field=name)
    value = (value or "").strip()
    if not value:
        if required:
            raise missing(name)
        return None
    if len(value) > MAX_TEXT or not value.isprintable():
        raise InvalidInput(f"`{name}` must be text of at most {MAX_TEXT} printable characters", field=name)
    return value


def read_word(args: Mapping[str, Any], name: str, words: Mapping[str, T]) -> T | None:
    """One of `words`, whose keys are capitals; case, spaces and underscores do not count. None where it is absent."""
    value = args.get(name)
    if value is None or value == "":
        return None
    found = words.get(value.strip().upper().translate(_SEPARATORS)) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(f"`{name}` must be one of {', '.join(words)}", field=name)
    return found


def required_word(args: Mapping[str, Any], name: str, words: Mapping[str, T]) -> T:
    found = read_word(args, name, words)
    if found is None:
        raise InvalidInput(f"`{name}` is missing: one of {', '.join(words)}", field=name)
    return found


def read_number(args: Mapping[str, Any], name: str) -> Decimal | None:
    """A JSON number or its text, exactly. None where it is absent, null or empty text."""
    value = args.get(name)
    if value is None or value == "":
        return None
    number = None
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = Decimal(str(value))
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    if number is None or not number.is_finite():
        raise InvalidInput(f"`{name}` must be a number", field=name)
    exponent = number.normalize().as_tuple().exponent if number else 0
    assert isinstance(exponent, int)
    if number.adjusted() >= MAX_DIGITS or exponent < -MAX_DIGITS:
        raise InvalidInput(f"`{name}` is larger or finer than anything that trades", field=name)
    return number if number else Decimal(0)


def read_price(args: Mapping[str, Any], name: str) -> Decimal | None:
    """A price above 0. NinjaTrader says 0 for no price, and so may a caller."""
    price = read_number(args, name)
    if price is not None and price < 0:
        raise InvalidInput(f"`{name}` must be a price above 0", field=name)
    return price or None


def read_quantity(args: Mapping[str, Any], name: str) -> Decimal | None:
    quantity = read_number(args, name)
    if quantity is not None and quantity <= 0:
        raise InvalidInput(f"`{name}` must be above 0; `action` says the direction", field=name)
    return quantity


def read_count(args: Mapping[str, Any], name: str, *, least: int, most: int) -> int | None:
    """A whole number within bounds."""
    number = read_number(args, name)
    if number is None:
        return None
    if number != number.to_integral_value() or not least <= number <= most:
        raise InvalidInput(f"`{name}` must be a whole number from {least} to {most}", field=name)
    return int(number)


def read_flag(args: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = args.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    found = _FLAGS.get(value.strip().casefold()) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(f"`{name}` must be true or false", field=name)
    return found

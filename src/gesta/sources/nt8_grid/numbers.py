"""Numbers and money as a Windows culture writes them, and how to tell its decimal mark from the numbers themselves."""

from __future__ import annotations

import enum
import re
import unicodedata
from decimal import Decimal

import msgspec

from gesta.sources.row import RowError


class DecimalMark(enum.StrEnum):
    POINT = "point"
    COMMA = "comma"

    @property
    def mark(self) -> str:
        return "." if self is DecimalMark.POINT else ","


class Money(msgspec.Struct, frozen=True):
    """An amount and the ISO currency its sign stands for; None if there is no sign or it names several currencies."""

    amount: Decimal
    currency: str | None


# A bare `$` is the account's dollar, by far most often the US one; `kr` names three currencies and so none.
_CURRENCY_SIGNS = {
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "￥": "JPY",
    "₽": "RUB",
    "₹": "INR",
    "₩": "KRW",
    "₺": "TRY",
    "US$": "USD",
    "R$": "BRL",
    "A$": "AUD",
    "C$": "CAD",
    "CHF": "CHF",
    "FR": "CHF",
    "ZŁ": "PLN",
    "KČ": "CZK",
}
_MINUS = "-\u2212\u2013"
_SPACES = " \u00a0\u202f\u2009\u2007"
_GROUPS = "'\u2019" + _SPACES
_INVISIBLE = {ord(mark): None for mark in "\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2069\ufeff"}
_MAX_DIGITS = 30
_BODY = re.compile(r"[\d.,'\u2019 \u00a0\u202f\u2009\u2007]*\d[\d.,'\u2019 \u00a0\u202f\u2009\u2007]*", re.ASCII)


def evidence(text: str) -> DecimalMark | None:
    """The decimal mark that this number alone proves; None if it could be read with either.

    Both marks present: the later is the decimal one. One mark twice: it groups. One mark once: it is the decimal one
    unless exactly three digits follow a group of one to three, as in `5,006`.
    """
    body = _BODY.search(text.translate(_INVISIBLE))
    number = body[0].strip(_SPACES) if body else ""
    commas, points = number.count(","), number.count(".")
    if commas and points:
        return DecimalMark.POINT if number.rfind(".") > number.rfind(",") else DecimalMark.COMMA
    if commas + points == 0:
        return None
    mark = DecimalMark.COMMA if commas else DecimalMark.POINT
    if commas + points > 1:
        return DecimalMark.POINT if commas else DecimalMark.COMMA
    before, _, after = number.partition(mark.mark)
    could_group = len(after) == 3 and 1 <= len(before) <= 3 and not before.startswith("0")
    return None if could_group else mark


def is_open(text: str) -> bool:
    """Whether the number has a comma or a point that could be either mark."""
    return evidence(text) is None and ("," in text or "." in text)


def parse_number(text: str, mark: DecimalMark, *, field: str) -> Decimal:
    """Exact value of digits with an optional sign, groups of three and the decimal mark.

    Raises RowError for anything else: `1,25` where the comma groups is refused, never read as 125.
    """
    cell = text.translate(_INVISIBLE).strip()
    is_signed = cell[:1] != "" and cell[:1] in _MINUS + "+"
    value = _unsigned(cell[1:].lstrip(_SPACES) if is_signed else cell, mark)
    if value is None:
        raise RowError(f"{text[:40]!r} is not a number with a decimal {mark}", field=field)
    return -value if is_signed and cell[0] in _MINUS else value


def _unsigned(digits: str, mark: DecimalMark) -> Decimal | None:
    group = "," if mark is DecimalMark.POINT else "."
    whole, _, fraction = digits.partition(mark.mark)
    if not (whole or fraction) or len(digits) > _MAX_DIGITS or (fraction and not _is_digits(fraction)):
        return None
    for separator in (group, *_GROUPS):
        if separator in whole:
            parts = whole.split(separator)
            inner_fit = all(_is_digits(part) and len(part) in (2, 3) for part in parts[1:])
            if not inner_fit or len(parts[-1]) != 3 or not (_is_digits(parts[0]) and len(parts[0]) <= 3):
                return None
            whole = "".join(parts)
            break
    if whole and not _is_digits(whole):
        return None
    if not (whole or fraction):
        return None
    # No needless zeros: `5006.00` and, after a spreadsheet saved it, `5006` are the same content.
    return Decimal(f"{whole or '0'}.{fraction}".rstrip("0").rstrip(".") if fraction else whole)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def parse_money(text: str, mark: DecimalMark, *, field: str) -> Money:
    """`$1.24`, `0,62 $`, `($410.16)`, `-90,00 $`, `$-1.24`, `1 250,50 €`, `$(41.25)`, `1.24-`. An empty cell is zero.

    Raises RowError for anything else.
    """
    cell = text.translate(_INVISIBLE).strip()
    if cell in ("", "-"):
        return Money(Decimal(0), None)
    body = _BODY.search(cell)
    if body is None:
        raise RowError(f"{text[:40]!r} is not an amount of money", field=field)
    number = body[0]
    # `kr. 12,50`: the point belongs to the sign, not to the number.
    lead = len(number) - len(number.lstrip(_SPACES + ".,")) if cell[: body.start()].strip()[-1:].isalpha() else 0
    prefix, number, suffix = cell[: body.start()] + number[:lead], number[lead:].strip(_SPACES), cell[body.end() :]
    around = prefix + "\0" + suffix
    negative = False
    if "(" in prefix and suffix.count(")") == 1:
        negative, around = True, around.replace("(", "", 1).replace(")", "", 1)
    minuses = sum(around.count(minus) for minus in _MINUS)
    for minus in _MINUS:
        around = around.replace(minus, "")
    value = _unsigned(number, mark)
    before, _, after = (part.strip(_SPACES) for part in around.partition("\0"))
    signs = before or after
    if value is None or minuses > 1 or (minuses and negative) or (before and after) or not _is_currency(signs):
        raise RowError(f"{text[:40]!r} is not an amount of money with a decimal {mark}", field=field)
    return Money(-value if negative or minuses else value, _currency(signs))


def _is_currency(signs: str) -> bool:
    return len(signs) <= 6 and all(
        unicodedata.category(sign) == "Sc" or sign.isalpha() or sign in "./" for sign in signs
    )


def _currency(signs: str) -> str | None:
    name = signs.strip(".").upper()
    if name in _CURRENCY_SIGNS:
        return _CURRENCY_SIGNS[name]
    return name if len(name) == 3 and name.isascii() and name.isalpha() else None

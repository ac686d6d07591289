"""The names of futures contracts: every spelling that traders and platforms use, as one value.

`ES 12-25` (NinjaTrader 8), `ES DEC25` and `ES DEC 25` (NinjaTrader's other style), `ESZ5`, `ESZ25`, `ESZ2025` (exchange
codes), `ES` and `ES1!` (the front month), `ES2!` (the one after it). Case and surplus blanks do not matter.
The forms are those of protocols/crosstrade.md §2.5 and trading_libs.md §4.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

MONTH_CODES: Final = "FGHJKMNQUVXZ"
MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LONGEST_NAME: Final = 64

_CENTURY: Final = 2000
_DATED = re.compile(r"(\S+) (\d{2})-(\d{2}|\d{4})", re.ASCII)
_NAMED_MONTH = re.compile(r"(\S+) ([A-Z]{3}) ?(\d{2}|\d{4})", re.ASCII)
_CODED = re.compile(r"([A-Z0-9]+?)([FGHJKMNQUVXZ])(\d{1,2}|\d{4})", re.ASCII)
_CONTINUOUS = re.compile(r"([A-Z0-9]+?)([1-9])!", re.ASCII)


class Contract(msgspec.Struct, frozen=True, order=True):
    """One futures contract: the canonical key of all its spellings. `year` has four digits."""

    root: str
    year: int
    month: int

    @property
    def name(self) -> str:
        """The dated form of NinjaTrader 8, the only one that is ever printed: `ES 12-25`."""
        return f"{self.root} {self.month:02d}-{self.year % 100:02d}"

    @property
    def code(self) -> str:
        """The exchange's code with a two-digit year: `ESZ25`."""
        return f"{self.root}{MONTH_CODES[self.month - 1]}{self.year % 100:02d}"


class Continuous(msgspec.Struct, frozen=True):
    """A place in the row of a root's active contracts: 1 is the front month, 2 the one after it."""

    root: str
    position: int = 1


def normalized(name: str) -> str:
    """Upper case, trimmed, runs of blanks as one."""
    return " ".join(name.split()).upper()


def full_year(digits: str, first_year: int) -> int:
    """The year that one, two or four digits stand for. Two are of this century; one is the first such year that is not
    before `first_year`."""
    if len(digits) == 1:
        return first_year + (int(digits) - first_year) % 10
    return int(digits) if len(digits) == 4 else _CENTURY + int(digits)


def first_year_of_one_digit(reference_year: int) -> int:
    """One digit means a year from the one before the reference to the eighth after it, so that a contract that expired
    last December is still found by its code in January."""
    return reference_year - 1


def parse_spelled(name: str, first_year: int) -> Contract | None:
    """The contract of a normalized name that has its month behind a blank: `ES 12-25`, `ES DEC25`. None for any other
    text; a root is not checked."""
    if match := _DATED.fullmatch(name):
        month = int(match[2])
    elif match := _NAMED_MONTH.fullmatch(name):
        month = MONTH_NAMES.index(match[2]) + 1 if match[2] in MONTH_NAMES else 0
    else:
        return None
    return _contract(match[1], month, full_year(match[3], first_year))


def parse_code(name: str, first_year: int) -> Contract | None:
    """The contract of a normalized exchange code: `ESZ5`, `6EH24`. None for text of another form. A root is not
    checked, and many a share's symbol has this form: ask whether `root` is a known future."""
    match = _CODED.fullmatch(name)
    if match is None:
        return None
    return _contract(match[1], MONTH_CODES.index(match[2]) + 1, full_year(match[3], first_year))


def parse_contract(name: str, reference_year: int) -> Contract | None:
    """The contract of any spelling that names a month. None for any other text; the root is not checked."""
    text = normalized(name)
    first_year = first_year_of_one_digit(reference_year)
    return parse_spelled(text, first_year) or parse_code(text, first_year)


def parse_continuous(name: str) -> Continuous | None:
    """`ES1!`, `ES2!`. A bare root is not told from other words here."""
    match = _CONTINUOUS.fullmatch(normalized(name))
    return Continuous(match[1], int(match[2])) if match else None


def _contract(root: str, month: int, year: int) -> Contract | None:
    return Contract(root, year, month) if 1 <= month <= 12 and _CENTURY <= year < _CENTURY + 100 else None

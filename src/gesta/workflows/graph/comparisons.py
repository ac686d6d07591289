"""How two values are compared in a condition: exactly, and by type (docs/reference/expressions.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from gesta.workflows.graph.expressions import ExpressionError

_NUMERIC: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
#: A longer text of digits is a text.
_MOST_DIGITS: Final = 400


class Comparison(msgspec.Struct, frozen=True):
    """`holds` of the left and the right value."""

    name: str
    holds: Callable[[Any, Any], bool]


def kind(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, Mapping) else "a list"


def number(value: Any) -> Decimal | int | None:
    """A number as it is meant in decimal; None for what is none, and for what JSON cannot hold."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    return None


def _numeric(text: str) -> Decimal | None:
    if len(text) > _MOST_DIGITS or not _NUMERIC.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _numbers(left: Any, right: Any) -> tuple[Decimal | int, Decimal | int] | None:
    """Both as numbers, where at least one of them is one, and the other one or a text of digits."""
    a, b = number(left), number(right)
    if a is None and b is not None and isinstance(left, str):
        a = _numeric(left)
    elif b is None and a is not None and isinstance(right, str):
        b = _numeric(right)
    return None if a is None or b is None else (a, b)


def equal(left: Any, right: Any) -> bool:
    numbers = _numbers(left, right)
    if numbers is not None:
        return numbers[0] == numbers[1]
    if kind(left) != kind(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def _order(left: Any, right: Any) -> int:
    numbers = _numbers(left, right)
    a: Any
    b: Any
    if numbers is not None:
        a, b = numbers
    elif isinstance(left, str) and isinstance(right, str):
        a, b = left, right
    else:
        raise ExpressionError(f"{kind(left).capitalize()} and {kind(right)} have no order.")
    return int(a > b) - int(a < b)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, list | tuple):
        return any(equal(value, right) for value in left)
    if isinstance(left, Mapping):
        return isinstance(right, str) and right in left
    if isinstance(left, str):
        return _text(right, "contained") in left
    raise ExpressionError(f"A text, a list or an object may contain something; this is {kind(left)}.")


def _in(left: Any, right: Any) -> bool:
    if not isinstance(right, list | tuple):
        raise ExpressionError(f"`in` needs a list on the right; this is {kind(right)}.")
    return any(equal(left, value) for value in right)


def _starts(left: Any, right: Any) -> bool:
    return _text(left, "a beginning of it").startswith(_text(right, "the beginning"))


def _ends(left: Any, right: Any) -> bool:
    return _text(left, "an end of it").endswith(_text(right, "the end"))


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    exact = number(value)
    if exact is not None:
        return str(exact)
    raise ExpressionError(f"A text is needed for {what}; this is {kind(value)}.")


#: By Gesta's word: what it does, and what else it is called, letters only and in lower case, or as a sign.
_TABLE: Final[tuple[tuple[str, Callable[[Any, Any], bool], tuple[str, ...]], ...]] = (
    ("eq", equal, ("equal", "equals", "equalto", "isequalto", "=", "==", "===")),
    (
        "ne",
        lambda left, right: not equal(left, right),
        ("neq", "notequal", "notequals", "notequalto", "isnotequalto", "!=", "!==", "<>"),
    ),
    ("gt", lambda left, right: _order(left, right) > 0, ("greaterthan", "isgreaterthan", ">")),
    (
        "gte",
        lambda left, right: _order(left, right) >= 0,
        ("ge", "greaterthanorequal", "greaterthanorequalto", "isgreaterthanorequalto", ">="),
    ),
    ("lt", lambda left, right: _order(left, right) < 0, ("lessthan", "islessthan", "<")),
    (
        "lte",
        lambda left, right: _order(left, right) <= 0,
        ("le", "lessthanorequal", "lessthanorequalto", "islessthanorequalto", "<="),
    ),
    ("contains", _contains, ("doescontain", "includes")),
    ("not_contains", lambda left, right: not _contains(left, right), ("notcontains", "doesnotcontain")),
    ("starts_with", _starts, ("startswith", "beginswith")),
    ("ends_with", _ends, ("endswith",)),
    ("in", _in, ("isin",)),
    ("not_in", lambda left, right: not _in(left, right), ("notin", "nin", "isnotin")),
    ("exists", lambda left, _: left is not None, ("doesexist",)),
    ("not_exists", lambda left, _: left is None, ("notexists", "doesnotexist")),
    ("is_null", lambda left, _: left is None, ("isnull", "null")),
    ("is_not_null", lambda left, _: left is not None, ("isnotnull", "notnull")),
)
COMPARISONS: Final[dict[str, Comparison]] = {
    word: comparison
    for name, does, others in _TABLE
    for comparison in (Comparison(name, does),)
    for word in (name, *others)
}
#: Ask of one value whether it is there; what is missing is null to them.
UNARY: Final = frozenset({"exists", "not_exists", "is_null", "is_not_null"})

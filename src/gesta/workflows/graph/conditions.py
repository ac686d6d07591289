"""Conditions: what an `if`, a `switch` or a filter decides by, in Gesta's own form and in both vendors'.

Accepted, each wherever a condition may stand (docs/reference/expressions.md has an example of each):

- `true`, `false`, or a text that is one template and comes to one of them
- Gesta's own `{"left": a, "op": "gte", "right": b}`, `{"all": […]}`, `{"any": […]}`, `{"not": …}`, `{"jsonata": "…"}`
- B3OS's `{"$and": […]}` and `{"$or": […]}` of `{"{{a}}": {"$gt": b}}` (protocols/b3os.md §7 and the public guide that
  it cites), and also `{"$not": …}`, `{"left": a, "$gt": b}`, `{"left": a, "operator": "$gt", "right": b}` and
  `{"$gt": [a, b]}`
- Refold's rules, `{"conditions": [{"lhs": a, "operator": "…", "rhs": b}], "logic": "and" | "or"}`, whose shape is not
  published (protocols/refold.md §6): the sides are also read from `operand` or `variable` and from `value`, the logic
  also from `operator` or `match` (`all`, `any`), the operators by the names of the rule editor ("Does Not Contain"); a
  list of groups holds if each of them does

Numbers are compared exactly: integers, Decimals, and doubles as the shortest decimal that means them; a text of digits
counts as a number against a number. Two texts are compared as texts, by code points. Values of unlike types are not
equal, and putting them in an order is an error. Evaluation goes from left to right and stops as soon as it is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gesta.workflows.graph.comparisons import COMPARISONS, UNARY, Comparison
from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.queries import check_query, query
from gesta.workflows.graph.template_reader import Template, parts_of, shortened
from gesta.workflows.graph.template_values import is_there
from gesta.workflows.graph.templates import check, render

#: How deep conditions may be nested, and how many one condition may have.
MOST_DEPTH: Final = 32
MOST_CONDITIONS: Final = 500

_LEFT: Final = ("left", "lhs", "operand", "variable")
_RIGHT: Final = ("right", "rhs", "value")
_OPERATOR: Final = ("op", "operator")
_EVERY: Final = frozenset({"and", "all", "$and", "match all", "match all conditions"})
_SOME: Final = frozenset({"or", "any", "$or", "match any", "match any condition"})


class Given(msgspec.Struct, frozen=True):
    """True or false, or a template that comes to it."""

    value: Any


class Compared(msgspec.Struct, frozen=True):
    comparison: Comparison
    left: Any
    right: Any


class Every(msgspec.Struct, frozen=True):
    of: tuple[Condition, ...]


class Some(msgspec.Struct, frozen=True):
    of: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True):
    of: Condition


class Asked(msgspec.Struct, frozen=True):
    expression: str


Condition = Given | Compared | Every | Some | Not | Asked


def holds(condition: Any, scope: Scope) -> bool:
    """Whether a condition holds. Raises ExpressionError for one that cannot be read, and for what it cannot decide."""
    try:
        return _decided(_Reading().condition(condition), scope)
    except RecursionError:
        raise ExpressionError("A condition compares values that are nested too deeply.") from None


def check_condition(condition: Any) -> None:
    """Whether a condition can be read, its templates and JSONata too. Raises ExpressionError."""
    check(condition)
    for part in _parts(_Reading().condition(condition)):
        if isinstance(part, Asked):
            check_query(part.expression)


# -- deciding


def _decided(condition: Condition, scope: Scope) -> bool:
    match condition:
        case Every(of):
            return all(_decided(part, scope) for part in of)
        case Some(of):
            return any(_decided(part, scope) for part in of)
        case Not(of):
            return not _decided(of, scope)
        case Compared():
            return _compared(condition, scope)
        case Asked(expression):
            return _boolean(query(expression, scope), "jsonata")
        case Given(value):
            return _boolean(render(value, scope), str(value))


def _compared(condition: Compared, scope: Scope) -> bool:
    comparison = condition.comparison
    left = _present(condition.left, scope) if comparison.name in UNARY else render(condition.left, scope)
    return comparison.holds(left, render(condition.right, scope))


def _present(operand: Any, scope: Scope) -> Any:
    """An operand of which it is asked whether it is there: what is missing counts as null."""
    parts = parts_of(operand) if isinstance(operand, str) else ()
    if len(parts) == 1 and isinstance(parts[0], Template) and not is_there(parts[0], scope):
        return None
    return render(operand, scope)


def _boolean(value: Any, what: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in ("true", "false"):
        return bool(value == "true")
    raise ExpressionError(f"The condition `{shortened(what)}` must come to true or false, and does not.")


# -- reading


class _Reading:
    """Reads one condition, whichever form it has."""

    def __init__(self) -> None:
        self.count = 0

    def condition(self, given: Any, depth: int = 0) -> Condition:
        self.count += 1
        if self.count > MOST_CONDITIONS:
            raise ExpressionError(f"A condition may have {MOST_CONDITIONS} parts at most.")
        if depth > MOST_DEPTH:
            raise ExpressionError(f"Conditions may be nested {MOST_DEPTH} deep at most.")
        if isinstance(given, bool):
            return Given(given)
        if isinstance(given, str):
            return self.template(given)
        if isinstance(given, list | tuple):
            return Every(self.several(given, "a list of conditions", depth))
        if not isinstance(given, Mapping) or not given:
            raise ExpressionError("A condition is an object that is not empty, a template, true or false.")
        return self.object(given, depth)

    def template(self, given: str) -> Condition:
        parts = parts_of(given)
        if given in ("true", "false") or (len(parts) == 1 and isinstance(parts[0], Template)):
            return Given(given)
        raise ExpressionError(f"`{shortened(given)}` is no condition; as a text, it must be exactly one template.")

    def several(self, given: Any, name: str, depth: int) -> tuple[Condition, ...]:
        if not isinstance(given, list | tuple) or not given:
            raise ExpressionError(f"`{name}` needs a list with one condition at least.")
        return tuple(self.condition(part, depth + 1) for part in given)

    def object(self, given: Mapping[Any, Any], depth: int) -> Condition:
        if "conditions" in given:
            return self.group(given, depth)
        if any(name in given for name in _LEFT):
            return self.sides(given)
        parts = [self.entry(str(key), value, depth) for key, value in given.items()]
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def group(self, given: Mapping[Any, Any], depth: int) -> Condition:
        name, logic = _taken(given, ("logic", "operator", "match"))
        _only(given, {"conditions", name})
        parts = self.several(given["conditions"], "conditions", depth)
        word = "and" if logic is None else str(logic).strip().lower()
        if word in _EVERY:
            return Every(parts)
        if word in _SOME:
            return Some(parts)
        raise ExpressionError(f"`{name}` must be `and` or `or`, and is `{shortened(word)}`.")

    def sides(self, given: Mapping[Any, Any]) -> Condition:
        left_name, left = _taken(given, _LEFT)
        operator_name, operator = _taken(given, _OPERATOR)
        right_name, right = _taken(given, _RIGHT)
        if operator is None:
            dollars = [key for key in given if str(key).startswith("$")]
            if len(dollars) != 1 or right_name:
                raise ExpressionError(f"A comparison of `{left_name}` needs one operator, as `op`.")
            operator_name = dollars[0]
            operator, right = operator_name, given[operator_name]
            right_name = operator_name
        _only(given, {left_name, operator_name, right_name})
        return _comparison(operator, left, right, has_right=bool(right_name))

    def entry(self, key: str, value: Any, depth: int) -> Condition:
        match key:
            case "$and" | "all":
                return Every(self.several(value, key, depth))
            case "$or" | "any":
                return Some(self.several(value, key, depth))
            case "$not" | "not":
                return Not(self.condition(value, depth + 1))
            case "jsonata":
                if not isinstance(value, str):
                    raise ExpressionError("`jsonata` must be a text.")
                return Asked(value)
        if key.startswith("$"):
            return self.prefixed(key, value)
        if "{{" not in key:
            raise ExpressionError(
                f"`{shortened(key)}` is no part of a condition; there are `left` with `op` and `right`, `all`, `any`, "
                "`not`, `jsonata`, `$and`, `$or`, and templates."
            )
        return self.keyed(key, value)

    def prefixed(self, key: str, value: Any) -> Condition:
        """`{"$gt": [a, b]}`, `{"$exists": a}`."""
        operands = value if isinstance(value, list | tuple) else [value]
        if len(operands) == 1 and _named(key).name in UNARY:
            return _comparison(key, operands[0], None, has_right=False)
        if len(operands) != 2:
            raise ExpressionError(f"`{shortened(key)}` needs a list of two values, or to stand after its left one.")
        return _comparison(key, operands[0], operands[1])

    def keyed(self, key: str, value: Any) -> Condition:
        """`{"{{a}}": {"$gt": b, "$lt": c}}`; without an operator, both sides are equal."""
        if isinstance(value, Mapping) and value and all(str(name).startswith("$") for name in value):
            parts = tuple(_comparison(name, key, right) for name, right in value.items())
            return parts[0] if len(parts) == 1 else Every(parts)
        return _comparison("$eq", key, value)


def _taken(given: Mapping[Any, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The one of these names that is given, and its value; an empty name if none is."""
    found = [name for name in names if name in given]
    if len(found) > 1:
        raise ExpressionError(f"A condition has `{found[0]}` or `{found[1]}`, not both.")
    return (found[0], given[found[0]]) if found else ("", None)


def _only(given: Mapping[Any, Any], names: set[str]) -> None:
    # What an editor keeps beside a condition (ids, labels) says nothing about it; another operator would.
    other = next((str(key) for key in given if str(key).startswith("$") and key not in names), None)
    if other is not None:
        raise ExpressionError(f"`{shortened(other)}` cannot stand beside another operator.")


def _comparison(operator: Any, left: Any, right: Any, *, has_right: bool = True) -> Condition:
    comparison = _named(operator)
    if comparison.name in UNARY:
        if has_right and right is False:
            return Not(Compared(comparison, left, None))
        return Compared(comparison, left, None)
    if not has_right:
        raise ExpressionError(f"`{comparison.name}` compares with something: `right` is missing.")
    return Compared(comparison, left, right)


def _named(operator: Any) -> Comparison:
    if isinstance(operator, str):
        word = operator.strip()
        found = COMPARISONS.get(word) or COMPARISONS.get(_folded(word))
        if found is not None:
            return found
    known = ", ".join(sorted({comparison.name for comparison in COMPARISONS.values()}))
    raise ExpressionError(f"`{shortened(str(operator))}` is no comparison; there are {known}.")


def _folded(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalpha())


def _parts(condition: Condition) -> Iterator[Condition]:
    yield condition
    match condition:
        case Every(of) | Some(of):
            for part in of:
                yield from _parts(part)
        case Not(of):
            yield from _parts(of)

"""Conditions: how values of each type compare, what is read, what is refused. Forms: see test_templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.rendering import check_condition, holds

SCOPE = Scope(outputs={"a": {"one": 1, "text": "abc", "list": [1, "2", {"k": 1}], "none": None, "yes": True}})


def compared(left: Any, op: str, right: Any) -> bool:
    return holds({"left": left, "op": op, "right": right}, SCOPE)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, Decimal("1.00")),
        (0.1, Decimal("0.1")),
        (0.1, "0.1"),
        ("1e3", 1000),
        (10**30, float("1e30")),
        ([1, {"a": 2.0}], [1.0, {"a": 2}]),
        (None, None),
        (True, True),
        ("x", "x"),
    ],
)
def test_equal(left: Any, right: Any) -> None:
    assert compared(left, "eq", right)
    assert compared(right, "eq", left)
    assert not compared(left, "ne", right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        ("1", "1.0"),
        ("1", True),
        (1, "one"),
        (1, "1_0"),
        (1, "١"),
        (1, " 1"),
        ([], {}),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (9007199254740993, 9007199254740992.0),
        (float("nan"), float("nan")),
    ],
)
def test_unequal(left: Any, right: Any) -> None:
    assert not compared(left, "eq", right)
    assert compared(left, "ne", right)


@pytest.mark.parametrize(
    ("less", "more"), [(1, 2), (0.1, 0.2), ("9", 10), (Decimal("1.1"), "1.2"), ("a", "b"), ("10", "9")]
)
def test_order(less: Any, more: Any) -> None:
    truths = {op: (compared(less, op, more), compared(more, op, less), compared(less, op, less)) for op in
              ("gt", "gte", "lt", "lte")}  # fmt: skip
    assert truths == {
        "gt": (False, True, False),
        "gte": (False, True, True),
        "lt": (True, False, False),
        "lte": (True, False, True),
    }


@pytest.mark.parametrize(
    ("left", "op", "right"),
    [
        (1, "gt", "one"),
        (None, "gt", 1),
        (True, "lt", False),
        ([1], "lt", [2]),
        ({}, "gte", {}),
        (float("nan"), "gt", 1),
        (1, "contains", 1),
        ("a", "contains", None),
        (1, "in", "123"),
        (None, "starts_with", "a"),
        ("{{a.missing}}", "eq", 1),
        (1, "eq", "{{nowhere}}"),
    ],
)
def test_what_cannot_be_decided_is_an_error(left: Any, op: str, right: Any) -> None:
    with pytest.raises(ExpressionError):
        compared(left, op, right)


def test_containing() -> None:
    assert compared("{{a.text}}", "contains", "bc")
    assert compared("a1", "contains", 1)
    assert compared("{{a.list}}", "contains", 2)
    assert compared("{{a.list}}", "contains", {"k": 1})
    assert compared("{{a}}", "contains", "one")
    assert compared("{{a}}", "not_contains", "two")
    assert compared("{{a.text}}", "starts_with", "ab")
    assert compared("{{a.text}}", "endsWith", "bc")
    assert compared("{{a.one}}", "in", "{{a.list}}")
    assert compared("{{a.one}}", "not in", [2, 3])


@pytest.mark.parametrize(
    ("path", "there"), [("{{a.one}}", True), ("{{a.none}}", False), ("{{a.x.y}}", False), ("{{b}}", False)]
)
def test_existence_counts_what_is_missing_as_null(path: str, there: bool) -> None:
    assert holds({"left": path, "op": "exists"}, SCOPE) is there
    assert holds({"left": path, "$exists": False}, SCOPE) is not there
    assert holds({path: {"$exists": True}}, SCOPE) is there
    assert holds({path: {"$notExists": True}}, SCOPE) is not there
    assert holds({"$exists": path}, SCOPE) is there
    assert holds({"lhs": path, "operator": "Is Null", "rhs": ""}, SCOPE) is not there
    assert holds({"lhs": path, "operator": "Does Exist?"}, SCOPE) is there


def test_it_stops_as_soon_as_it_is_decided() -> None:
    fails = {"left": "{{nowhere}}", "op": "eq", "right": 1}
    assert holds({"any": [True, fails]}, SCOPE)
    assert not holds({"$and": [False, fails]}, SCOPE)
    with pytest.raises(ExpressionError):
        holds({"any": [fails, True]}, SCOPE)


def test_what_comes_to_true_or_false() -> None:
    assert holds("{{a.yes}}", SCOPE)
    assert not holds("{{a.none}}", SCOPE)
    assert not holds({"jsonata": "a.missing"}, SCOPE)
    assert holds({"jsonata": "a.one = 1"}, SCOPE)
    for other in ("{{a.one}}", "{{a.text}}", "{{a.list}}"):
        with pytest.raises(ExpressionError, match="true or false"):
            holds(other, SCOPE)


@pytest.mark.parametrize(
    "condition",
    [
        None,
        1,
        {},
        [],
        "text",
        "x {{a.yes}}",
        {"$and": []},
        {"$and": {"a": 1}},
        {"any": 5},
        {"x": 1},
        {"$where": "1"},
        {"left": 1},
        {"left": 1, "op": "eq"},
        {"left": 1, "op": 5, "right": 1},
        {"left": 1, "op": "eq", "right": 1, "rhs": 2},
        {"left": 1, "op": "eq", "right": 1, "$gt": 0},
        {"left": 1, "$gt": 0, "$lt": 2},
        {"{{a.one}}": {"$near": 5}},
        {"$gt": [1]},
        {"$gt": 1},
        {"jsonata": 5},
        {"jsonata": "1 +"},
        {"conditions": [True], "logic": "xor"},
        {"conditions": []},
        {"left": "{{a", "op": "eq", "right": 1},
    ],
)
def test_what_is_no_condition_is_refused_before_a_run(condition: Any) -> None:
    with pytest.raises(ExpressionError):
        check_condition(condition)
    with pytest.raises(ExpressionError):
        holds(condition, SCOPE)


def test_bounds() -> None:
    deep: Any = True
    for _ in range(40):
        deep = {"not": deep}
    nested: Any = 1
    for _ in range(5000):
        nested = [nested]
    wide = {"all": [True] * 600}
    for condition, word in [(deep, "32 deep"), (wide, "500 parts")]:
        with pytest.raises(ExpressionError, match=word):
            check_condition(condition)
    with pytest.raises(ExpressionError, match="too deeply"):
        holds({"left": "{{a}}", "op": "eq", "right": "{{a}}"}, Scope(outputs={"a": nested}))


def test_a_huge_number_in_a_text_is_a_text() -> None:
    assert not compared(1, "eq", "9" * 1000)
    assert compared(1, "lt", "1e999999999")
    with pytest.raises(ExpressionError):
        compared(1, "lt", "9" * 1000)

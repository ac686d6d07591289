"""Templates: every spelling is in the documentation, whose examples are run here; what is refused, and the bounds."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.workflows.graph.expressions import ExpressionError, Item, Scope
from gesta.workflows.graph.rendering import check, holds, query, references, render
from gesta.workflows.graph.template_reader import MOST_TEMPLATES
from gesta.workflows.graph.templates import MOST_TEXT

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "expressions.md").read_text()
GIVEN = json.loads(re.findall(r"```json scope\n(.*?)```", PAGE, re.DOTALL)[0])
SCOPE = Scope(**GIVEN | {"items": tuple(Item(**item) for item in GIVEN["items"])})


def examples(language: str) -> list[tuple[str, str]]:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [tuple(line.split(" → ")) for block in blocks for line in block.splitlines()]


def comes_to(told: str, evaluated: Any) -> None:
    if told.startswith("error: "):
        with pytest.raises(ExpressionError) as failure:
            evaluated()
        assert failure.value.message == told.removeprefix("error: ")
    else:
        value = evaluated()
        assert (value, type(value)) == (json.loads(told), type(json.loads(told)))


def test_the_page_has_examples_of_each_kind() -> None:
    assert [len(examples(language)) > 6 for language in ("templates", "conditions", "jsonata")] == [True] * 3


@pytest.mark.parametrize(("template", "told"), examples("templates"))
def test_templates_of_the_documentation(template: str, told: str) -> None:
    comes_to(told, lambda: render(template, SCOPE))
    check(template)


@pytest.mark.parametrize(("condition", "told"), examples("conditions"))
def test_conditions_of_the_documentation(condition: str, told: str) -> None:
    comes_to(told, lambda: holds(json.loads(condition), SCOPE))


@pytest.mark.parametrize(("expression", "told"), examples("jsonata"))
def test_queries_of_the_documentation(expression: str, told: str) -> None:
    comes_to(told, lambda: query(expression, SCOPE))


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (2.5, "2.5"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+3"), "1000"),
        ("a\nb", "a\nb"),
        ({"a": [1, "é"]}, '{"a":[1,"é"]}'),
        ([], "[]"),
    ],
)
def test_a_value_is_kept_alone_and_printed_within_text(value: Any, printed: str) -> None:
    scope = Scope(outputs={"a": value})
    assert render("{{a}}", scope) is value
    assert render("<{{a}}>", scope) == f"<{printed}>"


def test_a_configuration_is_filled_in_wherever_it_has_text_and_is_not_changed() -> None:
    config = {"url": "http://x/{{a.id}}", "body": [{"n": "{{a}}"}, 1, None, True], "{{a.id}}": "key"}
    before = json.dumps(config)
    filled = render(config, Scope(outputs={"a": {"id": 5}}))
    assert filled == {"url": "http://x/5", "body": [{"n": {"id": 5}}, 1, None, True], "{{a.id}}": "key"}
    assert json.dumps(config) == before


def test_the_output_of_a_start_node_of_any_id_is_the_payload() -> None:
    scope = Scope(outputs={"1": {"body": {"x": 1}}}, input={"body": {"x": 1}})
    assert [render(text, scope) for text in ("{{start.body.x}}", "{{1.body.x}}", "{{root.result.body.x}}")] == [1, 1, 1]


def test_outside_of_a_loop_there_is_no_item() -> None:
    for word in ("item", "$index", "parent_item"):
        with pytest.raises(ExpressionError, match="only within the body"):
            render(f"{{{{{word}}}}}", Scope())
    assert render("{{item || 0}}", Scope()) == 0


@pytest.mark.parametrize("name", ["__class__", "__dict__", "keys", "items", "get", "outputs"])
def test_names_of_python_are_keys_like_any_other(name: str) -> None:
    scope = Scope(outputs={"a": {}, "b": {name: 1}, "c": [], "d": "text"})
    assert render(f"{{{{b.{name}}}}}", scope) == 1
    for node in "acd":
        with pytest.raises(ExpressionError):
            render(f"{{{{{node}.{name}}}}}", scope)


@pytest.mark.parametrize(
    "text",
    ["{{", "{{}}", "{{ }}", "{{a", "{{a}", "{{a b}}", "{{a.}}", "{{.a}}", "{{a..b}}", "{{a[}}", "{{a[x]}}", "{{a[-1]}}",
     "{{a ||}}", "{{|| a}}", "{{a | b}}", "{{a()}} {{", "{{{a}}}", "{{'a}}", '{{"\\x"}}', "{{a + }}{{"],
)  # fmt: skip
def test_what_is_not_a_template_is_said_so(text: str) -> None:
    for does in (lambda: check(text), lambda: render({"x": [text]}, Scope()), lambda: references([text])):
        with pytest.raises(ExpressionError, match="is not a template"):
            does()


def test_bounds() -> None:
    scope = Scope(outputs={"a": "x" * 1000, "big": list(range(1_000_000))})
    deep: Any = "x"
    for _ in range(70):
        deep = [deep]
    for refused, word in [
        ("{{" + "a" * 3000 + "}}", "longer than 2000"),
        ("{{a" + ".b" * 65 + "}}", "64 keys"),
        (deep, "64 deep"),
        ("{{a}} " * (MOST_TEMPLATES + 1), "templates at most"),
        (["{{a}}"] * (MOST_TEMPLATES + 1), "templates at most"),
        (" " + "{{a}}" * 900 + "y" * (MOST_TEXT - 800_000), "characters"),
        ("{{big}}", "bytes of values"),
    ]:
        with pytest.raises(ExpressionError, match=word):
            render(refused, scope)
    assert render("y" * (2 * MOST_TEXT), scope) == "y" * (2 * MOST_TEXT)  # nothing came of a template


def test_references_are_the_nodes_that_are_named() -> None:
    config = {
        "url": "{{a.b || nodes.c.d}} {{$nodes.e.result.x}} {{start.x}} {{item.x}} {{$item}} {{0}} {{null}}",
        "condition": {"$and": [{"{{k.result}}": {"$gt": "{{l}}"}}]},
        "jsonata": '$map([1], function($v) {{"v": not_a_reference}})',
    }
    assert references(config) == {"a", "c", "e", "k", "l"}
    assert references({"x": 1, "y": [None, "text"]}) == frozenset()


def test_a_value_that_json_cannot_hold_is_an_error() -> None:
    for value in (object(), {"a": [object()]}, ["\ud800"]):
        with pytest.raises(ExpressionError, match="JSON"):
            render("in text {{a}}", Scope(outputs={"a": value}))

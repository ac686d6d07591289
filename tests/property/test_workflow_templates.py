"""Whatever is written between braces, and whatever a run knows: a value or an ExpressionError, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gesta.workflows.graph.expressions import ExpressionError, Item, Scope
from gesta.workflows.graph.rendering import check, holds, references, render

NAMES = st.text(st.characters(exclude_characters=".[]{}|\"'", exclude_categories=("Z", "C")), min_size=1, max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
PIECES = st.sampled_from(
    ["{{", "}}", "||", ".", "[0]", '["k"]', '"', "'", " ", "a", "b", "k", "input", "item", "$item", "$for", "$nodes",
     "start", "root", "result", "body", "nodes", "index", "0", "-1.5", "null", "__class__", "$trigger", "é", "\n", "\\"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20)
SCOPES = st.builds(
    Scope,
    outputs=st.dictionaries(st.sampled_from(["a", "b", "start", "root"]), VALUES, max_size=3),
    input=VALUES,
    items=st.lists(st.builds(Item, VALUES, st.integers(0, 9), st.just(10), st.just("a")), max_size=2).map(tuple),
)
OPERATORS = ["eq", "gt", "contains", "in", "exists", "starts_with", "$gte", "$nope", "Does Not Contain", ">"]
CONFIGS: st.SearchStrategy[Any] = st.recursive(
    TEXTS | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OPERANDS = TEXTS | VALUES | st.sampled_from(["{{a}}", "{{b.k}}", "{{input}}"])
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    OPERANDS
    | st.fixed_dictionaries({"left": OPERANDS, "op": st.sampled_from(OPERATORS), "right": OPERANDS})
    | st.dictionaries(TEXTS, st.dictionaries(st.sampled_from(["$eq", "$lt", "$in", "$exists"]), OPERANDS), max_size=2),
    lambda inner: (
        st.dictionaries(st.sampled_from(["all", "$or", "not", "$gt", "conditions"]), inner, max_size=2)
        | st.lists(inner, max_size=3)
        | st.builds(
            lambda word, parts: {word: parts}, st.sampled_from(["all", "$or", "any"]), st.lists(inner, min_size=1)
        )
    ),
    max_leaves=6,
)


def answer(does: Callable[[], Any]) -> Any:
    """What it comes to, or the message of its ExpressionError; anything else goes through and fails the test."""
    try:
        return does()
    except ExpressionError as error:
        return error.message


@given(CONFIGS, SCOPES)
def test_rendering_gives_a_value_or_an_expression_error_and_the_same_again(config: Any, scope: Scope) -> None:
    before = repr(config)
    first, second = (repr(answer(lambda: render(config, scope))) for _ in range(2))
    assert first == second
    assert repr(config) == before


@given(TEXTS, SCOPES)
def test_what_is_refused_in_a_run_for_how_it_is_written_was_refused_before(text: str, scope: Scope) -> None:
    refused = answer(lambda: check(text))
    if refused is not None:
        assert answer(lambda: references(text)) == refused
        assert isinstance(answer(lambda: render(text, scope)), str)


@given(CONDITIONS, SCOPES)
def test_a_condition_holds_or_not_or_is_an_expression_error(condition: Any, scope: Scope) -> None:
    assert isinstance(answer(lambda: holds(condition, scope)), bool | str)


@given(VALUES, st.lists(NAMES | st.integers(0, 3), max_size=4))
def test_a_value_that_is_put_in_comes_out_as_it_is(value: Any, path: list[str | int]) -> None:
    holder: Any = value
    for key in reversed(path):
        holder = {key: holder} if isinstance(key, str) else [None] * key + [holder]
    text = "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in path)
    assert render(f"{{{{nodes.n{text}}}}}", Scope(outputs={"n": holder})) is value


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_text_within_text_is_put_in_as_it_is(value: str, around: str) -> None:
    around = around.replace("{{", "")
    printed = render(f"{around} {{{{input}}}} {around}", Scope(input=value))
    assert printed == f"{around} {value} {around}"

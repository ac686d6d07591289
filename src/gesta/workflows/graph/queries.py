"""JSONata: what a transform computes, and what a condition may ask.

It is run in another process (`kernel/bounded.py`): a query that does not end, or that explodes, is ended after a second
of processor time (five of real time) and is an error like any other.
"""

from __future__ import annotations

from typing import Any, Final

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.bounded import asked
from gesta.workflows.graph.expressions import ExpressionError, Scope

#: How long an expression may be, in characters.
MOST_EXPRESSION: Final = 64 * 1024


def query(expression: str, scope: Scope) -> Any:
    """What a JSONata expression comes to over `document_of(scope)`; undefined is None.

    The same scope gives the same answer: `$now()` and `$millis()` are the run's moment; `$random`, `$shuffle` and
    `$eval` are refused. Raises ExpressionError, also for what passes a bound: 64 Ki characters of expression, 16 MiB of
    document, 4 MiB of answer, 1 s of processor, 5 s, 768 MiB of memory. Blocks its thread for as long as that.
    """
    _checked_length(expression)
    moment_ms = None if scope.moment_us is None else scope.moment_us // 1000
    try:
        return asked("query", expression=expression, document=document_of(scope), moment_ms=moment_ms)
    except InvalidInput as error:
        raise _failed(error) from None


def check_query(expression: str) -> None:
    """Whether an expression can be read. Raises ExpressionError."""
    _checked_length(expression)
    try:
        asked("parse", expression=expression)
    except InvalidInput as error:
        raise _failed(error) from None


def document_of(scope: Scope) -> dict[str, Any]:
    """What a query reads: the outputs of nodes by their ids, and over them, where an id is the same, `nodes` (all of
    them again), `input` (what the run was started with), `item`, `index`, `parent_item`, `parent_index` (within loops),
    `properties` and `meta` (`run_id`, `workflow_id`, `account`). Decimals are numbers in it."""
    document: dict[str, Any] = {
        **scope.outputs,
        "nodes": scope.outputs,
        "input": scope.input,
        "properties": scope.properties,
        "meta": scope.meta,
    }
    for prefix, item in zip(("", "parent_"), reversed(scope.items), strict=False):
        document[f"{prefix}item"] = item.value
        document[f"{prefix}index"] = item.index
    return document


def _checked_length(expression: Any) -> None:
    if not isinstance(expression, str) or not expression.strip():
        raise ExpressionError("`jsonata` must be a text that is not empty.", field="jsonata")
    if len(expression) > MOST_EXPRESSION:
        raise ExpressionError(f"`jsonata` may have {MOST_EXPRESSION} characters at most.", field="jsonata")


def _failed(error: InvalidInput) -> ExpressionError:
    return ExpressionError(f"The JSONata expression came to nothing. {error.message}", field="jsonata")

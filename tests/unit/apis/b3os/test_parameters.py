"""Any query gives a ListQuery in bounds, or InvalidInput that names the parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from gesta.apis.b3os.errors import CODE_OF_PARAMETER
from gesta.apis.b3os.parameters import MAX_OFFSET, events_query, list_query
from gesta.kernel.errors import InvalidInput

T = TypeVar("T")

names = st.sampled_from([*CODE_OF_PARAMETER, "color"])
values = st.text(max_size=30) | st.integers().map(str) | st.sampled_from(["workflow_failed", "2026-03-10", "evt_7"])


def outcome(read: Callable[[QueryParams], T], items: list[tuple[str, str]]) -> tuple[T | None, InvalidInput | None]:
    try:
        return read(QueryParams(items)), None
    except InvalidInput as error:
        return None, error


@given(st.lists(st.tuples(names, values), max_size=4))
def test_any_list_query(items: list[tuple[str, str]]) -> None:
    query, error = outcome(list_query, items)
    if query is None:
        assert error is not None
        assert (error.field in CODE_OF_PARAMETER, error.where) == (True, "query")
    else:
        assert 1 <= query.limit <= 100
        assert 0 <= query.offset <= MAX_OFFSET


@given(st.lists(st.tuples(names, values), max_size=3))
def test_any_events_query(items: list[tuple[str, str]]) -> None:
    query, error = outcome(events_query, items)
    if query is None:
        assert error is not None
        assert error.field in ("limit", "after")
    else:
        assert 1 <= query.limit <= 10_000
        assert query.after_seq >= 0

"""The page formulas against a plain model of mongoose-paginate-v2 (protocols/refold.md §3)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.apis.refold.paging import MAX_SAFE_INTEGER, PageOf, envelope, leading_integer, read_page

KEYS = [
    "docs",
    "totalDocs",
    "limit",
    "totalPages",
    "page",
    "pagingCounter",
    "hasPrevPage",
    "hasNextPage",
    "prevPage",
    "nextPage",
]


def paginate(rows: list[int], page: int, limit: int) -> dict[str, Any]:
    """The library's behaviour, on a list."""
    if limit == 0:
        return dict(zip(KEYS, [[], len(rows), 0, 1, 1, 1, False, False, None, None], strict=True))
    pages = math.ceil(len(rows) / limit) or 1
    skip = (page - 1) * limit
    previous = page - 1 if page > 1 else None
    following = page + 1 if page < pages else None
    docs = rows[skip : skip + limit]
    values = [
        docs,
        len(rows),
        limit,
        pages,
        page,
        skip + 1,
        previous is not None,
        following is not None,
        previous,
        following,
    ]
    return dict(zip(KEYS, values, strict=True))


@given(st.integers(0, 60), st.integers(-3, 20), st.integers(-3, 120))
def test_against_the_model(total: int, page: int, limit: int) -> None:
    rows = list(range(total))
    asked = read_page(str(page), str(limit))
    assert asked == PageOf(page=max(1, page), limit=min(100, max(0, limit)))
    body = envelope(rows[asked.offset : asked.offset + asked.limit], total, asked)
    assert body == paginate(rows, asked.page, asked.limit)
    assert list(body) == KEYS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("", None),
        ("abc", None),
        ("-", None),
        (".5", None),
        ("0x10", 0),
        ("1e3", 1),
        ("5.9", 5),
        ("-5.9", -5),
        ("+7", 7),
        (" 8", 8),
        ("0000012", 12),
        ("12abc", 12),
        ("٣", None),
        ("9007199254740991", MAX_SAFE_INTEGER),
        ("9007199254740993", MAX_SAFE_INTEGER),
        ("-" + "9" * 10_000, -MAX_SAFE_INTEGER),
        ("0" * 10_000 + "3", 3),
    ],
)
def test_integers_are_read_as_javascript_reads_them(text: str | None, value: int | None) -> None:
    assert leading_integer(text) == value


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gives_a_page_that_a_database_can_seek(page: str, limit: str) -> None:
    asked = read_page(page, limit)
    assert 1 <= asked.page <= MAX_SAFE_INTEGER
    assert 0 <= asked.limit <= 100
    assert 0 <= asked.offset < 2**63

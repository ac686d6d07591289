"""Pages as mongoose-paginate-v2 cuts and counts them (protocols/refold.md §3, its table of edge cases)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
MAX_SAFE_INTEGER = 2**53 - 1

_LEADING_INTEGER = re.compile(r"\s*([+-]?)0*(\d+)", re.ASCII)


class PageOf(msgspec.Struct, frozen=True, kw_only=True):
    """Which page is asked for. A `limit` of 0 asks for the totals alone."""

    page: int
    limit: int

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit


def read_page(page: str | None, limit: str | None) -> PageOf:
    """Never fails: a page below 1 or no number is 1; a limit below 0 is 0, no number is 10, above 100 is 100."""
    number = leading_integer(page)
    size = leading_integer(limit)
    return PageOf(
        page=1 if number is None else max(1, number),
        limit=DEFAULT_LIMIT if size is None else min(MAX_LIMIT, max(0, size)),
    )


def leading_integer(text: str | None) -> int | None:
    """JavaScript's `parseInt(text, 10)`: `5.9` is 5, `abc` is None. Clamped to what JavaScript counts exactly."""
    match = _LEADING_INTEGER.match(text) if text else None
    if match is None:
        return None
    digits = match[2]
    value = int(digits) if len(digits) <= 16 else MAX_SAFE_INTEGER
    value = min(value, MAX_SAFE_INTEGER)
    return -value if match[1] == "-" else value


def envelope(docs: list[Any], total: int, asked: PageOf) -> dict[str, Any]:
    """The flat result object, keys in mongoose-paginate's order. A page past the end is answered, empty."""
    page, limit = (asked.page, asked.limit) if asked.limit else (1, 0)
    pages = max(1, -(-total // limit)) if limit else 1
    return {
        "docs": docs,
        "totalDocs": total,
        "limit": limit,
        "totalPages": pages,
        "page": page,
        "pagingCounter": (page - 1) * limit + 1,
        "hasPrevPage": page > 1,
        "hasNextPage": page < pages,
        "prevPage": page - 1 if page > 1 else None,
        "nextPage": page + 1 if page < pages else None,
    }

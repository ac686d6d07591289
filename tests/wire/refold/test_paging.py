"""The table of mongoose-paginate's edge cases (protocols/refold.md §3), with 23 executions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

LIST = "/api/v2/public/execution"


@pytest.fixture
async def docs23(world: Any) -> None:
    await world.access.ensure_account(1, "default", "linked")
    for number in range(23):
        await world.post(
            {"_id": f"{number:024x}", "createdAt": f"2026-03-01T00:00:{number:02d}.000Z", "status": "COMPLETED"}
        )


CASES = [
    # query, docs, limit, totalPages, page, pagingCounter, prevPage, nextPage
    ("", 10, 10, 3, 1, 1, None, 2),
    ("page=1", 10, 10, 3, 1, 1, None, 2),
    ("page=2", 10, 10, 3, 2, 11, 1, 3),
    ("page=3", 3, 10, 3, 3, 21, 2, None),
    ("page=4", 0, 10, 3, 4, 31, 3, None),
    ("page=99", 0, 10, 3, 99, 981, 98, None),
    ("page=0", 10, 10, 3, 1, 1, None, 2),
    ("page=-2", 10, 10, 3, 1, 1, None, 2),
    ("page=abc", 10, 10, 3, 1, 1, None, 2),
    ("page=", 10, 10, 3, 1, 1, None, 2),
    ("page=2.9", 10, 10, 3, 2, 11, 1, 3),
    ("page=2abc", 10, 10, 3, 2, 11, 1, 3),
    ("limit=0", 0, 0, 1, 1, 1, None, None),
    ("limit=0&page=3", 0, 0, 1, 1, 1, None, None),
    ("limit=-1", 0, 0, 1, 1, 1, None, None),
    ("limit=xyz", 10, 10, 3, 1, 1, None, 2),
    ("limit=", 10, 10, 3, 1, 1, None, 2),
    ("limit=5.9", 5, 5, 5, 1, 1, None, 2),
    ("limit=5&page=5", 3, 5, 5, 5, 21, 4, None),
    ("limit=23", 23, 23, 1, 1, 1, None, None),
    ("limit=100", 23, 100, 1, 1, 1, None, None),
    ("limit=101", 23, 100, 1, 1, 1, None, None),
    ("limit=1000000", 23, 100, 1, 1, 1, None, None),
    ("page=1000000000000", 0, 10, 3, 10**12, 10**13 - 9, 10**12 - 1, None),
    ("page=" + "9" * 5000, 0, 10, 3, 2**53 - 1, (2**53 - 2) * 10 + 1, 2**53 - 2, None),
    ("limit=" + "9" * 5000, 23, 100, 1, 1, 1, None, None),
    ("page=1&page=3", 3, 10, 3, 3, 21, 2, None),
]


@pytest.mark.usefixtures("docs23")
@pytest.mark.parametrize(
    ("query", "docs", "limit", "pages", "page", "counter", "previous", "following"),
    CASES,
    ids=[case[0][:24] or "none" for case in CASES],
)
async def test_page_of_23(
    client: httpx.AsyncClient,
    as_default: dict[str, str],
    query: str,
    docs: int,
    limit: int,
    pages: int,
    page: int,
    counter: int,
    previous: int | None,
    following: int | None,
) -> None:
    answer = await client.get(f"{LIST}?{query}", headers=as_default)
    body = answer.json()
    assert len(body.pop("docs")) == docs
    assert body == {
        "totalDocs": 23,
        "limit": limit,
        "totalPages": pages,
        "page": page,
        "pagingCounter": counter,
        "hasPrevPage": previous is not None,
        "hasNextPage": following is not None,
        "prevPage": previous,
        "nextPage": following,
    }


@pytest.mark.usefixtures("docs23")
@pytest.mark.parametrize(
    ("query", "page", "counter", "previous"), [("page=1", 1, 1, None), ("page=3", 3, 21, 2)], ids=["first", "third"]
)
async def test_no_match(
    client: httpx.AsyncClient, as_default: dict[str, str], query: str, page: int, counter: int, previous: int | None
) -> None:
    body = (await client.get(f"{LIST}?status=ERRORED&{query}", headers=as_default)).json()
    assert body == {
        "docs": [],
        "totalDocs": 0,
        "limit": 10,
        "totalPages": 1,
        "page": page,
        "pagingCounter": counter,
        "hasPrevPage": previous is not None,
        "hasNextPage": False,
        "prevPage": previous,
        "nextPage": None,
    }


@pytest.mark.usefixtures("docs23")
@pytest.mark.parametrize(("sort", "newest_first"), [("", True), ("&sortAsc=false", True), ("&sortAsc=TRUE", False)])
async def test_walking_the_pages_meets_every_execution_once_in_order(
    client: httpx.AsyncClient, as_default: dict[str, str], sort: str, newest_first: bool
) -> None:
    seen: list[str] = []
    page: int | None = 1
    while page is not None:
        body = (await client.get(f"{LIST}?limit=4&page={page}{sort}", headers=as_default)).json()
        seen += [item["_id"] for item in body["docs"]]
        page = body["nextPage"]
    assert seen == sorted((f"{number:024x}" for number in range(23)), reverse=newest_first)


@pytest.mark.usefixtures("docs23")
async def test_the_plural_path_is_the_same_list(client: httpx.AsyncClient, as_default: dict[str, str]) -> None:
    singular = await client.get(f"{LIST}?page=2", headers=as_default)
    assert (await client.get(f"{LIST}s?page=2", headers=as_default)).json() == singular.json()
    detail = await client.get(f"{LIST}/{0:024x}", headers=as_default)
    assert (await client.get(f"{LIST}s/{0:024x}", headers=as_default)).json() == detail.json()

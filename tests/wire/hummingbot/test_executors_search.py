"""`POST /executors/search`: every value counts, pages are stable, totals are exact (protocols/hummingbot.md §11.1)."""

from __future__ import annotations

from itertools import product
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.hummingbot.models import PaginatedResponse
from gesta.ledger.records import NewEvent, Status, Transition

CONNECTORS = ("binance", "binance_perpetual", "kucoin")
PAIRS = ("BTC-USDT", "ETH-USDT")
TYPES = ("grid_executor", "order_executor")
STATUSES = ("RUNNING", "TERMINATED")
T0 = 1_705_315_800


@pytest.fixture
async def many(world: Any) -> list[dict[str, Any]]:
    """24 executors, newest first as they are found; two controllers and two accounts by turns."""
    made = []
    for at, (connector, pair, type_, status) in enumerate(product(CONNECTORS, PAIRS, TYPES, STATUSES)):
        made.append(
            {
                "executor_id": f"e{at}",
                "executor_type": type_,
                "account_name": f"account-{at % 2}",
                "connector_name": connector,
                "trading_pair": pair,
                "status": status,
                "timestamp": T0 + at // 4,  # four at each moment: the order within is the ledger's
                "controller_id": f"controller-{at % 3}",
            }
        )
        await world.post(made[-1])
    return made[::-1]


async def found(client: httpx.AsyncClient, **body: Any) -> tuple[list[str], dict[str, Any]]:
    response = await client.post("/executors/search", json=body)
    assert response.status_code == 200, response.text
    msgspec.json.decode(response.content, type=PaginatedResponse)
    return [each["executor_id"] for each in response.json()["data"]], response.json()["pagination"]


FILTERS: dict[str, tuple[str, tuple[list[str], ...]]] = {
    "connector_names": ("connector_name", (["binance"], ["kucoin", "binance"], ["nobody"])),
    "trading_pairs": ("trading_pair", (["ETH-USDT"], ["ETH-USDT", "BTC-USDT"])),
    "executor_types": ("executor_type", (["grid_executor"], ["order_executor", "grid_executor"], ["dca_executor"])),
    "account_names": ("account_name", (["account-1"], ["account-0", "account-1"], ["nobody"])),
    "controller_ids": ("controller_id", (["controller-2"], ["controller-0", "controller-2"])),
}
CASES = [(name, values) for name, (_, lists) in FILTERS.items() for values in (*lists, [])]


@pytest.mark.parametrize(("name", "values"), CASES)
async def test_one_filter(many: Any, client: httpx.AsyncClient, name: str, values: list[str]) -> None:
    key = FILTERS[name][0]
    expected = [each["executor_id"] for each in many if not values or each[key] in values]
    ids, pagination = await found(client, **{name: values})
    assert ids == expected
    assert pagination == {"limit": 100, "has_more": False, "next_cursor": None, "total_count": len(expected)}


@pytest.mark.parametrize("limit", [1, 3, 5, 24])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "running"},
        {"trading_pairs": ["BTC-USDT"], "account_names": ["ACCOUNT-0"]},
        {"connector_names": ["kucoin", "binance"]},
        {"trading_pairs": ["BTC-USDT", "ETH-USDT"], "status": "TERMINATED"},
        {"executor_types": ["grid_executor"], "controller_ids": ["controller-0", "controller-1"]},
    ],
)
async def test_page_by_page(
    many: Any,
    client: httpx.AsyncClient,
    body: dict[str, Any],
    limit: int,
) -> None:
    """The pages put together are the whole, without a gap and without a repetition."""
    whole, everything = await found(client, **body)
    seen: list[str] = []
    cursor = None
    while True:
        ids, pagination = await found(client, **body, limit=limit, cursor=cursor)
        assert len(ids) <= limit
        assert pagination["total_count"] == everything["total_count"] == len(whole)
        seen += ids
        cursor = pagination["next_cursor"]
        assert pagination["has_more"] == (cursor is not None) == (len(seen) < len(whole))
        if cursor is None:
            break
    assert seen == whole


@pytest.mark.parametrize("body", [{}, {"connector_names": ["binance", "kucoin"]}])
async def test_a_cursor_stays_where_it_is(world: Any, many: Any, client: httpx.AsyncClient, body: Any) -> None:
    """The executor that the page ended with finishes, and new ones come, between the pages."""
    whole, _ = await found(client, **body)
    first, pagination = await found(client, **body, limit=4)
    await world.ledger.transition(1, first[-1], _ended())
    for at in range(7):
        new = {"executor_id": f"new{at}", "status": "RUNNING", "connector_name": "kucoin", "timestamp": T0 + 1000}
        await world.post(new)
    rest, _ = await found(client, **body, cursor=pagination["next_cursor"])
    assert first + rest == whole


def _ended() -> Any:
    return Transition(event=NewEvent(type="execution.succeeded"), status=Status.SUCCEEDED)


async def test_what_others_have_is_not_found(many: Any, client: httpx.AsyncClient) -> None:
    for body in ({}, {"account_names": ["account-0"]}, {"connector_names": ["binance"]}):
        response = await client.post("/executors/search", json=body, auth=("other", "secret"))
        assert (response.json()["data"], response.json()["pagination"]["total_count"]) == ([], 0)
    response = await client.post("/executors/search", json={"account_names": ["nobody"]}, auth=("runner", "secret"))
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        ({"limit": 0}, "greater_than_equal", ["limit"]),
        ({"limit": 1001}, "less_than_equal", ["limit"]),
        ({"limit": "x"}, "int_type", ["limit"]),
        ({"limit": True}, "int_type", ["limit"]),
        ({"limit": None}, "int_type", ["limit"]),
        ({"limit": 10**30}, "less_than_equal", ["limit"]),
        ({"status": "ACTIVE"}, "literal_error", ["status"]),
        ({"status": 1}, "string_type", ["status"]),
        ({"cursor": "bogus"}, "value_error", ["cursor"]),
        ({"cursor": 5}, "string_type", ["cursor"]),
        ({"executor_types": ["grid"]}, "literal_error", ["executor_types", 0]),
        ({"trading_pairs": "BTC-USDT"}, "list_type", ["trading_pairs"]),
        ({"trading_pairs": ["BTC-USDT", 1]}, "string_type", ["trading_pairs", 1]),
        ({"connector_names": ["x"] * 101}, "too_long", ["connector_names"]),
        ({"connector_names": ["x" * 257]}, "string_too_long", ["connector_names", 0]),
        ({"connector_names": ["\0"]}, "value_error", ["connector_names", 0]),
    ],
)
async def test_a_search_that_cannot_be(client: httpx.AsyncClient, body: Any, kind: str, loc: list[Any]) -> None:
    response = await client.post("/executors/search", json=body)
    assert response.status_code == 422
    assert [(each["type"], each["loc"]) for each in response.json()["detail"]] == [(kind, ["body", *loc])]


@pytest.mark.parametrize("limit", [7, "7", 7.0])
async def test_a_limit_as_it_may_be_written(many: Any, client: httpx.AsyncClient, limit: Any) -> None:
    ids, pagination = await found(client, limit=limit, status=None, cursor=None, trading_pairs=None, unknown=1)
    assert (len(ids), pagination["limit"], pagination["total_count"]) == (7, 7, 24)

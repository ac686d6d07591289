"""Accounts, connectors, trading rules and prices: what a client asks before it trades."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from gesta.access.model import AccountType, Scope
from gesta.apis.hummingbot.routes import build
from tests.conformance.test_executors import PAIR, Bench, start
from tests.wire.hummingbot.test_positions import services_of, user

__all__ = ["start"]


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    return await start()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    auth = await user(bench, "admin", Scope.READ)
    transport = httpx.ASGITransport(build(services_of(bench)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", auth=auth) as client:
        yield client


async def test_accounts_are_those_of_the_organization(bench: Bench, client: httpx.AsyncClient) -> None:
    await bench.access.ensure_account(bench.principal.organization.id, "alpha", AccountType.TRADING)
    await bench.access.ensure_account(bench.principal.organization.id, "linked", AccountType.LINKED)
    elsewhere = await bench.access.create_organization("Elsewhere")
    await bench.access.ensure_account(elsewhere.id, "theirs", AccountType.TRADING)
    assert (await client.get("/accounts/")).json() == ["master_account", "alpha"]


async def test_connectors_say_that_they_are_paper(client: httpx.AsyncClient) -> None:
    answer = await client.get("/connectors/")
    assert answer.json() == ["binance", "binance_perpetual"]
    assert answer.headers["Gesta-Venue"] == "paper"


async def test_rules_are_those_that_orders_are_held_to(bench: Bench, client: httpx.AsyncClient) -> None:
    path = "/connectors/binance/trading-rules"
    assert (await client.get(path)).json() == {}
    await bench.quote("60000")
    rules = (await client.get(path)).json()
    assert list(rules) == [PAIR]
    assert rules[PAIR]["min_price_increment"] == 0.01
    assert (rules[PAIR]["is_paper"], rules[PAIR]["sell_order_collateral_token"]) == (True, "BTC")
    named = (await client.get(path, params={"trading_pairs": [PAIR, "NOPE-USDT"]})).json()
    assert named == {PAIR: rules[PAIR], "NOPE-USDT": {"error": "Trading pair NOPE-USDT not found"}}
    other = (await client.get("/connectors/binance_perpetual/trading-rules", params={"trading_pairs": PAIR})).json()
    assert other[PAIR]["sell_order_collateral_token"] == "USDT"


async def test_a_price_is_the_middle_and_null_without_a_market(bench: Bench, client: httpx.AsyncClient) -> None:
    asked = {"connector_name": "binance", "trading_pairs": [PAIR]}
    assert (await client.post("/market-data/prices", json=asked)).json()["prices"] == {PAIR: None}
    await bench.quote("60000")
    answer = (await client.post("/market-data/prices", json=asked)).json()
    assert answer == {
        "connector": "binance",
        "prices": {PAIR: 60000.005},
        "timestamp": bench.clock.now_us() / 1_000_000,
    }
    missing = await client.post("/market-data/prices", json={"connector_name": "binance", "trading_pairs": ["X-Y"]})
    assert (missing.status_code, missing.json()) == (404, {"detail": "binance has no trading pair X-Y"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"connector_name": 1, "trading_pairs": []}',
        b'{"connector_name": "binance"}',
        b'{"connector_name": "binance", "trading_pairs": "BTC-USDT"}',
        b'{"connector_name": "binance", "trading_pairs": ["a\\u0000b"]}',
        b'{"connector_name": "binance", "trading_pairs": [NaN]}',
    ],
)
async def test_a_body_that_does_not_fit_is_422(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/market-data/prices", content=body, headers=headers)
    assert answer.status_code == 422
    defects: list[dict[str, Any]] = answer.json()["detail"]
    assert defects[0]["loc"][0] == "body"


async def test_a_large_body_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/market-data/prices", content=b" " * 300_000)).status_code == 413


async def test_without_credentials_nothing_is_told(client: httpx.AsyncClient) -> None:
    for path in ("/accounts/", "/connectors/", "/connectors/binance/trading-rules"):
        assert (await client.get(path, auth=httpx.BasicAuth("admin", "wrong"))).status_code == 401

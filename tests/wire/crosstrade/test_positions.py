"""Positions and accounts over REST against the paper venue."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.apis.crosstrade.examples import ACCOUNT as EXAMPLE_ACCOUNT
from tests.wire.crosstrade.trading_house import TradingHouse, order, placed

ACCOUNT = "/v1/api/accounts/Sim101"
PLACE = f"{ACCOUNT}/orders/place"
POSITIONS = f"{ACCOUNT}/positions"
LONG_2 = {
    "type": "NinjaTrader.Cbi.Position",
    "account": "Sim101",
    "instrument": "ES 12-25",
    "instrumentType": "Future",
    "marketPosition": "Long",
    "quantity": 2,
    "averagePrice": 5804.5,
    "marketPrice": 5804.25,
    "unrealizedProfitLoss": -25.0,
    "tag": None,
}
FLAT = {**LONG_2, "marketPosition": "Flat", "quantity": 0, "averagePrice": 0.0, "unrealizedProfitLoss": 0.0}


@pytest.fixture
async def holder(desk: TradingHouse, trader: httpx.AsyncClient) -> httpx.AsyncClient:
    """Long two ES on Sim101."""
    placed(await trader.post(PLACE, json=order(quantity=2)))
    await desk.settle()
    return trader


async def held(client: httpx.AsyncClient, account: str = "Sim101") -> tuple[str, int]:
    row = (await client.get(f"/v1/api/accounts/{account}/position", params={"instrument": "ES"})).json()
    return row["marketPosition"], row["quantity"]


async def test_lists(holder: httpx.AsyncClient) -> None:
    reply = await holder.get(POSITIONS)
    assert reply.json() == {"positions": [LONG_2], "success": True}
    assert list(reply.json()["positions"][0]) == list(LONG_2)
    assert '"averagePrice":5804.5,"marketPrice":5804.25,"unrealizedProfitLoss":-25.0,"tag":null' in reply.text
    everywhere = await holder.get("/v1/api/positions")
    assert everywhere.json() == {"positions": [LONG_2], "count": 1, "success": True}
    assert (await holder.get("/v1/api/accounts/Apex-7/positions")).json() == {"positions": [], "success": True}


@pytest.mark.parametrize("name", ["ES", "es 12-25", " ES DEC25 ", "ESZ5", "ESZ25", "ES1!"])
async def test_one_by_any_name(holder: httpx.AsyncClient, name: str) -> None:
    reply = await holder.get(f"{ACCOUNT}/position", params={"instrument": name})
    assert reply.json() == {**LONG_2, "success": True}


async def test_flat_ones(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    await holder.post(f"{POSITIONS}/flatten", json={})
    await desk.settle()
    assert (await holder.get("/v1/api/positions")).json() == {"positions": [], "count": 0, "success": True}
    for path, more in ((POSITIONS, {}), ("/v1/api/positions", {"count": 1})):
        reply = await holder.get(path, params={"includeFlat": "true"})
        assert reply.json() == {"positions": [FLAT], "success": True, **more}
    never = (await holder.get(f"{ACCOUNT}/position", params={"instrument": "NQ"})).json()
    assert (never["marketPosition"], never["marketPrice"], never["unrealizedProfitLoss"]) == ("Flat", None, 0.0)


async def test_an_average_is_a_raw_double(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    for bid, ask, quantity in (("5804.25", "5804.50", 2), ("5805.00", "5805.25", 1)):
        await desk.quote(bid, ask)
        await trader.post(PLACE, json=order(quantity=quantity))
        await desk.settle()
    assert '"averagePrice":5804.75,' in (await trader.get(POSITIONS)).text
    await desk.quote("5805.25", "5805.50")
    await trader.post(PLACE, json=order(quantity=1))
    await desk.settle()
    assert '"averagePrice":5804.9375,' in (await trader.get(POSITIONS)).text


@pytest.mark.parametrize(
    ("terms", "left"),
    [
        ({}, ("Flat", 0)),
        ({"quantity": 1}, ("Long", 1)),
        ({"quantity": "1"}, ("Long", 1)),
        ({"quantity": 2}, ("Flat", 0)),
        ({"quantity": 99}, ("Flat", 0)),
        ({"percent": 0.1}, ("Long", 1)),
        ({"percent": 0.5}, ("Long", 1)),
        ({"percent": 0.51}, ("Flat", 0)),
        ({"percent": 1}, ("Flat", 0)),
        ({"percent": 1, "quantity": 1}, ("Long", 1)),
    ],
)
async def test_close(desk: TradingHouse, holder: httpx.AsyncClient, terms: dict[str, Any], left: Any) -> None:
    stop = placed(await holder.post(PLACE, json=order(action="SELL", orderType="STOPMARKET", stopPrice=5700)))
    reply = await holder.post(f"{POSITIONS}/close", json={"instrument": "ES", **terms})
    assert reply.json() == {"closedPositions": [LONG_2], "success": True}
    await desk.settle()
    assert await held(holder) == left
    # Only the close of everything takes the working orders with it.
    status = (await holder.get(f"{ACCOUNT}/orders/{stop}/status")).json()["status"]
    assert status == ("Cancelled" if left == ("Flat", 0) else "Accepted")


async def test_close_of_nothing(trader: httpx.AsyncClient) -> None:
    for terms in ({}, {"quantity": 1}, {"percent": 0.5}):
        reply = await trader.post(f"{POSITIONS}/close", json={"instrument": "ES", **terms})
        assert reply.status_code == 400
        assert reply.json()["error"] == "No positions found for instrument 'ES 12-25'"


@pytest.mark.parametrize("percent", [0, -0.5, 1.01, 50, "half", True])
async def test_percent_is_a_fraction(holder: httpx.AsyncClient, percent: Any) -> None:
    reply = await holder.post(f"{POSITIONS}/close", json={"instrument": "ES", "percent": percent})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_percent")
    assert await held(holder) == ("Long", 2)


async def test_flatten_an_account(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    resting = placed(await holder.post(PLACE, json=order(orderType="LIMIT", limitPrice=5700)))
    none = await holder.post(f"{POSITIONS}/flatten", json={"instrument": "NQ"})
    assert none.json() == {"closedPositions": [], "success": True, "warning": "No open positions to flatten."}
    reply = await holder.post(f"{POSITIONS}/flatten")
    assert reply.json() == {"closedPositions": [LONG_2], "success": True}
    await desk.settle()
    assert await held(holder) == ("Flat", 0)
    assert (await holder.get(f"{ACCOUNT}/orders/{resting}/status")).json()["status"] == "Cancelled"


async def test_flatten_everything_and_by_filters(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    placed(await holder.post("/v1/api/accounts/Apex-7/orders/place", json=order(action="SELL")))
    await desk.settle()
    every = "/v1/api/positions/flatten"
    warned = {"orderIds": [], "closedPositions": [], "success": True, "warning": "No open positions to flatten."}
    assert (await holder.post(every, json={"marketPosition": "Short", "account": "sim101"})).json() == warned
    assert (await holder.post(every, json={"instrument": "NQ"})).json() == warned
    short = (await holder.post(every, json={"marketPosition": "short"})).json()
    assert [row["account"] for row in short["closedPositions"]] == ["Apex-7"]
    assert len(short["orderIds"]) == 1
    assert "warning" not in short
    await desk.settle()
    assert (await held(holder), await held(holder, "Apex-7")) == (("Long", 2), ("Flat", 0))
    rest = (await holder.post(every)).json()
    assert rest["closedPositions"] == [LONG_2]
    await desk.settle()
    assert await held(holder) == ("Flat", 0)


@pytest.mark.parametrize("typo", ["acount", "Account ", "accounts", "market_position", "symbol", "qty", "dryRun"])
async def test_a_slip_of_the_pen_flattens_nothing(holder: httpx.AsyncClient, typo: str) -> None:
    for path in (
        "/v1/api/positions/flatten",
        f"{POSITIONS}/flatten",
        "/v1/api/orders/cancelall",
        f"{ACCOUNT}/orders/cancel",
    ):
        reply = await holder.post(path, json={typo: "Sim101"})
        assert (reply.status_code, reply.json()["success"]) == (400, False), path
        assert "`instrument`" in reply.json()["detail"] or "did_you_mean" in reply.json()
    misplaced = await holder.post("/v1/api/positions/flatten?account=Apex-7")
    assert (misplaced.status_code, misplaced.json()["error"]) == (400, "Invalid request")
    assert await held(holder) == ("Long", 2)


async def test_reverse(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    order_id = placed(await holder.post(f"{POSITIONS}/reverse", json={"instrument": "ES"}))
    await desk.settle()
    assert await held(holder) == ("Short", 2)
    [row] = (await holder.get(f"{ACCOUNT}/orders/{order_id}/executions")).json()["executions"]
    assert (row["quantity"], row["position"], row["isExit"], row["isInitialEntry"]) == (4, -2, True, True)
    none = await holder.post("/v1/api/accounts/apex-7/positions/reverse", json={"instrument": "ES"})
    assert none.status_code == 400
    assert none.json()["error"] == "No position found for instrument 'ES 12-25' in account 'Apex-7'"


async def test_reverse_position(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    placed(await holder.post(f"{POSITIONS}/reverseposition", json=order(action="SELL", quantity=1)))
    await desk.settle()
    assert await held(holder) == ("Short", 1)


# -- accounts


async def test_accounts(holder: httpx.AsyncClient) -> None:
    body = (await holder.get("/v1/api/accounts")).json()
    by_name = {row["name"]: row for row in body["accounts"]}
    assert (set(by_name), body["success"]) == ({"Sim101", "Apex-7"}, True)
    row = by_name["Sim101"]
    assert list(row) == list(EXAMPLE_ACCOUNT)
    assert list(row["item"]) == list(EXAMPLE_ACCOUNT["item"])
    assert (await holder.get("/v1/api/accounts/sim101")).json() == {**row, "success": True}
    assert row["provider"] == "Simulator"
    assert row["connectionStatus"] == "Connected"
    assert by_name["Apex-7"]["denomination"] == "Euro"


async def test_money(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    item = (await holder.get(ACCOUNT)).json()["item"]
    assert (item["cashValue"], item["commission"], item["unrealizedProfitLoss"]) == (99995.5, 4.5, -25.0)
    assert item["netLiquidation"] == 99970.5
    assert item["buyingPower"] == item["excessInitialMargin"] == 99970.5 - item["initialMargin"]
    await desk.quote("5806.50", "5806.75")
    await holder.post(f"{POSITIONS}/close", json={"instrument": "ES"})
    await desk.settle()
    item = (await holder.get(ACCOUNT)).json()["item"]
    assert (item["grossRealizedProfitLoss"], item["realizedProfitLoss"]) == (200.0, 191.0)
    assert item["cashValue"] == item["netLiquidation"] == item["buyingPower"] == 100191.0
    assert item["sodCashValue"] == 100000.0


async def test_the_summary(desk: TradingHouse, holder: httpx.AsyncClient) -> None:
    body = (await holder.get("/v1/api/accounts/snapshot")).json()
    assert list(body) == ["type", "timestamp", "epoch", "accounts"]
    assert body["type"] == "snapshot"
    assert body["timestamp"].startswith("2025-10-09T")
    assert body["epoch"] == desk.clock.now_us() // 1000
    by_name = {row["account"]["name"]: row for row in body["accounts"]}
    assert by_name["Sim101"]["positions"] == [LONG_2]
    assert by_name["Sim101"]["account"]["isAccountFlat"] is False
    assert (by_name["Apex-7"]["positions"], by_name["Apex-7"]["account"]["isAccountFlat"]) == ([], True)

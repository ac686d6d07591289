"""Orders over REST against the paper venue: what is sent, what comes back, to the letter."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gesta.apis.crosstrade import orders
from tests.wire.crosstrade.trading_house import TradingHouse, order, placed

ACCOUNT = "/v1/api/accounts/Sim101"
ORDERS = f"{ACCOUNT}/orders"
PLACE = f"{ORDERS}/place"


async def state_of(client: httpx.AsyncClient, order_id: str) -> str:
    reply = await client.get(f"{ORDERS}/{order_id}/status")
    assert reply.status_code == 200, reply.text
    assert reply.json()["success"] is True
    return str(reply.json()["status"])


async def test_a_market_order_fills_and_reads_as_ninjatraders(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(quantity=2, name="Entry", orderId="my-1")))
    await desk.settle()
    reply = await trader.get(f"{ORDERS}/{order_id}")
    assert reply.text == (
        f'{{"account":"Sim101","orderId":"{order_id}","instrument":"ES 12-25","instrumentType":"Future",'
        '"orderType":"Market","orderState":"Filled","quantity":2,"averageFillPrice":5804.5,"filled":2,'
        '"fromEntrySignal":null,"gtd":"2099-12-01T00:00:00.0000000","hasOverfill":false,"isBacktestOrder":false,'
        '"limitPrice":0.0,"limitPriceChanged":0.0,"name":"Entry","oco":"","orderAction":"Buy","quantityChanged":0,'
        '"serverName":"HOST-1","stopPrice":0.0,"stopPriceChanged":0.0,"time":"2025-10-09T03:53:21.0000000",'
        '"epoch":1760000001000,"timeInForce":"Day","originalOrderId":"my-1","strategy":null,"reduceOnly":false,'
        '"stopLossTicks":null,"takeProfitTicks":null,"entryOrderId":null,"replacesOrderId":null,"isTriggered":false,'
        '"isGap":false,"isExpired":false,"reason":null,"updatedEpoch":1760000001000,"success":true}'
    )
    assert (await trader.get(f"{ORDERS}/my-1")).text == reply.text


async def test_its_execution_is_the_seeds(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    """Every key, its type and its place as seeds 000 and 001 have them."""
    await trader.post(PLACE, json=order(quantity=2, name="Entry"))
    exit_id = placed(await trader.post(PLACE, json=order(action="Sell", quantity=2, orderType="Market", name="Exit")))
    await desk.settle()
    listed = await trader.get(f"{ACCOUNT}/executions")
    row = listed.json()["executions"][0]
    assert len(row["id"]) == 32
    text = (
        f'{{"id":"{row["id"]}","type":"NinjaTrader.Cbi.Execution","time":"2025-10-09T03:53:21.0000000",'
        f'"epoch":1760000001000,"name":"Exit","orderId":"{exit_id}","account":"Sim101","serverName":"HOST-1",'
        '"instrument":"ES 12-25","instrumentType":"Future","position":0,"marketPosition":"Short",'
        '"positionStrategy":0,"price":5804.25,"quantity":2,"rate":1.0,"commission":"4.50","slippage":0.0,'
        '"lotSize":1.0,"isEntry":false,"isEntryStrategy":false,"isExit":true,"isExitStrategy":true,'
        '"isInitialEntry":false,"isLastExit":true,"isSod":false,"barsInProgress":0,"exchange":"Default"'
    )
    assert listed.text.startswith('{"executions":[' + text + "}")
    assert (await trader.get(f"{ACCOUNT}/executions/{row['id']}")).text == text + ',"success":true}'
    of_order = (await trader.get(f"{ORDERS}/{exit_id}/executions")).json()
    assert of_order == {"executions": [row], "success": True}


async def test_flags_of_scaling_and_reversing(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    for action, quantity in (("BUY", 1), ("BUY", 1), ("SELL", 1), ("SELL", 3), ("BUY", 2)):
        await desk.quote("5804.25", "5804.50")
        await trader.post(PLACE, json=order(action=action, quantity=quantity))
        await desk.settle()
    rows = (await trader.get(f"{ACCOUNT}/executions")).json()["executions"][::-1]
    keys = ("position", "marketPosition", "isEntry", "isExit", "isInitialEntry", "isLastExit")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        (1, "Long", True, False, True, False),
        (2, "Long", True, False, False, False),
        (1, "Short", False, True, False, False),
        (-2, "Short", True, True, True, False),
        (0, "Long", False, True, False, True),
    ]


@pytest.mark.parametrize(
    ("terms", "printed"),
    [
        ({"orderType": "limit", "limitPrice": 5790}, ("Limit", "Working", 5790.0, 0.0, "Day")),
        ({"orderType": "Limit", "limitPrice": "5790.25", "stopPrice": 0}, ("Limit", "Working", 5790.25, 0.0, "Day")),
        ({"orderType": "STOPMARKET", "stopPrice": 5820.75}, ("StopMarket", "Accepted", 0.0, 5820.75, "Day")),
        (
            {"orderType": "StopLimit", "stopPrice": 5820, "limitPrice": 5821, "timeInForce": "Gtc"},
            ("StopLimit", "Accepted", 5821.0, 5820.0, "Gtc"),
        ),
        ({"orderType": "MIT", "stopPrice": 5790}, ("MIT", "Accepted", 0.0, 5790.0, "Day")),
        ({"orderType": "MarketIfTouched", "stopPrice": 5790}, ("MIT", "Accepted", 0.0, 5790.0, "Day")),
        ({"orderType": "LIMIT", "limitPrice": 5790, "timeInForce": "IOC"}, ("Limit", "Cancelled", 5790.0, 0.0, "Ioc")),
        (
            {"orderType": "LIMIT", "limitPrice": 5804.5, "quantity": 2, "timeInForce": "fok"},
            ("Limit", "Cancelled", 5804.5, 0.0, "Fok"),
        ),
        ({"action": "buy", "orderType": "market", "timeInForce": None}, ("Market", "Filled", 0.0, 0.0, "Day")),
    ],
)
async def test_types_and_times(
    desk: TradingHouse, trader: httpx.AsyncClient, terms: dict[str, Any], printed: tuple[Any, ...]
) -> None:
    await desk.quote("5804.25", "5804.50", size=1)
    order_id = placed(await trader.post(PLACE, json=order(**terms)))
    await desk.settle()
    row = (await trader.get(f"{ORDERS}/{order_id}")).json()
    keys = ("orderType", "orderState", "limitPrice", "stopPrice", "timeInForce")
    assert tuple(row[key] for key in keys) == printed


async def test_the_same_client_id_is_the_same_order(trader: httpx.AsyncClient) -> None:
    terms = order(orderType="LIMIT", limitPrice=5790, orderId="abc")
    first = placed(await trader.post(PLACE, json=terms))
    assert placed(await trader.post(PLACE, json=terms)) == first
    other = await trader.post(PLACE, json={**terms, "quantity": 2})
    assert (other.status_code, other.json()["error"]) == (400, "conflict")
    assert len((await trader.get(ORDERS)).json()["orders"]) == 1


async def test_a_bracket_comes_with_the_fill(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    for terms in (
        {"stopLossTicks": 8, "takeProfitTicks": 16},
        {"bracket": {"stopLossTicks": 8, "takeProfitTicks": 16}},
    ):
        order_id = placed(await trader.post(PLACE, json=order(quantity=2, **terms)))
        await desk.settle()
        rows = [
            row
            for row in (await trader.get(f"{ORDERS}?activeOnly=true")).json()["orders"]
            if row["entryOrderId"] == order_id
        ]
        keys = ("name", "orderType", "stopPrice", "limitPrice", "quantity", "orderAction", "timeInForce", "reduceOnly")
        assert sorted(tuple(row[key] for key in keys) for row in rows) == [
            ("Stop1", "StopMarket", 5802.5, 0.0, 2, "Sell", "Gtc", True),
            ("Target1", "Limit", 0.0, 5808.5, 2, "Sell", "Gtc", True),
        ]
        assert len({row["oco"] for row in rows}) == 1
        await trader.post(f"{ACCOUNT}/positions/flatten", json={})
        await desk.settle()


async def test_cancel(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5790, orderId="mine")))
    reply = await trader.post(f"{ORDERS}/{order_id}/cancel", json={})
    assert reply.json() == {"orderId": order_id, "success": True}
    await desk.settle()
    assert await state_of(trader, order_id) == "Cancelled"
    again = await trader.post(f"{ORDERS}/{order_id}/cancel")
    assert again.status_code == 400
    assert again.json()["error"] == f"Order linked to '{order_id}' not found or already terminal."
    unknown = await trader.post(f"{ORDERS}/nothing/cancel", json={})
    assert unknown.json() == {
        "success": False,
        "error": "Order linked to 'nothing' not found or already terminal.",
        "detail": "Order linked to 'nothing' not found or already terminal.",
    }


async def test_cancel_by_the_callers_own_id(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5790, orderId="mine")))
    assert (await trader.post(f"{ORDERS}/mine/cancel", json={})).json() == {"orderId": "mine", "success": True}
    await desk.settle()
    assert await state_of(trader, order_id) == "Cancelled"


async def test_cancel_many(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    await desk.quote("20000.00", "20000.25", instrument="NQ")
    resting = order(orderType="LIMIT", limitPrice=5700)
    es = [placed(await trader.post(PLACE, json=resting)) for _ in range(2)]
    nq = placed(await trader.post(PLACE, json={**resting, "instrument": "NQ 12-25"}))
    other = placed(await trader.post("/v1/api/accounts/Apex-7/orders/place", json=resting))
    one = await trader.post(f"{ORDERS}/cancel", json={"instrument": "ESZ5"})
    assert sorted(one.json().pop("orderIds")) == sorted(es)
    assert list(one.json()) == ["orderIds", "success"]
    assert (await trader.post(f"{ORDERS}/cancel")).json() == {"orderIds": [nq], "success": True}
    assert (await trader.post("/v1/api/orders/cancelall")).json() == {"orderIds": [other], "success": True}
    assert (await trader.post("/v1/api/orders/cancelall", json={})).json() == {"orderIds": [], "success": True}


async def test_change(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5790, strategy="Ladder")))
    for method, change in (("PUT", {"limitPrice": 5791.25, "stopPrice": 0}), ("POST", {"quantity": "3"})):
        reply = await trader.request(method, f"{ORDERS}/{order_id}/change", json=change)
        assert reply.json() == {"orderId": order_id, "success": True}
        await desk.settle()
    row = (await trader.get(f"{ORDERS}/{order_id}")).json()
    assert (row["limitPrice"], row["quantity"], row["orderState"]) == (5791.25, 3, "Working")
    wrong = await trader.put(f"{ORDERS}/{order_id}/change", json={"limitPrice": 5791, "strategyId": "Other"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "conflict")
    right = await trader.put(f"{ORDERS}/{order_id}/change", json={"limitPrice": 5791, "strategyId": "Ladder"})
    assert right.status_code == 200
    nothing = await trader.put(f"{ORDERS}/{order_id}/change", json={"limitPrice": 0})
    assert (nothing.status_code, nothing.json()["error"]) == (400, "invalid_quantity")


async def test_replace(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5790)))
    following = placed(
        await trader.post(f"{ORDERS}/{order_id}/replace", json=order(orderType="LIMIT", limitPrice=5780, quantity=3))
    )
    await desk.settle()
    assert following != order_id
    assert await state_of(trader, order_id) == "Cancelled"
    row = (await trader.get(f"{ORDERS}/{following}")).json()
    assert (row["limitPrice"], row["quantity"], row["replacesOrderId"]) == (5780.0, 3, order_id)


async def test_flat_place(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    await trader.post(PLACE, json=order(quantity=2))
    await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5790))
    await desk.settle()
    order_id = placed(await trader.post(f"{ORDERS}/flatplace", json=order(action="SELL", quantity=3)))
    await desk.settle()
    assert await state_of(trader, order_id) == "Filled"
    position = (await trader.get(f"{ACCOUNT}/position", params={"instrument": "ES"})).json()
    assert (position["marketPosition"], position["quantity"]) == ("Short", 3)
    assert (await trader.get(f"{ORDERS}?working=true")).json()["orders"] == []


async def test_cancel_and_bracket(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    protection = {"instrument": "ES", "action": "Buy", "quantity": 5, "stopLoss": 5790.25, "takeProfit": 5820.5}
    naked = await trader.post(f"{ORDERS}/cancel_and_bracket", json=protection)
    assert (naked.status_code, naked.json()["error"]) == (400, "conflict")
    await trader.post(PLACE, json=order(quantity=2))
    old = placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5700)))
    await desk.settle()
    body = (await trader.post(f"{ORDERS}/cancel_and_bracket", json=protection)).json()
    await desk.settle()
    assert body["orderIds"] == [body["stopLossOrderId"], body["takeProfitOrderId"]]
    rows = [(await trader.get(f"{ORDERS}/{each}")).json() for each in body["orderIds"]]
    assert [(row["orderAction"], row["quantity"], row["oco"]) for row in rows] == [("Sell", 2, body["ocoId"])] * 2
    assert (rows[0]["stopPrice"], rows[1]["limitPrice"]) == (5790.25, 5820.5)
    assert await state_of(trader, old) == "Cancelled"
    await desk.quote("5820.75", "5821.00")
    assert [await state_of(trader, each) for each in body["orderIds"]] == ["Cancelled", "Filled"]
    wrong_side = await trader.post(f"{ORDERS}/cancel_and_bracket", json={**protection, "action": "SELL"})
    assert wrong_side.status_code == 400


async def test_lists_and_pages(desk: TradingHouse, trader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [
        placed(await trader.post(PLACE, json=order(orderType="LIMIT", limitPrice=5700 + number))) for number in range(4)
    ]
    listed = (await trader.get(ORDERS)).json()
    assert list(listed) == ["orders", "success"]
    assert [row["orderId"] for row in listed["orders"]] == ids[::-1]
    seen: list[str] = []
    params = {"limit": "2"}
    while True:
        page = (await trader.get(ORDERS, params=params)).json()
        seen += [row["orderId"] for row in page["orders"]]
        if page["nextCursor"] is None:
            break
        params = {"limit": "2", "cursor": page["nextCursor"]}
    assert seen == ids[::-1]
    await trader.post(f"{ORDERS}/{ids[0]}/cancel")
    await desk.settle()
    active = [(await trader.get(f"{ORDERS}?{word}=true")).json()["orders"] for word in ("activeOnly", "working")]
    assert [[row["orderId"] for row in rows] for rows in active] == [ids[:0:-1]] * 2
    assert len((await trader.get(f"{ORDERS}?activeOnly=false")).json()["orders"]) == 4
    monkeypatch.setattr(orders, "MAX_REPLY_ORDERS", 3)
    monkeypatch.setattr(orders, "MAX_PAGE", 2)
    cut = (await trader.get(ORDERS)).json()
    assert [row["orderId"] for row in cut["orders"]] == ids[:0:-1]
    assert (await trader.get(f"{ORDERS}?cursor={cut['nextCursor']}")).json()["orders"][0]["orderId"] == ids[0]


@pytest.mark.parametrize(
    "query", ["cursor=", "cursor=x", "cursor=o", "cursor=o99999999999999999999", "limit=0", "limit=x"]
)
async def test_bad_pages(trader: httpx.AsyncClient, query: str) -> None:
    reply = await trader.get(f"{ORDERS}?{query}")
    assert (reply.status_code, reply.json()["error"]) == (400, "Invalid request")


async def test_the_life_of_an_order(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(quantity=2, orderId="mine")))
    await desk.settle()
    for id_ in (order_id, "mine"):
        body = (await trader.get(f"{ORDERS}/{id_}/lifecycle")).json()
        assert list(body) == ["success", "orderId", "originalOrderId", "account", "count", "events"]
        assert (body["orderId"], body["originalOrderId"], body["account"]) == (order_id, "mine", "Sim101")
        assert body["count"] == len(body["events"])
        told = [(each["source"], each["event"], each["orderState"]) for each in body["events"]]
        assert told[0] == ("api_received", "PlaceOrder", None)
        assert told[-2] == ("order_update", "OrderFilled", "Filled")
        assert told[-1] == ("execution", "Fill", None)
    first, fill = body["events"][0], body["events"][-1]
    assert (first["timestamp"], first["epoch"]) == ("2025-10-09T08:53:21.000Z", 1760000001000.0)
    assert '"epoch":1760000001000.0' in (await trader.get(f"{ORDERS}/mine/lifecycle")).text
    assert (fill["price"], fill["quantity"]) == (5804.5, 2)
    assert "raw" not in first
    without = (await trader.get(f"{ORDERS}/mine/lifecycle?includeFills=false&includeRaw=true")).json()["events"]
    assert [each["event"] for each in without] == [each["event"] for each in body["events"][:-1]]
    assert all(isinstance(each["raw"], dict) for each in without)
    # No room, no fills; far too much asked for is the most there is.
    few = (await trader.get(f"{ORDERS}/mine/lifecycle?limit=2")).json()
    assert [each["source"] for each in few["events"]] == ["api_received", "desk"]
    assert (await trader.get(f"{ORDERS}/mine/lifecycle?limit=999999")).json() == body


async def test_an_order_that_is_not_there(trader: httpx.AsyncClient) -> None:
    for path in ("", "/status", "/lifecycle"):
        reply = await trader.get(f"{ORDERS}/nothing{path}")
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_order")
    change = await trader.put(f"{ORDERS}/nothing/change", json={"quantity": 1})
    replace = await trader.post(f"{ORDERS}/nothing/replace", json=order())
    assert [(each.status_code, each.json()["error"]) for each in (change, replace)] == [(400, "invalid_order")] * 2
    assert (await trader.get(f"{ORDERS}/nothing/executions")).json() == {"executions": [], "success": True}


async def test_a_rejection_is_told_by_the_order(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    order_id = placed(await trader.post(PLACE, json=order(quantity=1000)))
    await desk.settle()
    row = (await trader.get(f"{ORDERS}/{order_id}")).json()
    assert row["orderState"] == "Rejected"
    assert row["reason"]

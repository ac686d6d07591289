"""Bad input to the commands that trade: this dialect's own error, nothing done, never a 500; and who may do what."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from gesta.access.model import AccountType, Principal
from gesta.apis.crosstrade.bodies import MAX_BODY_BYTES
from gesta.apis.crosstrade.commands import COMMANDS
from tests.wire.crosstrade.trading_house import TradingHouse, order, placed

ACCOUNT = "/v1/api/accounts/Sim101"
PLACE = f"{ACCOUNT}/orders/place"
WRITES = [command for command in COMMANDS if command.scope == "trade"]


def refused(reply: httpx.Response, error: str, status: int = 400) -> str:
    body = reply.json()
    assert (reply.status_code, body["success"], body["error"]) == (status, False, error), reply.text
    assert isinstance(body["detail"], str)
    return str(body["detail"])


async def nothing_done(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{ACCOUNT}/orders")).json()["orders"] == []


LIMIT = {"orderType": "LIMIT", "limitPrice": 5800}
HUGE = 10**30


@pytest.mark.parametrize(
    ("terms", "error", "says"),
    [
        ({"instrument": None}, "invalid_instrument", "missing"),
        ({"instrument": ""}, "invalid_instrument", "missing"),
        ({"instrument": "ABC 12-25"}, "invalid_instrument", "ES"),
        ({"instrument": ["ES"]}, "invalid_instrument", "text"),
        ({"instrument": "E\u0000S"}, "invalid_instrument", "printable"),
        ({"instrument": "\ud800"}, "Invalid request", "JSON"),
        ({"instrument": "E" * 5000}, "invalid_instrument", "64"),
        ({"action": None}, "invalid_action", "BUY, SELL"),
        ({"action": "HOLD"}, "invalid_action", "BUY, SELL"),
        ({"action": 1}, "invalid_action", "BUY, SELL"),
        ({"action": {}}, "invalid_action", "BUY, SELL"),
        ({"quantity": None}, "invalid_quantity", "missing"),
        ({"quantity": 0}, "invalid_quantity", "above 0"),
        ({"quantity": -1}, "invalid_quantity", "above 0"),
        ({"quantity": "-1"}, "invalid_quantity", "above 0"),
        ({"quantity": 1.5}, "invalid_quantity", "lot size"),
        ({"quantity": HUGE}, "invalid_quantity", "larger"),
        ({"quantity": 10**15}, "invalid_quantity", "too large"),
        ({"quantity": 1e-30}, "invalid_quantity", "finer"),
        ({"quantity": "NaN"}, "invalid_quantity", "number"),
        ({"quantity": "Infinity"}, "invalid_quantity", "number"),
        ({"quantity": "1e3"}, "invalid_quantity", "number"),
        ({"quantity": "0x10"}, "invalid_quantity", "number"),
        ({"quantity": "٣"}, "invalid_quantity", "number"),
        ({"quantity": True}, "invalid_quantity", "number"),
        ({"quantity": [1]}, "invalid_quantity", "number"),
        ({"orderType": None}, "invalid_order_type", "MARKET, LIMIT, STOPMARKET, STOPLIMIT"),
        ({"orderType": "TRAILING"}, "invalid_order_type", "MARKET, LIMIT, STOPMARKET, STOPLIMIT"),
        ({"timeInForce": "GTD"}, "invalid_time_in_force", "DAY, GTC, IOC, FOK"),
        ({"orderType": "STOPMARKET", "stopPrice": 5900, "timeInForce": "IOC"}, "invalid_time_in_force", "day or gtc"),
        ({"orderType": "LIMIT"}, "invalid_limit_price", "`limitPrice` is missing"),
        ({"orderType": "LIMIT", "limitPrice": 0}, "invalid_limit_price", "`limitPrice` is missing"),
        ({"orderType": "LIMIT", "limitPrice": 5800.1}, "invalid_limit_price", "use 5800.00 or 5800.25"),
        ({"orderType": "LIMIT", "limitPrice": -5800}, "invalid_limit_price", "above 0"),
        ({"orderType": "LIMIT", "limitPrice": HUGE}, "invalid_limit_price", "larger"),
        ({"orderType": "LIMIT", "limitPrice": "a lot"}, "invalid_limit_price", "number"),
        ({"orderType": "STOPMARKET"}, "invalid_stop_price", "`stopPrice` is missing"),
        ({"orderType": "STOPLIMIT", "limitPrice": 5800}, "invalid_stop_price", "`stopPrice` is missing"),
        ({"orderType": "STOPMARKET", "stopPrice": 5800.3}, "invalid_stop_price", "use 5800.25 or 5800.50"),
        ({"limitPrice": 5800}, "invalid_limit_price", "LIMIT, STOPLIMIT"),
        ({**LIMIT, "stopPrice": 5800}, "invalid_stop_price", "STOPMARKET"),
        ({"ocoId": "x" * 65}, "invalid_oco_id", "64"),
        ({"requireMarketPosition": "long"}, "market_position_mismatch", "is flat"),
        ({"requireMarketPosition": "long, short"}, "market_position_mismatch", "long or short"),
        ({"requireMarketPosition": "sideways"}, "invalid_require_market_position", "LONG, SHORT, FLAT"),
        ({"requireMarketPosition": 1}, "invalid_require_market_position", "flat, long, short"),
        ({"maxPositions": 0}, "invalid_max_positions", "from 1"),
        ({"maxPositions": 1.5}, "invalid_max_positions", "whole"),
        ({"reduceOnly": "perhaps"}, "Invalid request", "true or false"),
        ({"stopLossTicks": 0}, "invalid_stop_loss_ticks", "from 1"),
        ({"takeProfitTicks": 2.5}, "invalid_take_profit_ticks", "whole"),
        ({"stopLossTicks": 8, "reduceOnly": True}, "invalid_bracket", "reduce-only"),
        ({"bracket": 8}, "invalid_bracket", "object"),
        ({"bracket": {"stop": 8}}, "Invalid request", "stopLossTicks"),
        ({"bracket": {"stopLossTicks": 8}, "stopLossTicks": 8}, "invalid_stop_loss_ticks", "twice"),
        ({"name": "x\ny"}, "Invalid request", "printable"),
        ({"orderId": {"a": 1}}, "Invalid request", "text"),
        ({"account": "Apex-7"}, "Invalid request", "path"),
        # What callers write for something that is there: ignored, it would be another trade.
        ({"qty": 3}, "Invalid request", "`quantity`"),
        ({"limit_price": 5800}, "Invalid request", "`limitPrice`"),
        ({"LimitPrice": 5800}, "Invalid request", "`limitPrice`"),
        ({"price": 5800}, "Invalid request", "`limitPrice`"),
        ({"tif": "GTC"}, "Invalid request", "`timeInForce`"),
        ({"stopLoss": 5790}, "Invalid request", "`stopLossTicks`"),
        ({"take_profit": 5790}, "Invalid request", "`takeProfitTicks`"),
        ({"trailingStop": 5}, "Invalid request", "`stopLossTicks`"),
    ],
)
async def test_terms(trader: httpx.AsyncClient, terms: dict[str, Any], error: str, says: str) -> None:
    text = json.dumps({**order(), **terms})
    assert says in refused(await trader.post(PLACE, content=text.encode()), error)
    await nothing_done(trader)


async def test_what_changes_nothing_is_ignored(trader: httpx.AsyncClient) -> None:
    extra = {"comment": "hi", "clientTime": 1, "tag": None, "qty": None, "account": "SIM101", "notes": [1, {"a": 2}]}
    placed(await trader.post(PLACE, json={**order(), **extra}))


async def test_a_number_keeps_its_digits(trader: httpx.AsyncClient) -> None:
    """5804.250000000000000001 is no 5804.25, though no double knows."""
    body = b'{"instrument":"ES","action":"BUY","quantity":1,"orderType":"LIMIT","limitPrice":5804.25%s}'
    assert "multiple" in refused(await trader.post(PLACE, content=body % b"0000000000001"), "invalid_limit_price")
    placed(await trader.post(PLACE, content=body % b"0000"))
    placed(await trader.post(PLACE, content=body.replace(b"5804.25%s", b"5.80425e3")))


BODIES = {
    "nothing": (b"", "invalid_instrument"),
    "spaces": (b"  \n", "invalid_instrument"),
    "null": (b"null", "Invalid request"),
    "array": (b"[]", "Invalid request"),
    "text": (b'"x"', "Invalid request"),
    "number": (b"1", "Invalid request"),
    "half": (b'{"instrument":', "Invalid request"),
    "form": (b"instrument=ES&action=BUY", "Invalid request"),
    "NaN": (b'{"quantity": NaN}', "Invalid request"),
    "not UTF-8": (b'{"instrument": "\xff"}', "Invalid request"),
    "deep": (b"[" * 10_000, "Invalid request"),
    "deep inside": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "Invalid request"),
    "exponent": (b'{"quantity": 1e999999999999999999999}', "Invalid request"),
    "long number": (b'{"quantity": ' + b"9" * 5000 + b"}", "Invalid request"),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_bodies(trader: httpx.AsyncClient, kind: str) -> None:
    body, error = BODIES[kind]
    refused(await trader.post(PLACE, content=body), error)
    await nothing_done(trader)


async def test_a_body_that_is_too_large(trader: httpx.AsyncClient) -> None:
    body = json.dumps({**order(), "comment": "x" * MAX_BODY_BYTES}).encode()
    refused(await trader.post(PLACE, content=body), "too_large", 413)
    await nothing_done(trader)


@pytest.mark.parametrize(
    "number", [10**400, -(10**400), "9" * 400, 1e308, -1e308, 5e-324, "0." + "0" * 30 + "1", "-", ".", "+", "1.", " "]
)
@pytest.mark.parametrize("name", ["quantity", "limitPrice", "stopPrice", "maxPositions", "stopLossTicks"])
async def test_strange_numbers(trader: httpx.AsyncClient, name: str, number: Any) -> None:
    reply = await trader.post(PLACE, content=json.dumps({**order(**LIMIT), name: number}).encode())
    assert reply.status_code in (200, 400), reply.text
    assert reply.status_code == 400 or str(number).strip() in ("", "1.")


async def test_the_largest_of_everything(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    reply = await trader.post(PLACE, json=order(quantity=10**12, orderType="LIMIT", limitPrice=0.25))
    order_id = placed(reply)
    await desk.settle()
    row = (await trader.get(f"{ACCOUNT}/orders/{order_id}")).json()
    assert (row["orderState"], row["quantity"]) == ("Rejected", 10**12)


# -- who


def _path(template: str, account: str = "Sim101") -> str:
    return template.replace("{account}", account).replace("{orderId}", "o1").replace("{executionId}", "e1")


BODY = {
    "PlaceOrder": order(),
    "FlatPlace": order(),
    "CancelReplace": order(),
    "ReversePosition": order(),
    "Change": {"quantity": 1},
    "CancelAndBracket": {"instrument": "ES", "stopLoss": 5700},
    "ClosePosition": {"instrument": "ES"},
    "Reverse": {"instrument": "ES"},
    "GetBars": {"instrument": "ES"},
}


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if "{account}" in each.path], ids=lambda each: each.operation_id
)
async def test_another_organizations_account_is_as_unknown_as_any(trader: httpx.AsyncClient, command: Any) -> None:
    params = {"instrument": "ES"} if "instrument" in command.query_names else None
    body = None if command.method == "GET" else BODY.get(command.api, {})
    answers = []
    for account in ("Rival1", "Nobody1"):
        reply = await trader.request(command.method, _path(command.path, account), params=params, json=body)
        assert refused(reply, "invalid_account") == f"Account {account} not found"
        answers.append(reply.text.replace(account, ""))
    assert answers[0] == answers[1]


async def test_an_account_in_a_body(trader: httpx.AsyncClient) -> None:
    for path in ("/v1/api/positions/flatten", "/v1/api/orders/cancelall"):
        assert refused(await trader.post(path, json={"account": "Rival1"}), "invalid_account")
        refused(await trader.post(path, json={"account": 5}), "invalid_account")
        refused(await trader.post(path, json={"account": ["Sim101"]}), "Invalid request")


async def test_what_is_everybodys_is_the_callers_own(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    """Commands over all accounts never reach another organization."""
    async with desk.client("rival") as rival:
        mine = placed(await rival.post("/v1/api/accounts/Rival1/orders/place", json=order(quantity=2)))
        resting = placed(
            await rival.post("/v1/api/accounts/Rival1/orders/place", json=order(orderType="LIMIT", limitPrice=5700))
        )
        await desk.settle()
        before = (await rival.get("/v1/api/accounts/Rival1/orders")).json()
        assert (await trader.post("/v1/api/orders/cancelall")).json()["orderIds"] == []
        assert (await trader.post("/v1/api/positions/flatten")).json()["closedPositions"] == []
        for id_ in (mine, resting):
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/status", None),
                ("GET", "/lifecycle", None),
                ("PUT", "/change", {"quantity": 5}),
                ("POST", "/replace", order()),
            ):
                reply = await trader.request(method, f"{ACCOUNT}/orders/{id_}{path}", json=body)
                refused(reply, "invalid_order")
            gone = f"Order linked to '{id_}' not found or already terminal."
            refused(await trader.post(f"{ACCOUNT}/orders/{id_}/cancel"), gone)
        assert (await trader.get("/v1/api/positions")).json()["positions"] == []
        for path in ("/v1/api/accounts", "/v1/api/accounts/snapshot"):
            assert "Rival1" not in (await trader.get(path)).text
        await desk.settle()
        assert (await rival.get("/v1/api/accounts/Rival1/orders")).json() == before


async def test_a_reader_may_not_trade(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    placed(await trader.post(PLACE, json=order()))
    await desk.settle()
    async with desk.client("mine_read") as reader:
        for command in WRITES:
            reply = await reader.request(command.method, _path(command.path), json=BODY.get(command.api, {}))
            assert "trade" in refused(reply, "forbidden", 403)
        assert (await reader.get(f"{ACCOUNT}/positions")).json()["positions"][0]["quantity"] == 1


async def test_a_bound_credential_reaches_its_account_only(
    desk: TradingHouse, trader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(await trader.post(PLACE, json=order()))
    placed(await trader.post("/v1/api/accounts/Apex-7/orders/place", json=order()))
    await desk.settle()
    access = desk.core.access
    apex = await access.account(desk.organizations["mine"].id, "Apex-7", AccountType.TRADING)
    whole = access.bearer

    async def bound(secret: str) -> Principal:
        return msgspec.structs.replace(await whole(secret), account=apex)

    monkeypatch.setattr(access, "bearer", bound)
    refused(await trader.post(PLACE, json=order()), "invalid_account")
    refused(await trader.get(f"{ACCOUNT}/orders"), "invalid_account")
    assert [row["name"] for row in (await trader.get("/v1/api/accounts")).json()["accounts"]] == ["Apex-7"]
    assert (await trader.get("/v1/api/positions")).json()["count"] == 1
    closed = (await trader.post("/v1/api/positions/flatten")).json()["closedPositions"]
    assert [row["account"] for row in closed] == ["Apex-7"]


# -- paths that callers invent


@pytest.mark.parametrize(
    ("method", "path", "status", "meant"),
    [
        ("GET", "/v1/api/orders", 404, "/v1/api/accounts/{account}/orders"),
        ("POST", "/v1/api/orders", 404, "/v1/api/accounts/{account}/orders/place"),
        ("DELETE", "/v1/api/orders", 404, "/v1/api/orders/cancelall"),
        ("POST", f"{ACCOUNT}/orders", 405, f"{ACCOUNT}/orders/place"),
        ("DELETE", f"{ACCOUNT}/orders/o1", 405, f"{ACCOUNT}/orders/o1/cancel"),
        ("PATCH", f"{ACCOUNT}/orders/o1", 405, f"{ACCOUNT}/orders/o1/change"),
        ("DELETE", f"{ACCOUNT}/positions/ES", 404, f"{ACCOUNT}/positions/close"),
        ("GET", f"{ACCOUNT}/fills", 404, f"{ACCOUNT}/executions"),
        ("GET", f"{ACCOUNT}/orders/o1/fills", 404, f"{ACCOUNT}/orders/o1/executions"),
        ("GET", "/v1/api/position", 404, "/v1/api/positions"),
        ("GET", PLACE, 400, None),
        ("POST", "/v1/api/market/quotes", 404, "/v1/api/market/quote"),
        ("POST", f"{ACCOUNT}/order/place", 404, PLACE),
    ],
)
async def test_invented_calls(
    trader: httpx.AsyncClient, method: str, path: str, status: int, meant: str | None
) -> None:
    reply = await trader.request(method, path)
    assert reply.status_code == status, reply.text
    assert reply.json().get("did_you_mean") == meant

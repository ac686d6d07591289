"""The trading section: what it asks, what it reads, and that the sync and the async one do the same."""

from __future__ import annotations

import inspect
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gesta.client import AsyncTrading, BadRequest, NotFound, OrderTerms, ProtocolError, Trading
from gesta.client._trading_calls import Terms, pauses
from tests.unit.client.doubles import Scripted, problem

ORDER = {"orderId": "a" * 32, "orderState": "Working", "quantity": 2, "filled": 0}


def said(request: httpx.Request) -> tuple[str, str, Any]:
    """Method, path with its query as it went out, body."""
    return request.method, request.url.raw_path.decode(), json.loads(request.content or b"null")


def ok(**body: Any) -> httpx.Response:
    return httpx.Response(200, json={**body, "success": True})


def test_placing_says_everything_and_is_the_same_order_when_repeated() -> None:
    busy = httpx.Response(429, json={"error": "Rate limit exceeded"}, headers={"retry-after": "2"})
    server = Scripted([busy, httpx.ConnectError("cut"), ok(orderId="a" * 32)])
    with server.client() as gesta:
        terms: Terms = {"limit_price": "5804.25", "stop_ticks": 8, "target_ticks": 16, "time_in_force": "gtc"}
        terms |= {"reduce_only": True, "oco_id": "o1"}
        made = gesta.trading.place("Sim 101/x", "ES", "buy", 2, **terms)
    assert made["orderId"] == "a" * 32
    assert server.slept[0] == 2
    bodies = [said(request) for request in server.requests]
    assert bodies[0] == bodies[1] == bodies[2]
    method, path, body = bodies[0]
    assert (method, path) == ("POST", "/v1/api/accounts/Sim%20101%2Fx/orders/place")
    client_id = body.pop("orderId")
    assert len(client_id) == 32
    assert body == {
        "instrument": "ES",
        "action": "BUY",
        "quantity": 2,
        "orderType": "LIMIT",
        "timeInForce": "GTC",
        "limitPrice": 5804.25,
        "stopLossTicks": 8,
        "takeProfitTicks": 16,
        "reduceOnly": True,
        "ocoId": "o1",
    }


def test_two_orders_are_two() -> None:
    server = Scripted([ok(orderId="1"), ok(orderId="2"), ok(orderId="3")])
    with server.client() as gesta:
        for _ in range(2):
            gesta.trading.place("Sim101", "ES", "sell", Decimal("0.00000000000000000001"))
        gesta.trading.place("Sim101", "ES", "sell", 1, client_id="mine")
    first, second, third = (said(request)[2]["orderId"] for request in server.requests)
    assert first != second
    assert third == "mine"
    # Every digit of a decimal goes out.
    assert b"0.00000000000000000001" in server.requests[0].content or b"1E-20" in server.requests[0].content


@pytest.mark.parametrize(
    ("terms", "type"),
    [
        ({}, "MARKET"),
        ({"limit_price": 1}, "LIMIT"),
        ({"stop_price": 1}, "STOPMARKET"),
        ({"limit_price": 1, "stop_price": 2}, "STOPLIMIT"),
        ({"stop_price": 2, "order_type": "mit"}, "MIT"),
    ],
)
def test_the_type_follows_from_the_prices(terms: Any, type: str) -> None:
    assert OrderTerms(**terms).type == type


def test_the_keywords_are_the_terms() -> None:
    assert set(Terms.__annotations__) == set(OrderTerms.__struct_fields__)


@pytest.mark.parametrize("price", ["abc", "NaN", float("inf")])
def test_a_price_that_is_none_never_goes_out(price: Any) -> None:
    server = Scripted([])
    with server.client() as gesta, pytest.raises(ValueError, match="number"):
        gesta.trading.place("Sim101", "ES", "buy", 1, limit_price=price)
    assert server.requests == []


def test_the_rest_of_the_questions() -> None:
    server = Scripted(
        [
            *[ok(accounts=[{"name": "Sim101"}]), ok(accounts=[]), ok(cash="1"), ok(cash="2")],
            *[ok(orderId="x"), ok(orderId="y"), ok(orderIds=[]), ok(**ORDER), ok(events=[{"event": "PlaceOrder"}])],
            *[ok(positions=[]), ok(positions=[]), ok(orderIds=[]), ok(closedPositions=[]), ok(id="f"), ok(id="f")],
            *[ok(orderId="z")],
        ]
    )
    with server.client() as gesta:
        trading = gesta.trading
        assert trading.accounts() == [{"name": "Sim101"}]
        assert trading.snapshot() == []
        assert trading.funds("Sim101")["cash"] == "1"
        trading.configure("Sim101", cash=Decimal("100000.00"), max_position=10)
        trading.change("Sim101", "o", quantity=3, limit_price="1.25")
        trading.cancel("Sim101", "o")
        trading.cancel_orders("Sim101", instrument="ES")
        trading.order("Sim101", "o")
        assert trading.lifecycle("Sim101", "o") == [{"event": "PlaceOrder"}]
        trading.positions()
        trading.positions("Sim101")
        trading.flatten()
        trading.flatten("Sim101", instrument="ES")
        trading.bust("f", reason="r")
        trading.correct("f", reason="r", price=1.5)
        trading.replace("Sim101", "o", "ES", "sell", 1)
    assert [said(request) for request in server.requests] == [
        ("GET", "/v1/api/accounts", None),
        ("GET", "/v1/api/accounts/snapshot", None),
        ("GET", "/ledger/accounts/Sim101/funds", None),
        ("PATCH", "/ledger/accounts/Sim101/funds", {"cash": "100000.00", "max_position": "10"}),
        ("POST", "/v1/api/accounts/Sim101/orders/o/change", {"quantity": 3, "limitPrice": 1.25}),
        ("POST", "/v1/api/accounts/Sim101/orders/o/cancel", {}),
        ("POST", "/v1/api/accounts/Sim101/orders/cancel", {"instrument": "ES"}),
        ("GET", "/v1/api/accounts/Sim101/orders/o", None),
        ("GET", "/v1/api/accounts/Sim101/orders/o/lifecycle?limit=200", None),
        ("GET", "/v1/api/positions", None),
        ("GET", "/v1/api/accounts/Sim101/positions", None),
        ("POST", "/v1/api/positions/flatten", {}),
        ("POST", "/v1/api/positions/flatten", {"account": "Sim101", "instrument": "ES"}),
        ("POST", "/ledger/executions/f/bust", {"reason": "r"}),
        ("POST", "/ledger/executions/f/correct", {"reason": "r", "price": "1.5"}),
        (
            "POST",
            "/v1/api/accounts/Sim101/orders/o/replace",
            {"instrument": "ES", "action": "SELL", "quantity": 1, "orderType": "MARKET", "timeInForce": "DAY"},
        ),
    ]


def test_orders_come_page_after_page_and_fractions_are_exact() -> None:
    text = b'{"orders": [{"limitPrice": 5804.1234567890123456789}], "nextCursor": "c 1", "success": true}'
    server = Scripted([httpx.Response(200, content=text), ok(orders=[ORDER, ORDER])])
    with server.client() as gesta:
        rows = list(gesta.trading.orders("Sim101", working=True, limit=3))
    assert rows[0]["limitPrice"] == Decimal("5804.1234567890123456789")
    assert len(rows) == 3
    assert [said(request)[1] for request in server.requests] == [
        "/v1/api/accounts/Sim101/orders?working=true&limit=3",
        "/v1/api/accounts/Sim101/orders?working=true&limit=2&cursor=c+1",
    ]


def test_waiting_ends_with_the_order() -> None:
    states = ["Submitted", "Working", "PartFilled", "Filled"]
    server = Scripted([ok(**{**ORDER, "orderState": state}) for state in states])
    with server.client() as gesta:
        assert gesta.trading.wait("Sim101", "o")["orderState"] == "Filled"
    assert server.slept == [0.05, 0.1, 0.2]
    server = Scripted([ok(**{**ORDER, "orderState": state}) for state in states])
    with server.client() as gesta:
        assert gesta.trading.wait("Sim101", "o", final=False)["orderState"] == "Working"


def test_waiting_ends_with_the_time() -> None:
    server = Scripted([ok(**ORDER) for _ in range(9)])
    with server.client() as gesta:
        assert gesta.trading.wait("Sim101", "o", timeout_s=0.3)["orderState"] == "Working"
    assert sum(server.slept) == pytest.approx(0.3)
    assert list(pauses(0)) == []
    assert sum(pauses(60)) == pytest.approx(60)


def test_what_crosstrade_says_is_what_is_raised() -> None:
    refusals = [
        httpx.Response(400, json={"error": "Order linked to 'x' not found or already terminal."}),
        httpx.Response(
            404, json={"success": False, "error": "invalid_account", "detail": "No account.", "did_you_mean": "Sim101"}
        ),
        problem(409, "conflict"),
    ]
    server = Scripted(refusals)
    with server.client() as gesta:
        with pytest.raises(BadRequest, match="already terminal"):
            gesta.trading.cancel("Sim101", "x")
        with pytest.raises(NotFound) as refused:
            gesta.trading.orders("Sim11").__next__()
        assert (refused.value.detail, refused.value.did_you_mean) == ("No account.", "Sim101")
        assert refused.value.code == "invalid_account"
        with pytest.raises(Exception, match="said conflict") as conflict:
            gesta.trading.bust("f", reason="r")
        assert conflict.value.code == "conflict"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"orders": 1}', b"\xff"])
def test_an_answer_that_is_none(text: bytes) -> None:
    server = Scripted([httpx.Response(200, content=text)])
    with server.client() as gesta, pytest.raises(ProtocolError):
        list(gesta.trading.orders("Sim101"))


async def test_the_async_section_does_the_same() -> None:
    server = Scripted(
        [
            *[ok(orderId="a"), ok(**{**ORDER, "orderState": "Submitted"}), ok(**{**ORDER, "orderState": "Filled"})],
            *[ok(orders=[ORDER], nextCursor="c"), ok(orders=[ORDER]), ok(positions=[ORDER])],
        ]
    )
    async with server.async_client() as gesta:
        made = await gesta.trading.place("Sim101", "ES", "buy", 1, stop_price=2)
        assert (await gesta.trading.wait("Sim101", made["orderId"]))["orderState"] == "Filled"
        assert [row async for row in gesta.trading.orders("Sim101")] == [ORDER, ORDER]
        assert await gesta.trading.positions() == [ORDER]
    assert said(server.requests[0])[2]["orderType"] == "STOPMARKET"
    assert server.slept == [0.05]


def test_both_sections_have_the_same_methods() -> None:
    def shape(section: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in vars(section).items()
            if inspect.isfunction(method) and name != "__init__"
        }

    assert shape(Trading) == shape(AsyncTrading)

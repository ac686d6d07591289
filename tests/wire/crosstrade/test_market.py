"""Market data over REST, of a market that a test drives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.apis.crosstrade.examples import QUOTE
from tests.wire.crosstrade.trading_house import TradingHouse, trading_house

QUOTES = "/v1/api/market/quote"
BARS = "/v1/api/market/bars"
ES_QUOTE = {
    "description": "E-mini S&P 500 Futures",
    "type": "Future",
    "tickSize": 0.25,
    "pointValue": 50.0,
    "tickValue": 12.5,
    "exchange": "Globex",
    "expiration": "2025-12-01",
    "tradingHours": "cme_equity",
    "instrument": "ES 12-25",
    "bid": 5804.25,
    "ask": 5804.5,
    "last": 5804.25,
    "open": 5804.25,
    "high": 5804.25,
    "low": 5804.25,
    "close": None,
    "volume": 0,
    "quoteTime": "10/09/2025 08:53:21 AM",
    "quoteTimeUtc": "2025-10-09 08:53:21",
    "epoch": 1760000001,
    "dataSource": {"status": "Connected", "connectedFeeds": []},
    "isMarketOpen": True,
}


async def test_one_quote_is_an_object_without_success(trader: httpx.AsyncClient) -> None:
    reply = await trader.get(QUOTES, params={"instrument": "ES"})
    assert reply.json() == ES_QUOTE
    assert list(reply.json()) == list(ES_QUOTE) == list(QUOTE)
    assert '"tickSize":0.25,"pointValue":50.0,"tickValue":12.5,' in reply.text


async def test_several_are_a_bare_array(trader: httpx.AsyncClient) -> None:
    rows = (await trader.get(QUOTES, params={"instrument": "ES 12-25, NQ1!"})).json()
    assert rows[0] == ES_QUOTE
    unknown = {key for key, value in rows[1].items() if value is None}
    assert unknown == {
        *("bid", "ask", "last", "open", "high", "low", "close"),
        *("quoteTime", "quoteTimeUtc", "epoch"),
    }
    assert (rows[1]["instrument"], rows[1]["dataSource"]["status"]) == ("NQ 12-25", "NoData")


async def test_the_older_form_under_an_account(trader: httpx.AsyncClient) -> None:
    reply = await trader.get("/v1/api/accounts/sim101/quote", params={"instrument": "ES"})
    assert reply.json() == {
        **ES_QUOTE,
        "expiration": "12/1/2025 12:00:00 AM",
        "quoteTime": "10/9/2025 3:53:21 AM",
        "success": True,
    }


@pytest.mark.parametrize(
    "instrument", ["", "XX", "ES,", ",", "ES,,NQ", "ES,XX", "ES," * 60 + "ES", "E\x00S", "x" * 200]
)
async def test_bad_names(trader: httpx.AsyncClient, instrument: str) -> None:
    reply = await trader.get(QUOTES, params={"instrument": instrument})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_instrument")
    assert (await trader.get(QUOTES)).json()["error"] == "invalid_instrument"


async def test_a_session_that_is_open(trader: httpx.AsyncClient) -> None:
    assert (await trader.get("/v1/api/market/info", params={"instrument": "ES"})).json() == {
        "success": True,
        "timestamp": "2025-10-09T08:53:21.0000000Z",
        "instrument": "ES 12-25",
        "timeZone": "Central Standard Time",
        "status": {"isOpen": True, "state": "Open"},
        "session": {
            "label": "Current Session",
            "utcStart": "2025-10-08T22:00:00.0000000Z",
            "utcEnd": "2025-10-09T21:00:00.0000000Z",
            "localStart": "2025-10-08 17:00:00",
            "localEnd": "2025-10-09 16:00:00",
            "countdown": "12:06:39",
            "action": "Until Close",
            "secondsRemaining": 43599.0,
        },
        "upcoming": {"utcStart": "2025-10-09T22:00:00.0000000Z", "utcEnd": "2025-10-10T21:00:00.0000000Z"},
    }
    assert (await trader.get("/v1/api/market/info")).json()["instrument"] == "ES 12-25"


async def test_a_session_that_is_closed(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    # Friday 2025-10-10 21:30:00.5 UTC, after the close of the week.
    desk.clock.advance_us(1_760_131_800_500_000 - 1_000_000 - desk.clock.now_us())
    await desk.quote("5804.25", "5804.50")
    body = (await trader.get("/v1/api/market/info")).json()
    assert body["status"] == {"isOpen": False, "state": "Closed"}
    session = body["session"]
    assert (session["label"], session["action"]) == ("Next Session", "Until Open")
    assert session["utcStart"] == "2025-10-12T22:00:00.0000000Z"
    assert (session["countdown"], session["secondsRemaining"]) == ("48:29:59", 174599.5)
    assert body["upcoming"]["utcStart"] == "2025-10-13T22:00:00.0000000Z"
    quote = (await trader.get(QUOTES, params={"instrument": "ES"})).json()
    assert quote["isMarketOpen"] is False


async def test_bars(desk: TradingHouse, trader: httpx.AsyncClient) -> None:
    desk.clock.advance_us(60_000_000)
    await desk.quote("5806.25", "5806.50")
    await desk.quote("5805.00", "5805.25")
    reply = await trader.post(BARS, json={"instrument": "ES"})
    assert reply.json() == {
        "instrument": "ES 12-25",
        "periodType": "minute",
        "period": 1,
        "count": 2,
        "bars": [
            {
                "time": "2025-10-09T08:54:00.0000000Z",
                "epoch": 1760000040000,
                "open": 5804.25,
                "high": 5804.25,
                "low": 5804.25,
                "close": 5804.25,
                "volume": 0,
            },
            {
                "time": "2025-10-09T08:55:00.0000000Z",
                "epoch": 1760000100000,
                "open": 5806.25,
                "high": 5806.25,
                "low": 5805.0,
                "close": 5805.0,
                "volume": 0,
            },
        ],
        "success": True,
    }
    last = (await trader.post(BARS, json={"instrument": "ES", "limit": "1", "periodType": "Minute"})).json()
    assert last["bars"] == reply.json()["bars"][1:]
    hour = (await trader.post(BARS, json={"instrument": "ES", "periodType": "day", "daysBack": 5})).json()
    assert (hour["periodType"], hour["count"]) == ("day", 1)
    empty = (await trader.post(BARS, json={"instrument": "ES", "to": "2025-10-09T08:00:00Z"})).json()
    assert (empty["count"], empty["bars"]) == (0, [])
    ranged = (await trader.post(BARS, json={"instrument": "ES", "from": "2025-10-09T08:54:00Z"})).json()
    assert ranged["bars"] == reply.json()["bars"][1:]


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"instrument": "XX"}, "invalid_instrument"),
        ({"instrument": None}, "invalid_instrument"),
        ({"periodType": "renko"}, "invalid_period_type"),
        ({"periodType": 5}, "invalid_period_type"),
        ({"period": 0}, "Invalid request"),
        ({"period": 1.5}, "Invalid request"),
        ({"daysBack": -1}, "Invalid request"),
        ({"limit": 0}, "Invalid request"),
        ({"from": "yesterday"}, "Invalid request"),
        ({"to": []}, "Invalid request"),
    ],
)
async def test_bad_bars(trader: httpx.AsyncClient, terms: dict[str, Any], error: str) -> None:
    reply = await trader.post(BARS, json={"instrument": "ES", **terms})
    assert (reply.status_code, reply.json()["error"]) == (400, error)


async def test_a_simulated_market_is_called_so(tmp_path: Path) -> None:
    async with trading_house(tmp_path, **{"trading.market": "simulated"}) as house, house.client() as client:
        while True:
            await house.settle()
            quote = (await client.get(QUOTES, params={"instrument": "ES"})).json()
            if quote["bid"] is not None:
                break
        assert quote["dataSource"]["connectedFeeds"] == ["Simulated"]


async def test_a_server_that_does_not_trade(house: Any, client: httpx.AsyncClient) -> None:
    for path in (QUOTES + "?instrument=ES", "/v1/api/accounts/Sim101/positions", "/v1/api/accounts/Sim101/orders"):
        reply = await client.get(path)
        assert (reply.status_code, reply.json()["error"]) == (503, "unavailable")
        assert "retry-after" in reply.headers
    account = (await client.get("/v1/api/accounts/Sim101")).json()
    assert (account["connectionStatus"], set(account["item"].values())) == ("Disconnected", {0.0})
    assert (await client.get("/v1/api/accounts/snapshot")).json()["accounts"][0]["positions"] == []

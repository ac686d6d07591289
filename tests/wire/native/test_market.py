"""Market data in and out of the native dialect: what each row becomes, who may push, what a failure leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from gesta.apis.common.services import Limits
from gesta.apis.native.market import SHOWN_RESULTS
from gesta.apis.native.openapi import EXAMPLE_PRINT, EXAMPLE_QUOTE
from gesta.apis.native.routes import build
from gesta.desk.market.desk import MarketDesk
from gesta.trading.market import Listener
from tests.wire.native.house import MINE, READER, House
from tests.wire.native.test_openapi import fits, schema_of
from tests.wire.native.test_recording import problem

LIST, DATA = "/ledger/market", "/ledger/market/data"
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def quote(**other: Any) -> dict[str, Any]:
    row = {"instrument": "BTC-USDT", "bid": "100.01", "ask": "100.02", "bid_size": "1", "ask_size": "0.5"}
    return {**row, "time": "2025-03-10T14:30:00Z", **other}


def lines(rows: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def desk_of(house: House) -> MarketDesk:
    desk = house.services.market
    assert isinstance(desk, MarketDesk)
    return desk


async def test_the_examples_are_taken_and_read_back(client: httpx.AsyncClient) -> None:
    assert (await client.get(LIST)).json() == {"items": []}
    # `time` may be at most a day ahead of the clock, and the house's stands in 2025.
    example = {**EXAMPLE_QUOTE, "time": "2025-03-10T14:30:00.123456Z"}
    answer = await client.post(DATA, json=[example, EXAMPLE_PRINT])
    assert answer.json() == {"taken": 2, "conflicts": 0, "invalid": 0, "results": []}
    fits(schema_of(DATA, "post", 200), answer.json())
    said = (await client.get(f"{LIST}/ESZ6")).json()
    fits(schema_of(f"{LIST}/{{instrument}}", "get", 200), said)
    assert (said["instrument"], said["source"], said["is_simulated"]) == ("ES 12-26", "push", False)
    assert [said[name] for name in ("bid", "ask", "bid_size", "ask_size")] == ["6900.25", "6900.50", "12", "9"]
    assert [said[name] for name in ("last", "last_size", "last_aggressor", "volume")] == ["6900.50", "3", "buy", "3"]
    listed = (await client.get(LIST)).json()
    fits(schema_of(LIST, "get", 200), listed)
    assert listed == {"items": [said]}


async def test_one_row_and_lines_are_taken_too(client: httpx.AsyncClient) -> None:
    assert (await client.post(DATA, json=quote())).json()["taken"] == 1
    body = lines([quote(bid="100.00"), quote(bid=100.01, bid_size=2)]) + b"\n\n"
    assert (await client.post(DATA, content=body, headers=NDJSON)).json()["taken"] == 2
    said = (await client.get(f"{LIST}/BTC%2FUSDT")).json()
    assert (said["bid"], said["bid_size"], said["time"]) == ("100.01", "2.00000", "2025-03-10T14:30:00.000000Z")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (quote(bid="100.005"), "bid"),
        (quote(bid="-1"), "bid"),
        (quote(ask="0"), "ask"),
        (quote(ask=None), "ask"),
        (quote(bid="NaN"), "bid"),
        (quote(bid="sNaN"), "bid"),
        (quote(ask="Infinity"), "ask"),
        (quote(ask="1e30"), "ask"),
        (quote(ask="1e-999999999"), "ask"),
        (quote(bid_size="-1"), "bid_size"),
        (quote(bid_size="0.0000001"), "bid_size"),
        (quote(ask_size=10**30), "ask_size"),
        (quote(bid_size=None), "bid_size"),
        (quote(instrument="NOPE"), "instrument"),
        (quote(instrument=""), "instrument"),
        (quote(instrument="BTC\x00USDT"), None),
        (quote(time="yesterday"), "time"),
        (quote(time="9999-12-31T23:59:59Z"), "time"),
        (quote(time="1969-12-31T23:59:59Z"), "time"),
        (quote(venue="x"), None),
        ({"instrument": "BTC-USDT", "price": "1", "size": "0"}, "size"),
        ({"instrument": "BTC-USDT", "price": "1", "size": "1", "aggressor": "both"}, "aggressor"),
        ({"instrument": "BTC-USDT", "price": "1"}, None),
        ([], None),
        (7, None),
        (None, None),
    ],
)
async def test_a_bad_row_is_refused_by_itself(client: httpx.AsyncClient, row: Any, field: str | None) -> None:
    answer = await client.post(DATA, content=lines([quote(), row, quote()]), headers=NDJSON)
    assert answer.status_code == 200
    said = answer.json()
    fits(schema_of(DATA, "post", 200), said)
    assert (said["taken"], said["invalid"]) == (2, 1)
    (result,) = said["results"]
    assert (result["line"], result["outcome"], result["error"]["code"]) == (2, "invalid", "invalid_input")
    assert len(result["error"]["detail"]) < 1000
    if field is not None:
        assert result["error"]["field"].endswith(field)


async def test_a_request_of_which_nothing_is_taken_is_an_error(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post(DATA, json=[quote(bid="0.001")] * 150)
    told = problem(answer, 422, "rows_invalid")
    fits(schema_of(DATA, "post", 422), told)
    assert (told["taken"], told["invalid"], len(told["results"])) == (0, 150, SHOWN_RESULTS)
    assert told["results"][1]["index"] == 1
    assert desk_of(house).instruments() == []


async def test_a_crossed_quote_is_taken_and_flagged(client: httpx.AsyncClient) -> None:
    assert (await client.post(DATA, json=quote(bid="100.05"))).json()["taken"] == 1
    said = (await client.get(f"{LIST}/BTC-USDT")).json()
    assert (said["is_crossed"], said["is_stale"], said["gaps"]) == (True, True, 1)


async def test_bodies_that_are_no_rows(client: httpx.AsyncClient) -> None:
    for content in (b"", b"[", b"{", b"7", b"null", b"[" * 10_000, b"\xff", b'"\x00"'):
        answer = await client.post(DATA, content=content, headers=JSON)
        assert answer.status_code in (400, 422), content[:10]
    problem(await client.post(DATA, content=b"[]", headers={"Content-Type": "text/csv"}), 415, "unsupported_media_type")
    problem(await client.post(DATA, json=[0] * 10_001), 413, "too_large")
    assert (await client.post(DATA, json=[])).json()["taken"] == 0
    assert (await client.post(DATA, content=b"\n\n", headers=NDJSON)).json()["taken"] == 0
    problem(await client.post(f"{DATA}?restart=yes", json=quote()), 400, "invalid_input")
    problem(await client.post(f"{DATA}?again=true", json=quote()), 400, "invalid_input")


async def test_what_came_before_a_failure_stays_and_is_told(client: httpx.AsyncClient) -> None:
    body = lines([quote()] * 1500) + b'"' + b"x" * 1_100_000
    told = problem(await client.post(DATA, content=body, headers=NDJSON), 413, "too_large")
    fits(schema_of(DATA, "post", 413), told)
    assert told["taken"] == 1000
    assert (await client.get(f"{LIST}/BTC-USDT")).json()["bid"] == "100.01"


@pytest.mark.parametrize("limits", [Limits(body_bytes=1000)])
async def test_an_array_is_bounded_as_a_body(client: httpx.AsyncClient) -> None:
    problem(await client.post(DATA, json=[quote()] * 100), 413, "too_large")
    assert (await client.post(DATA, content=lines([quote()] * 100), headers=NDJSON)).json()["taken"] == 100


async def test_pushing_takes_admin_and_reading_takes_a_credential(client: httpx.AsyncClient) -> None:
    reader = {"Authorization": f"Bearer {READER}"}
    problem(await client.post(DATA, json=quote(), headers=reader), 403, "forbidden")
    assert (await client.get(LIST, headers=reader)).json() == {"items": []}
    for method, path in (("GET", LIST), ("GET", f"{LIST}/ES"), ("POST", DATA)):
        problem(await client.request(method, path, headers={"Authorization": ""}), 401, "unauthenticated")


async def test_unknown_instruments_are_not_found(client: httpx.AsyncClient) -> None:
    for name in ("NOPE", "EZ", "data", "%00", "ES%00", "x" * 500, "a/b/c", "%F0%9F%90%82"):
        problem(await client.get(f"{LIST}/{name}"), 404, "not_found")


async def test_a_known_instrument_without_data_has_no_quote(client: httpx.AsyncClient) -> None:
    said = (await client.get(f"{LIST}/ETH-USDT")).json()
    fits(schema_of(f"{LIST}/{{instrument}}", "get", 200), said)
    assert (said["bid"], said["last"], said["time"], said["source"], said["gaps"]) == (None, None, None, "", 0)


class Recording:
    """A feed of BTC-USDT that says nothing."""

    failed: Exception | None = None

    def __init__(self, name: str, *, is_simulated: bool) -> None:
        self.name = name
        self.is_simulated = is_simulated
        self.is_over = False

    def instruments(self) -> tuple[str, ...]:
        return ("BTC-USDT",)

    async def start(self, listener: Listener) -> None:
        self.is_over = False

    async def stop(self) -> None:
        self.is_over = True


async def test_a_recording_is_not_pushed_aside_and_a_simulation_is(client: httpx.AsyncClient, house: House) -> None:
    desk = desk_of(house)
    simulation = Recording("simulated", is_simulated=True)
    await desk.start_feed(simulation)
    assert (await client.post(DATA, json=quote())).json()["taken"] == 1
    assert simulation.is_over
    recording = Recording("replay:monday", is_simulated=False)
    await desk.start_feed(recording)
    told = problem(await client.post(DATA, json=[quote(), quote()]), 409, "conflict")
    fits(schema_of(DATA, "post", 409), told)
    assert "replay:monday" in told["detail"]
    assert (told["conflicts"], told["results"][0]["outcome"]) == (2, "conflict")
    mixed = (await client.post(DATA, json=[quote(), quote(instrument="ETH-USDT")])).json()
    assert (mixed["taken"], mixed["conflicts"], mixed["invalid"]) == (1, 1, 0)
    recording.is_over = True
    assert (await client.post(DATA, json=quote())).json()["taken"] == 1


async def test_a_recording_begins_anew_once_in_a_request(client: httpx.AsyncClient) -> None:
    later = quote(time="2025-03-10T14:31:00Z", bid="100.00")
    for again in ("", "?restart=false"):
        await client.post(f"{DATA}{again}", json=[later, quote()])
        assert (await client.get(f"{LIST}/BTC-USDT")).json()["bid"] == "100.00"
    # Two batches: what begins anew in the first goes on in the second.
    rows = [quote()] * 1200 + [later]
    answer = await client.post(f"{DATA}?restart=true", content=lines(rows), headers=NDJSON)
    assert answer.json()["taken"] == 1201
    said = (await client.get(f"{LIST}/BTC-USDT")).json()
    assert (said["time"], said["gaps"]) == ("2025-03-10T14:31:00.000000Z", 2)
    assert said["low"] == "100.01"


async def test_without_trading_there_is_no_market(house: House) -> None:
    app = build(msgspec.structs.replace(house.services, market=None))
    headers = {"Authorization": f"Bearer {MINE}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gesta.test", headers=headers
    ) as client:
        for method, path in (("GET", LIST), ("GET", f"{LIST}/ES"), ("POST", DATA)):
            told = problem(
                await client.request(method, path, json=[] if method == "POST" else None), 503, "unavailable"
            )
            assert "trading.enabled" in told["detail"]
    await app.state.close()


async def test_numbers_are_exact(client: httpx.AsyncClient, house: House) -> None:
    row = b'{"instrument": "BTC-USDT", "price": 61800.29, "size": 0.00001, "time": "2025-03-10T14:30:00.123456Z"}'
    assert (await client.post(DATA, content=row, headers=JSON)).json()["taken"] == 1
    assert desk_of(house).snapshot("BTC-USDT").last == Decimal("61800.29")

"""Trailing stops on each kind of database: a new best price is on record, but wakes nobody, and a kill forgets none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gesta.executors import marks
from gesta.executors.control import CreateExecutor
from gesta.ledger.records import Event, Side
from tests.conformance.test_executors import Bench, bench, start

__all__ = ["bench", "start"]

TRAILING = {"trailing_stop": {"activation_price": "0.01", "trailing_delta": "0.01"}}


def position(**config: Any) -> dict[str, Any]:
    return {"triple_barrier_config": {**TRAILING, "open_order_type": "MARKET"}, **config}


def dca(side: str, price: str) -> dict[str, Any]:
    return {
        "type": "dca_executor",
        "amount": None,
        "triple_barrier_config": None,
        "mode": "TAKER",
        "side": side,
        "prices": [price],
        "amounts_quote": ["6000"],
        **TRAILING,
    }


async def quote(bench: Bench, price: str) -> None:
    await bench.quote(price, pair="BTC-USDT-PERP")


async def created(bench: Bench, config: dict[str, Any]) -> str:
    base = {"type": "position_executor", "connector_name": "binance_perpetual", "trading_pair": "BTC-USDT"}
    asked = {key: value for key, value in {**base, "side": "BUY", "amount": "1", **config}.items() if value is not None}
    made = await bench.executors.create(bench.principal, CreateExecutor(config=asked))
    await bench.engine.idle()
    return made.id


@pytest.mark.parametrize(
    ("config", "path", "kept", "over"),
    [
        (position(), ("60700", "61200", "61800"), "61220", "61150"),
        (position(side="SELL"), ("59300", "58800", "58200"), "58780", "58850"),
        (dca("BUY", "60000"), ("60700", "61200", "61800"), "61220", "61150"),
        (dca("SELL", "60000"), ("59300", "58800", "58200"), "58780", "58850"),
    ],
    ids=["position-long", "position-short", "dca-long", "dca-short"],
)
async def test_the_best_price_outlives_a_kill(
    start: Callable[[], Awaitable[Bench]], config: dict[str, Any], path: tuple[str, ...], kept: str, over: str
) -> None:
    first = await start()
    await quote(first, "60000")
    id = await created(first, config)
    activation, *better = path
    await quote(first, activation)
    activated = await events(first, id)
    for price in better:
        await quote(first, price)
    assert await events(first, id) == activated
    second = await start()
    await quote(second, kept)
    assert (await second.detail(id)).close_type is None
    await quote(second, over)
    assert (await second.detail(id)).close_type == "TRAILING_STOP"
    assert await second.database.read(marks.stored) == []
    await second.check()


async def test_all_that_trail_one_best_price_share_one_mark(start: Callable[[], Awaitable[Bench]]) -> None:
    bench = await start()
    await quote(bench, "60000")
    ids = [await created(bench, position(amount="0.1")) for _ in range(20)]
    await quote(bench, "60700")
    activated = {id: await events(bench, id) for id in ids}
    for price in range(60_800, 62_000, 100):
        await quote(bench, str(price))
    assert len(await bench.database.read(marks.stored)) == 1
    assert {id: await events(bench, id) for id in ids} == activated
    third = await start()
    await quote(third, "61200")
    details = [await third.detail(id) for id in ids]
    assert {(detail.close_type, detail.side) for detail in details} == {("TRAILING_STOP", Side.BUY)}
    assert await third.database.read(marks.stored) == []
    await third.check()


async def events(bench: Bench, id: str) -> list[Event]:
    await bench.engine.idle()
    return list((await bench.ledger.events(bench.principal.organization.id, id)).events)

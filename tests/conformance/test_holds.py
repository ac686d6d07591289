"""Position holds on each kind of database: counted with the end of an executor, kept through restarts, cleared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gesta.access.model import AccountType, Scope
from gesta.executors.runner import Runner
from gesta.kernel.errors import Forbidden, InvalidInput, NotFound
from gesta.ledger.records import FillDetail, Side
from gesta.trading.market import Quote
from tests.conformance.test_executors import PAIR, Bench, bench, start

__all__ = ["bench", "start"]

PERPETUAL = "binance_perpetual"


async def quote(bench: Bench, price: str) -> None:
    """The perpetual's market, one tick wide, and that of the pair."""
    instrument = bench.market.resolve(f"{PAIR}-PERP")
    bid, now_us = instrument.ticks(Decimal(price)), bench.clock.now_us()
    bench.market.on_market(Quote(instrument.name, bid, bid + 1, 10**9, 10**9, now_us, now_us))
    await bench.quote(price)


async def test_what_is_kept_is_held_through_a_restart_until_it_is_cleared(
    start: Callable[[], Awaitable[Bench]],
) -> None:
    async def keep(bench: Bench, **config: Any) -> str:
        made = await bench.create(connector_name=PERPETUAL, **config)
        await bench.executors.stop(bench.principal, made.id, keep_position=True)
        return made.id

    first = await start()
    await quote(first, "60000")
    ids = [await keep(first), await keep(first, amount="2", side="SELL")]
    second = await start()
    # The market has not come back yet: what it is worth is not known, and not said.
    (held,) = await second.executors.positions.every(second.principal)
    assert (held.account_name, held.key.controller, held.unrealized) == ("master_account", "main", None)
    assert held.hold.executor_ids == tuple(ids)
    assert (held.hold.side, held.hold.net_base, held.hold.sell_breakeven) == ("SHORT", Decimal(-1), Decimal(60000))
    assert held.hold.realized_quote == Decimal("-0.1")
    await quote(second, "59000")
    where = {"account_name": "master_account", "controller": "main"}
    positions = second.executors.positions
    assert (await positions.get(second.principal, PERPETUAL, PAIR, **where)).unrealized == Decimal("999.95")
    assert await positions.every(second.principal, controller="other") == []
    await positions.clear(second.principal, PERPETUAL, PAIR, **where)
    assert await positions.every(second.principal) == []
    with pytest.raises(NotFound, match="No position hold found for binance_perpetual/BTC-USDT"):
        await positions.clear(second.principal, PERPETUAL, PAIR, **where)
    third = await start()
    assert await third.executors.positions.every(third.principal) == []
    await quote(third, "58000")
    again = await keep(third)
    fourth = await start()
    (held,) = await fourth.executors.positions.every(fourth.principal)
    assert (held.hold.executor_ids, held.hold.net_base, held.hold.realized_quote) == ((again,), Decimal(1), Decimal(0))
    await fourth.check()


async def test_a_hold_is_on_disk_with_the_end_of_its_executor_or_not_at_all(
    start: Callable[[], Awaitable[Bench]],
) -> None:
    first = await start()
    await quote(first, "60000")
    made = await first.create()
    live = first.runner.find(first.principal.organization.id, made.id)
    assert live is not None
    await first.executors.stop(first.principal, made.id, keep_position=True)
    second = await start()
    assert second.runner.active(second.principal.organization.id) == []
    assert len(await second.executors.positions.every(second.principal)) == 1
    assert (await second.detail(made.id)).close_type == "POSITION_HOLD"


async def test_who_may_not_see_a_hold_does_not(bench: Bench) -> None:

    await bench.quote("60000")
    made = await bench.create()
    await bench.executors.stop(bench.principal, made.id, keep_position=True)
    positions, where = bench.executors.positions, {"account_name": "master_account", "controller": "main"}
    other = await bench.access.ensure_account(bench.principal.organization.id, "other", AccountType.TRADING)
    confined = msgspec.structs.replace(bench.principal, account=other)
    assert await positions.every(confined) == []
    with pytest.raises(NotFound):
        await positions.get(confined, "binance", PAIR, **where)
    elsewhere = await bench.access.create_organization("Elsewhere")
    stranger = msgspec.structs.replace(bench.principal, organization=elsewhere)
    assert await positions.every(stranger) == []
    with pytest.raises(NotFound):
        await positions.clear(stranger, "binance", PAIR, **where)
    reader = msgspec.structs.replace(bench.principal, scopes=frozenset({Scope.READ}))
    with pytest.raises(Forbidden):
        await positions.clear(reader, "binance", PAIR, **where)
    assert len(await positions.every(reader)) == 1


GRID = {
    "type": "grid_executor",
    "start_price": "59000",
    "end_price": "61000",
    "limit_price": "58500",
    "total_amount_quote": "60000",
    "min_spread_between_orders": "0.01",
    "max_open_orders": 3,
    "triple_barrier_config": {"take_profit": "0.002", "open_order_type": "LIMIT"},
}


@pytest.mark.parametrize("config", [{}, GRID], ids=["position", "grid"])
async def test_what_a_failed_executor_leaves_is_counted_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    """The executor's profit and what its hold adds to it are what its fills are worth, at any price."""
    await bench.quote("60000")
    made = await bench.create(**config)
    for price in ("59900", "59400", "59950"):
        await bench.quote(price)
    monkeypatch.setattr(Runner, "_order_of", _refuse)
    for _ in range(40):
        await bench.quote("58000")
    detail = await bench.detail(made.id)
    assert detail.close_type == "FAILED"
    for price in ("58000", "57000", "62000"):
        await bench.quote(price)
        (held,) = await bench.executors.positions.every(bench.principal)
        worth = Decimal(0)
        for fill in await bench.fills():
            assert isinstance(fill.detail, FillDetail)
            signed = fill.detail.quantity if fill.detail.side is Side.BUY else -fill.detail.quantity
            worth += signed * (Decimal(price) + Decimal("0.005") - fill.detail.price)
        assert round(detail.net_pnl_quote + held.open_pnl_quote - worth, 12) == 0


def _refuse(*_: object) -> None:
    raise InvalidInput("The venue takes nothing.")

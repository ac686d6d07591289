"""The demo's strategy on the real engine: it trades, within its bounds, and a lost answer places nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gesta.app.demo.strategy import MOST, TURN_US
from gesta.app.demo.trader import Trader
from gesta.desk.trading.requests import PlaceOrder
from gesta.kernel.errors import Unavailable
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import OrderState
from tests.integration.trading_house import ES, House, check

NQ = "NQ 12-26"
MIDDLES = {ES: 27_600, NQ: 100_000}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(str(tmp_path / "ledger.sqlite3"), starting_cash=100_000_000)
    await made.open()
    yield made
    await made.close()


class Market:
    def __init__(self, house: House) -> None:
        self.house = house
        self.chance = Random(7)
        self.middles = dict(MIDDLES)

    async def move(self) -> None:
        for name in self.middles:
            self.middles[name] += self.chance.randint(-4, 4)
            self.house.quote(name, self.middles[name], self.middles[name] + 1, 10, 10)
        await self.house.settle()


def trader_of(house: House, trading: Any = None) -> Trader:
    desk = trading or house.desk
    return Trader(1, house.account, house.principal, desk, house.trading.market, house.clock)


async def test_a_newcomer_sees_fills_at_once_and_ever_after(house: House) -> None:
    market, trader = Market(house), trader_of(house)
    await market.move()
    await trader.begin()
    await house.settle()
    assert {fill.correlation["instrument"] for fill in await house.fills()} == {ES, NQ}
    seen = 0
    for _ in range(16):
        # Fewer seconds than are listed when no time is given.
        for _ in range(20):
            house.clock.advance_us(TURN_US)
            await market.move()
            await trader.advance()
            for view in await house.positions():
                assert abs(view.position.lots) <= MOST
        fills = len(await house.fills())
        assert fills > seen
        seen = fills
    orders = [view.order for view in await house.orders()]
    states = Counter(order.state for order in orders)
    assert states[OrderState.REJECTED] == 0
    assert states[OrderState.FILLED] > 100
    assert states[OrderState.CANCELLED] > 10
    assert sum(order.state not in TERMINAL for order in orders) < 20
    assert {order.name for order in orders} == {"Entry", "Exit", "Reverse", "Stop1", "Target1"}
    await check(house)


async def test_a_lost_answer_places_nothing_twice(house: House) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.lost = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(house.desk, name)

        async def place(self, principal: Any, account: Any, request: PlaceOrder) -> Any:
            placed = await house.desk.place(principal, account, request)
            self.lost += 1
            if self.lost % 2:
                raise Unavailable("The answer was lost.")
            return placed

    market, flaky = Market(house), Flaky()
    trader = trader_of(house, flaky)
    await market.move()
    for _ in range(60):
        house.clock.advance_us(TURN_US)
        for _ in range(2):
            try:
                await trader.advance()
            except Unavailable:
                continue
        await market.move()
    ids = [view.order.client_id for view in await house.orders() if view.order.client_id is not None]
    assert len(ids) == len(set(ids)) > 30
    assert flaky.lost > len(ids), "some were asked for twice"
    await check(house)


async def test_without_a_market_it_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesta.app.demo.trader._QUOTES_S", 0.05)
    trader = trader_of(house)
    await trader.begin()
    house.clock.advance_us(TURN_US)
    await trader.advance()
    assert await house.orders() == []

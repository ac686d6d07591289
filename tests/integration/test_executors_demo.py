"""The demo's executors on the real stack: a few go on, they end, and no restart and no lost answer doubles them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gesta.access.model import Account, AccountType
from gesta.app.demo.executors import CONTROLLER, FEW, MOST, PATIENCE_US, STOCK, TURN_US
from gesta.app.demo.keeper import Doors, Keeper
from gesta.desk.reading import MAX_PAGE
from gesta.executors.control import CreateExecutor
from gesta.kernel.errors import Unavailable
from gesta.ledger.lifecycle import ACTIVE, TERMINAL
from gesta.ledger.records import Execution, ExecutorDetail, Kind
from tests.integration.trading_house import SECOND_US, House, check

MIDDLES = {"BTC-USDT": 9_500_000, "BTC-USDT-PERP": 950_000, "ETH-USDT": 350_000, "ETH-USDT-PERP": 350_000}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(str(tmp_path / "ledger.sqlite3"), starting_cash=100_000_000)
    await made.open()
    yield made
    await made.close()


class World:
    """A market that walks by hand, and the demo's keeper over it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.chance = Random(7)
        self.parts = {"BTC": 0.0, "ETH": 0.0}
        self.keeper: Keeper

    async def open(self, **others: Any) -> None:
        """A new keeper, as a new process has one; `others` replace doors."""
        house = self.house
        access = house.core.access
        account = await access.ensure_account(house.principal.organization.id, "master_account", AccountType.TRADING)
        # What `check` recounts.
        self.account: Account = account
        house.account = account
        doors = {
            "executors": house.trading.executors,
            "trading": house.desk,
            "market": house.trading.market,
            "reading": house.core.reading,
            "clock": house.clock,
        }
        self.keeper = Keeper(1, account, house.principal, Doors(**{**doors, **others}))

    async def move(self) -> None:
        """A second of market: both coins walk by about a hundredth of a percent, a perpetual a bit beside its pair."""
        for coin in self.parts:
            self.parts[coin] += self.chance.gauss(0, 0.0001)
        for name, middle in MIDDLES.items():
            part = self.parts[name[:3]] + (self.chance.gauss(0, 0.0001) if name.endswith("PERP") else 0)
            bid = round(middle * (1 + part))
            self.house.quote(name, bid, bid + 1, 10**6, 10**6)
        self.house.clock.advance_us(SECOND_US)
        self.house.trading.runner.tick()
        await self.house.settle()

    async def run_for(self, turns: int) -> None:
        quiet = 0
        for _ in range(turns * TURN_US // SECOND_US):
            await self.move()
            await self.keeper.advance()
            await self.house.settle()
            alive = len(await self.rows(alive=True))
            assert alive <= MOST
            quiet = 0 if alive else quiet + 1
            assert quiet <= TURN_US // SECOND_US, "something goes on"

    async def rows(self, *, alive: bool = False) -> list[Execution]:
        reading, principal = self.house.core.reading, self.house.principal
        query = reading.filter(principal, kinds=frozenset({Kind.EXECUTOR}), account=self.account.id)
        if alive:
            query = reading.filter(
                principal, kinds=frozenset({Kind.EXECUTOR}), account=self.account.id, statuses=ACTIVE
            )
        return (await reading.page(principal, query, offset=0, limit=MAX_PAGE)).rows


def detail_of(row: Execution) -> ExecutorDetail:
    assert isinstance(row.detail, ExecutorDetail)
    return row.detail


async def test_some_go_on_and_more_and_more_have_ended(house: House) -> None:
    world = World(house)
    await world.open()
    await world.move()
    await world.keeper.begin()
    first = await world.rows()
    assert len(first) == FEW
    await house.settle()
    assert detail_of((await world.rows())[0]).filled_quote > 0, "the newest has traded"
    ended = 0
    for _ in range(4):
        await world.run_for(60)
        rows = await world.rows()
        now_ended = sum(row.status in TERMINAL for row in rows)
        assert now_ended > ended
        ended = now_ended
        assert all(house.clock.now_us() - row.created_at_us < 2 * PATIENCE_US for row in rows if row.status in ACTIVE)
    details = [detail_of(row) for row in await world.rows()]
    assert len({detail.executor_type for detail in details}) == 7
    close_types = Counter(detail.close_type for detail in details)
    assert close_types.keys() >= {"TAKE_PROFIT", "STOP_LOSS", "TIME_LIMIT", "POSITION_HOLD", "COMPLETED"}
    assert not close_types.keys() & {"INSUFFICIENT_BALANCE", "FAILED"}
    assert {row.correlation["controller_id"] for row in await world.rows()} == {CONTROLLER}
    await check(house)


async def test_after_a_kill_those_that_are_alive_are_taken_up(house: House) -> None:
    world = World(house)
    await world.open()
    await world.move()
    await world.keeper.begin()
    await world.run_for(9)
    for _ in range(3):
        alive = {row.id for row in await world.rows(alive=True)}
        total = len(await world.rows())
        await house.crash()
        await house.open()
        await world.open()
        await world.move()
        await world.keeper.begin()
        await house.settle()
        rows = await world.rows()
        # Those that went on do so still, or came to their end; only what was missing is begun.
        assert alive <= {row.id for row in rows}
        assert len(rows) - total <= max(0, FEW - len(alive)) + sum(
            row.id in alive and row.status in TERMINAL for row in rows
        )
        for pair, stock in STOCK.items():
            held = (await house.desk.position(house.principal, world.account, pair)).position.lots
            assert house.trading.market.resolve(pair).quantity(held) < 2 * stock, "it stocked up once"
        await world.run_for(12)
    await check(house)


async def test_a_lost_answer_starts_nothing_twice(house: House) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(house.trading.executors, name)

        async def create(self, principal: Any, request: CreateExecutor) -> Execution:
            self.asked += 1
            made = await house.trading.executors.create(principal, request)
            if self.asked % 2:
                raise Unavailable("The answer was lost.")
            return made

    world, flaky = World(house), Flaky()
    await world.open(executors=flaky)
    await world.move()
    begun = house.clock.now_us()
    for _ in range(300):
        for _ in range(2):
            try:
                await world.keeper.advance()
            except Unavailable:
                continue
        await world.move()
    rows = await world.rows()
    turns = [row.created_at_us // TURN_US for row in rows]
    assert len(turns) == len(set(turns)) > 10
    assert len(turns) <= (house.clock.now_us() - begun) // TURN_US + 1


async def test_without_a_market_it_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesta.app.demo.keeper._QUOTES_S", 0.05)
    world = World(house)
    await world.open()
    await world.keeper.begin()
    house.clock.advance_us(TURN_US)
    await world.keeper.advance()
    assert await world.rows() == []


async def test_others_executors_are_none_of_its_business(house: House) -> None:
    world = World(house)
    await world.open()
    await world.move()
    config = {
        "type": "order_executor",
        "connector_name": "binance",
        "trading_pair": "BTC-USDT",
        "side": "BUY",
        "amount": "0.01",
        "execution_strategy": "LIMIT",
        "price": "1000",
    }
    theirs = [await house.trading.executors.create(house.principal, CreateExecutor(config=config)) for _ in range(MOST)]
    await world.keeper.begin()
    await world.move()
    house.clock.advance_us(PATIENCE_US)
    for _ in range(2):
        await world.move()
        await world.keeper.advance()
    rows = {row.id: row for row in await world.rows()}
    assert len(rows) > MOST
    assert all(rows[each.id].status in ACTIVE for each in theirs)

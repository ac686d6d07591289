"""The whole server in a process that is going to be killed: it makes executors, moves their markets, stops some.

`python -m tests.acceptance.executor_child DATABASE LIFE MODE KEYS`: one JSON line on standard output for each thing
that was acknowledged. MODE is `load`, `burst` (several hundred at once first) or `finish`: the market moves until
nothing is active. KEYS, separated by commas, are asked for once more.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from decimal import Decimal
from typing import Any

from gesta.access.model import AccountType, Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import load_settings
from gesta.executors.control import CreateExecutor
from gesta.kernel.errors import Conflict
from gesta.trading.market import Quote

ORGANIZATION = "Desk"
ACCOUNT = "master_account"
CASH = 1_000_000_000_000
MIDDLE = Decimal(60_000)
# Each at once, and how many `burst` opens together.
MAKERS = 8
BURST = 400
# As fractions of the middle: what a quote moves, and what is as far away as the market comes while it is used.
STEP, FAR = Decimal("0.001"), Decimal("0.01")
SIZE = 10**12


def config_of(key: str) -> dict[str, Any]:
    """What an executor is asked to be: a function of its key, so that it can be asked for again."""
    chance = random.Random(key)
    side = chance.choice(("BUY", "SELL"))
    config: dict[str, Any] = {
        # A pair cannot be sold short; a perpetual can.
        "connector_name": "binance_perpetual" if side == "SELL" else chance.choice(("binance", "binance_perpetual")),
        "trading_pair": "BTC-USDT",
        "side": side,
    }
    near = MIDDLE * (1 + STEP * chance.randint(-3, 3))
    barriers = {"stop_loss": "0.004", "take_profit": "0.004", "open_order_type": "MARKET"}
    position = {**config, "type": "position_executor", "amount": "0.1"}
    match chance.randrange(10):
        case 0 | 1:
            return {**position, "triple_barrier_config": barriers}
        case 2:
            limits = {**barriers, "open_order_type": "LIMIT", "take_profit_order_type": "LIMIT", "time_limit": 20}
            return {**position, "entry_price": str(near), "triple_barrier_config": limits}
        case 3:
            trailing = {"activation_price": "0.002", "trailing_delta": "0.001"}
            return {**position, "triple_barrier_config": {**barriers, "trailing_stop": trailing}}
        case 4:
            order = {**config, "type": "order_executor", "amount": "0.1"}
            return {**order, "execution_strategy": "LIMIT", "price": str(near)}
        case 5:
            dca = {**config, "type": "dca_executor", "amounts_quote": ["3000", "3000"], "mode": "TAKER"}
            away = -1 if side == "BUY" else 1
            prices = [str(near), str(near * (1 + away * STEP * 2))]
            return {**dca, "prices": prices, "take_profit": "0.003", "stop_loss": "0.01"}
        case 6:
            twap = {**config, "type": "twap_executor", "total_amount_quote": "10000"}
            return {**twap, "total_duration": 2, "order_interval": 1}
        case 7:
            return _grid(config, near, chance)
        case 8:
            return {**_two_markets("arbitrage_executor"), "min_profitability": "0.0015"}
        case _:
            # It makes where the other market lets it, and is off again when that moves.
            bounds = {"min_profitability": "0.0005", "target_profitability": "0.001", "max_profitability": "0.005"}
            return {**_two_markets("xemm_executor"), "maker_side": "BUY", **bounds}


def _grid(config: dict[str, Any], near: Decimal, chance: random.Random) -> dict[str, Any]:
    """Five levels, some of which the market goes through; it ends when the market has left it, on either side."""
    levels = {"start_price": str(near * (1 - 4 * STEP)), "end_price": str(near * (1 + 4 * STEP))}
    behind = near * (1 - FAR) if config["side"] == "BUY" else near * (1 + FAR)
    barriers = {"take_profit": "0.001", "take_profit_order_type": chance.choice(("LIMIT", "MARKET"))}
    sizes = {"total_amount_quote": "3000", "min_spread_between_orders": "0.002", "limit_price": str(behind)}
    return {**config, "type": "grid_executor", **levels, **sizes, "triple_barrier_config": barriers}


def _two_markets(type_: str) -> dict[str, Any]:
    """Bought in the one, sold short in the other."""
    buying, selling = (
        {"connector_name": name, "trading_pair": "BTC-USDT"} for name in ("binance", "binance_perpetual")
    )
    return {"type": type_, "buying_market": buying, "selling_market": selling, "order_amount": "0.1"}


def say(**line: object) -> None:
    """In the pipe when this returns: a kill does not take it back."""
    os.write(1, json.dumps(line).encode() + b"\n")


class Child:
    def __init__(self, server: Server, principal: Principal, life: str) -> None:
        assert server.trading is not None
        self.trading = server.trading
        self.clock = server.core.clock
        self.principal = principal
        self.life = life
        self.chance = random.Random(life)
        self.numbers = itertools.count(1)
        self.made: list[str] = []

    @property
    def active(self) -> int:
        return len(self.trading.runner.active(self.principal.organization.id))

    def quote(self, fraction: Decimal, basis: Decimal = Decimal(0)) -> None:
        """Both markets are that much away from the middle, the perpetual by `basis` more."""
        for name, away in (("BTC-USDT", fraction), ("BTC-USDT-PERP", fraction + basis)):
            instrument = self.trading.market.resolve(name)
            bid = int(MIDDLE * (1 + away) / instrument.tick_size)
            now_us = self.clock.now_us()
            self.trading.market.on_market(Quote(instrument.name, bid, bid + 1, SIZE, SIZE, now_us, now_us))

    async def walk(self) -> None:
        fraction = Decimal(0)
        while True:
            self.quote(fraction, STEP * self.chance.randint(-1, 2))
            fraction = max(-FAR, min(FAR, fraction + STEP * self.chance.randint(-2, 2)))
            await self.trading.engine.settle()
            await asyncio.sleep(0.01)

    async def make(self, key: str) -> None:
        say(asked=key)
        request = CreateExecutor(config=config_of(key), account_name=ACCOUNT, key=key)
        made = await self.trading.executors.create(self.principal, request)
        say(made=key, id=made.id)
        self.made.append(made.id)

    async def make_many(self) -> None:
        while True:
            await self.make(f"{self.life}-{next(self.numbers)}")

    async def stop_some(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.made:
                await self.stop(self.made.pop(self.chance.randrange(len(self.made))))

    async def stop(self, executor_id: str) -> None:
        try:
            await self.trading.executors.stop(self.principal, executor_id, keep_position=self.chance.random() < 0.3)
        except Conflict:
            return  # it was over already
        say(stopped=executor_id)

    async def load(self, burst: int) -> None:
        if burst:
            await asyncio.gather(*(self.make(f"{self.life}-{next(self.numbers)}") for _ in range(burst)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.walk())
            tasks.create_task(self.stop_some())
            for _ in range(MAKERS):
                tasks.create_task(self.make_many())

    async def finish(self) -> None:
        """The market goes as far as every barrier; an order that it has left behind is asked to stop."""
        before = self.active
        for fraction in (FAR, -FAR, FAR * 2, -FAR * 2, FAR * 3, -FAR * 3, Decimal(0)):
            # What the one market pays more than the other is enough for everybody.
            self.quote(fraction, FAR)
            await self.trading.engine.idle()
        say(before=before, moved=self.active)
        organization = self.principal.organization.id
        async with asyncio.timeout(40):
            while self.active:
                for live in self.trading.runner.active(organization):
                    await self.stop(live.stored.id)
                self.quote(Decimal(0))
                await self.trading.engine.idle()
                await asyncio.sleep(0.05)
        say(left=self.active)


async def main(place: str, life: str, mode: str, keys: str) -> None:
    overrides = {
        "database.url": place,
        "trading.market": "none",
        "trading.starting_cash": CASH,
        "log.level": "warning",
    }
    settings = load_settings(None, overrides, environ={})
    configure(settings.log)
    async with build(settings) as server:
        named = [each for each in await server.core.access.organizations() if each.name == ORGANIZATION]
        (organization,) = named
        await server.core.access.ensure_account(organization.id, ACCOUNT, AccountType.TRADING)
        principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="trader",
            credential_id=1,
            scopes=frozenset({Scope.TRADE}),
        )
        child = Child(server, principal, life)
        say(ready=child.active)
        child.quote(Decimal(0))
        for key in filter(None, keys.split(",")):
            await child.make(key)
        if mode == "finish":
            await child.finish()
        else:
            await child.load(BURST if mode == "burst" else 0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

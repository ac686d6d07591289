"""Executors that really run, over a temporary SQLite file, with a market that a test drives by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gesta.access.model import CredentialType, Scope
from gesta.apis.hummingbot.routes import build
from tests.wire.crosstrade.trading_house import TradingHouse, trading_house

PAIR = "BTC-USDT"
POSITION: dict[str, Any] = {
    "type": "position_executor",
    "connector_name": "binance",
    "trading_pair": PAIR,
    "side": "BUY",
    "amount": "0.1",
    "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.02", "open_order_type": "MARKET"},
}


class ExecutorHouse:
    """The organizations `mine` (users `trader` and `reader`, accounts master_account and Sim101) and `rival`."""

    def __init__(self, house: TradingHouse) -> None:
        self.house = house
        self.app = build(house.services)
        self.users: dict[str, tuple[str, str]] = {}

    async def furnish(self) -> None:
        for user, organization, scope in (
            ("trader", "mine", Scope.TRADE),
            ("reader", "mine", Scope.READ),
            ("rival", "rival", Scope.TRADE),
        ):
            made = await self.house.core.access.create_credential(
                self.house.organizations[organization].id,
                type=CredentialType.BASIC,
                scopes=frozenset({scope}),
                username=user,
            )
            self.users[user] = (user, made.secret)
        await self.quote("50000")

    async def quote(self, price: str) -> None:
        """The market is at a price, one tick wide, and everything that follows is on disk."""
        await self.house.quote(price, f"{price}.01", 10**4, PAIR)
        self.house.trading.runner.tick()
        await self.house.settle()

    @asynccontextmanager
    async def client(self, user: str = "trader") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gesta.test", auth=self.users[user]
        ) as client:
            yield client

    async def create(self, client: httpx.AsyncClient, **config: Any) -> str:
        """Its id."""
        response = await client.post("/executors/", json={"executor_config": POSITION | config})
        assert response.status_code == 201, response.text
        self.house.clock.advance_us(1_000_000)
        await self.house.settle()
        executor_id: str = response.json()["executor_id"]
        return executor_id


@asynccontextmanager
async def executor_house(folder: Path) -> AsyncIterator[ExecutorHouse]:
    unlimited = {"rates.hummingbot.rate_per_s": 10**9, "rates.hummingbot.burst": 10**9, "trading.fees": "zero"}
    async with trading_house(folder, **unlimited) as opened:
        house = ExecutorHouse(opened)
        await house.furnish()
        yield house

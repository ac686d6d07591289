"""The dialect over a temporary SQLite file, with the paper venue and a market that a test drives by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from gesta.access.model import AccountType, CredentialType, Organization, Scope
from gesta.apis.crosstrade.routes import build
from gesta.app.build import Core, open_core, services_of
from gesta.app.settings import load_settings
from gesta.app.trading_stack import TradingStack, open_trading
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.trading.market import Quote

ES = "ES 12-25"
NQ = "NQ 12-25"
UNLIMITED = {f"rates.{name}.{field}": 10**9 for name in ("crosstrade", "native") for field in ("rate_per_s", "burst")}
# Thursday 2025-10-09 08:53:20 UTC: the session of ES is open.
NOW_US = 1_760_000_000_000_000


class TradingHouse:
    """Two organizations: `mine` owns Sim101 (Chicago) and Apex-7 (UTC, euro), `rival` owns Rival1."""

    def __init__(self, core: Core, trading: TradingStack, clock: ManualClock) -> None:
        self.core = core
        self.trading = trading
        self.clock = clock
        self.services = services_of(core, trading)
        self.app = build(self.services)
        self.tokens: dict[str, str] = {}
        self.organizations: dict[str, Organization] = {}

    async def furnish(self) -> None:
        access = self.core.access
        for name, accounts in (("mine", ("Sim101", "Apex-7")), ("rival", ("Rival1",))):
            organization = await access.create_organization(name)
            self.organizations[name] = organization
            for account in accounts:
                await access.ensure_account(
                    organization.id,
                    account,
                    AccountType.TRADING,
                    time_zone="America/Chicago" if account == "Sim101" else None,
                    currency="EUR" if account == "Apex-7" else None,
                    server_name="HOST-1",
                )
            for scope in (Scope.TRADE, Scope.READ):
                made = await access.create_credential(
                    organization.id, type=CredentialType.BEARER, scopes=frozenset({scope})
                )
                self.tokens[name if scope is Scope.TRADE else f"{name}_read"] = made.secret

    async def quote(self, bid: str, ask: str, size: int = 10, instrument: str = ES) -> None:
        """A quote, a second after the one before, and everything that follows from it."""
        market = self.trading.market
        found = market.resolve(instrument)
        self.clock.advance_us(1_000_000)
        now_us = self.clock.now_us()
        market.on_market(
            Quote(
                found.name,
                found.ticks(Decimal(bid)),
                found.ticks(Decimal(ask)),
                found.lots(Decimal(size)),
                found.lots(Decimal(size)),
                now_us,
                now_us,
            )
        )
        await self.settle()

    async def settle(self) -> None:
        await self.trading.engine.idle()

    @asynccontextmanager
    async def client(self, who: str = "mine") -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as made:
            yield made


@asynccontextmanager
async def trading_house(folder: Path, **overrides: Any) -> AsyncIterator[TradingHouse]:
    clock = ManualClock(NOW_US)
    settings = load_settings(
        overrides={
            "database.url": f"sqlite:///{folder}/gesta.db",
            "trading.market": "none",
            "log.requests": False,
            **UNLIMITED,
            **overrides,
        },
        environ={},
    )
    failures: list[BaseException] = []
    async with open_core(settings, clock=clock, ids=SeededIds()) as core:
        stack = open_trading(
            settings.trading,
            database=core.database,
            ledger=core.ledger,
            access=core.access,
            reading=core.reading,
            clock=clock,
            ids=core.ids,
            on_failure=failures.append,
        )
        async with stack as trading:
            house = TradingHouse(core, trading, clock)
            await house.furnish()
            yield house
    assert failures == []


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    # Listening from here on: a connection waits in the backlog until the server takes it.
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_level="critical"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def order(**terms: Any) -> dict[str, Any]:
    """A market order for one ES, with other terms where they are given."""
    return {
        "instrument": "ES",
        "action": "BUY",
        "quantity": 1,
        "orderType": "MARKET",
        "timeInForce": "DAY",
        **terms,
    }


def placed(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    body: Mapping[str, Any] = reply.json()
    assert list(body) == ["orderId", "success"]
    assert body["success"] is True
    return str(body["orderId"])

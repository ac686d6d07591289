"""kill -9 of the real `gesta serve` while it trades, at every named point of trading and at random, on both databases.

What its clients were told is what the next server has: every acknowledged order, every fill that was pushed, once, with
the positions and the money that they give. `TRADING_KILLS` asks for more kills at random.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.access.bootstrap import bootstrap
from gesta.access.model import Account, AccountType
from gesta.app.build import database_of, open_core
from gesta.app.settings import load_settings
from gesta.kernel.crash import POINTS
from gesta.ledger.records import Status
from gesta.ledger.verify import verify
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument
from gesta.trading.money import to_units
from gesta.trading.order_states import TERMINAL
from tests.acceptance.trading_load import Clients, Told
from tests.integration.postgres_control import running_postgres
from tests.integration.trading_house import Record, check_record

GESTA = Path(sys.executable).parent / "gesta"
CASH = 1_000_000_000
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GESTA_")},
    "GESTA_TRADING__MARKET": "none",
    "GESTA_TRADING__STARTING_CASH": str(CASH),
    "GESTA_RATES__CROSSTRADE__RATE_PER_S": "100000",
    "GESTA_RATES__CROSSTRADE__BURST": "100000",
}
# Trading's own, and where its transactions meet the ledger and the disk; test_kill_server.py has the others.
TRADED = sorted(
    {point for point in POINTS if point.startswith("trading.")} | {"ledger.append.counted", "storage.after_commit"}
)
RANDOM = int(os.environ.get("TRADING_KILLS", "2"))
# So often a point is reached before it kills: later than what a start and its first orders reach.
TIMES = 60
RESENT = 3
START_S = 60
DIES_S = 60

CATALOG = Catalog()


def instrument_of(name: str) -> Instrument:
    found = CATALOG.get(name)
    assert found is not None
    return found


class Floor:
    """One database, its credential, and the servers that die over it."""

    account: Account

    def __init__(self, database: str, folder: Path) -> None:
        self.settings = load_settings(None, {"database.url": database})
        self.folder = folder
        self.life = 0
        self.kills = 0
        self.token = ""
        self.told = Told()

    async def prepare(self) -> None:
        async with open_core(self.settings) as core:
            made = await bootstrap(core.access, "kill")
            self.token = made.bearer.secret
            self.account = await core.access.ensure_account(made.organization.id, "Sim101", AccountType.TRADING)

    @asynccontextmanager
    async def serving(self, point: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
        self.life += 1
        server = await asyncio.create_subprocess_exec(
            GESTA, "serve", "--port", "0", "--database", self.settings.database.url, "--log-level", "warning",
            cwd=self.folder, env={**ENVIRONMENT, "GESTA_CRASH_POINT": point}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            line = await asyncio.wait_for(server.stdout.readline(), START_S)
            assert b"Gesta answers on " in line, line
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx.AsyncClient(base_url=line.split()[3].decode(), headers=headers, timeout=30) as client:
                yield server, client
        finally:
            if server.returncode is None:
                server.kill()
            await server.communicate()

    async def kill_once(self, point: str, moments: random.Random) -> None:
        async with self.serving(point) as (server, client):
            await self.check(client)
            clients = Clients(client, self.told, self.life)
            load = asyncio.create_task(clients.run())
            async with asyncio.timeout(DIES_S):
                if not point:
                    await clients.pushed.wait()
                    await asyncio.sleep(moments.random() * 0.4)
                    server.send_signal(signal.SIGKILL)
                assert await server.wait() == -signal.SIGKILL
                await load
            self.kills += 1

    # -- the next server has everything

    async def check(self, client: httpx.AsyncClient, *, with_notes: bool = False) -> Record:
        told = self.told
        # What got no answer is there whole or not at all: asked once more, it is one order.
        traders = Clients(client, told, self.life)
        for client_id, terms in list(told.unanswered.items())[:RESENT]:
            answer = await client.post("/v1/api/accounts/Sim101/orders/place", json=terms)
            traders.acknowledged(client_id, answer)
        record = await self.record(with_notes=with_notes)
        self.check_orders(record)
        self.check_fills(record)
        for id_, pushed in list(told.fills.items())[-RESENT:]:
            # Both listed and by itself, as it was pushed; a bust under way may have taken effect.
            got = await client.get(f"/v1/api/accounts/Sim101/executions/{id_}")
            if not told.busted and not told.busting:
                assert got.json() == {**pushed, "success": True}
        return record

    async def record(self, *, with_notes: bool) -> Record:
        """On a connection of its own, beside the server."""
        database = database_of(self.settings)
        await database.start()
        try:
            starting = to_units(Decimal(CASH))
            record = await check_record(database, self.account, instrument_of, starting, {}, with_notes=with_notes)
            report = await verify(database)
            assert report.faults == []
            return record
        finally:
            await database.stop()

    def check_orders(self, record: Record) -> None:
        told = self.told
        clients = Counter(order.client_id for order in record.orders.values() if order.client_id is not None)
        assert set(clients.values()) <= {1}, "an order exists twice"
        for client_id, order_id in told.orders.items():
            assert record.orders[order_id].client_id == client_id
        for order_id in told.cancelled:
            assert record.orders[order_id].state in TERMINAL
        for client_id in list(told.unanswered):
            if client_id not in clients:
                del told.unanswered[client_id]

    def check_fills(self, record: Record) -> None:
        told = self.told
        fills = {fill.id: fill for fill in record.fills}
        assert len(fills) == len(record.fills)
        assert told.fills.keys() <= fills.keys(), "a fill that was pushed is lost"
        for id_, pushed in told.fills.items():
            assert fills[id_].correlation["order_id"] == pushed["orderId"]
            assert float(fills[id_].detail.price) == pushed["price"]  # type: ignore[union-attr]
            assert float(fills[id_].detail.quantity) == pushed["quantity"]  # type: ignore[union-attr]
        cancelled = {id_ for id_, fill in fills.items() if fill.status is Status.CANCELLED}
        assert told.busted <= cancelled <= told.busted | told.busting


@pytest.fixture(params=["sqlite", "postgres"])
def floor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Floor]:
    if request.param == "sqlite":
        yield Floor(str(tmp_path / "ledger.sqlite3"), tmp_path)
        return
    with running_postgres() as postgres:
        yield Floor(postgres.create("trading"), tmp_path)


async def test_the_trading_server_is_killed_and_restarted(floor: Floor) -> None:
    await floor.prepare()
    moments = random.Random(20_261_121)
    points = [f"{point}:{TIMES}" for point in TRADED] + [""] * RANDOM
    moments.shuffle(points)
    for point in points:
        await floor.kill_once(point, moments)
    assert floor.kills == len(TRADED) + RANDOM >= 9
    async with floor.serving() as (_, client):
        record = await floor.check(client, with_notes=True)
        assert len(floor.told.orders) > 20 * floor.kills
        assert len(floor.told.fills) > 10 * floor.kills
        assert any(order.opened_by is not None for order in record.orders.values())
        assert floor.told.cancelled


async def push(client: httpx.AsyncClient, bid: str, ask: str) -> None:
    row = {"instrument": "ES 12-26", "bid": bid, "ask": ask, "bid_size": "50", "ask_size": "50"}
    answer = await client.post("/ledger/market/data", json=[row])
    assert answer.status_code == 200, answer.text


async def orders(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """By name."""
    answer = await client.get("/v1/api/accounts/Sim101/orders")
    assert answer.status_code == 200, answer.text
    return {order["name"]: order for order in answer.json()["orders"]}


async def until(client: httpx.AsyncClient, happened: Callable[[dict[str, dict[str, Any]]], bool]) -> None:
    async with asyncio.timeout(DIES_S):
        while not happened(await orders(client)):  # noqa: ASYNC110 — another process's state
            await asyncio.sleep(0.02)


async def test_a_stop_that_the_market_crossed_while_down_fires_at_the_first_quote(floor: Floor) -> None:
    await floor.prepare()
    entry = {
        "instrument": "ES", "action": "BUY", "quantity": 2, "orderType": "MARKET", "timeInForce": "GTC",
        "name": "Entry", "bracket": {"stopLossTicks": 8, "takeProfitTicks": 40},
    }  # fmt: skip
    async with floor.serving() as (server, client):
        await push(client, "6900", "6900.25")
        placed = await client.post("/v1/api/accounts/Sim101/orders/place", json=entry)
        assert placed.status_code == 200, placed.text
        await until(client, lambda named: "Target1" in named)
        server.send_signal(signal.SIGKILL)
        await server.wait()
    async with floor.serving() as (_, client):
        before = await orders(client)
        assert before["Stop1"]["orderState"] == "Accepted"
        assert before["Target1"]["orderState"] == "Working"
        # Far below the stop, which was at 6898.25.
        await push(client, "6880", "6880.25")
        await until(client, lambda named: named["Stop1"]["orderState"] == "Filled")
        record = await floor.record(with_notes=True)
        by_name = {order.name: order for order in record.orders.values()}
        stop = by_name["Stop1"]
        assert stop.gap
        assert stop.filled_ticks == 2 * instrument_of("ES 12-26").ticks(Decimal(6880))
        assert [note.data.get("gap") for note in record.notes[stop.id] if note.event == "OrderFilled"] == [True]
        assert by_name["Target1"].state in TERMINAL
        assert not by_name["Target1"].filled
        assert record.positions["ES 12-26"].lots == 0

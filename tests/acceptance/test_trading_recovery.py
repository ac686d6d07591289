"""A trading server that dies again and again: under load, then in its recovery, or with the first order after it.

A market is pushed to `gesta serve`, traders place, change and cancel over the CrossTrade dialect, others are told of it
by REST and WebSocket; test_trading_kill.py has every crash point by itself. Whatever anybody was told, over all lives,
is what the next server answers. A placement that is repeated is the same order, also after a change; what rested rests
again and is filled; stops that were crossed meanwhile fire at the first quote. `TRADING_KILLS` asks for more kills at
random.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import websockets

from gesta.access.bootstrap import bootstrap
from gesta.app.build import database_of, open_core
from gesta.app.settings import load_settings
from gesta.app.trading_stack import catalog_of
from gesta.desk.trading.verify import verify
from gesta.ledger.verify import verify as recount
from gesta.trading.instruments import Instrument
from gesta.trading.money import to_units
from tests.acceptance.trading_clients import (
    GAP,
    LOAD,
    REST,
    Client,
    drive_market,
    listen,
    order_body,
    trade,
    watch,
)
from tests.acceptance.trading_witness import FINAL, RESTING, TradingWitness
from tests.integration.postgres_control import running_postgres
from tests.integration.trading_house import check_record

GESTA = Path(sys.executable).parent / "gesta"
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
RANDOM = int(os.environ.get("TRADING_KILLS", "1"))
# Later than what the check of the kill before reaches, and in the middle of the load.
LATE = 90
# Those that are reached at once meet what is left of the one before: orders on record that the venue has not seen.
PLAN = (
    f"trading.committed:{LATE}",
    "trading.submitted:1",
    f"trading.submit:{LATE}",
    "trading.submit:1",
    "trading.commit.rows:1",
    f"trading.submitted:{LATE}",
    f"storage.before_commit:{LATE}",
)
TRADERS = 4
REPEATED = 30
START_S = 60
DIES_S = 60
# More than the traders can lose.
STARTING_CASH = 1_000_000_000_000
UNLIMITED = {
    f"GESTA_RATES__{bucket}__{name}": "1000000"
    for bucket in ("CROSSTRADE", "CROSSTRADE_SUBSCRIBE", "NATIVE")
    for name in ("RATE_PER_S", "BURST")
}
TRADING = {"GESTA_TRADING__MARKET": "none", "GESTA_TRADING__STARTING_CASH": str(STARTING_CASH)}


class House:
    """One database, its credential, and the servers that die over it."""

    def __init__(self, database: str, folder: Path) -> None:
        self.settings = load_settings(None, {"database.url": database}, environ={})
        self.folder = folder
        self.catalog = catalog_of(self.settings.trading)
        self.witness = TradingWitness()
        self.moments = random.Random(20_261_121)
        self.life = 0
        self.deaths: list[str] = []
        self.recoveries_killed = self.checks = self.gaps = self.rests = 0
        # What the next server is asked about: client ids, and whether the market has been moved for them.
        self.protected: list[str] = []
        self.resting: list[str] = []
        self.is_crossed = self.is_met = False

    async def prepare(self) -> None:
        async with open_core(self.settings) as core:
            made = await bootstrap(core.access, "kill")
            self.token = made.bearer.secret
            self.account = made.account

    def instrument(self, name: str) -> Instrument:
        found = self.catalog.get(name)
        assert found is not None
        return found

    @asynccontextmanager
    async def serving(self, point: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, Client | None]]:
        """Without a client where the server died in its recovery."""
        self.life += 1
        server = await asyncio.create_subprocess_exec(
            GESTA, "serve", "--port", "0", "--database", self.settings.database.url, "--log-level", "warning",
            cwd=self.folder, env={**CLEAN, **UNLIMITED, **TRADING, "GESTA_CRASH_POINT": point},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            line = await asyncio.wait_for(server.stdout.readline(), START_S)
            if not line and point:
                yield server, None
                return
            assert b"Gesta answers on " in line, line
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx.AsyncClient(base_url=line.split()[3].decode(), headers=headers, timeout=30) as http:
                yield server, Client(http, self.witness)
        finally:
            if server.returncode is None:
                server.kill()
            await server.communicate()

    # -- one life

    async def kill_once(self, point: str) -> None:
        """A server that is checked, used, and killed: at the point wherever that is reached, or at random."""
        async with self.serving(point) as (server, client):
            if client is None:
                self.recoveries_killed += 1
            else:
                with suppress(httpx.TransportError):
                    await self.check(client)
                    await self.set_up(client)
                    await self.use(server, client, is_armed=bool(point))
            assert await asyncio.wait_for(server.wait(), DIES_S) == -signal.SIGKILL
        self.deaths.append(point)

    async def use(self, server: asyncio.subprocess.Process, client: Client, *, is_armed: bool) -> None:
        spoke, heard = asyncio.Event(), asyncio.Event()
        # The first market, so that no market order finds none.
        await client.quote(LOAD, "60000", "60000.1", size="1")
        listening = asyncio.create_task(listen(client, self.token, heard))
        await heard.wait()
        users = [
            listening,
            asyncio.create_task(drive_market(client, self.moments)),
            asyncio.create_task(watch(client)),
            *(
                asyncio.create_task(trade(client, f"{self.life}-{number}", self.moments, spoke))
                for number in range(TRADERS)
            ),
        ]
        async with asyncio.timeout(DIES_S):
            if not is_armed:
                await spoke.wait()
                await asyncio.sleep(self.moments.random())
                server.send_signal(signal.SIGKILL)
            ends = await asyncio.gather(*users, return_exceptions=True)
        for end in ends:
            if not isinstance(end, httpx.TransportError | websockets.ConnectionClosed | None):
                raise end

    async def set_up(self, client: Client) -> None:
        """A position with its bracket and with a stop of its own, and a limit order below the market."""
        entry, held, stop, resting = (f"{self.life}-{name}" for name in ("entry", "held", "stop", "resting"))
        await client.quote(GAP, "3000", "3000.5")
        await client.ask("POST", "/v1/api/accounts/Sim101/positions/flatten", json={"instrument": GAP})
        one = {"instrument": GAP, "quantity": 1, "timeInForce": "GTC"}
        order_id = await client.place(
            entry,
            {**one, "action": "BUY", "orderType": "MARKET", "stopLossTicks": 1000, "takeProfitTicks": 90_000},
        )
        await client.final(order_id)
        await client.final(await client.place(held, {**one, "action": "BUY", "orderType": "MARKET"}))
        await client.place(stop, {**one, "action": "SELL", "orderType": "STOPMARKET", "stopPrice": "2900"})
        self.protected, self.is_crossed = [entry, stop], False
        await client.quote(REST, "100", "100.01")
        body = {"instrument": REST, "action": "BUY", "quantity": 1, "orderType": "LIMIT", "timeInForce": "GTC"}
        await client.place(resting, {**body, "limitPrice": "90"})
        self.resting, self.is_met = [resting], False

    # -- after a kill

    async def check(self, client: Client) -> None:
        """May end at any moment by the server's death; the next server is asked the same again."""
        witness = self.witness
        orders = witness.check_orders(await client.listed("orders"), settled=False)
        witness.check_fills(await client.listed("executions"), orders, await client.positions())
        await self.place_again(client)
        await self.settle(client)
        orders = witness.check_orders(await client.listed("orders"), settled=True)
        await self.check_gap(client)
        await self.check_resting(client)
        await self.settle(client)
        orders = witness.check_orders(await client.listed("orders"), settled=True)
        witness.check_fills(await client.listed("executions"), orders, await client.positions())
        database = database_of(self.settings)
        await database.start()
        try:
            assert (await verify(database, self.instrument)).faults == []
            assert (await recount(database)).faults == []
        finally:
            await database.stop()
        self.checks += 1

    async def place_again(self, client: Client) -> None:
        """What was acknowledged gives the same order; what was under way is placed now, or was."""
        witness = self.witness
        orders = await client.listed("orders")
        known = {order["orderId"] for order in orders}
        before = {order["originalOrderId"]: order["orderId"] for order in orders}
        repeated, under_way = list(witness.acknowledged)[-REPEATED:], list(witness.tried)
        witness.sent_again |= witness.tried.keys()
        for client_id in (*repeated, *under_way):
            order_id = await client.place(client_id)
            assert before.get(client_id, order_id) == order_id
        after = {order["orderId"] for order in await client.listed("orders")}
        # Nothing moved the market: only what had not arrived is new.
        arrived = {witness.acknowledged[client_id] for client_id in under_way}
        assert known <= after <= known | arrived

    async def settle(self, client: Client) -> None:
        """Until what was decided before is on disk: batches are written one after the other, so it is when a round of
        an order and its cancel is."""
        body = {"instrument": REST, "action": "BUY", "quantity": 1, "orderType": "LIMIT", "timeInForce": "GTC"}
        for _ in range(2):
            name = f"{self.life}-round-{len(self.witness.bodies)}"
            order_id = await client.place(name, {**body, "limitPrice": "50"})
            await client.cancel(order_id)
            assert (await client.final(order_id))["orderState"] == "Cancelled"

    async def check_gap(self, client: Client) -> None:
        """The market has crossed the stops while the server was down: they fire at its first quote, at its price."""
        if not self.protected:
            return
        entry, stop = (self.witness.acknowledged[client_id] for client_id in self.protected)
        orders = await client.listed("orders")
        (child,) = (each["orderId"] for each in orders if (each["entryOrderId"], each["name"]) == (entry, "Stop1"))
        (target,) = (each["orderId"] for each in orders if (each["entryOrderId"], each["name"]) == (entry, "Target1"))
        for order_id in (child, stop):
            order = await client.order(order_id)
            assert order["orderState"] == "Accepted" or (self.is_crossed and order["orderState"] in FINAL), order
        self.is_crossed = True
        await client.quote(GAP, "2800", "2800.5")
        for order_id in (child, stop):
            order = await client.final(order_id)
            assert (order["orderState"], order["averageFillPrice"]) == ("Filled", 2800), order
            assert order["isTriggered"], order
            assert order["isGap"], order
        assert (await client.final(target))["orderState"] == "Cancelled"
        self.protected = []
        self.gaps += 1

    async def check_resting(self, client: Client) -> None:
        """It rests again, and is filled by a market that comes to it."""
        if not self.resting:
            return
        (order_id,) = (self.witness.acknowledged[client_id] for client_id in self.resting)
        await client.quote(REST, "100", "100.01")
        await self.settle(client)
        order = await client.order(order_id)
        assert order["orderState"] in RESTING or (self.is_met and order["orderState"] == "Filled"), order
        self.is_met = True
        await client.quote(REST, "89.99", "90")
        order = await client.final(order_id)
        assert (order["orderState"], order["averageFillPrice"], order["isGap"]) == ("Filled", 90, False), order
        await client.quote(REST, "100", "100.01")
        self.resting = []
        self.rests += 1

    async def check_everything(self) -> None:
        """From what is on disk alone, and over the whole life of the database."""
        database = database_of(self.settings)
        await database.start()
        try:
            record = await check_record(database, self.account, self.instrument, to_units(Decimal(STARTING_CASH)), {})
        finally:
            await database.stop()
        assert set(self.witness.acknowledged.values()) <= record.orders.keys()
        assert self.witness.fills.keys() <= {fill.external_id for fill in record.fills}


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        yield House(str(tmp_path / "ledger.sqlite3"), tmp_path)
        return
    with running_postgres() as postgres:
        yield House(postgres.create("kill"), tmp_path)


async def test_trading_goes_on_after_deaths_in_a_recovery(house: House) -> None:
    await house.prepare()
    points = [*PLAN, *[""] * RANDOM]
    for point in points:
        await house.kill_once(point)
    async with house.serving() as (_, client):
        assert client is not None
        await house.check(client)
        # The same market and traders again, and an end without a kill in between.
        await client.quote(LOAD, "60000", "60000.1", size="5")
        final = await client.final(await client.place("last", order_body(3, house.moments)))
        assert final["orderState"] == "Filled"
        await house.settle(client)
    await house.check_everything()
    assert house.deaths == points
    # What `trading.submit` leaves has to be sent, and that has to be written.
    assert house.recoveries_killed >= 2
    # Most lives were long enough to be checked and used.
    assert house.checks >= len(points) // 2
    assert min(house.gaps, house.rests) >= len(points) // 2
    assert len(house.witness.fills) > 100

"""Orders from placing to journaled fill, against bare batched inserts of the same rows.

Gesta: `place` (market order, a client id of its own) on the paper venue with a quote that fills it, until the order is
final and on disk. `in flight` is how many callers place at once. The peer inserts what one order leaves behind — its
row, the notes of its life, the execution — with the same bytes and the same durability, one transaction for as many
orders as are in flight, and knows no venue, position, money, counter or feed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import asyncpg

from benchmarks.databases import scattered_id, temporary_folder, temporary_postgres
from benchmarks.harness import Contender, CpuClock, Report, bar, in_turn, ratio
from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import DatabaseSettings, LogSettings, Settings, TradingSettings
from gesta.desk.trading.requests import PlaceOrder
from gesta.storage.program import Fetch, Program, Row, Statement
from gesta.trading.market import Quote
from gesta.trading.orders import Side

# (in flight, orders in a lap, laps)
SHAPES = ((1, 60, 7), (16, 640, 7), (64, 1920, 7))
TABLES = (
    "CREATE TABLE bare_orders (number BIGINT NOT NULL PRIMARY KEY, id TEXT NOT NULL, body BYTEA NOT NULL)",
    "CREATE UNIQUE INDEX bare_orders_id ON bare_orders (id)",
    "CREATE TABLE bare_notes (number BIGINT NOT NULL, note BIGINT NOT NULL, body BYTEA NOT NULL,"
    " PRIMARY KEY (number, note))",
    "CREATE TABLE bare_executions (rid BIGINT NOT NULL PRIMARY KEY, id TEXT NOT NULL, body BYTEA NOT NULL)",
    "CREATE UNIQUE INDEX bare_executions_id ON bare_executions (id)",
)
INSERTS = (
    "INSERT INTO bare_orders VALUES ($1, $2, $3)",
    "INSERT INTO bare_notes VALUES ($1, $2, $3)",
    "INSERT INTO bare_executions VALUES ($1, $2, $3)",
)


class Bare:
    """One connection of the bare driver."""

    def __init__(self, sqlite: apsw.Connection | None, postgres: Any) -> None:
        self._sqlite = sqlite
        self._postgres = postgres

    @classmethod
    async def open(cls, place: str) -> Bare:
        if place.startswith("postgres"):
            connection = await asyncpg.connect(place)
            for statement in TABLES:
                await connection.execute(statement)
            return cls(None, connection)
        sqlite = apsw.Connection(place)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=16000", "cache_size=-65536"):
            sqlite.execute(f"PRAGMA {pragma}").fetchall()
        for statement in TABLES:
            sqlite.execute(statement.replace("BIGINT", "INTEGER").replace("BYTEA", "BLOB")).fetchall()
        return cls(sqlite, None)

    async def put(self, rows: list[list[tuple[Any, ...]]]) -> None:
        if self._sqlite is not None:
            self._sqlite.execute("BEGIN IMMEDIATE")
            for statement, batch in zip(INSERTS, rows, strict=True):
                self._sqlite.executemany(statement.replace("$", "?"), batch)
            self._sqlite.execute("COMMIT")
            return
        async with self._postgres.transaction():
            for statement, batch in zip(INSERTS, rows, strict=True):
                await self._postgres.executemany(statement, batch)

    async def close(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
        else:
            await self._postgres.close()


class Traders:
    """Callers of one running server."""

    def __init__(self, server: Server, principal: Principal, account: Account) -> None:
        self._server = server
        self._principal = principal
        self._account = account
        self.placed = 0

    async def trade(self, in_flight: int, orders: int) -> int:
        assert self._server.trading is not None
        waves, rest = divmod(orders, in_flight)
        assert not rest
        await asyncio.gather(*(self._caller(waves) for _ in range(in_flight)))
        await self._server.trading.engine.idle()
        return orders

    async def _caller(self, orders: int) -> None:
        assert self._server.trading is not None
        desk, engine = self._server.trading.desk, self._server.trading.engine
        for _ in range(orders):
            self.placed += 1
            side = Side.BUY if self.placed % 2 else Side.SELL
            request = PlaceOrder(instrument="ES", side=side, quantity=Decimal(1), client_id=f"c{self.placed}")
            placed = await desk.place(self._principal, self._account, request)
            assert await engine.final(placed.order.id, 30)

    async def template(self) -> tuple[bytes, list[bytes], bytes]:
        """What the newest order left behind: its body, its notes, its execution."""
        database = self._server.core.database

        def program() -> Program[tuple[bytes, list[bytes], bytes]]:
            order: list[Row] = yield Fetch(_all("SELECT number, body FROM orders ORDER BY number DESC LIMIT 1"))
            notes = yield Fetch(_all(f"SELECT body FROM order_notes WHERE number = {order[0][0]}"))
            execution = yield Fetch(_all("SELECT body FROM executions ORDER BY rid DESC LIMIT 1"))
            return bytes(order[0][1]), [bytes(row[0]) for row in notes], bytes(execution[0][0])

        return await database.read(program)


def _all(text: str) -> Statement:
    return Statement("benchmark", text, text)


def bare_rows(first: int, count: int, template: tuple[bytes, list[bytes], bytes]) -> list[list[tuple[Any, ...]]]:
    order, notes, execution = template
    numbers = range(first, first + count)
    return [
        [(number, scattered_id(number), order) for number in numbers],
        [(number, place, note) for number in numbers for place, note in enumerate(notes)],
        [(number, scattered_id(number), execution) for number in numbers],
    ]


async def traders(stack: AsyncExitStack, place: str) -> Traders:
    settings = Settings(
        database=DatabaseSettings(url=place),
        trading=TradingSettings(market="none", starting_cash=1_000_000_000, fees="default"),
        log=LogSettings(level="error"),
    )
    configure(settings.log)
    server = await stack.enter_async_context(build(settings))
    assert server.trading is not None
    organization = await server.core.access.create_organization("Benchmark")
    account = await server.core.access.ensure_account(organization.id, "Sim101", AccountType.TRADING)
    principal = Principal(
        organization=organization,
        identity_id=1,
        identity_name="benchmark",
        credential_id=1,
        scopes=frozenset({Scope.ADMIN}),
    )
    market = server.trading.market
    name = market.resolve("ES").name
    now_us = server.core.clock.now_us()
    # More is displayed than all laps take.
    market.on_market(Quote(name, 24_000, 24_001, 10**6, 10**6, now_us, now_us))
    return Traders(server, principal, account)


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        cpu: CpuClock = lambda: 0.0  # noqa: E731
        if database == "sqlite":
            folder: Path = stack.enter_context(temporary_folder())
            places = [f"sqlite:///{folder / 'gesta.sqlite3'}", str(folder / "bare.sqlite3")]
        else:
            server = stack.enter_context(temporary_postgres())
            cpu = server.cpu
            places = [await server.create("gesta"), await server.create("bare")]
        callers = await traders(stack, places[0])
        bare = await Bare.open(places[1])
        stack.push_async_callback(bare.close)
        await callers.trade(1, 2)
        template = await callers.template()
        report = Report(
            f"trading-{database}",
            f"Orders on {database}: placed, filled by the paper venue, journaled, told to the caller",
            ["in flight", "bare orders/s", "Gesta orders/s", "÷bare", "CPU µs/order", "rows/order"],
            "÷bare: Gesta's throughput over that of inserting what an order leaves behind, median of the rounds.",
        )
        counter = 0
        for in_flight, orders, laps in SHAPES:
            rounds = 3 if options.quick else laps
            progress, advance = bar(f"{in_flight} in flight", rounds)

            async def put_bare(in_flight: int = in_flight, orders: int = orders) -> int:
                nonlocal counter
                for _ in range(orders // in_flight):
                    await bare.put(bare_rows(counter, in_flight, template))
                    counter += in_flight
                return orders

            async def trade(in_flight: int = in_flight, orders: int = orders) -> int:
                return await callers.trade(in_flight, orders)

            contenders: dict[str, Contender] = {"bare": put_bare, "gesta": trade}
            with progress:
                taken = await in_turn(contenders, rounds=rounds, others=cpu, progress=partial(advance, 1))
            report.add(
                str(in_flight),
                f"{taken['bare'].rate:,.0f}",
                f"{taken['gesta'].rate:,.0f}",
                f"{1 / ratio(taken['gesta'], taken['bare']):.2f}",
                f"{taken['gesta'].cpu_us:,.0f}",
                str(2 + len(template[1])),
            )
            for name, each in taken.items():
                report.keep(f"{in_flight}-{name}", each)
        report.finish()

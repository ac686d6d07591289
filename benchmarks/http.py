"""One execution and a list of 20 over HTTP, in every dialect, against a raw ASGI application and bare SQL.

The server is `gesta serve` in a process of its own, its log of requests off, its rates out of the way; 10,000 rows are
recorded over `POST /ledger/executions`. Floor (a) is a raw ASGI application on the same uvicorn settings that answers
the very same bytes. Floor (b) is the row (for a list: the 20 rows) by primary key through the bare driver. Figures are
CPU time: of the server and the database server for Gesta, of the floor's server for (a), of this process and the
database server for (b). The client is not counted.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw
import asyncpg
import msgspec

from benchmarks.databases import scattered_id
from benchmarks.floor import Answers
from benchmarks.harness import Contender, CpuClock, Laps, Report, against, bar, percentile, repeated, take_lap, us
from benchmarks.served import Caller, House, Process, batches, house, post, request
from gesta.ledger.rows import ROW_COLUMNS

GOAL = 3.0
ROWS = 10_000
RUNS, EXECUTORS = 2_000, 1_000
LINKED = "reader@example.com"
TRADING = "Sim101"
POLLED = 200
CONNECTIONS = (1, 16)
CALLS = {1: 300, 16: 1_200}
ROUNDS = 7

Place = tuple[str, int]


@dataclass(frozen=True)
class Read:
    """A hot read: requests of one kind, asked in turn. `ids` are the rows behind a request, for bare SQL."""

    name: str
    targets: list[str]
    headers: dict[str, str]
    rows: int
    ids: list[str]

    def requests(self) -> list[bytes]:
        return [request(target, self.headers) for target in self.targets]


@dataclass
class Taken:
    """What one read took. Latencies are in seconds, by number of connections."""

    gesta: dict[int, Laps] = field(default_factory=lambda: {each: Laps() for each in CONNECTIONS})
    raw: dict[int, Laps] = field(default_factory=lambda: {each: Laps() for each in CONNECTIONS})
    sql: Laps = field(default_factory=Laps)
    latencies: dict[int, list[float]] = field(default_factory=lambda: {each: [] for each in CONNECTIONS})


def data_set() -> Iterator[dict[str, Any]]:
    """Fills on one account, executors, and runs of a linked account, the newest a minute old, 30 s apart."""
    # Not for secrets.
    dice = random.Random(1)
    now = datetime.now(UTC) - timedelta(minutes=1)
    kinds = ["run"] * RUNS + ["executor"] * EXECUTORS + ["fill"] * (ROWS - RUNS - EXECUTORS)
    dice.shuffle(kinds)
    for number, kind in enumerate(kinds):
        at = (now - timedelta(seconds=30 * (ROWS - number))).isoformat(timespec="microseconds").replace("+00:00", "Z")
        yield row_of(kind, number, at, dice)


def row_of(kind: str, number: int, at: str, dice: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {"id": scattered_id(number), "account": TRADING, "created_at": at, "name": f"Entry {number}"}
    if kind == "fill":
        detail = {
            "order_id": f"order{number // 3}",
            "instrument": "ES 12-26",
            "side": dice.choice(("buy", "sell")),
            "quantity": str(dice.randrange(1, 6)),
            "price": str(5800 + dice.randrange(160) / 4),
            "commission": "1.24",
            "point_value": "50",
        }
        return row | {"detail": {"kind": kind, **detail}}
    if kind == "executor":
        detail = {
            "executor_type": "position_executor",
            "connector": "binance_perpetual",
            "trading_pair": "BTC-USDT",
            "side": "buy",
            "net_pnl_quote": str(dice.randrange(1000) / 100),
            "filled_quote": str(dice.randrange(1000)),
            "fees_quote": "0.05",
        }
        status = dice.choice(("running", "succeeded"))
        return row | {"status": status, "detail": {"kind": kind, **detail}}
    workflow = {"id": f"wf{number % 7}", "name": f"Rebalance {number % 7}"}
    status = dice.choice(("succeeded", "succeeded", "failed", "running"))
    return row | {"account": LINKED, "status": status, "detail": {"kind": kind, "workflow": workflow}}


def reads(fleet: House, rows: list[dict[str, Any]]) -> list[Read]:
    made = fleet.made
    ids = {kind: [row["id"] for row in reversed(rows) if row["detail"]["kind"] == kind] for kind in KINDS}
    bearer = {"Authorization": f"Bearer {made.bearer.secret}"}
    b3os = {"Authorization": f"Bearer {made.b3os.secret}"}
    pair = f"{made.basic.username}:{made.basic.secret}".encode()
    basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    key = {"x-api-key": made.production_key.secret, "linked_account_id": LINKED}
    fills, executors, runs = (ids[kind][:POLLED] for kind in KINDS)
    newest = [row["id"] for row in reversed(rows)]

    def one(dialect: str, path: str, headers: dict[str, str], of: list[str]) -> Read:
        return Read(f"{dialect}, one", [f"{path}/{each}" for each in of], headers, 1, of)

    def many(dialect: str, target: str, headers: dict[str, str], of: list[str]) -> Read:
        return Read(f"{dialect}, 20", [target], headers, 20, of[:20])

    crosstrade = f"/v1/api/accounts/{TRADING}/executions"
    refold = "/api/v2/public/execution"
    return [
        one("CrossTrade", crosstrade, bearer, fills),
        many("CrossTrade", f"{crosstrade}?limit=20", bearer, fills),
        one("Hummingbot", "/executors", basic, executors),
        one("B3OS", "/v1/executions", b3os, runs),
        many("B3OS", "/v1/executions?limit=20", b3os, runs),
        one("Refold", refold, key, runs),
        many("Refold", f"{refold}?page=1&limit=20", key, runs),
        one("Gesta", "/ledger/executions", bearer, fills),
        many("Gesta", "/ledger/executions?limit=20", bearer, newest),
    ]


KINDS = ("fill", "executor", "run")


class Sql:
    """Rows by primary key through the bare driver."""

    async def rids(self, ids: list[str]) -> list[int]:
        raise NotImplementedError

    async def fetch(self, rids: list[int]) -> int:
        raise NotImplementedError


class BareSqlite(Sql):
    def __init__(self, path: str) -> None:
        self._connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        # As a transaction of reads in the product holds it: the file is not asked again for every row.
        self._connection.execute("PRAGMA cache_size=-65536").fetchall()

    async def rids(self, ids: list[str]) -> list[int]:
        found = (self._connection.execute("SELECT rid FROM executions WHERE id = ?", (each,)) for each in ids)
        return [int(next(iter(cursor))[0]) for cursor in found]

    async def fetch(self, rids: list[int]) -> int:
        places = ", ".join("?" * len(rids))
        statement = f"SELECT {ROW_COLUMNS} FROM executions WHERE rid IN ({places})"
        return len(self._connection.execute(statement, rids).fetchall())


class BarePostgres(Sql):
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rids(self, ids: list[str]) -> list[int]:
        return [int(await self._connection.fetchval("SELECT rid FROM executions WHERE id = $1", each)) for each in ids]

    async def fetch(self, rids: list[int]) -> int:
        places = ", ".join(f"${place}" for place in range(1, len(rids) + 1))
        found = await self._connection.fetch(f"SELECT {ROW_COLUMNS} FROM executions WHERE rid IN ({places})", *rids)
        return len(found)


async def open_sql(fleet: House, stack: AsyncExitStack) -> Sql:
    if fleet.database.startswith("postgresql:"):
        connection = await asyncpg.connect(fleet.database)
        stack.push_async_callback(connection.close)
        return BarePostgres(connection)
    return BareSqlite(fleet.database.removeprefix("sqlite:///"))


async def answers_of(place: Place, every: list[Read]) -> Answers:
    """What Gesta answers to each request, for the floor to answer too."""
    caller = await Caller.connect(place)
    answers: Answers = {}
    for read in every:
        for target, asked in zip(read.targets, read.requests(), strict=True):
            head, _, body = (await caller.ask(asked)).partition(b"\r\n\r\n")
            pairs = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            # uvicorn writes the date by itself, for both.
            headers = [(name, value) for name, value in pairs if name.lower() != b"date"]
            answers[target.encode()] = (headers, body)
            check(read, body)
    caller.close()
    return answers


def check(read: Read, body: bytes) -> None:
    """Raise RuntimeError unless the answer has as many executions as were asked for."""
    if read.rows == 1:
        return
    value = msgspec.json.decode(body)
    lists = [value, *(value.values() if isinstance(value, dict) else ())]
    lists += [inner for each in lists if isinstance(each, dict) for inner in each.values()]
    if not any(isinstance(each, list) and len(each) == read.rows for each in lists):
        raise RuntimeError(f"{read.name}: not {read.rows} rows in {body[:300]!r}")


def asking(callers: list[Caller], requests: list[bytes], calls: int, latencies: list[float] | None) -> Contender:
    """A lap: each connection asks again as soon as it is answered."""

    async def work(caller: Caller, share: Iterator[bytes]) -> None:
        for asked in share:
            began_s = time.perf_counter()
            await caller.ask(asked)
            if latencies is not None:
                latencies.append(time.perf_counter() - began_s)

    async def lap() -> int:
        endless = itertools.cycle(requests)
        each = calls // len(callers)
        await asyncio.gather(*(work(caller, itertools.islice(endless, each)) for caller in callers))
        return each * len(callers)

    return lap


def by_key(sql: Sql, read: Read, rids: list[int]) -> Contender:
    if read.rows > 1:
        return repeated(lambda: sql.fetch(rids), 300)
    endless = itertools.cycle(rids)
    return repeated(lambda: sql.fetch([next(endless)]), 600)


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(house(database))
        gesta = fleet.serve()
        stack.callback(gesta.stop)
        place = await gesta.address()
        rows = list(data_set())
        for batch in batches(iter(rows)):
            await asyncio.to_thread(post, place, fleet.made.bearer.secret, batch)
        every = reads(fleet, rows)
        answers = fleet.folder / "answers"
        answers.write_bytes(msgspec.msgpack.encode(await answers_of(place, every)))
        address = fleet.folder / "floor-address"
        raw = Process(["-m", "benchmarks.floor", str(address), str(answers)], address)
        stack.callback(raw.stop)
        sql = await open_sql(fleet, stack)
        cpu = Clocks(lambda: gesta.cpu() + fleet.database_cpu(), raw.cpu, fleet.database_cpu)
        taken = await compare(every, place, await raw.address(), sql, cpu, 2 if options.quick else ROUNDS)
        tell(database, taken)


@dataclass(frozen=True)
class Clocks:
    gesta: CpuClock
    raw: CpuClock
    database: CpuClock


async def compare(every: list[Read], gesta: Place, raw: Place, sql: Sql, cpu: Clocks, rounds: int) -> dict[str, Taken]:
    taken = {read.name: Taken() for read in every}
    rids = {read.name: await sql.rids(read.ids) for read in every}
    callers = {place: [await Caller.connect(place) for _ in range(max(CONNECTIONS))] for place in (gesta, raw)}
    progress, advance = bar("reads", len(every) * (rounds + 1))
    with progress:
        # The first round warms up and is not counted.
        for round_ in range(-1, rounds):
            for read in every:
                into = taken[read.name] if round_ >= 0 else Taken()
                requests = read.requests()
                for many in CONNECTIONS:
                    lap = asking(callers[gesta][:many], requests, CALLS[many], into.latencies[many])
                    into.gesta[many].laps.append(await take_lap(lap, cpu.gesta))
                    lap = asking(callers[raw][:many], requests, CALLS[many], None)
                    into.raw[many].laps.append(await take_lap(lap, cpu.raw))
                into.sql.laps.append(await take_lap(by_key(sql, read, rids[read.name]), cpu.database))
                advance(1)
    for caller in itertools.chain(*callers.values()):
        caller.close()
    return taken


def tell(database: str, taken: dict[str, Taken]) -> None:
    report = Report(
        f"http-{database}",
        f"Hot reads over HTTP on {database}, {ROWS:,} rows: CPU for one request, and latency",
        ["read", "Gesta", "(a)", "(b)", "÷(a+b)", "16: ÷", "p50", "p99", "16: p50", "16: p99"],
        f"(a): a raw ASGI application, the same bytes. (b): the rows by primary key. Goal: ≤ {GOAL:.0f}.\n"
        f"16: with 16 connections, else 1, keep-alive. CPU: medians. {POLLED} rows are asked for in turn.",
    )
    for name, each in taken.items():
        sql = each.sql.cpu_us
        ratios = [each.gesta[many].other_cpu_us / (each.raw[many].other_cpu_us + sql) for many in CONNECTIONS]
        latencies = [us(percentile(each.latencies[many], share) * 1e6) for many in CONNECTIONS for share in (0.5, 0.99)]
        report.add(
            name,
            us(each.gesta[1].other_cpu_us),
            us(each.raw[1].other_cpu_us),
            us(sql),
            *(against(value, GOAL) for value in ratios),
            *latencies,
        )
        for many in CONNECTIONS:
            report.keep(f"{name}: gesta, {many}", each.gesta[many])
            report.keep(f"{name}: raw, {many}", each.raw[many])
        report.keep(f"{name}: sql", each.sql)
    report.finish()

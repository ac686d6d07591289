"""Ingest with all guarantees against a bare batched insert of the same bytes.

`bare`: one table with the same columns' bytes and a unique id, the rows encoded beforehand, one transaction per batch,
the same durability. `indexed`: the same with the indexes and reference rows that Gesta's reads need, still without
look-ups, duplicate detection, counters, sums and feed. Gesta's time includes the encoding. `pipelined` has two appends
in flight, as an upload that does not wait for each batch would; its peers are the same bare inserts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import apsw
import asyncpg

from benchmarks.databases import database_at, scattered_id, temporary_folder, temporary_postgres
from benchmarks.harness import Contender, CpuClock, Laps, Report, against, bar, in_turn, ratio
from gesta.kernel.clock import SystemClock
from gesta.ledger import appending
from gesta.ledger.codes import REFERENCE_CODE
from gesta.ledger.records import NewExecution
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.storage.migrate import migrate
from gesta.testing.rows import fill

GOAL = 0.5
# (rows in a batch, batches in a lap, laps)
SHAPES = ((1, 100, 9), (100, 20, 9), (1000, 6, 15))
BASE_ROWS = 20_000
IN_FLIGHT = 2
LEDGERS = ("gesta", "pipelined")

COLUMNS = (
    "rid, organization, account, cell, id, external_id, origin, name, search, parent_id, created_at, started_at,"
    " finished_at, updated_at, recorded_at, seq, content, body"
)
TYPES = {"cell": "BIGINT NOT NULL", "origin": "TEXT", "name": "TEXT", "search": "TEXT", "external_id": "TEXT"} | {
    "id": "TEXT NOT NULL",
    "parent_id": "TEXT",
    "content": "BYTEA",
    "body": "BYTEA NOT NULL",
    "rid": "BIGINT NOT NULL PRIMARY KEY",
}
BARE = ("id", "account", "name", "origin", "created_at", "updated_at", "cell", "body")


def ddl(table: str, columns: list[str], *, indexed: bool) -> list[str]:
    body = ", ".join(f"{name} {TYPES.get(name, 'BIGINT')}" for name in columns)
    statements = [f"CREATE TABLE {table} ({body})"]
    if indexed:
        statements += [
            f"CREATE UNIQUE INDEX {table}_id ON {table} (organization, id)",
            f"CREATE INDEX {table}_a ON {table} (account, created_at, rid)",
            f"CREATE INDEX {table}_o ON {table} (organization, created_at, rid)",
            "CREATE TABLE indexed_refs (organization BIGINT NOT NULL, key BIGINT NOT NULL, value TEXT NOT NULL,"
            " created_at BIGINT NOT NULL, rid BIGINT NOT NULL,"
            " PRIMARY KEY (organization, key, value, created_at, rid))",
        ]
    else:
        statements.append(f"CREATE UNIQUE INDEX {table}_id ON {table} (id)")
    return statements


def insert(table: str, columns: list[str]) -> str:
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"


INDEXED = COLUMNS.replace("\n", "").split(", ")
BARE_INSERT = insert("bare", list(BARE))
INDEXED_INSERT = insert("indexed", INDEXED)
REFS_INSERT = "INSERT INTO indexed_refs VALUES ($1, $2, $3, $4, $5)"

Batch = tuple[list[NewExecution], list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]


def batch_of(first: int, count: int) -> Batch:
    """The same rows for each contender."""
    rows = [fill(number, id=scattered_id(number)) for number in range(first, first + count)]
    bare, indexed, refs = [], [], []
    for number, row in enumerate(rows, first):
        encoded = appending.encode(row)
        bare.append(
            (
                row.id,
                row.account,
                row.name,
                row.origin,
                row.created_at_us,
                row.created_at_us,
                encoded.cell,
                encoded.body,
            )
        )
        rid = 1 << 40 | number
        indexed.append(
            (
                *(rid, 1, row.account, encoded.cell, row.id, None, row.origin, row.name, None, row.parent_id),
                *(row.created_at_us, row.started_at_us, row.finished_at_us, row.created_at_us, row.created_at_us),
                *(number, encoded.content, encoded.body),
            )
        )
        refs += [(1, REFERENCE_CODE[name], value, row.created_at_us, rid) for name, value in row.correlation.items()]
    return rows, bare, indexed, refs


class Stream:
    """Batches that no contender has seen, made before its lap."""

    def __init__(self) -> None:
        self.next = 0
        self.ready: list[Batch] = []

    def prepare(self, rows: int, batches: int) -> None:
        self.ready = []
        for _ in range(batches):
            self.ready.append(batch_of(self.next, rows))
            self.next += rows


class BareSqlite:
    """apsw with the pragmas of the product."""

    def __init__(self, path: str) -> None:
        self.connection = apsw.Connection(path)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=16000", "cache_size=-65536"):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        for statement in (*ddl("bare", list(BARE), indexed=False), *ddl("indexed", INDEXED, indexed=True)):
            self.connection.execute(statement.replace("BIGINT", "INTEGER").replace("BYTEA", "BLOB")).fetchall()

    async def put(self, *inserts: tuple[str, list[tuple[Any, ...]]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for statement, rows in inserts:
            self.connection.executemany(statement.replace("$", "?"), rows)
        self.connection.execute("COMMIT")

    async def close(self) -> None:
        self.connection.close()


class BarePostgres:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, url: str) -> BarePostgres:
        connection = await asyncpg.connect(url)
        for statement in (*ddl("bare", list(BARE), indexed=False), *ddl("indexed", INDEXED, indexed=True)):
            await connection.execute(statement)
        return cls(connection)

    async def put(self, *inserts: tuple[str, list[tuple[Any, ...]]]) -> None:
        async with self.connection.transaction():
            for statement, rows in inserts:
                await self.connection.executemany(statement, rows)

    async def close(self) -> None:
        await self.connection.close()


def contenders(
    stream: Stream, bare: BareSqlite | BarePostgres, ledger: StoredLedger, other: StoredLedger
) -> dict[str, Contender]:
    """`other` takes the same rows two batches at a time."""

    async def put_bare() -> int:
        for _, rows, _, _ in stream.ready:
            await bare.put((BARE_INSERT, rows))
        return sum(len(batch[0]) for batch in stream.ready)

    async def put_indexed() -> int:
        for _, _, rows, refs in stream.ready:
            await bare.put((INDEXED_INSERT, rows), (REFS_INSERT, refs))
        return sum(len(batch[0]) for batch in stream.ready)

    async def put_gesta() -> int:
        for rows, _, _, _ in stream.ready:
            await ledger.append(1, rows)
        return sum(len(batch[0]) for batch in stream.ready)

    async def put_pipelined() -> int:
        waiting = iter([rows for rows, _, _, _ in stream.ready])

        async def work() -> None:
            for rows in waiting:
                await other.append(1, rows)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        return sum(len(batch[0]) for batch in stream.ready)

    return {"bare": put_bare, "indexed": put_indexed, "gesta": put_gesta, "pipelined": put_pipelined}


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        cpu: CpuClock = lambda: 0.0  # noqa: E731
        bare: BareSqlite | BarePostgres
        if database == "sqlite":
            folder = stack.enter_context(temporary_folder())
            bare = BareSqlite(str(folder / "bare.sqlite3"))
            places = [str(folder / f"{name}.sqlite3") for name in LEDGERS]
        else:
            server = stack.enter_context(temporary_postgres())
            cpu = server.cpu
            bare = await BarePostgres.open(await server.create("bare"))
            places = [await server.create(name) for name in LEDGERS]
        stack.push_async_callback(bare.close)
        ledgers = []
        for place in places:
            store = database_at(place)
            await store.start()
            stack.push_async_callback(store.stop)
            await migrate(store, [MIGRATIONS])
            ledgers.append(StoredLedger(store, SystemClock()))
        stream = Stream()
        runners = contenders(stream, bare, *ledgers)
        report = Report(
            f"ingest-{database}",
            f"Ingest on {database}: rows that land on {BASE_ROWS:,} and more others, ids that do not grow",
            ["batch", "bare rows/s", "indexed", "Gesta", "÷bare", "÷indexed", "CPU: bare÷", "CPU/row"],
            "÷bare, ÷indexed: Gesta's throughput over theirs, median of the rounds; goal at 1000: ≥ 0.5 of bare.\n"
            "CPU: bare÷: CPU of bare over that of Gesta.",
        )
        await base(stream, runners)
        for rows, batches, laps in SHAPES:
            add(report, rows, await shape(stream, runners, rows, batches, 3 if options.quick else laps, cpu))
        report.finish()


async def base(stream: Stream, runners: dict[str, Contender]) -> None:
    stream.prepare(1000, BASE_ROWS // 1000)
    for runner in runners.values():
        await runner()


async def shape(
    stream: Stream, runners: dict[str, Contender], rows: int, batches: int, rounds: int, cpu: CpuClock
) -> dict[str, Laps]:
    progress, advance = bar(f"batches of {rows}", rounds)
    if rows < 1000:
        runners = {name: runner for name, runner in runners.items() if name != "pipelined"}
    taken = {name: Laps() for name in runners}
    with progress:
        for turn in _turns(runners, rounds):
            stream.prepare(rows, batches)
            laps = await in_turn({name: runners[name] for name in turn}, rounds=1, others=cpu, warm_up=0)
            for name, lap in laps.items():
                taken[name].laps += lap.laps
            advance(1)
    return taken


def _turns(runners: dict[str, Contender], rounds: int) -> Iterator[list[str]]:
    """The order changes from round to round, so that none always runs behind the same other one."""
    names = list(runners)
    for round_ in range(rounds):
        yield names[round_ % len(names) :] + names[: round_ % len(names)]


def add(report: Report, rows: int, laps: dict[str, Laps]) -> None:
    bare, indexed = laps["bare"], laps["indexed"]
    for name, label in (("gesta", str(rows)), ("pipelined", f"{rows}, {IN_FLIGHT} in flight")):
        if name not in laps:
            continue
        gesta = laps[name]
        share = 1 / ratio(gesta, bare)
        report.add(
            label,
            f"{bare.rate:,.0f}",
            f"{indexed.rate:,.0f}",
            f"{gesta.rate:,.0f}",
            against(share, GOAL, at_least=True) if rows == 1000 else f"{share:.2f}",
            f"{1 / ratio(gesta, indexed):.2f}",
            f"{1 / ratio(gesta, bare, 'cpu_us'):.2f}",
            f"{gesta.mean_cpu_us:,.0f} µs",
        )
    for name, taken in laps.items():
        report.keep(f"{name}-{rows}", taken)

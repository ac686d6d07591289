"""Lists of a small and a large ledger: first page, deepest page, totals, under filters; COUNT and OFFSET beside them.

A page is 20 rows with its exact total, through `StoredLedger.page`, newest first. The peer runs `SELECT count(*)` and
`LIMIT 20 OFFSET n` over the same table and indexes through the same driver, and decodes its rows in the same way.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import msgspec

from benchmarks.databases import Postgres, database_at
from benchmarks.datasets import HOUR_US, ORGANIZATION, START_US, YEAR_US, postgres_with, sqlite_with
from benchmarks.harness import Contender, CpuClock, Laps, Report, against, bar, in_turn, repeated, us
from gesta.kernel.clock import SystemClock
from gesta.kernel.json import encode_json
from gesta.kernel.recent import Recent
from gesta.ledger import rows
from gesta.ledger.codes import KINDS, MODES, SOURCES, STATUSES, matches, pack
from gesta.ledger.query import Filter
from gesta.ledger.records import Kind, Mode, Source, Status
from gesta.ledger.rows import ROW_COLUMNS, execution_of
from gesta.ledger.store import StoredLedger
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Fetch, Program, Statement, postgres_text, sqlite_text
from gesta.storage.sqlite import SqliteDatabase

LIMIT = 20
GROWTH_GOAL = 1.3
DEPTH_GOAL = 1.5
CALLS = 20
ROUNDS = 15

QUERIES = {
    "organization": Filter(organization=ORGANIZATION),
    "no filter": Filter(organization=ORGANIZATION, account=1),
    "one filter (status)": Filter(organization=ORGANIZATION, account=1, statuses=frozenset({Status.FAILED})),
    "one filter (kind)": Filter(organization=ORGANIZATION, account=1, kinds=frozenset({Kind.RUN})),
    "three filters": Filter(
        organization=ORGANIZATION,
        account=1,
        kinds=frozenset({Kind.RUN}),
        statuses=frozenset({Status.SUCCEEDED}),
        modes=frozenset({Mode.SYNC}),
    ),
    "three, rare": Filter(
        organization=ORGANIZATION,
        account=1,
        kinds=frozenset({Kind.EXECUTOR}),
        statuses=frozenset({Status.TIMED_OUT}),
        sources=frozenset({Source.MANUAL}),
    ),
    "date range": Filter(
        organization=ORGANIZATION,
        account=1,
        created_from_us=START_US + YEAR_US // 4 + HOUR_US // 7,
        created_to_us=START_US + 3 * YEAR_US // 4 + HOUR_US // 3,
    ),
    "date range, status": Filter(
        organization=ORGANIZATION,
        account=1,
        statuses=frozenset({Status.SUCCEEDED}),
        created_from_us=START_US + YEAR_US // 4 + HOUR_US // 7,
        created_to_us=START_US + 3 * YEAR_US // 4 + HOUR_US // 3,
    ),
}

Database = SqliteDatabase | PostgresDatabase


class Ledger(msgspec.Struct):
    """One data set, open."""

    rows: int
    database: Database
    store: StoredLedger


def by_hand(query: Filter) -> tuple[str, list[Any]]:
    """The WHERE of the plain way, in Gesta's own columns."""
    parameters: list[Any] = [query.organization if query.account is None else query.account]
    where = ["organization = $1" if query.account is None else "account = $1"]
    if query.kinds or query.statuses or query.sources or query.modes:
        every = {pack(k, s, o, m) for k in KINDS for s in STATUSES for o in SOURCES for m in MODES}
        parameters.append(encode_json(sorted(cell for cell in every if matches(query, cell))).decode())
        where.append(f"@ints(cell, ${len(parameters)})")
    if query.created_from_us is not None:
        parameters.append(query.created_from_us)
        where.append(f"created_at >= ${len(parameters)}")
    if query.created_to_us is not None:
        parameters.append(query.created_to_us)
        where.append(f"created_at < ${len(parameters)}")
    return " AND ".join(where), parameters


def count_and_offset(query: Filter, offset: int) -> Program[tuple[int, int]]:
    where, parameters = by_hand(query)
    count = f"SELECT count(*) FROM executions WHERE {where}"
    page = (
        f"SELECT {ROW_COLUMNS} FROM executions WHERE {where}"
        f" ORDER BY created_at DESC, rid DESC LIMIT {LIMIT + 1} OFFSET {offset}"
    )
    counted = yield Fetch(Statement("bench.count", sqlite_text(count), postgres_text(count)), parameters)
    found = yield Fetch(Statement("bench.page", sqlite_text(page), postgres_text(page)), parameters)
    return int(counted[0][0]), len([execution_of(row) for row in found[:LIMIT]])


def page(ledger: Ledger, query: Filter, offset: int, times: int = CALLS) -> Contender:
    async def fetch() -> None:
        # Rows are decoded anew: the ledger would remember those of a page that is asked for again and again.
        rows._decoded = Recent(1 << 24)
        await ledger.store.page(query, offset=offset, limit=LIMIT)

    return repeated(fetch, times)


def plain(ledger: Ledger, query: Filter, offset: int) -> Contender:
    async def fetch() -> None:
        rows._decoded = Recent(1 << 24)
        await ledger.database.read(lambda: count_and_offset(query, offset), unbounded=True)

    return repeated(fetch, 1)


async def deepest(ledger: Ledger, query: Filter) -> tuple[int, int]:
    """(total, offset of the last full page), after a check against the plain way."""
    total = (await ledger.store.page(query, offset=0, limit=1)).total or 0
    offset = max(0, total - LIMIT)
    ours = await ledger.store.page(query, offset=offset, limit=LIMIT)
    counted, found = await ledger.database.read(lambda: count_and_offset(query, offset), unbounded=True)
    if (ours.total, len(ours.rows)) != (counted, found):
        raise RuntimeError(f"Gesta says {ours.total} rows, counting says {counted}: {query}")
    return total, offset


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        cpu: CpuClock = lambda: 0.0  # noqa: E731
        places: dict[int, str] = {}
        if database == "sqlite":
            for size in options.rows:
                places[size] = await sqlite_with(size, options.data)
        else:
            server = Postgres(options.data / "postgres")
            stack.callback(server.stop)
            cpu = server.cpu
            for size in options.rows:
                places[size] = await postgres_with(size, server)
        ledgers = []
        for size, place in places.items():
            opened = database_at(place)
            await opened.start()
            stack.push_async_callback(opened.stop)
            ledgers.append(Ledger(size, opened, StoredLedger(opened, SystemClock())))
        await compare(ledgers, database, cpu, 3 if options.quick else ROUNDS)


async def compare(ledgers: list[Ledger], database: str, cpu: CpuClock, rounds: int) -> None:
    base = ledgers[0]
    reports = [
        Report(
            f"lists-{database}-{ledger.rows}",
            f"Lists on {database}: 20 rows and the exact total, {base.rows:,} rows and {ledger.rows:,}",
            ["query", "total", "first", "middle", "deepest", "÷first", "growth", "deep", "COUNT", "÷ours"],
            f"÷first: deepest ÷ first page. growth, deep: those at {ledger.rows:,} rows ÷ {base.rows:,}.\n"
            f"Ratios are of CPU time, medians. Goals: ÷first ≤ {DEPTH_GOAL}, growth ≤ {GROWTH_GOAL}. "
            "COUNT: COUNT(*) and OFFSET, deepest page.",
        )
        for ledger in ledgers[1:]
    ]
    progress, advance = bar("queries", len(QUERIES))
    with progress:
        for name, query in QUERIES.items():
            await compare_one(ledgers, reports, name, query, cpu, rounds)
            advance(1)
    for report in reports:
        report.finish()


async def compare_one(
    ledgers: list[Ledger], reports: list[Report], name: str, query: Filter, cpu: CpuClock, rounds: int
) -> None:
    contenders: dict[str, Contender] = {}
    totals = {}
    for ledger in ledgers:
        totals[ledger.rows], offset = await deepest(ledger, query)
        contenders[f"first {ledger.rows}"] = page(ledger, query, 0)
        contenders[f"deepest {ledger.rows}"] = page(ledger, query, offset)
        if ledger is not ledgers[0]:
            contenders[f"middle {ledger.rows}"] = page(ledger, query, totals[ledger.rows] // 2)
            contenders[f"plain {ledger.rows}"] = plain(ledger, query, offset)
    laps = await in_turn(contenders, rounds=rounds, others=cpu)
    small_first, small_deep = laps[f"first {ledgers[0].rows}"], laps[f"deepest {ledgers[0].rows}"]
    for ledger, report in zip(ledgers[1:], reports, strict=True):
        first, middle, deep, plain_way = (
            laps[f"{what} {ledger.rows}"] for what in ("first", "middle", "deepest", "plain")
        )
        report.add(
            name,
            f"{totals[ledger.rows]:,}",
            us(first.wall_us),
            us(middle.wall_us),
            us(deep.wall_us),
            against(cpu_ratio(deep, first), DEPTH_GOAL),
            against(cpu_ratio(first, small_first), GROWTH_GOAL),
            against(cpu_ratio(deep, small_deep), GROWTH_GOAL),
            us(plain_way.wall_us),
            f"{plain_way.wall_us / deep.wall_us:,.0f}×",
        )
        for what, taken in (("first", first), ("middle", middle), ("deepest", deep), ("plain", plain_way)):
            report.keep(f"{name}: {what}", taken)
        report.keep(f"{name}: first of {ledgers[0].rows}", small_first)
        report.keep(f"{name}: deepest of {ledgers[0].rows}", small_deep)


def cpu_ratio(subject: Laps, floor: Laps) -> float:
    return subject.cpu_us / floor.cpu_us

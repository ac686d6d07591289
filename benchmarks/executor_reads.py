"""Executors as Hummingbot's clients read them, among 100, 10,000 and 1,000,000 that have ended: one by id, searches of
50 with one filter, first and deepest page, the summary and the performance report.

Each size has a `gesta serve` of its own in a process of its own, its log of requests off and its rates out of the way,
and is asked over HTTP by one connection, lap by lap in turn. The executors are recorded through `StoredLedger.append`:
20 controllers, of which `main` has 75 %, each with one type, connector and account, five pairs and five ways to end.
Every filter but `rare` matches at least 50 executors even of 100, so that the pages compared hold the same number.
CPU time is that of the server and of the database server; the client is not counted.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import random
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.databases import Postgres, database_at, scattered_id, temporary_folder
from benchmarks.harness import Contender, CpuClock, Laps, Report, against, bar, console, in_turn, us
from benchmarks.served import SETTINGS, Caller, Process, request, serve_arguments
from gesta.access.model import AccountType, CredentialType, Scope
from gesta.app.build import MIGRATIONS, open_core
from gesta.app.settings import load_settings
from gesta.kernel.clock import SystemClock
from gesta.kernel.json import encode_json
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.query import Cursor, ExecutorFilter
from gesta.ledger.records import ExecutorDetail, NewExecution, Side, Source, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrations_of

SIZES = (100, 10_000, 1_000_000)
GOAL = 1.3
LIMIT = 50
BATCH = 2000
ROUNDS, CALLS = 9, 40
START_US = 1_700_000_000_000_000
STEP_US = 20_000_000
# Change it when the rows below change, so that kept data sets are made anew.
EDITION = "1"

ACCOUNTS = ("master_account", "second_account")
TYPES = ("position_executor", "dca_executor", "grid_executor", "twap_executor", "order_executor")
CONNECTORS = ("binance_perpetual", "binance", "kucoin")
PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT")
ENDS = (
    ("TAKE_PROFIT", Status.SUCCEEDED),
    ("STOP_LOSS", Status.SUCCEEDED),
    ("TIME_LIMIT", Status.SUCCEEDED),
    ("POSITION_HOLD", Status.SUCCEEDED),
    ("EARLY_STOP", Status.CANCELLED),
)
SEARCHES: dict[str, dict[str, Any]] = {
    "no filter": {},
    "type": {"executor_types": ["position_executor"]},
    "connector": {"connector_names": ["binance_perpetual"]},
    "pair": {"trading_pairs": ["BTC-USDT"]},
    "controller": {"controller_ids": ["main"]},
    "account": {"account_names": ["master_account"]},
    "status": {"status": "TERMINATED"},
    "all of them": {
        "executor_types": ["position_executor", "grid_executor"],
        "connector_names": ["binance_perpetual", "kucoin"],
        "trading_pairs": ["BTC-USDT", "ETH-USDT"],
        "controller_ids": ["main", "c07"],
        "account_names": ["master_account"],
        "status": "TERMINATED",
    },
}
RARE = {"controller_ids": ["c19"], "trading_pairs": ["DOGE-USDT"]}


def rows_of(total: int, accounts: tuple[int, ...]) -> Iterator[NewExecution]:
    """The same rows for the same total, oldest first."""
    dice = random.Random(total)  # Not for secrets.
    for number in range(total):
        which = 0 if dice.random() < 0.75 else dice.randrange(1, 20)
        pair = PAIRS[0] if dice.random() < 0.75 else dice.choice(PAIRS[1:])
        close_type, status = dice.choice(ENDS)
        at_us = START_US + number * STEP_US
        config = {
            "id": scattered_id(number),
            "type": TYPES[which % 5],
            "connector_name": CONNECTORS[which % 3],
            "trading_pair": pair,
            "side": "BUY",
            "amount": "0.01",
            "triple_barrier_config": {"stop_loss": "0.02", "take_profit": "0.02", "open_order_type": "MARKET"},
        }
        detail = ExecutorDetail(
            executor_type=TYPES[which % 5],
            connector=CONNECTORS[which % 3],
            trading_pair=pair,
            side=Side.BUY,
            net_pnl_quote=Decimal(dice.randrange(-2000, 2500)) / 100,
            net_pnl_pct=Decimal(dice.randrange(-2000, 2500)) / 100_000,
            fees_quote=Decimal("0.6"),
            filled_quote=Decimal(dice.randrange(100_000)) / 100,
            close_type=close_type,
            config=config,
            custom_info={"held_position_orders": [], "current_retries": 0, "max_retries": 10},
        )
        yield NewExecution(
            id=scattered_id(number),
            account=accounts[which % 2],
            origin="hummingbot",
            name=f"{detail.executor_type} {pair}",
            status=status,
            source=Source.API,
            created_at_us=at_us,
            started_at_us=at_us,
            finished_at_us=at_us + 9_000_000,
            updated_at_us=at_us + 9_000_000,
            detail=detail,
            correlation={"controller_id": "main" if which == 0 else f"c{which:02}", "trading_pair": pair},
        )


# -- data sets


def edition() -> str:
    checksums = "".join(each.checksum for component in MIGRATIONS for each in migrations_of(*component))
    return hashlib.sha256(f"{EDITION}{checksums}".encode()).hexdigest()[:12]


async def make(url: str, place: str, total: int) -> None:
    """An organization with so many executors, checked by a recount where that takes no minutes."""
    with temporary_folder() as folder:
        config = folder / "gesta.toml"
        config.write_text(SETTINGS)
        async with open_core(load_settings(config, {"database.url": url})) as core:
            organization = (await core.access.create_organization("Benchmark")).id
            accounts = tuple(
                [(await core.access.ensure_account(organization, name, AccountType.TRADING)).id for name in ACCOUNTS]
            )
    database = database_at(place)
    await database.start()
    try:
        ledger = StoredLedger(database, SystemClock())
        progress, advance = bar(f"making {total:,} executors", total)
        rows = rows_of(total, accounts)
        with progress:
            while batch := list(itertools.islice(rows, BATCH)):
                await ledger.append(organization, batch)
                advance(len(batch))
        if total <= 10_000 and (faults := (await verify(database)).faults):
            raise RuntimeError(faults[0])
        console.print(
            f"{len(await ledger.executor_sums(ExecutorFilter(organization=organization)))} groups", style="dim"
        )
    finally:
        await database.stop()


async def sqlite_with(total: int, folder: Path) -> str:
    """The URL of an SQLite ledger with so many executors."""
    path = folder / f"executors-{total}-{edition()}.sqlite3"
    if not path.exists():
        partial = fresh(folder / "executors-partial.sqlite3")
        await make(f"sqlite:///{partial}", str(partial), total)
        shutil.move(partial, path)
    return f"sqlite:///{path}"


def fresh(path: Path) -> Path:
    """The path, of which nothing is left from a run that was stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(path.name + "*"):
        leftover.unlink()
    return path


async def postgres_with(total: int, server: Postgres) -> str:
    name = f"executors_{total}_{edition()}"
    if not await server.has(name):
        await server.drop("executors_partial")
        url = await server.create("executors_partial")
        await make(url, url, total)
        await server.execute(f"ALTER DATABASE executors_partial RENAME TO {name}")
        # As the server's own housekeeping does soon after.
        await server.execute("VACUUM ANALYZE", name)
    return server.url(name)


# -- what is asked


def post(path: str, headers: dict[str, str], body: dict[str, Any]) -> bytes:
    content = encode_json(body)
    return (
        request(path, headers | {"Content-Type": "application/json", "Content-Length": str(len(content))}).replace(
            b"GET ", b"POST ", 1
        )
        + content
    )


def deepest(total: int, body: dict[str, Any]) -> str:
    """The cursor in front of the 50 oldest that fit."""
    fitting = (row for row in rows_of(total, (1, 2)) if fits(row, body))
    after = next(itertools.islice(fitting, LIMIT, None))
    return encode_cursor(Cursor(after.created_at_us, 0))


def fits(row: NewExecution, body: dict[str, Any]) -> bool:
    detail = row.detail
    assert isinstance(detail, ExecutorDetail)
    return (
        detail.executor_type in body.get("executor_types", TYPES)
        and detail.connector in body.get("connector_names", CONNECTORS)
        and detail.trading_pair in body.get("trading_pairs", PAIRS)
        and row.correlation["controller_id"] in body.get("controller_ids", [row.correlation["controller_id"]])
        and ACCOUNTS[row.account - 1] in body.get("account_names", ACCOUNTS)
    )


def requests_of(total: int, headers: dict[str, str]) -> dict[str, list[bytes]]:
    dice = random.Random(3)
    ids = [scattered_id(dice.randrange(total)) for _ in range(200)]
    asked = {"get": [request(f"/executors/{id_}", headers) for id_ in ids]}
    for name, body in SEARCHES.items():
        first = body | {"limit": LIMIT}
        asked[f"search, {name}"] = [post("/executors/search", headers, first)]
        asked[f"search, {name}, deepest"] = [
            post("/executors/search", headers, first | {"cursor": deepest(total, body)})
        ]
    asked["search, rare"] = [post("/executors/search", headers, RARE | {"limit": LIMIT})]
    asked["summary"] = [request("/executors/summary", headers)]
    asked["performance"] = [request("/executors/performance", headers)]
    asked["performance, controller"] = [request("/executors/performance?controller_id=main", headers)]
    asked["positions summary"] = [request("/executors/positions/summary", headers)]
    return asked


async def credentials(url: str, folder: Path) -> dict[str, str]:
    """Headers of a new user of the data set's organization."""
    config = folder / "gesta.toml"
    config.write_text(SETTINGS)
    async with open_core(load_settings(config, {"database.url": url})) as core:
        (organization,) = await core.access.organizations()
        made = await core.access.create_credential(
            organization.id,
            type=CredentialType.BASIC,
            scopes=frozenset({Scope.READ}),
            username=f"reader-{uuid.uuid4().hex[:8]}",
        )
    pair = base64.b64encode(f"{made.username}:{made.secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


async def check(caller: Caller, total: int, asked: dict[str, list[bytes]]) -> None:
    """What is answered is right before it is timed."""
    for name, body in SEARCHES.items():
        for which in (f"search, {name}", f"search, {name}, deepest"):
            answer = msgspec.json.decode((await caller.ask(asked[which][0])).partition(b"\r\n\r\n")[2])
            expected = sum(fits(row, body) for row in rows_of(total, (1, 2))) if total <= 10_000 else None
            page = answer["pagination"]
            if len(answer["data"]) != LIMIT or page["has_more"] == ("deepest" in which):
                raise RuntimeError(f"{which} among {total}: {len(answer['data'])} rows, {page}")
            if expected not in (None, page["total_count"]):
                raise RuntimeError(f"{which} among {total}: {page['total_count']} in all, not {expected}")
    report = msgspec.json.decode((await caller.ask(asked["performance"][0])).partition(b"\r\n\r\n")[2])
    if report["total_executors"] != total:
        raise RuntimeError(f"performance among {total}: {report}")


def asking(caller: Caller, asked: list[bytes], times: int) -> Contender:
    turn = itertools.cycle(asked)

    async def lap() -> int:
        for _ in range(times):
            await caller.ask(next(turn))
        return times

    return lap


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        database_cpu: CpuClock = lambda: 0.0  # noqa: E731
        server: Postgres | None = None
        if database == "postgres":
            server = Postgres(options.data / "postgres")
            stack.callback(server.stop)
            database_cpu = server.cpu
        clocks: list[CpuClock] = [database_cpu]
        contenders: dict[str, dict[int, Contender]] = {}
        for size in SIZES:
            url = await (postgres_with(size, server) if server else sqlite_with(size, options.data))
            folder = stack.enter_context(temporary_folder())
            headers = await credentials(url, folder)
            process = Process(serve_arguments(folder, url, folder / "address"), folder / "address")
            stack.callback(process.stop)
            clocks.append(process.cpu)
            caller = await Caller.connect(await process.address())
            stack.callback(caller.close)
            asked = requests_of(size, headers)
            await check(caller, size, asked)
            # Neither the first look at a file nor that at its pages is what is compared.
            for each in itertools.chain.from_iterable(asked.values()):
                await caller.ask(each)
            for name, requests in asked.items():
                contenders.setdefault(name, {})[size] = asking(caller, requests, 10 if options.quick else CALLS)
        await compare(database, contenders, lambda: sum(clock() for clock in clocks), 3 if options.quick else ROUNDS)


async def compare(database: str, contenders: dict[str, dict[int, Contender]], cpu: CpuClock, rounds: int) -> None:
    report = Report(
        f"executor-reads-{database}",
        f"Executors over HTTP on {database}, requests/s by one connection, and growth",
        ["request", *(f"{size:,}" for size in SIZES), "CPU", "10,000 ÷ 100", "1,000,000 ÷ 100", "÷ wall"],
        f"Growth is of the CPU for one request, medians; the last column is of wall time. Goal: ≤ {GOAL}.\n"
        "CPU: for one request among 1,000,000.",
    )
    progress, advance = bar("requests", len(contenders))
    with progress:
        for name, by_size in contenders.items():
            taken = await in_turn({str(size): lap for size, lap in by_size.items()}, rounds=rounds, others=cpu)
            small, middle, large = (taken[str(size)] for size in SIZES)
            # A page of the rare filter is not full among a hundred.
            goal = float("inf") if "rare" in name else GOAL
            report.add(
                name,
                *(f"{1e6 / laps.wall_us:,.0f}" for laps in (small, middle, large)),
                us(large.other_cpu_us),
                against(growth(middle, small), goal),
                against(growth(large, small), goal),
                f"{large.wall_us / small.wall_us:.2f}",
            )
            for size, laps in taken.items():
                report.keep(f"{name}: {size}", laps)
            advance(1)
    report.finish()


def growth(large: Laps, small: Laps) -> float:
    return large.other_cpu_us / small.other_cpu_us

"""kill -9 of a process that runs executors of every type, at every named point that it reaches, at random, in a burst,
and again and again while the next one takes up what that has left; on both databases.

Whatever was acknowledged is there after it, active or over; its orders exist once and are its own; nothing that is over
has left anything open that it does not report as held; and all go on to their end. `EXECUTOR_KILLS` asks for more.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gesta.access.model import Account, AccountType
from gesta.app.build import database_of, open_core
from gesta.app.settings import load_settings
from gesta.executors.detail import status_of
from gesta.executors.journal import Stored, stored_of
from gesta.executors.machines.face import CloseType
from gesta.executors.registry import MODULES, machine_of
from gesta.executors.runner import order_id_of
from gesta.kernel.crash import POINTS
from gesta.ledger.lifecycle import TERMINAL as OVER
from gesta.ledger.records import ExecutorDetail
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument
from gesta.trading.money import to_units
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order
from tests.acceptance.executor_child import ACCOUNT, BURST, CASH, ORGANIZATION
from tests.integration.postgres_control import running_postgres
from tests.integration.trading_house import Record, check_record

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
RANDOM = int(os.environ.get("EXECUTOR_KILLS", "1"))
# So often a point is reached before it kills: in the middle of the load.
POINTS_REACHED = {
    "executors.step": 90,
    "ledger.append.rows": 12,
    "ledger.append.counted": 14,
    "ledger.transition.row": 12,
    "trading.commit.fills": 12,
    "trading.commit.rows": 14,
    "trading.committed": 16,
    "trading.submit": 60,
    "trading.submitted": 60,
    "storage.before_commit": 15,
    "storage.after_commit": 15,
}
# One after the other, before any of them is ready: what a burst has left is sent, that is written, and it is told.
RECOVERIES = (
    "trading.submit:1",
    "trading.submitted:1",
    "trading.commit.rows:1",
    "trading.committed:1",
    "executors.step:1",
    "ledger.transition.row:1",
)
# What the sides of a trade between two markets are for.
HEDGED = ("arbitrage_executor", "xemm_executor")
DIES_S = 90

STATES = Statement(
    "test.executors",
    *[
        "SELECT number, organization, account, id, type, active, created_at, config, state, orders"
        " FROM executor_states ORDER BY number"
    ]
    * 2,
)
KEYS = Statement("test.keys", *["SELECT key, id FROM executor_keys"] * 2)
CATALOG = Catalog()


def instrument_of(name: str) -> Instrument:
    found = CATALOG.get(name)
    assert found is not None
    return found


def everything() -> Program[tuple[list[Stored], dict[str, str]]]:
    states = yield Fetch(STATES)
    keys = yield Fetch(KEYS)
    return [stored_of(row) for row in states], {row[0]: row[1] for row in keys}


class Floor:
    """One database, the processes that die over it, and what they have said."""

    account: Account

    def __init__(self, database: str, folder: Path) -> None:
        self.settings = load_settings(None, {"database.url": database}, environ={})
        self.folder = folder
        self.moments = random.Random(20_261_121)
        self.life = 0
        self.asked: set[str] = set()
        self.made: dict[str, str] = {}
        self.stopped: set[str] = set()
        self.resumed = 0
        self.recoveries_killed = 0

    async def prepare(self) -> None:
        async with open_core(self.settings) as core:
            organization = await core.access.create_organization(ORGANIZATION)
            self.account = await core.access.ensure_account(organization.id, ACCOUNT, AccountType.TRADING)

    # -- lives

    async def live(self, mode: str, point: str = "") -> dict[str, Any]:
        """One process from its start to its death, or to its end. Returns what it said last of everything."""
        self.life += 1
        again = sorted(self.asked - self.made.keys())[:20]
        again += self.moments.sample(sorted(self.made), min(3, len(self.made)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.acceptance.executor_child",
            self.settings.database.url, str(self.life), mode, ",".join(again),
            cwd=ROOT, env={**CLEAN, "GESTA_CRASH_POINT": point}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said: dict[str, Any] = {}
        spoke = asyncio.Event()
        killer = asyncio.create_task(self.kill(process, spoke)) if not point and mode != "finish" else None
        try:
            async with asyncio.timeout(DIES_S):
                assert process.stdout is not None
                async for line in process.stdout:
                    if line.endswith(b"\n"):
                        self.hear(json.loads(line))
                        said |= json.loads(line)
                        # What is asked again first is what was there.
                        if str(said.get("made", "")).startswith(f"{self.life}-"):
                            spoke.set()
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if killer is not None:
                killer.cancel()
                await asyncio.gather(killer, return_exceptions=True)
        assert code == (0 if mode == "finish" else -signal.SIGKILL), said
        return said

    async def kill(self, process: asyncio.subprocess.Process, spoke: asyncio.Event) -> None:
        await spoke.wait()
        await asyncio.sleep(self.moments.random() * 0.6)
        process.send_signal(signal.SIGKILL)

    def hear(self, line: dict[str, Any]) -> None:
        if "asked" in line:
            self.asked.add(line["asked"])
        if "made" in line:
            assert self.made.setdefault(line["made"], line["id"]) == line["id"], "one key has made two executors"
        if "stopped" in line:
            self.stopped.add(line["stopped"])
        self.resumed += line.get("ready", 0)

    # -- after a kill, from what is on disk alone

    async def check(self) -> list[Stored]:
        await self.let_go()
        database = database_of(self.settings)
        await database.start()
        try:
            executors, keys = await database.read(everything)
            starting = to_units(Decimal(CASH))
            record = await check_record(database, self.account, instrument_of, starting, {}, with_notes=False)
            assert (await verify(database)).faults == []
            self.check_known(executors, keys)
            self.check_orders(executors, record)
            await self.check_rows(database, executors)
        finally:
            await database.stop()
        return executors

    async def let_go(self) -> None:
        """PostgreSQL may still be at the commit that the dead process has asked for; what is read must be one state."""
        if not self.settings.database.url.startswith("postgres"):
            return
        connection = await asyncpg.connect(self.settings.database.url)
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        try:
            async with asyncio.timeout(DIES_S):
                while True:
                    if not await connection.fetchval(others):
                        return
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()

    def check_known(self, executors: Sequence[Stored], keys: dict[str, str]) -> None:
        assert self.made.items() <= keys.items(), "an executor that was acknowledged is lost"
        assert keys.keys() <= self.asked
        assert Counter(keys.values()) == Counter(executor.id for executor in executors)

    def check_orders(self, executors: Sequence[Stored], record: Record) -> None:
        """Each order is its executor's own, and what is over is flat or says what it holds."""
        orders: defaultdict[str, list[Order]] = defaultdict(list)
        for order in record.orders.values():
            assert order.parent_id is not None
            tag = int(order.name.rpartition(" ")[2])
            assert order.id == order_id_of(order.organization, order.parent_id, tag)
            orders[order.parent_id].append(order)
        assert orders.keys() <= {executor.id for executor in executors}
        for executor in executors:
            mine = orders[executor.id]
            working = {order.id for order in mine if order.state not in TERMINAL}
            if executor.is_active:
                followed = executor.orders.keys()
                assert working <= followed <= {order.id for order in mine}, (executor, mine)
            else:
                assert not working, f"executor {executor.id} is over, an order of it works on"
                check_exposure(executor, mine)

    async def check_rows(self, database: Database, executors: Sequence[Stored]) -> None:
        """The ledger says what the machines' states say."""
        ledger = StoredLedger(database, ManualClock())
        for executor in executors:
            row = await ledger.get(executor.organization, executor.id)
            assert row is not None
            assert row.status is status_of(executor.state)
            assert (row.status in OVER) is not executor.is_active
            assert isinstance(row.detail, ExecutorDetail)
            assert row.detail.config == executor.config


def has_traded(executor: Stored) -> bool:
    return machine_of(executor.type).report(executor.state, {}).filled_amount_quote > 0


def check_exposure(executor: Stored, orders: Sequence[Order]) -> None:
    held = held_by(executor)
    exposure = exposure_of(orders)
    if executor.type in HEDGED and not held:
        # As much was sold in the one market as was bought in the other.
        assert sum(instrument_of(name).quantity(lots) for name, lots in exposure.items()) == 0
    else:
        assert exposure == held, (executor, orders)


def exposure_of(orders: Sequence[Order]) -> Counter[str]:
    """In lots, of what is not zero."""
    total: Counter[str] = Counter()
    for order in orders:
        total[order.instrument] += order.side.sign * order.filled
    return Counter({name: lots for name, lots in total.items() if lots})


def held_by(executor: Stored) -> Counter[str]:
    """In lots, as the executor reports it."""
    machine = machine_of(executor.type)
    config = machine.parse(executor.config)
    report = machine.report(executor.state, {})
    legs = machine.legs(config)
    traded = [instrument_of(f"{leg.trading_pair}-PERP" if leg.is_perpetual else leg.trading_pair) for leg in legs]
    total: Counter[str] = Counter()
    if executor.type == "twap_executor" and report.close_type in (CloseType.COMPLETED, CloseType.EARLY_STOP):
        # What it has traded is what it was for: it reports the amount, and holds no orders.
        total[traded[0].name] = config.side.sign * traded[0].lots(Decimal(report.custom_info["filled_amount_base"]))
    for order in report.held:
        instrument = traded[order.leg]
        total[instrument.name] += order.side.sign * instrument.lots(order.executed_base)
    return Counter({name: lots for name, lots in total.items() if lots})


@pytest.fixture(params=["sqlite", "postgres"])
def floor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Floor]:
    if request.param == "sqlite":
        yield Floor(str(tmp_path / "ledger.sqlite3"), tmp_path)
        return
    with running_postgres() as postgres:
        yield Floor(postgres.create("executors"), tmp_path)


async def test_executors_outlive_every_kill(floor: Floor) -> None:
    assert POINTS_REACHED.keys() <= POINTS.keys()
    await floor.prepare()
    plan = [("load", f"{point}:{times}") for point, times in POINTS_REACHED.items()] + [("load", "")] * RANDOM
    floor.moments.shuffle(plan)
    # One burst dies when it has hardly begun to send, one wherever it is.
    plan += [("burst", f"trading.submit:{BURST // 3}"), *(("load", point) for point in RECOVERIES), ("burst", "")]
    for mode, point in plan:
        said = await floor.live(mode, point)
        floor.recoveries_killed += "ready" not in said
        await floor.check()
    assert floor.recoveries_killed >= len(RECOVERIES) - 1
    said = await floor.live("finish")
    # The market alone has brought most to their end.
    assert said["moved"] < said["before"] / 2
    assert said["left"] == 0
    executors = await floor.check()
    assert not any(executor.is_active for executor in executors)
    assert len(floor.made) > BURST // 4
    assert floor.stopped
    assert floor.resumed > BURST // 4
    ends = Counter((executor.type, executor.state.close_type) for executor in executors if has_traded(executor))
    assert {type_ for type_, _ in ends} == MODULES.keys()
    # Not all of them because they were asked to.
    assert ends["grid_executor", CloseType.TAKE_PROFIT] + ends["grid_executor", CloseType.STOP_LOSS]
    assert all(ends[type_, CloseType.COMPLETED] for type_ in HEDGED)
    assert all(re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]+", id_) for id_ in floor.made.values())

"""What only the trading process performs: a worker hands it back, with everything that was done before."""

from __future__ import annotations

import asyncio

import pytest

from gesta.app.build import MIGRATIONS
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Row
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.runs.rows import AT_DESK, DESK, SQL
from gesta.workflows.runs.verify import verify
from tests.conformance.run_house import House, Remote, flow, node

CONFIGS = {
    "executor.start": {"config": {"type": "position_executor"}},
    "order.submit": {"account": "a", "instrument": "BTC-USDT", "side": "buy", "quantity": "1"},
}


def due() -> Program[list[Row]]:
    return (yield Fetch(SQL["run.due"], (10,)))


async def until_due(house: House) -> list[Row]:
    async with asyncio.timeout(10):
        while True:
            rows = await house.database.read(due)
            if rows:
                return rows
            await asyncio.sleep(0.01)


def worker(house: House) -> House:
    """Without a trading desk."""
    assert house.service.carrier is not None
    house.engine._has_desk = False
    house.service.carrier._elsewhere = DESK
    return house


@pytest.mark.parametrize("type_", CONFIGS)
async def test_a_worker_hands_back_what_needs_the_desk(database: Database, type_: str) -> None:
    await migrate(database, MIGRATIONS)
    clock, disk, remote = ManualClock(), EngineDisk(), Remote()
    first = worker(House(database, clock, disk, remote, 1))
    await first.open()
    nodes = (node("a"), node("b", type_, **CONFIGS[type_]), node("c"))
    started = await first.start(flow(*nodes, links=("start>a", "a>b", "b>c")))
    ((_, run_id, segment, owner),) = await until_due(first)
    assert (run_id, segment, owner) == (started.execution.id, 2, AT_DESK)
    assert list(remote.keys) == [f"{run_id}/a"]
    assert (await verify(database)).faults == []
    await first.kill()

    second = House(database, clock, disk, remote, 2)
    await second.open()
    assert (await second.ended(run_id)).status is Status.SUCCEEDED
    assert remote.keys == {f"{run_id}/a": 1, f"{run_id}/b": 1, f"{run_id}/c": 1}
    assert (await verify(database)).faults == []
    await second.check()
    await second.kill()


async def test_one_that_begins_at_the_desk_is_not_begun_elsewhere(database: Database) -> None:
    await migrate(database, MIGRATIONS)
    clock, disk, remote = ManualClock(), EngineDisk(), Remote()
    first = worker(House(database, clock, disk, remote, 1))
    await first.open()
    started = await first.start(flow(node("b", "executor.start", **CONFIGS["executor.start"]), links=("start>b",)))
    assert (await until_due(first))[0][3] == AT_DESK
    await first.kill()
    assert remote.keys == {}
    second = House(database, clock, disk, remote, 2)
    await second.open()
    assert (await second.ended(started.execution.id)).status is Status.SUCCEEDED
    await second.kill()

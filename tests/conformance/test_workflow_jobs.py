"""Jobs on each kind of database: what they do is on record, and a process that ends leaves them to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gesta.access.model import Scope
from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_engine import EngineDisk
from gesta.workflows.bulk import desk as bulk
from gesta.workflows.bulk.desk import JobDesk
from gesta.workflows.jobs_face import JobAction, JobIn, JobStatus, JobView
from tests.conformance.run_house import House, Remote, flow, node

BROKEN = flow(node("a", url="https://example.com"), links=("start>a",))
WAITING = flow(node("ask", "human", title="?"), links=("start>ask",))


class Halting:
    """The runs of a house, until so many have been acted on: then they hang, as those of a process that is killed,
    unless `go` lets them go on."""

    def __init__(self, house: House, left: int) -> None:
        self._runs = house.runs
        self.left = left
        self.halted = asyncio.Event()
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._runs, name)

        async def counted(*arguments: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                self.halted.set()
                await self.go.wait()
            return await act(*arguments, **more)

        return counted


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    await migrate(database, MIGRATIONS)
    made = House(database, ManualClock(), EngineDisk(), Remote(), 1)
    await made.open()
    yield made
    await made.kill()


def desk(house: House, runs: Any = None, *, owner: str = "house", seed: int = 5) -> JobDesk:
    return JobDesk(
        database=house.database,
        access=house.access,
        clock=house.clock,
        ids=SeededIds(seed),
        runs=house.runs if runs is None else runs,
        owner=owner,
    )


async def over(jobs: JobDesk, house: House, id: str) -> JobView:
    async with asyncio.timeout(20):
        while True:
            view = await jobs.get(house.principal, id)
            if view.status is not JobStatus.RUNNING:
                return view
            await asyncio.sleep(0.01)


async def failed(house: House, count: int) -> tuple[str, ...]:
    house.remote.failing["a"] = count
    ids = []
    for _ in range(count):
        started = await house.start(BROKEN)
        ids.append((await house.ended(started.execution.id)).id)
    return tuple(ids)


async def test_stop_tells_what_had_ended_by_itself(house: House) -> None:
    (ended,) = await failed(house, 1)
    waiting = [(await house.start(WAITING)).execution.id for _ in range(3)]
    jobs = desk(house)
    made = await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=(*waiting, ended, "nobody", ended)))
    assert (made.status, made.total) == (JobStatus.RUNNING, 5)
    view = await over(jobs, house, made.id)
    assert (view.status, view.done, view.skipped, view.failed) == (JobStatus.FINISHED, 3, 1, 1)
    assert [(each.run_id, each.code) for each in view.errors] == [("nobody", "not_found")]
    for id in waiting:
        assert (await house.ended(id)).status is Status.CANCELLED
    assert [each.id for each in await jobs.list(house.principal)] == [made.id]
    with pytest.raises(Conflict, match="over already"):
        await jobs.cancel(house.principal, made.id)
    await jobs.stop()


async def test_a_retry_goes_on_with_each(house: House) -> None:
    ids = await failed(house, 2)
    jobs = desk(house)
    made = await jobs.create(house.principal, JobIn(action=JobAction.RETRY, runs=ids))
    assert (await over(jobs, house, made.id)).done == 2
    for id in ids:
        assert (await house.ended(id)).status is Status.SUCCEEDED
    await jobs.stop()


@pytest.mark.parametrize("owner", ["house", "another"], ids=["the same process", "another process"])
async def test_what_a_process_leaves_behind_is_taken_up_and_nothing_is_done_twice(
    house: House, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    monkeypatch.setattr(bulk, "LOOK_S", 0.02)
    ids = await failed(house, 8)
    runs = Halting(house, 4)
    first = desk(house, runs)
    await first.start()
    made = await first.create(house.principal, JobIn(action=JobAction.RERUN, runs=ids, input={"again": True}))
    await runs.halted.wait()
    # Ended while one of the second part is done, and none of it is on record.
    await first.stop()
    left = await first.get(house.principal, made.id)
    assert (left.status, left.done) == (JobStatus.RUNNING, 3)

    second = desk(house, owner=owner, seed=6)
    await second.start()
    if owner != "house":
        assert (await second.get(house.principal, made.id)).done == 3
        house.clock.advance_us(int((bulk.LEFT_S + 1) * 1_000_000))
    view = await over(second, house, made.id)
    assert (view.status, view.done, view.failed) == (JobStatus.FINISHED, 8, 0), view
    await second.stop()
    assert await house.ledger.count(house.reading.filter(house.principal)) == 16
    await house.check()


async def test_what_is_under_way_when_a_job_is_cancelled_is_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    runs = Halting(house, 4)
    jobs = desk(house, runs)
    made = await jobs.create(house.principal, JobIn(action=JobAction.RERUN, runs=await failed(house, 8)))
    await runs.halted.wait()
    cancelled = await jobs.cancel(house.principal, made.id)
    assert (cancelled.status, cancelled.done) == (JobStatus.CANCELLED, 3)
    runs.go.set()
    async with asyncio.timeout(20):
        while (told := await jobs.get(house.principal, made.id)).done == 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (told.status, told.done, told.total) == (JobStatus.CANCELLED, 6, 8)
    assert told.finished_at_us == cancelled.finished_at_us
    await jobs.stop()


async def test_what_cannot_be(house: House) -> None:
    jobs = desk(house, Halting(house, 0))
    with pytest.raises(InvalidInput, match="10000 runs"):
        await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=tuple(map(str, range(10_001)))))
    with pytest.raises(InvalidInput, match="rerun"):
        await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=("a",), input=1))
    reader = msgspec.structs.replace(house.principal, scopes=frozenset({Scope.READ}))
    with pytest.raises(Forbidden):
        await jobs.create(reader, JobIn(action=JobAction.STOP, runs=("a",)))
    none = await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=()))
    assert (none.status, none.total) == (JobStatus.FINISHED, 0)
    made = [await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=("a",))) for _ in range(4)]
    with pytest.raises(Conflict, match="4 jobs"):
        await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=("a",)))
    assert (await jobs.cancel(house.principal, made[0].id)).status is JobStatus.CANCELLED
    await jobs.create(house.principal, JobIn(action=JobAction.STOP, runs=("a",)))
    rival = await house.access.create_organization("Rival")
    stranger = msgspec.structs.replace(house.principal, organization=rival)
    for id in (made[0].id, "nobody", "a\0"):
        with pytest.raises(NotFound):
            await jobs.get(stranger, id)
    assert await jobs.list(stranger) == []
    await jobs.stop()

"""Signs of life, and what becomes of a worker that gives none, on each kind of database."""

from __future__ import annotations

import asyncio

import pytest

from gesta.kernel.errors import Unavailable
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk, MemoryEngine
from gesta.workflows.engine.leases import Leases
from gesta.workflows.engine.settings import LeaseSettings
from gesta.workflows.runs.rows import MIGRATIONS, SQL, SegmentId
from gesta.workflows.runtime import Carry, Steps

SECOND_US = 1_000_000
# Turns are taken by hand here.
SETTINGS = LeaseSettings(beat_s=1_000, stale_s=2_000)
STALE_US = 2_000 * SECOND_US
SEGMENT = SegmentId(7, "run", 1)


class Worker:
    """One worker of several over one database and one disk."""

    def __init__(self, name: str, database: Database, disk: EngineDisk, clock: ManualClock) -> None:
        self.clock = clock
        self.engine = MemoryEngine(disk, worker=name)
        self.leases = Leases(database, self.engine, clock, name, SETTINGS)
        self.ended: list[SegmentId] = []

    async def start(self, carry: Carry | None = None) -> None:
        await self.leases.start()
        await self.engine.start(carry or self.carry)

    async def carry(self, segment: SegmentId, steps: Steps) -> None:
        self.ended.append(segment)

    async def die(self) -> None:
        await self.leases._supervisor.stop()
        await self.engine.kill()


@pytest.fixture
def disk() -> EngineDisk:
    return EngineDisk()


@pytest.fixture
async def workers(database: Database, disk: EngineDisk, clock: ManualClock) -> list[Worker]:
    await migrate(database, [MIGRATIONS])
    return [Worker(name, database, disk, clock) for name in ("w1", "w2", "w3")]


async def _hang(segment: SegmentId, steps: Steps) -> None:
    await asyncio.Event().wait()


async def _names(database: Database) -> list[str]:
    def program() -> Program[list[str]]:
        rows = yield Fetch(SQL["worker.all"], ())
        return [row[0] for row in rows]

    return await database.read(program)


async def test_a_dead_worker_s_segments_are_taken_over_by_one(
    workers: list[Worker], database: Database, disk: EngineDisk, clock: ManualClock
) -> None:
    dead, *live = workers
    await dead.start(_hang)
    await dead.engine.submit([SEGMENT])
    for worker in live:
        await worker.start()
        assert await worker.leases.turn() == []
    await dead.die()
    clock.advance_us(STALE_US - 1)
    for worker in live:
        assert await worker.leases.turn() == []
    clock.advance_us(1)
    taken = await asyncio.gather(*(worker.leases.turn() for worker in live))
    assert sorted(taken) == [[], ["w1"]]
    await asyncio.sleep(0)
    assert [worker.ended for worker in live if worker.ended] == [[SEGMENT]]
    assert disk.pending == {}
    assert await _names(database) == ["w2", "w3"]
    for worker in live:
        await worker.leases.stop()
        await worker.engine.stop(timeout_s=0)


async def test_a_worker_with_another_clock_is_alive_while_its_sign_changes(
    workers: list[Worker], clock: ManualClock
) -> None:
    mine, other, _ = workers
    behind = other.leases._clock = ManualClock(1)
    await mine.start()
    await other.start()
    for _ in range(5):
        assert await mine.leases.turn() == []
        clock.advance_us(STALE_US - 1)
        behind.advance_us(1)
        assert await other.leases.turn() == []
    await other.die()
    assert await mine.leases.turn() == []
    clock.advance_us(STALE_US)
    assert await mine.leases.turn() == ["w2"]
    await mine.leases.stop()
    await mine.engine.stop(timeout_s=0)


async def test_who_leaves_is_followed_at_once(workers: list[Worker], clock: ManualClock) -> None:
    leaving, staying, _ = workers
    await leaving.start(_hang)
    await staying.start()
    await leaving.engine.submit([SEGMENT])
    await leaving.engine.stop(timeout_s=0)
    await leaving.leases.stop()
    await leaving.leases.stop()
    assert await staying.leases.turn() == ["w1"]
    await asyncio.sleep(0)
    assert staying.ended == [SEGMENT]
    await staying.leases.stop()


async def test_who_starts_again_under_its_name_keeps_what_it_had(
    workers: list[Worker], database: Database, disk: EngineDisk, clock: ManualClock
) -> None:
    first, other, _ = workers
    await first.start(_hang)
    await first.engine.submit([SEGMENT])
    await other.start()
    assert await other.leases.turn() == []
    await first.die()
    clock.advance_us(STALE_US - 1)
    again = Worker("w1", database, disk, clock)
    await again.start()
    clock.advance_us(1)
    assert await other.leases.turn() == []
    await asyncio.sleep(0)
    assert again.ended == [SEGMENT]
    assert other.ended == []
    for worker in (again, other):
        await worker.leases.stop()
        await worker.engine.stop(timeout_s=0)


async def test_one_that_dies_while_it_takes_over_is_followed_by_another(
    workers: list[Worker], database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, failing, third = workers

    async def unavailable(worker: str) -> int:
        raise Unavailable("The database is away.")

    await dead.start(_hang)
    await dead.engine.submit([SEGMENT])
    monkeypatch.setattr(failing.engine, "recover", unavailable)
    await failing.start()
    await third.start()
    await failing.leases.turn()
    await third.leases.turn()
    await dead.die()
    clock.advance_us(STALE_US)
    with pytest.raises(Unavailable):
        await failing.leases.turn()
    assert await _names(database) == ["w1", "w2", "w3"]
    # The row changed hands, so it is stale anew.
    assert await third.leases.turn() == []
    clock.advance_us(STALE_US)
    await failing.leases._beat(clock.now_us())
    assert await third.leases.turn() == ["w1"]
    await asyncio.sleep(0)
    assert third.ended == [SEGMENT]
    for worker in (failing, third):
        await worker.leases.stop()
        await worker.engine.stop(timeout_s=0)


async def test_signs_of_life_are_given_by_themselves(database: Database, disk: EngineDisk, clock: ManualClock) -> None:
    await migrate(database, [MIGRATIONS])
    given = asyncio.Event()

    class Counted(Leases):
        async def turn(self) -> list[str]:
            taken = await super().turn()
            given.set()
            return taken

    leases = Counted(database, MemoryEngine(disk), clock, "w1", LeaseSettings(beat_s=0.01, stale_s=1))
    await leases.start()
    await leases.start()
    await asyncio.wait_for(given.wait(), 10)
    assert await _names(database) == ["w1"]
    assert not leases.supervisor.failed.is_set()
    await leases.stop()

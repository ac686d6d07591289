"""The engine that begins with the first segment."""

from __future__ import annotations

import asyncio

import pytest

from gesta.kernel.errors import Unavailable
from gesta.testing.memory_engine import MemoryEngine
from gesta.workflows.engine.on_demand import OnDemand
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Engine, Steps

WAIT_S = 10


class Bench:
    def __init__(self) -> None:
        self.may_begin = asyncio.Event()
        self.asked = asyncio.Event()
        self.carried: list[str] = []
        self.is_carried = asyncio.Event()
        self.fails = 0
        self.made: list[MemoryEngine] = []
        self.engine = OnDemand(self.make, on_start=self.started)

    async def make(self) -> Engine:
        self.asked.set()
        await self.may_begin.wait()
        if self.fails:
            self.fails -= 1
            raise Unavailable("Its database does not answer.")
        self.made.append(MemoryEngine())
        return self.made[-1]

    async def started(self, engine: Engine) -> None:
        assert engine is self.made[-1]

    async def carry(self, segment: SegmentId, steps: Steps) -> None:
        self.carried.append(segment.run)
        self.is_carried.set()


async def test_what_is_submitted_first_waits_for_nothing() -> None:
    bench = Bench()
    await bench.engine.start(bench.carry)
    await bench.engine.submit([])
    assert not bench.asked.is_set()
    async with asyncio.timeout(WAIT_S):
        await bench.engine.submit([SegmentId(1, "a", 1)])
        await bench.asked.wait()
        await bench.engine.submit([SegmentId(1, "b", 1)])
        assert (bench.carried, bench.engine.is_running) == ([], False)
        bench.may_begin.set()
        while len(bench.carried) < 2:
            await bench.is_carried.wait()
            bench.is_carried.clear()
    assert (bench.carried, bench.engine.is_running, len(bench.made)) == (["a", "b"], True, 1)
    await bench.engine.stop(timeout_s=1)


async def test_one_that_cannot_begin_is_tried_with_the_next() -> None:
    bench = Bench()
    bench.may_begin.set()
    bench.fails = 1
    await bench.engine.start(bench.carry)
    async with asyncio.timeout(WAIT_S):
        await bench.engine.submit([SegmentId(1, "a", 1)])
        await bench.asked.wait()
        # The rows of runs have it still, and it is submitted from there.
        while not bench.carried:
            await bench.engine.submit([SegmentId(1, "a", 1)])
            await asyncio.sleep(0)
    assert set(bench.carried) == {"a"}
    await bench.engine.stop(timeout_s=1)


async def test_a_stop_while_it_begins_leaves_nothing() -> None:
    bench = Bench()
    await bench.engine.start(bench.carry)
    async with asyncio.timeout(WAIT_S):
        await bench.engine.submit([SegmentId(1, "a", 1)])
        await bench.asked.wait()
        await bench.engine.stop(timeout_s=1)
    bench.may_begin.set()
    assert (bench.made, bench.carried, bench.engine.is_running) == ([], [], False)
    with pytest.raises(Unavailable):
        await bench.engine.submit([SegmentId(1, "a", 1)])

from __future__ import annotations

import asyncio

from gesta.kernel.errors import Unavailable
from gesta.kernel.service import Supervisor


async def test_start_and_stop_any_number_of_times() -> None:
    ran = asyncio.Event()
    starts = 0

    async def action() -> None:
        nonlocal starts
        starts += 1
        ran.set()
        await asyncio.Event().wait()

    supervisor = Supervisor()
    await supervisor.stop()
    supervisor.every(0.001, "action", action)
    await supervisor.start()
    await supervisor.start()
    await asyncio.wait_for(ran.wait(), 5)
    await supervisor.stop()
    await supervisor.stop()
    assert starts == 1
    assert not supervisor.failed.is_set()


async def test_an_unreachable_database_only_postpones() -> None:
    calls = asyncio.Queue[int]()

    async def action() -> None:
        calls.put_nowait(1)
        raise Unavailable("The database is away.")

    supervisor = Supervisor()
    supervisor.every(0.001, "action", action)
    await supervisor.start()
    for _ in range(3):
        await asyncio.wait_for(calls.get(), 5)
    assert not supervisor.failed.is_set()
    await supervisor.stop()


async def test_a_defect_is_reported_and_others_can_still_be_stopped() -> None:
    async def dies() -> None:
        raise LookupError("a defect")

    async def lives() -> None:
        return None

    supervisor = Supervisor()
    supervisor.every(0.001, "lives", lives)
    supervisor.every(0.001, "dies", dies)
    await supervisor.start()
    await asyncio.wait_for(supervisor.failed.wait(), 5)
    assert isinstance(supervisor.failure, LookupError)
    await supervisor.stop()

"""Waiting for an event: it comes, it does not come, and a cancellation is never lost."""

from __future__ import annotations

import asyncio

import pytest

from gesta.kernel.events import set_within


async def test_it_comes_or_it_does_not() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await set_within(event, 10)
    assert await set_within(event, 0)


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_is_not_lost_to_the_event_of_the_same_moment(turns: int) -> None:
    event, rounds = asyncio.Event(), 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            event.clear()
            await set_within(event, 3600)
            rounds += 1

    task = asyncio.create_task(loop())
    for _ in range(3):
        await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done == {task}
    assert rounds <= 1

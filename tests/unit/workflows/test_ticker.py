"""The ticker of schedules: a stop is never lost to a schedule that changes at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gesta.testing.fakes import ManualClock
from gesta.workflows.triggers import ticker as module
from gesta.workflows.triggers.ticker import Ticker


class Nothing:
    """A database without schedules."""

    async def read(self, program: Any, **options: Any) -> Any:
        return None if program is module._next else []


@pytest.mark.parametrize("turns", range(4))
async def test_a_stop_is_not_lost_to_a_kick_of_the_same_moment(turns: int) -> None:
    nothing: Any = Nothing()
    ticker = Ticker(database=nothing, clock=ManualClock(), starter=nothing)
    await ticker.start()
    for _ in range(5):
        await asyncio.sleep(0)
    ticker.kick()
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping = asyncio.create_task(ticker.stop())
    done, _ = await asyncio.wait({stopping}, timeout=5)
    assert done == {stopping}

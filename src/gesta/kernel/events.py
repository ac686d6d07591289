"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio


async def set_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait until the event is set; False if that takes longer.

    Not `asyncio.wait_for`: before Python 3.12 it may take an event of the same moment for the answer to its own
    cancellation, and then who waits never ends.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True

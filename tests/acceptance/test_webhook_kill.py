"""A server that is killed with something to send: the next one sends it, as the same delivery."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from gesta.app.build import build
from gesta.kernel.clock import SystemClock
from gesta.workflows.hooks.delivering import LEASE_S
from tests.acceptance import webhook_child
from tests.conformance.hook_house import Receiver


class LaterClock(SystemClock):
    """When what the dead process took is free again."""

    def now_us(self) -> int:
        return super().now_us() + round((LEASE_S + 1) * 1_000_000)


@pytest.mark.parametrize(
    ("point", "before"),
    [
        ("workflows.hook.taken:1", 0),  # decided and taken, not sent
        ("workflows.hook.sent:1", 1),  # sent, not known to be
    ],
)
async def test_a_killed_server_loses_nothing_that_it_was_to_tell(tmp_path: Path, point: str, before: int) -> None:
    receiver, database = Receiver(), str(tmp_path / "ledger.sqlite3")
    await receiver.start()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", webhook_child.__name__, database, receiver.url),
            env={**os.environ, "GESTA_CRASH_POINT": point},
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            assert await child.wait() == -signal.SIGKILL
        assert len(receiver.received) == before
        async with build(webhook_child.settings_of(database), clock=LaterClock()):
            await receiver.came(before + 1)
        assert len({each.id for each in receiver.received}) == 1
        assert len(receiver.received) == before + 1
        assert receiver.received[-1].json["event"] == "run.succeeded"
    finally:
        await receiver.stop()

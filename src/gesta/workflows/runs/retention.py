"""What is deleted in time: the engine's memory of segments, and keys that count no more. The ledger keeps all."""

from __future__ import annotations

from gesta.kernel.clock import Clock
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.runs.rows import SQL
from gesta.workflows.runtime import Engine

US = 1_000_000
AT_ONCE = 1000


class Retention:
    """`keeps_s`: how long the engine remembers a segment after its end. Its run is on record for good."""

    def __init__(self, *, database: Database, clock: Clock, engine: Engine, keeps_s: float) -> None:
        self._database = database
        self._clock = clock
        self._engine = engine
        self._keeps_s = keeps_s

    async def turn(self) -> int:
        """One pass, in bounded parts. Returns how many segments were forgotten."""
        now_us = self._clock.now_us()
        await self._database.write(lambda: _expire_keys(now_us))
        before_us, forgotten = now_us - int(self._keeps_s * US), 0
        while True:
            count = await self._engine.forget(before_us, AT_ONCE)
            forgotten += count
            if count < AT_ONCE:
                return forgotten


def _expire_keys(now_us: int) -> Program[None]:
    yield Fetch(SQL["key.expire"], (now_us,))

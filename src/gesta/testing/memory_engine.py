"""An engine in memory, for tests of what stands on one. Its `EngineDisk` outlives it, as a database would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gesta.kernel.clock import Clock, SystemClock
from gesta.kernel.errors import Unavailable
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Carry, Step

AGAIN_S = 0.01

log = structlog.get_logger("gesta.testing")


class EngineDisk:
    """What is kept: of each segment who has it, what its steps gave, and when it ended."""

    def __init__(self) -> None:
        # Whose each pending segment is; "" where nobody has begun it.
        self.pending: dict[SegmentId, str] = {}
        self.outcomes: dict[SegmentId, dict[int, str]] = {}
        self.ended_at_us: dict[SegmentId, int] = {}
        # What only an engine beside a trading desk takes.
        self.at_desk: set[SegmentId] = set()


class MemoryEngine:
    """`gesta.workflows.runtime.Engine`. `kill` ends it as a crash does: nothing that runs gets to finish."""

    def __init__(
        self,
        disk: EngineDisk | None = None,
        *,
        worker: str = "memory",
        concurrency: int = 64,
        carries: bool = True,
        has_desk: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.disk = disk or EngineDisk()
        self._worker = worker
        self._concurrency = concurrency
        self._carries = carries
        self._has_desk = has_desk
        self._clock = clock or SystemClock()
        self._carry: Carry | None = None
        self._is_stopping = False
        self._tasks: dict[SegmentId, asyncio.Task[None]] = {}

    async def start(self, carry: Carry) -> None:
        if self._carry is not None:
            return
        self._carry, self._is_stopping = carry, False
        for segment, worker in self.disk.pending.items():
            if worker == self._worker:
                self.disk.pending[segment] = ""
        self._fill()

    async def wake(self) -> None:
        """It runs already."""

    async def submit(self, segments: Sequence[SegmentId], *, needs_desk: bool = False) -> None:
        if self._carry is None or self._is_stopping:
            raise Unavailable("The workflow engine does not run.")
        if needs_desk:
            self.disk.at_desk.update(segments)
        for segment in segments:
            if segment not in self.disk.ended_at_us:
                self.disk.pending.setdefault(segment, "")
        self._fill()

    def _fill(self) -> None:
        if not self._carries or self._is_stopping:
            return
        for segment, worker in self.disk.pending.items():
            if len(self._tasks) >= self._concurrency:
                break
            if not worker and (self._has_desk or segment not in self.disk.at_desk):
                self.disk.pending[segment] = self._worker
                self._tasks[segment] = asyncio.get_running_loop().create_task(self._carry_out(segment))

    async def _carry_out(self, segment: SegmentId) -> None:
        assert self._carry is not None
        try:
            await self._carry(segment, _MemorySteps(self, segment))
        except Exception:
            # As the engine does: it is not recorded as done, and tried again.
            log.exception("segment_failed", segment=segment.name)
            asyncio.get_running_loop().call_later(AGAIN_S, self._put_back, segment)
        else:
            if self.disk.pending.get(segment) == self._worker:
                del self.disk.pending[segment]
                self.disk.ended_at_us[segment] = self._clock.now_us()
        finally:
            self._tasks.pop(segment, None)
            self._fill()

    def _put_back(self, segment: SegmentId) -> None:
        if self._carry is not None and self.disk.pending.get(segment) == self._worker:
            self.disk.pending[segment] = ""
            self._fill()

    def is_stopping(self) -> bool:
        return self._is_stopping

    async def recover(self, worker: str) -> int:
        if worker == self._worker:
            raise ValueError(f"{worker} is alive: it asks itself")
        taken = [segment for segment, owner in self.disk.pending.items() if owner == worker]
        for segment in taken:
            self.disk.pending[segment] = ""
        self._fill()
        return len(taken)

    async def stop(self, *, timeout_s: float) -> None:
        self._is_stopping = True
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        await self.kill()

    async def kill(self) -> None:
        self._is_stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._carry = None

    async def forget(self, before_us: int, most: int) -> int:
        ended = [segment for segment, at_us in self.disk.ended_at_us.items() if at_us < before_us][:most]
        for segment in ended:
            del self.disk.ended_at_us[segment]
            self.disk.outcomes.pop(segment, None)
        return len(ended)


class _MemorySteps:
    def __init__(self, engine: MemoryEngine, segment: SegmentId) -> None:
        self._engine = engine
        self._outcomes = engine.disk.outcomes.setdefault(segment, {})
        self._drawn = 0

    async def perform(self, wave: Sequence[Step]) -> list[str]:
        if self._engine.is_stopping():
            raise asyncio.CancelledError
        first, self._drawn = self._drawn, self._drawn + len(wave)
        return list(await asyncio.gather(*(self._perform(first + index, step) for index, step in enumerate(wave))))

    async def attempt(self, step: Step) -> str:
        if self._engine.is_stopping():
            raise asyncio.CancelledError
        return await step.body()

    async def _perform(self, number: int, step: Step) -> str:
        if number not in self._outcomes:
            self._outcomes[number] = await step.body()
        return self._outcomes[number]

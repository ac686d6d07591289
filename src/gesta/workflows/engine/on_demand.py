"""An engine that begins when there is something to carry out: a server that runs no workflows pays nothing for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gesta.kernel.errors import GestaError, Unavailable
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Carry, Engine

log = structlog.get_logger("gesta.workflows")


class OnDemand:
    """`gesta.workflows.runtime.Engine` over another one, which is made and started with the first segment.

    Nothing is lost by waiting: what a process had under way when it ended stands in the runs' own rows, and is
    submitted again at its start.
    """

    def __init__(self, make: Callable[[], Awaitable[Engine]], *, on_start: Callable[[Engine], Awaitable[None]]) -> None:
        self._make = make
        self._on_start = on_start
        self._carry: Carry | None = None
        self._engine: Engine | None = None
        self._starting = asyncio.Lock()
        # Begins with what has been submitted, while nobody waits for it.
        self._beginning: asyncio.Task[None] | None = None
        self._submitted: list[tuple[tuple[SegmentId, ...], bool]] = []

    @property
    def is_running(self) -> bool:
        return self._engine is not None

    async def start(self, carry: Carry) -> None:
        self._carry = carry

    async def begin(self) -> Engine:
        """The engine, started. Raises Unavailable before `start` and after `stop`."""
        async with self._starting:
            if self._carry is None:
                raise Unavailable("The workflow engine does not run.", retry_after_s=2)
            if self._engine is None:
                engine = await self._make()
                await self._on_start(engine)
                await engine.start(self._carry)
                self._engine = engine
            return self._engine

    async def submit(self, segments: Sequence[SegmentId], *, needs_desk: bool = False) -> None:
        """Before the engine runs, nobody waits for it: the segments stand in their runs' own rows, from where they are
        submitted again should it not begin."""
        if not segments:
            return
        if self._engine is not None:
            await self._engine.submit(segments, needs_desk=needs_desk)
            return
        if self._carry is None:
            raise Unavailable("The workflow engine does not run.", retry_after_s=2)
        self._submitted.append((tuple(segments), needs_desk))
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin_and_submit(), name="workflow engine")

    async def _begin_and_submit(self) -> None:
        try:
            engine = await self.begin()
            while self._submitted:
                segments, needs_desk = self._submitted.pop(0)
                await engine.submit(segments, needs_desk=needs_desk)
        except GestaError as error:
            log.warning("workflows.engine_not_begun", error=error.message)
        except Exception:
            # Nobody awaits this task: without the log nobody would ever know.
            log.exception("workflows.engine_not_begun")
        finally:
            self._submitted.clear()
            self._beginning = None

    async def wake(self) -> None:
        await self.begin()

    async def recover(self, worker: str) -> int:
        return await (await self.begin()).recover(worker)

    async def stop(self, *, timeout_s: float) -> None:
        beginning = self._beginning
        if beginning is not None:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
        async with self._starting:
            self._carry = None
            engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop(timeout_s=timeout_s)

    async def forget(self, before_us: int, most: int) -> int:
        return 0 if self._engine is None else await self._engine.forget(before_us, most)

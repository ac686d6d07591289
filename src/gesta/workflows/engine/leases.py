"""Signs of life of the processes that carry runs out, and what becomes of a dead one's.

Each worker writes a row every second. Whether another's has stopped changing is measured on this process's own steady
clock, so that hosts whose clocks disagree do not declare each other dead. Whoever takes a dead worker over makes its
row its own first, which only one can; should it die while it takes over, the row is stale again and the next one does.
A worker that was only slow loses what it had: the engine refuses what it records afterwards.
"""

from __future__ import annotations

import msgspec
import structlog

from gesta.kernel.clock import Clock
from gesta.kernel.errors import Unavailable
from gesta.kernel.service import Supervisor
from gesta.storage.program import Database, Fetch, Program, Row
from gesta.workflows.engine.settings import LeaseSettings
from gesta.workflows.runs.rows import SQL
from gesta.workflows.runtime import Engine

# What a worker writes that has stopped in good order: others need not wait to take its segments over.
LEFT = 0

log = structlog.get_logger("gesta.workflows.leases")


class _Seen(msgspec.Struct, frozen=True):
    """A worker's last sign of life, and when this process first saw it."""

    beat_at_us: int
    since_s: float


class Leases:
    """Of a process that carries out. Start it before the engine, so that nobody takes over what this process goes on
    with; stop it after."""

    def __init__(
        self, database: Database, engine: Engine, clock: Clock, worker: str, settings: LeaseSettings | None = None
    ) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._worker = worker
        self._settings = settings or LeaseSettings()
        self._started_at_us = 0
        self._seen: dict[str, _Seen] = {}
        self._supervisor = Supervisor()
        self._supervisor.every(self._settings.beat_s, "workflow leases", self.turn)
        self._is_started = False

    @property
    def supervisor(self) -> Supervisor:
        """`failed` is set when the signs of life have ended by themselves: the process must stop."""
        return self._supervisor

    async def start(self) -> None:
        """On return this process is known to be alive. Raises Unavailable."""
        if self._is_started:
            return
        self._started_at_us = self._clock.now_us()
        await self._beat(self._started_at_us)
        self._is_started = True
        await self._supervisor.start()

    async def stop(self) -> None:
        """Others take over at once what is still under way; a start under the same name takes it back."""
        if not self._is_started:
            return
        self._is_started = False
        await self._supervisor.stop()
        try:
            await self._beat(LEFT)
        except Unavailable:
            log.warning("worker_left_unseen", worker=self._worker)

    async def turn(self) -> list[str]:
        """A sign of life, and those whose segments were taken over because they gave none. Raises Unavailable."""
        await self._beat(self._clock.now_us())
        rows = await self._database.read(lambda: _select("worker.all", ()), snapshot=False)
        return [w for w in self._dead(rows) if await self._take_over(w, self._seen[w].beat_at_us)]

    def _dead(self, rows: list[Row]) -> list[str]:
        now_s = self._clock.monotonic_s()
        seen: dict[str, _Seen] = {}
        for worker, _, beat_at_us in rows:
            if worker != self._worker:
                before = self._seen.get(worker)
                is_same = before is not None and before.beat_at_us == beat_at_us
                seen[worker] = before if before is not None and is_same else _Seen(beat_at_us, now_s)
        self._seen = seen
        stale_s = self._settings.stale_s
        return [w for w, last in seen.items() if last.beat_at_us == LEFT or now_s - last.since_s >= stale_s]

    async def _take_over(self, worker: str, beat_at_us: int) -> bool:
        mine_us = self._clock.now_us()
        if not await self._database.write(lambda: _take(worker, beat_at_us, mine_us)):
            return False
        segments = await self._engine.recover(worker)
        await self._database.write(lambda: _select("worker.gone", (worker, mine_us + 1)))
        log.info("worker_taken_over", worker=worker, segments=segments)
        return True

    async def _beat(self, at_us: int) -> None:
        row = (self._worker, self._started_at_us, at_us)
        await self._database.write(lambda: _select("worker.beat", row))


def _take(worker: str, beat_at_us: int, now_us: int) -> Program[bool]:
    """Only one can delete the row as it was seen. It is back at once, as fresh as its new holder."""
    gone = yield Fetch(SQL["worker.gone"], (worker, beat_at_us + 1))
    if gone:
        yield Fetch(SQL["worker.beat"], (worker, now_us, now_us))
    return bool(gone)


def _select(name: str, parameters: tuple[object, ...]) -> Program[list[Row]]:
    return (yield Fetch(SQL[name], parameters))

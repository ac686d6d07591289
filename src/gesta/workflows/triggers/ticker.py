"""Starts what schedules say, when they say it. One for each process; of several, one starts it.

A run is started first, under an id that follows from the schedule and its moment, and then the schedule goes on to its
next moment. A process that dies in between leaves a schedule that is due: whoever looks next finds that the run is
there. Processes that look at the same time ask for the same run, and the ledger takes it once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import CallerError, GestaError
from gesta.kernel.events import set_within
from gesta.storage.program import Database, Fetch, Program
from gesta.workflows.definitions import rows as definitions
from gesta.workflows.definitions.rows import WorkflowRow
from gesta.workflows.face import WorkflowStatus
from gesta.workflows.triggers.rows import SQL, ScheduleRow, schedule_of, starts_by_itself
from gesta.workflows.triggers.schedules import US, Due, due
from gesta.workflows.triggers.starting import Starter

# Other processes make schedules too: they are looked for this often, at least.
LOOK_S = 5.0
# After a schedule could not be started for want of the database or the engine.
RETRY_S = 1.0
AT_ONCE = 100

log = structlog.get_logger("gesta.workflows")


class Ticker:
    """Start it twice, stop it twice, or stop it unstarted: nothing happens twice."""

    def __init__(self, *, database: Database, clock: Clock, starter: Starter) -> None:
        self._database = database
        self._clock = clock
        self._starter = starter
        self._kick = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="schedules")

    async def stop(self) -> None:
        """What was being started is started by whoever looks next."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def kick(self) -> None:
        """A schedule has changed: look again at once."""
        self._kick.set()

    async def _run(self) -> None:
        while True:
            self._kick.clear()
            wait_s = RETRY_S
            try:
                if await self.tick() == AT_ONCE:
                    continue
                wait_s = await self._wait_s()
            except GestaError as error:
                log.warning("workflows.schedules", error=error.message)
            except Exception:
                # It must outlive a defect that one schedule shows.
                log.exception("workflows.schedules_failed")
            await set_within(self._kick, wait_s)

    async def _wait_s(self) -> float:
        next_us = await self._database.read(_next, snapshot=False)
        if next_us is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, (next_us - self._clock.now_us()) / US))

    async def tick(self) -> int:
        """Start everything that is due now, `AT_ONCE` schedules at most. Returns how many were looked at. Raises what
        kept one of them from being started, after the others: it stays due."""
        now_us = self._clock.now_us()
        rows = await self._database.read(lambda: _due(now_us), snapshot=False)
        outcomes = await asyncio.gather(*(self._take(row, now_us) for row in rows), return_exceptions=True)
        failures = [(row, each) for row, each in zip(rows, outcomes, strict=True) if isinstance(each, BaseException)]
        for row, failure in failures:
            log.warning("workflows.schedule_postponed", schedule=row.id, error=str(failure))
        if failures:
            raise failures[0][1]
        return len(rows)

    async def _take(self, row: ScheduleRow, now_us: int) -> None:
        assert row.next_at_us is not None
        workflow = await self._database.read(lambda: definitions.find_number(row.workflow), snapshot=False)
        if workflow is None or workflow.view.status is WorkflowStatus.ARCHIVED:
            await self._advance(row, Due(moments=(), next_us=None))
            return
        found = due(row.schedule.timing, row.next_at_us - 1, now_us)
        if not starts_by_itself(workflow.view.status, workflow.view.published_version):
            found = Due(moments=(), next_us=found.next_us)
        for moment_us in found.moments:
            await self._start(row, workflow, moment_us)
        reach("workflows.schedule.started")
        await self._advance(row, found)

    async def _start(self, row: ScheduleRow, workflow: WorkflowRow, moment_us: int) -> None:
        try:
            started = await self._starter.scheduled(row, workflow, moment_us)
        except CallerError as error:
            # A payload that the newest version refuses: the next moment may do better.
            log.warning("workflows.schedule_refused", schedule=row.id, moment_us=moment_us, error=error.message)
            return
        if started is not None:
            log.info("workflows.schedule_started", schedule=row.id, run=started.execution.id)

    async def _advance(self, row: ScheduleRow, found: Due) -> None:
        last_us = found.moments[-1] if found.moments else None
        parameters = (row.organization, row.id, row.next_at_us, found.next_us, last_us, row.updated_at_us)
        await self._database.write(lambda: _advanced(parameters), key=row.organization)


def _due(now_us: int) -> Program[list[ScheduleRow]]:
    rows = yield Fetch(SQL["schedule.due"], (now_us, AT_ONCE))
    return [schedule_of(row) for row in rows]


def _next() -> Program[int | None]:
    ((next_us,),) = yield Fetch(SQL["schedule.next"])
    return None if next_us is None else int(next_us)


def _advanced(parameters: tuple[object, ...]) -> Program[None]:
    yield Fetch(SQL["schedule.advance"], parameters)

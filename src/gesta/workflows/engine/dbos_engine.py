"""The engine over DBOS 3.4.0: one DBOS workflow is one segment, one DBOS step one performed node.

DBOS has one instance in a process, so there is one engine in a process. While it runs, DBOS makes a small pool of its
own the event loop's default executor; code that blocks for long must bring its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy
import structlog
from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    EnqueueOptions,
    SetWorkflowID,
    StepReservation,
)
from dbos import error as dbos_error

from gesta.kernel.errors import StorageFull, Unavailable
from gesta.workflows.engine.database import open_database
from gesta.workflows.engine.quiet import hush
from gesta.workflows.engine.settings import EngineSettings
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Carry, Step

T = TypeVar("T")

APPLICATION = "gesta"
# What is recovered is of the same version only. A segment replays what it wrote itself, whatever Gesta's version.
VERSION = "1"
QUEUE = "segments"
# Of what needs the trading desk.
DESK_QUEUE = "desk"
# A segment that could not be carried out is tried again after so long, twice as long each time, up to a minute.
AGAIN_S = 1.0
AGAIN_MOST_S = 60.0
# How many times `concurrency` is begun here at once, before what is submitted waits on disk; and is taken from there at
# once. They wait at the gate, or their end is being recorded. On SQLite: elsewhere another process may have room.
HERE = 2
AHEAD = 8
# In one transaction, which the steps of others wait for.
ENQUEUED_AT_ONCE = 100
# How long a stop waits for steps that do not heed their cancellation.
HEEDLESS_S = 10.0
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_POOL = "dbos-executor-"

log = structlog.get_logger("gesta.workflows.engine")

_current: DbosEngine | None = None


@DBOS.workflow(name="segment", max_recovery_attempts=None)
async def _segment(organization: int, run: str, number: int) -> None:
    engine = _current
    if engine is None:
        # It is left as it is, for the next start.
        raise asyncio.CancelledError
    await engine.carry_out(SegmentId(organization, run, number))


class DbosEngine:
    """`gesta.workflows.runtime.Engine` over SQLite or PostgreSQL."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._database: sqlalchemy.Engine | None = None
        self._client: DBOSClient | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._life = asyncio.Lock()
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._carry: Carry | None = None
        self._is_stopping = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self._beginning: set[asyncio.Task[None]] = set()
        self._failures: dict[SegmentId, int] = {}
        self._again: dict[SegmentId, asyncio.Task[None]] = {}
        self._threads_before: set[threading.Thread] = set()

    # -- life

    async def start(self, carry: Carry) -> None:
        """Raises Unavailable where its database does not answer, RuntimeError beside another engine."""
        global _current
        async with self._life:
            if self._thread is not None:
                return
            if _current is not None:
                raise RuntimeError("DBOS has one instance in a process: stop the other engine first")
            hush()
            self._threads_before = set(threading.enumerate())
            self._carry, self._is_stopping = carry, False
            self._gate = asyncio.Semaphore(self._settings.concurrency)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="gesta-engine")
            _current = self
            try:
                await self._in_thread(self._open)
                if self._settings.takes_any:
                    self._launch()
                    await self._in_thread(self._register_queue)
            except BaseException:
                await self._end(self._thread, 0)
                raise

    def _open(self) -> None:
        self._database = open_database(self._settings)
        self._client = DBOSClient(
            system_database_engine=self._database,
            dbos_system_schema=self._settings.schema,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )
        # There is no public way to migrate over a given SQLAlchemy engine but a launch, which would block the loop.
        self._client._sys_db.run_migrations()

    def _launch(self) -> None:
        """On the loop's own thread: DBOS carries out on the loop that it is launched from."""
        settings = self._settings
        assert self._database is not None
        config = DBOSConfig(
            name=APPLICATION,
            system_database_engine=self._database,
            dbos_system_schema=settings.schema,
            executor_id=settings.worker,
            application_version=VERSION,
            serializer=DBOSPortableJSONSerializer(),
            run_migrations=False,
            # Nothing here listens; the notifier would wake up a hundred times a second.
            use_listen_notify=False,
            notification_listener_polling_interval_sec=0.25,
            max_executor_threads=settings.threads or (4 if settings.is_sqlite else 8),
            enable_otlp=False,
            log_level="WARNING",
        )
        DBOS(config=config)
        DBOS.listen_queues(self._queues())
        DBOS.launch()

    def _queues(self) -> list[str]:
        taken = {QUEUE: self._settings.carries, DESK_QUEUE: self._settings.has_desk}
        return [queue for queue, is_taken in taken.items() if is_taken]

    def _register_queue(self) -> None:
        settings = self._settings
        # The rarer the look, the more is taken at once; at `_gate` it costs some kilobytes each. What another worker
        # could take is left to it.
        taken = settings.concurrency * (AHEAD if settings.is_sqlite else 1)
        poll_s = settings.poll_s or (1.0 if settings.is_sqlite else 0.25)
        for queue in self._queues():
            DBOS.register_queue(
                queue, worker_concurrency=taken, polling_interval_sec=poll_s, on_conflict="always_update"
            )

    async def stop(self, *, timeout_s: float) -> None:
        """What is being performed has `timeout_s` to end; nothing new begins. Stopping a stopped one does nothing."""
        async with self._life:
            if self._thread is not None:
                await self._end(self._thread, timeout_s)

    async def _end(self, thread: ThreadPoolExecutor, timeout_s: float) -> None:
        global _current
        self._is_stopping = True
        for waiting in self._again.values():
            waiting.cancel()
        self._again.clear()
        if self._settings.takes_any:
            await self._end_segments(timeout_s)
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
        finally:
            if self._settings.takes_any:
                # The one that DBOS put in the place of asyncio's own is shut down.
                asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
            thread.shutdown()
            self._thread, self._client, self._database, self._carry = None, None, None, None
            self._failures.clear()
            if _current is self:
                _current = None

    async def _end_segments(self, timeout_s: float) -> None:
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=HEEDLESS_S)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=timeout_s)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEEDLESS_S
        while self._under_way:
            if loop.time() > deadline:
                log.error("segments_do_not_stop", count=len(self._under_way))
                break
            for task in self._under_way:
                task.cancel()
            await asyncio.wait(self._under_way, timeout=1)

    def _close(self) -> None:
        if self._settings.takes_any:
            DBOS.destroy()
            for thread in set(threading.enumerate()) - self._threads_before:
                if thread.name.startswith(_POOL):
                    thread.join(HEEDLESS_S)
        if self._client is not None:
            self._client.destroy()
        if self._database is not None:
            self._database.dispose()

    # -- work

    async def wake(self) -> None:
        """It runs already."""

    async def submit(self, segments: Sequence[SegmentId], *, needs_desk: bool = False) -> None:
        """As many as there is room for begin here at once; the others wait on disk. Raises Unavailable."""
        if self._thread is None or self._is_stopping:
            raise Unavailable("The workflow engine does not run.")
        room = 0
        if self._settings.has_desk if needs_desk else self._settings.carries:
            most = self._settings.concurrency * (HERE if self._settings.is_sqlite else 1)
            room = max(0, most - len(self._under_way) - len(self._beginning))
        begun = asyncio.gather(*(self._begin_apart(segment) for segment in segments[:room]))
        try:
            for at in range(room, len(segments), ENQUEUED_AT_ONCE):
                some = segments[at : at + ENQUEUED_AT_ONCE]
                await self._in_thread(partial(self._enqueue, some, DESK_QUEUE if needs_desk else QUEUE))
        finally:
            # Were one cancelled between its row and its task, it would wait for the next start.
            await asyncio.shield(begun)

    def _begin_apart(self, segment: SegmentId) -> asyncio.Task[None]:
        # Not in the caller's context: that may be a segment's, and DBOS would make this one its child.
        task = asyncio.get_running_loop().create_task(self._begin(segment), context=contextvars.Context())
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        return task

    async def _begin(self, segment: SegmentId) -> None:
        with _unavailable(), SetWorkflowID(segment.name):
            await DBOS.start_workflow_async(_segment, segment.organization, segment.run, segment.number)

    def _enqueue(self, segments: Sequence[SegmentId], queue: str) -> None:
        assert self._client is not None
        # One transaction for all; DBOS's view of the engine knows the schema.
        with self._client._sys_db.engine.begin() as connection:
            for segment in segments:
                options = EnqueueOptions(
                    workflow_name="segment", queue_name=queue, workflow_id=segment.name, app_version=VERSION
                )
                self._client.enqueue_in_transaction(
                    connection, options, segment.organization, segment.run, segment.number
                )

    async def carry_out(self, segment: SegmentId) -> None:
        """The body of the DBOS workflow. It is recorded as done when it returns; when it is cancelled, nothing is
        recorded, and it goes on at the next start or elsewhere."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            async with self._gate:
                if self._is_stopping or self._carry is None:
                    raise asyncio.CancelledError
                await self._carry(segment, _Steps(self))
        except (dbos_error.DBOSWorkflowConflictIDError, dbos_error.DBOSWorkflowCancelledError):
            # Another process has it. DBOS would poll for what that one comes to.
            raise asyncio.CancelledError from None
        except asyncio.CancelledError:
            self._try_again(segment)
            raise
        except Exception as error:
            log.exception("segment_failed", segment=segment.name)
            self._try_again(segment)
            raise asyncio.CancelledError from error
        self._failures.pop(segment, None)

    def refuse_when_stopping(self) -> None:
        if self._is_stopping:
            raise asyncio.CancelledError

    def _try_again(self, segment: SegmentId) -> None:
        if not self._is_stopping:
            count = self._failures[segment] = self._failures.get(segment, 0) + 1
            delay_s = min(AGAIN_MOST_S, AGAIN_S * 2 ** min(count - 1, 10))
            waiting = asyncio.get_running_loop().create_task(
                self._requeue_after(segment, delay_s), context=contextvars.Context()
            )
            self._again[segment] = waiting

    async def _requeue_after(self, segment: SegmentId, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        client = self._client
        assert client is not None
        while True:
            try:
                # Only if it is this process's still, which no public method of DBOS asks.
                await self._in_thread(
                    lambda: client._sys_db.reenqueue_for_recovery(segment.name, [self._settings.worker], QUEUE)
                )
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
            else:
                break
        self._again.pop(segment, None)

    async def recover(self, worker: str) -> int:
        """Its segments are queued again. Raises Unavailable, ValueError for this process's own name."""
        if worker == self._settings.worker:
            raise ValueError(f"{worker} is alive: it asks itself")
        if not self._settings.takes_any:
            raise ValueError("a process that carries nothing out takes nothing over")
        return await self._in_thread(lambda: self._recover(worker))

    def _recover(self, worker: str) -> int:
        assert self._client is not None
        # As DBOS does it, but for what had come from no queue: DBOS would have any process take that, and all of it.
        database = self._client._sys_db
        pending = [each.workflow_id for each in database.get_pending_workflows(worker, VERSION)]
        return sum(database.reenqueue_for_recovery(each, [worker], QUEUE) for each in pending)

    async def forget(self, before_us: int, most: int) -> int:
        """SQLite on Python 3.11 keeps whole seconds: what ended within the second before stays for the next time."""
        return await self._in_thread(lambda: self._forget(before_us, most))

    def _forget(self, before_us: int, most: int) -> int:
        assert self._client is not None
        before = datetime.fromtimestamp(before_us / 1_000_000, UTC).isoformat()
        ended = self._client.list_workflows(
            status=ENDED, completed_before=before, limit=most, load_input=False, load_output=False
        )
        if ended:
            self._client.delete_workflows([workflow.workflow_id for workflow in ended])
        return len(ended)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._thread is None:
            raise Unavailable("The workflow engine does not run.")
        with _unavailable():
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class _Steps:
    """`gesta.workflows.runtime.Steps` within a DBOS workflow."""

    def __init__(self, engine: DbosEngine) -> None:
        self._engine = engine

    async def perform(self, wave: Sequence[Step]) -> list[str]:
        self._engine.refuse_when_stopping()
        # The number of a step is what its outcome is found by. Drawn here, in the wave's order, it does not depend on
        # which task runs first.
        drawn = [(DBOS.reserve_step(), step) for step in wave]
        if len(drawn) == 1:
            return [await _run(*drawn[0])]
        tasks = [asyncio.create_task(_run(reservation, step)) for reservation, step in drawn]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def attempt(self, step: Step) -> str:
        self._engine.refuse_when_stopping()
        return await step.body()


async def _run(reservation: StepReservation, step: Step) -> str:
    async def body() -> str:
        return await step.body()

    return await reservation.run_async({"name": step.name}, body)


@contextmanager
def _unavailable() -> Iterator[None]:
    """The database's errors are Gesta's. No address and no password of it is in what is said."""
    try:
        yield
    except (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError) as error:
        said = str(getattr(error, "orig", error))
        log.warning("workflow_database_unavailable", error=said)
        if "full" in said or "No space" in said:
            raise StorageFull("The disk of the workflow engine's database refuses writes.") from error
        raise Unavailable("The workflow engine's database does not answer.") from error
    except dbos_error.DBOSException as error:
        log.exception("workflow_engine_refused")
        raise Unavailable("The workflow engine does not answer.") from error

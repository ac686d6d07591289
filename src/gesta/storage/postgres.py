"""PostgreSQL through asyncpg: the one module that knows it (storage.md §0, §4, §6).

One writer task per process gathers what is waiting into one transaction. Programs run in the order of their key, so
that two processes take the organizations' stream locks in the same order and cannot deadlock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg
import structlog

from gesta.kernel.crash import reach
from gesta.kernel.errors import ServerError, StorageFull, Unavailable
from gesta.storage.program import Fetch, Program, ProgramFactory, Row

T = TypeVar("T")
Connection = Any  # asyncpg ships no types

GROUP_LIMIT = 128
CHANNEL = "gesta_feed"
ATTEMPTS = 3

log = structlog.get_logger("gesta.storage")

_OUT_OF_REACH = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
)
_TRY_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class _Job:
    __slots__ = ("error", "future", "key", "program", "result")

    def __init__(self, program: ProgramFactory[Any], key: int, future: asyncio.Future[Any]) -> None:
        self.program = program
        self.key = key
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class PostgresDatabase:
    dialect = "postgres"

    def __init__(self, url: str, *, readers: int = 8) -> None:
        self._url = url
        self._readers = readers
        self._pool: Any = None
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._callbacks: list[Callable[[str], None]] = []

    async def start(self) -> None:
        if self._pool is not None:
            return
        try:
            self._pool = await asyncpg.create_pool(
                self._url, min_size=1, max_size=self._readers + 2, timeout=10, command_timeout=60, reset=_keep
            )
        except _OUT_OF_REACH as error:
            raise Unavailable(f"PostgreSQL does not answer: {error}") from error
        except asyncpg.PostgresError as error:
            raise ServerError(f"PostgreSQL refuses the connection: {error}") from error
        self._tasks = [asyncio.create_task(self._write_forever()), asyncio.create_task(self._listen_forever())]

    async def stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        writer, listener = self._tasks
        await self._jobs.put(None)
        await writer
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
        try:
            await asyncio.wait_for(pool.close(), 5)
        except TimeoutError:
            pool.terminate()

    async def write(self, program: ProgramFactory[T], *, key: int = 0) -> T:
        if self._pool is None:
            raise Unavailable("The database is not open.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._jobs.put(_Job(program, key, future))
        return await future

    async def read(self, program: ProgramFactory[T], *, snapshot: bool = True, unbounded: bool = False) -> T:
        if self._pool is None:
            raise Unavailable("The database is not open.")
        try:
            async with self._pool.acquire(timeout=5) as connection:
                if not snapshot:
                    return await _run(connection, program())
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return await _run(connection, program())
        except (asyncpg.PostgresError, *_OUT_OF_REACH) as error:
            raise _translate(error) from error

    def listen(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    async def _write_forever(self) -> None:
        while True:
            job = await self._jobs.get()
            group: list[_Job] = []
            while job is not None:
                group.append(job)
                if len(group) == GROUP_LIMIT or self._jobs.empty():
                    break
                job = self._jobs.get_nowait()
            if group:
                group.sort(key=lambda each: each.key)
                await self._commit_group(group)
                _resolve(group)
            if job is None:
                return

    async def _commit_group(self, group: list[_Job]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._try_group(group)
                return
            except _Undo:
                return
            except _TRY_AGAIN as error:
                if attempt == ATTEMPTS:
                    _fail(group, _translate(error))
            except (asyncpg.PostgresError, *_OUT_OF_REACH) as error:
                # Whether a commit under way took effect cannot be known here. Nothing was acknowledged, and a caller
                # that sends the same rows again gets them as duplicates.
                _fail(group, _translate(error))
                return

    async def _try_group(self, group: list[_Job]) -> None:
        pool = self._pool
        if pool is None:
            raise asyncpg.InterfaceError("the pool is closed")
        async with pool.acquire(timeout=5) as connection, connection.transaction():
            for job in group:
                job.error = job.result = None
                if len(group) == 1:
                    await _run_job(connection, job)
                    if job.error is not None:
                        raise _Undo
                else:
                    await _run_in_savepoint(connection, job)
            reach("storage.before_commit")
        reach("storage.after_commit")

    async def _listen_forever(self) -> None:
        """Keep one connection that hears what other processes commit; readers poll as well, so a gap only delays."""

        def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            for callback in self._callbacks:
                callback(str(payload))

        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=5)
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                try:
                    await connection.add_listener(CHANNEL, heard)
                    await lost.wait()
                finally:
                    await connection.close(timeout=1)
            except (asyncpg.PostgresError, *_OUT_OF_REACH) as error:
                log.warning("storage.listener_lost", error=str(error))
                await asyncio.sleep(1)


class _Undo(Exception):
    """Roll the transaction of a single job back; its error is already with the job."""


async def _keep(_connection: object) -> None:
    """Programs leave no session state behind, so a released connection needs no reset round trip."""


async def _run(connection: Connection, program: Program[T]) -> T:
    rows: list[Row] | None = None
    try:
        while True:
            op = program.send(rows) if rows is not None else next(program)
            if type(op) is Fetch:
                rows = await connection.fetch(op.statement.postgres, *op.parameters)
            else:
                await connection.executemany(op.statement.postgres, op.parameters)
                rows = []
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        program.close()


async def _run_job(connection: Connection, job: _Job) -> None:
    try:
        job.result = await _run(connection, job.program())
    except (asyncpg.PostgresError, *_OUT_OF_REACH):
        raise
    except Exception as error:  # noqa: BLE001 — handed to the waiting caller
        job.error = error


async def _run_in_savepoint(connection: Connection, job: _Job) -> None:
    savepoint = connection.transaction()
    await savepoint.start()
    await _run_job(connection, job)
    await (savepoint.commit() if job.error is None else savepoint.rollback())


def _fail(group: list[_Job], error: Exception) -> None:
    for job in group:
        job.error = job.error or error


def _resolve(group: list[_Job]) -> None:
    for job in group:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _translate(error: BaseException) -> Exception:
    """The driver's error as ours."""
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull("PostgreSQL has no space left: writes are refused. Free space and retry.", retry_after_s=30)
    if isinstance(error, (*_TRY_AGAIN, *_OUT_OF_REACH)):
        return Unavailable(f"PostgreSQL does not answer: {type(error).__name__}: {error}")
    return ServerError(f"PostgreSQL refused a statement: {type(error).__name__}: {error}")

"""PostgreSQL through asyncpg: the one module that knows it (storage.md §0, §4, §6).

One writer task per process gathers what is waiting into one transaction. Programs run in the order of their key, so
that two processes take the organizations' locks in the same order and cannot deadlock: what a program with a key has
read stays true until it has written.
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
from gesta.storage.jobs import Job, fail, resolve
from gesta.storage.program import Fetch, Program, ProgramFactory, Row

T = TypeVar("T")
Connection = Any  # asyncpg ships no types

GROUP_LIMIT = 128
# What was acknowledged is on disk, whatever the server's default says; and the statements are so small that compiling
# one costs more than running it.
# A process that stands still within a transaction (a paused machine) does not keep the others from theirs for longer.
SESSION = {
    "application_name": "gesta",
    "synchronous_commit": "on",
    "jit": "off",
    "idle_in_transaction_session_timeout": "5s",
}
# Of a key: programs of one run one after another, over all processes. The number beside it is Gesta's own.
_TURN = f"SELECT pg_advisory_xact_lock({0x67657374 << 32} + $1::bigint)"
CHANNEL = "gesta_feed"
ATTEMPTS = 3
CONNECT_S = 5.0
# A server that is there but silent (paused, cut off) is given up when it has not answered a statement for so long.
# Writes may wait for another process's lock, and a scan or a migration may work for minutes.
READ_PATIENCE_S = 5.0
WRITE_PATIENCE_S = 8.0
LONG_PATIENCE_S = 600.0
# The driver says nothing before the last of many rows is written, so that many are sent in parts within the patience.
MANY_AT_ONCE = 1000

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
    # What the driver says when the server's farewell arrives between two statements.
    asyncpg.InternalClientError,
)
_TRY_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# Refused for what the statement says: the fault of its program, not of those that share its transaction.
_OWN_FAULT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.SyntaxOrAccessError,
)


class PostgresDatabase:
    dialect = "postgres"

    def __init__(
        self,
        url: str,
        *,
        readers: int = 8,
        read_patience_s: float = READ_PATIENCE_S,
        write_patience_s: float = WRITE_PATIENCE_S,
    ) -> None:
        self._url = url
        self._readers = readers
        self._read_patience_s = read_patience_s
        self._write_patience_s = write_patience_s
        self._open = False
        self._pool: Any = None
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._callbacks: list[Callable[[str], None]] = []

    async def start(self) -> None:
        if self._open:
            return
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                init_size=1,
                min_size=0,
                max_size=self._readers + 2,
                timeout=CONNECT_S,
                reset=_keep,
                server_settings=SESSION,
            )
        except _OUT_OF_REACH as error:
            raise Unavailable(f"PostgreSQL does not answer: {error}") from error
        except asyncpg.PostgresError as error:
            raise ServerError(f"PostgreSQL refuses the connection: {error}") from error
        self._open = True
        self._tasks = [asyncio.create_task(self._write_forever()), asyncio.create_task(self._listen_forever())]

    async def stop(self) -> None:
        if not self._open:
            return
        self._open = False
        writer, listener = self._tasks
        await self._jobs.put(None)
        # The pool stays until the writes that were accepted are done.
        await writer
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), 5)
        except TimeoutError:
            pool.terminate()

    async def write(self, program: ProgramFactory[T], *, key: int = 0, unbounded: bool = False) -> T:
        if not self._open:
            raise Unavailable("The database is not open.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._jobs.put(Job(program, future, key=key, long=unbounded))
        return await future

    async def read(self, program: ProgramFactory[T], *, snapshot: bool = True, unbounded: bool = False) -> T:
        if not self._open:
            raise Unavailable("The database is not open.")
        patience_s = LONG_PATIENCE_S if unbounded else self._read_patience_s
        try:
            async with self._pool.acquire(timeout=CONNECT_S) as connection:
                with _Watch(connection, patience_s) as watch:
                    if not snapshot:
                        return await _run(connection, program(), watch)
                    async with connection.transaction(isolation="repeatable_read", readonly=True):
                        return await _run(connection, program(), watch)
        except (asyncpg.PostgresError, *_OUT_OF_REACH) as error:
            raise _translate(error) from error

    def listen(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    async def _write_forever(self) -> None:
        try:
            await self._write_groups()
        finally:
            # Whatever ends the writer, nobody may wait for it any longer.
            self._open = False
            self._fail_waiting(Unavailable("The database is not open."))

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = False
        while not stopping:
            group = [job] if (job := await self._jobs.get()) is not None else []
            while group and len(group) < GROUP_LIMIT and not self._jobs.empty():
                if (job := self._jobs.get_nowait()) is None:
                    break
                group.append(job)
            stopping = job is None
            began_s = loop.time()
            group.sort(key=lambda each: each.key)
            error: Exception | None = Unavailable("The write was not finished.")
            try:
                error = await self._commit_group(group) if group else None
            finally:
                if isinstance(error, Unavailable):
                    fail(group, error)
                resolve(group)
            if error is not None and loop.time() - began_s >= self._write_patience_s / 2:
                # The server is silent: who waited behind this group shall not wait for a turn of the same.
                self._fail_waiting(error)

    def _fail_waiting(self, error: Exception) -> None:
        waiting: list[Job] = []
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                self._jobs.put_nowait(None)
                break
            waiting.append(job)
        fail(waiting, error)
        resolve(waiting)

    async def _commit_group(self, group: list[Job]) -> Exception | None:
        """Commit the programs together. Returns the error that failed them all, if one did."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._try_group(group)
                return None
            except _Undo:
                return None
            except Exception as error:  # noqa: BLE001 — handed to every waiting caller; the writer must live on
                if isinstance(error, _TRY_AGAIN) and attempt < ATTEMPTS:
                    continue
                # Whether a commit under way took effect cannot be known here. Nothing was acknowledged, and a caller
                # that sends the same rows again gets them as duplicates.
                lost = _translate(error)
                fail(group, lost)
                return lost
        raise AssertionError("the last attempt returns")

    async def _try_group(self, group: list[Job]) -> None:
        patience_s = LONG_PATIENCE_S if any(job.long for job in group) else self._write_patience_s
        async with self._pool.acquire(timeout=CONNECT_S) as connection:
            with _Watch(connection, patience_s) as watch:
                async with connection.transaction():
                    turn = 0
                    for job in group:
                        if job.key != turn:
                            # Not within a savepoint, whose rollback would give it away.
                            await connection.fetch(_TURN, job.key)
                            watch.answered()
                            turn = job.key
                        job.error = job.result = None
                        if len(group) == 1:
                            await _run_job(connection, job, watch)
                            if job.error is not None:
                                raise _Undo
                        else:
                            await _run_in_savepoint(connection, job, watch)
                    reach("storage.before_commit")
                    watch.answered()
                reach("storage.after_commit")

    async def _listen_forever(self) -> None:
        """Keep one connection that hears what other processes commit; readers poll as well, so a gap only delays."""

        def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            for callback in self._callbacks:
                callback(str(payload))

        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=CONNECT_S)
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


class _Watch:
    """Aborts a connection whose server is silent for `patience_s`: whatever waits on it fails at once. A cancelled
    statement would instead wait for the server to confirm the cancellation. A connection that failed is not used again.
    """

    __slots__ = ("_connection", "_loop", "_patience_s", "_timer", "_until_s")

    def __init__(self, connection: Connection, patience_s: float) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._until_s = 0.0

    def __enter__(self) -> _Watch:
        self.answered()
        self._timer = self._loop.call_at(self._until_s, self._look)
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._timer.cancel()
        if isinstance(error, _OUT_OF_REACH):
            self._connection.terminate()

    def answered(self) -> None:
        """The server has answered: its time begins anew."""
        self._until_s = self._loop.time() + self._patience_s

    def _look(self) -> None:
        if self._loop.time() < self._until_s:
            self._timer = self._loop.call_at(self._until_s, self._look)
            return
        log.warning("storage.no_answer", patience_s=self._patience_s)
        self._connection.terminate()


async def _keep(_connection: object) -> None:
    """Programs leave no session state behind, so a released connection needs no reset round trip."""


async def _run(connection: Connection, program: Program[T], watch: _Watch) -> T:
    rows: list[Row] | None = None
    try:
        while True:
            op = program.send(rows) if rows is not None else next(program)
            if type(op) is Fetch:
                rows = await connection.fetch(op.statement.postgres, *op.parameters)
            else:
                for first in range(0, len(op.parameters), MANY_AT_ONCE):
                    part = op.parameters[first : first + MANY_AT_ONCE]
                    await connection.executemany(op.statement.postgres, part)
                    watch.answered()
                rows = []
            watch.answered()
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        program.close()


async def _run_job(connection: Connection, job: Job, watch: _Watch) -> None:
    try:
        job.result = await _run(connection, job.program(), watch)
    except _OWN_FAULT as error:
        job.error = _translate(error)
    except (asyncpg.PostgresError, *_OUT_OF_REACH):
        raise
    except Exception as error:  # noqa: BLE001 — handed to the waiting caller
        job.error = error


async def _run_in_savepoint(connection: Connection, job: Job, watch: _Watch) -> None:
    savepoint = connection.transaction()
    await savepoint.start()
    await _run_job(connection, job, watch)
    await (savepoint.commit() if job.error is None else savepoint.rollback())


def _translate(error: BaseException) -> Exception:
    """The driver's error as ours. What it says of hosts and statements is for the log, not for callers."""
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull("PostgreSQL has no space left: writes are refused. Free space and retry.", retry_after_s=30)
    if isinstance(error, (*_TRY_AGAIN, *_OUT_OF_REACH)):
        log.warning("storage.out_of_reach", error=told)
        return Unavailable("The database does not answer. Try again in a moment.")
    log.error("storage.refused", error=told)
    if isinstance(error, asyncpg.PostgresError):
        return ServerError("The database refused a statement; the log says why.")
    return ServerError("The write failed; the log says why.")

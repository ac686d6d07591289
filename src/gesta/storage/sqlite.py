"""SQLite through apsw: the one module that knows it (storage.md §0, §1b, §6).

One writer thread commits groups of programs with `synchronous=FULL`; bounded reads run inline on the event loop, which
costs less than any hand-over; unbounded ones have two threads of their own.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import structlog

from gesta.kernel.crash import reach
from gesta.kernel.errors import ServerError, StorageFull, Unavailable
from gesta.storage.jobs import Job, fail, resolve
from gesta.storage.program import Fetch, Program, ProgramFactory

T = TypeVar("T")

GROUP_LIMIT = 256
# 64 MB of WAL: measured 1.7-1.9 times the ingest rate of the default (storage.md §1b).
CHECKPOINT_PAGES = 16_000
# How long a write waits for one of another process (an import beside the server).
BUSY_MS = 5_000
# Older versions can corrupt the file when the WAL restarts.
OLDEST_SAFE_SQLITE = (3, 51, 3)

log = structlog.get_logger("gesta.storage")


class SqliteDatabase:
    dialect = "sqlite"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reader: apsw.Connection | None = None
        self._writer: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._scanners: list[apsw.Connection] = []

    async def start(self) -> None:
        if self._writer is not None:
            return
        version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
        if version < OLDEST_SAFE_SQLITE:
            raise ServerError(f"SQLite {apsw.sqlite_lib_version()} can corrupt a WAL file; 3.51.3 or newer is needed.")
        self._loop = asyncio.get_running_loop()
        with _translated():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = _open(self.path)
            self._reader = _open(self.path, readonly=True)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="gesta-scan")
        self._writer = threading.Thread(
            target=self._write_forever, args=(connection,), name="gesta-writer", daemon=True
        )
        self._writer.start()

    async def stop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(writer.join)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown)
        for connection in (self._reader, *self._scanners):
            if connection is not None:
                _close(connection)
        self._reader = None
        self._scanners.clear()
        self._local = threading.local()

    async def write(self, program: ProgramFactory[T], *, key: int = 0, unbounded: bool = False) -> T:
        """`key` needs no lock here: there is one writer. Nor is any write given up."""
        if self._writer is None or self._loop is None:
            raise Unavailable("The database is not open.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(program, future))
        return await future

    async def read(self, program: ProgramFactory[T], *, snapshot: bool = True, unbounded: bool = False) -> T:
        if self._reader is None or self._pool is None:
            raise Unavailable("The database is not open.")
        if unbounded:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._scan, program)
        with _translated():
            return _read(self._reader, program, snapshot)

    def listen(self, callback: Callable[[str], None]) -> None:
        """One process writes an SQLite ledger, so there is nobody to hear from."""

    async def backup(self, destination: Path, progress: Callable[[int, int], None]) -> None:
        """Copy the whole database as of one moment while it is in use. `progress(pages_done, pages)`.

        The copy is complete only when this returns; it is written beside `destination` first and then renamed.
        """
        await asyncio.to_thread(self._backup, destination, progress)

    def _backup(self, destination: Path, progress: Callable[[int, int], None]) -> None:
        partial = destination.with_name(destination.name + ".partial")
        partial.unlink(missing_ok=True)
        try:
            with _translated():
                _copy(self.path, partial, progress)
        except BaseException:
            # What the copy holds would keep a full disk full.
            partial.unlink(missing_ok=True)
            raise
        partial.replace(destination)

    def _scan(self, program: ProgramFactory[T]) -> T:
        with _translated():
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _open(self.path, readonly=True)
                self._scanners.append(connection)
            return _read(connection, program, snapshot=True)

    def _write_forever(self, connection: apsw.Connection) -> None:
        while True:
            job = self._jobs.get()
            group: list[Job] = []
            while job is not None:
                group.append(job)
                if len(group) == GROUP_LIMIT or self._jobs.empty():
                    break
                job = self._jobs.get()
            if group:
                try:
                    _commit_group(connection, group)
                except BaseException:
                    # Nobody may wait for a writer that is no more.
                    self._fail(group)
                    raise
                self._tell(group)
            if job is None:
                break
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            log.warning("storage.checkpoint_failed", error=str(error))
        _close(connection)

    def _fail(self, group: list[Job]) -> None:
        """The writer ends: what it holds and what waits for it fails, and so does every later write."""
        self._writer = None
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                group.append(job)
        fail(group, Unavailable("The database is not open."))
        self._tell(group)

    def _tell(self, group: list[Job]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(resolve, group)


def _open(path: Path, *, readonly: bool = False) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | (0 if readonly else apsw.SQLITE_OPEN_CREATE)
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=256)
    connection.set_busy_timeout(BUSY_MS)
    # Each pragma is executed alone: apsw stops a script at the first statement that returns a row.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "cache_size=-65536",
        "mmap_size=268435456",
        "temp_store=MEMORY",
        "foreign_keys=OFF",
        f"query_only={int(readonly)}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _close(connection: apsw.Connection) -> None:
    try:
        connection.close()
    except apsw.Error as error:
        # The last connection checkpoints once more. The next start finds in the WAL file what that could not move.
        log.warning("storage.checkpoint_failed", error=str(error))


def _copy(path: Path, destination: Path, progress: Callable[[int, int], None]) -> None:
    with ExitStack() as opened:
        source = _open(path, readonly=True)
        opened.callback(_close, source)
        target = apsw.Connection(str(destination))
        opened.callback(_close, target)
        # An open read transaction pins the snapshot, so that writers cannot make the copy start again.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with target.backup("main", source, "main") as copy:
            while not copy.done:
                copy.step(2000)
                progress(copy.page_count - copy.remaining, copy.page_count)
        target.execute("PRAGMA journal_mode=DELETE").fetchall()


def _run(connection: apsw.Connection, program: Program[T]) -> T:
    execute, executemany = connection.execute, connection.executemany
    rows: Any = None
    try:
        while True:
            op = program.send(rows) if rows is not None else next(program)
            if type(op) is Fetch:
                rows = execute(op.statement.sqlite, op.parameters).fetchall()
            else:
                executemany(op.statement.sqlite, op.parameters)
                rows = []
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        program.close()


def _read(connection: apsw.Connection, program: ProgramFactory[T], snapshot: bool) -> T:
    if not snapshot:
        return _run(connection, program())
    connection.execute("BEGIN")
    try:
        return _run(connection, program())
    finally:
        # After an I/O error SQLite has ended the transaction itself.
        if connection.in_transaction:
            connection.execute("COMMIT")


def _commit_group(connection: apsw.Connection, group: list[Job]) -> None:
    """Run each program in a savepoint of one transaction, so that one failure does not touch its neighbours.

    A failure of the transaction itself (disk full, I/O) fails every job of the group: none was acknowledged.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in group:
            _run_in_savepoint(connection, job)
        reach("storage.before_commit")
        connection.execute("COMMIT")
        reach("storage.after_commit")
    except Exception as error:  # noqa: BLE001 — handed to every waiting caller
        translated = _translate(error)
        fail(group, translated)
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error as failure:
            # SQLite ends the transaction all the same; the writer must live on.
            log.error("storage.rollback_failed", error=str(failure))


def _run_in_savepoint(connection: apsw.Connection, job: Job) -> None:
    connection.execute("SAVEPOINT program")
    try:
        job.result = _run(connection, job.program())
    except Exception as error:
        # SQLite has already rolled the whole transaction back after a full disk or an I/O error.
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO program")
        job.error = _translate(error)
    connection.execute("RELEASE program")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise _translate(error) from error


def _translate(error: Exception) -> Exception:
    """A driver's error as ours; any other error unchanged."""
    if isinstance(error, apsw.FullError):
        return StorageFull("The disk is full: writes are refused, reads go on. Free space and retry.", retry_after_s=30)
    if isinstance(error, (apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.ReadOnlyError)):
        return Unavailable(f"The database file cannot be used: {error}")
    if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
        return ServerError(f"The database file is damaged or not a database: {error}")
    if isinstance(error, OSError):
        return Unavailable(f"The database file cannot be opened: {error}")
    return error

"""From decided to on disk: one task writes the open batches, and nothing is told or sent before its batch is committed.

A database that is out of reach is tried until it answers. Who waits is told at once; what they had intended is marked
late, so that it is not sent to the venue when the batch gets through after all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from gesta.desk.trading import journal
from gesta.desk.trading.batch import Batch
from gesta.desk.trading.journal import Superseded
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Unavailable
from gesta.ledger import appending
from gesta.ledger.records import AppendResult
from gesta.storage.program import Database

# Feeds wait while more rows than this are on their way to disk.
MOST_WAITING = 4000
# How long to wait before a batch that found no database is sent again.
RETRY_S = (0.1, 0.5, 1.0, 2.0)
STOP_S = 5.0

log = structlog.get_logger("gesta.trading")

# What to do with a batch that is on disk: the moment it was recorded at, and what became of its fills.
Committed = Callable[[Batch, int, Sequence[AppendResult]], Awaitable[None]]


class Pipeline:
    """`committed` is awaited after each commit, in order. `on_failure` is told of a defect that ended the writer; a
    process that was superseded ends without one."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        committed: Committed,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._committed = committed
        self._on_failure = on_failure
        self._epoch = 0
        self._numbers: defaultdict[int, int] = defaultdict(int)
        self._open: dict[int, Batch] = {}
        # What is on its way to disk: who asks now for what was decided must wait for it too.
        self._under_way: dict[int, Batch] = {}
        self._writing = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._room.set()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.ended: Unavailable | None = Unavailable("Trading has not started.")
        self.stalled = False

    def start(self, epoch: int, batches: Mapping[int, int]) -> None:
        """`batches` are the numbers of the last batches on record."""
        self._epoch = epoch
        self._numbers.update(batches)
        self.ended = None
        self._task = asyncio.create_task(self._write_forever(), name="trading journal")
        self._task.add_done_callback(self._writer_ended)

    async def stop(self) -> None:
        """Write what was decided, then end. A database that is gone does not hold the stop for long."""
        task, self._task = self._task, None
        if task is None:
            return
        self.ended = self.ended or Unavailable("The server is stopping.")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.idle(), STOP_S)
        task.cancel()
        with suppress(asyncio.CancelledError, Superseded):
            await task

    def check(self) -> None:
        """Raise Unavailable unless intents can be taken now."""
        if self.ended is not None:
            raise self.ended
        if self.stalled:
            raise Unavailable("The journal is out of reach, so no order can be taken; try again.", retry_after_s=2)

    @property
    def takes_market(self) -> bool:
        """Whether what the market does now could be written."""
        return self.ended is None and not self.stalled

    def batch(self, organization: int) -> Batch:
        """The batch that the next commit of the organization writes."""
        batch = self._open.get(organization)
        if batch is None:
            self._numbers[organization] += 1
            batch = self._open[organization] = Batch(organization, self._numbers[organization])
            self._idle.clear()
            self._wake.set()
        return batch

    @property
    def waiting(self) -> int:
        """Rows that are decided and not yet on disk."""
        return self._writing + sum(batch.weight for batch in self._open.values())

    async def flush(self, organization: int) -> None:
        """Return when what was decided so far for the organization is on disk and `committed` is done with it.

        Raises Unavailable when it cannot be written now.
        """
        batch = self._open.get(organization) or self._under_way.get(organization)
        if batch is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.waiters.append(done)
        self._wake.set()
        await done

    async def flush_all(self) -> None:
        for organization in {*self._open, *self._under_way}:
            await self.flush(organization)

    async def idle(self) -> None:
        """Return when everything is on disk and nothing new has come of it."""
        self._wake.set()
        await self._idle.wait()

    async def room(self) -> None:
        """Return at once unless much is on its way to disk."""
        while self.waiting > MOST_WAITING and self.ended is None:
            self._room.clear()
            await self._room.wait()

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._open:
                self._under_way, self._open = self._open, {}
                self._writing = sum(batch.weight for batch in self._under_way.values())
                for batch in list(self._under_way.values()):
                    await self._write(batch)
                self._writing = 0
                self._room.set()
            self._idle.set()

    async def _write(self, batch: Batch) -> None:
        try:
            now_us, results = await self._commit(batch)
            await self._committed(batch, now_us, results)
        except BaseException:
            _fail(batch, Unavailable("Trading has ended; whether this is on record is not known here."))
            raise
        del self._under_way[batch.organization]
        for waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _commit(self, batch: Batch) -> tuple[int, Sequence[AppendResult]]:
        encoded = [appending.encode(row) for row in batch.fills]
        attempt = 0
        while True:
            now_us = self._clock.now_us()
            try:
                written = await self._database.write(
                    lambda now_us=now_us: journal.commit(batch, encoded, self._epoch, now_us),  # type: ignore[misc]
                    key=batch.organization,
                )
            except Superseded:
                raise
            except Unavailable as error:
                self._stall(batch, error, attempt)
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
                continue
            if self.stalled:
                self.stalled = False
                log.info("trading.resumed", attempts=attempt)
            batch.seq = written.seq
            batch.became = {execution.id: execution for execution in written.became}
            return now_us, written.results

    def _stall(self, batch: Batch, error: Unavailable, attempt: int) -> None:
        if attempt == 0:
            log.error("trading.stalled", error=error.message, organization=batch.organization)
        self.stalled = True
        for waiting in (*self._under_way.values(), *self._open.values()):
            waiting.is_late = True
            _fail(waiting, error)

    def _writer_ended(self, task: asyncio.Task[None]) -> None:
        """Nobody may wait for a writer that is no more."""
        if task.cancelled():
            error: BaseException = Unavailable("The server is stopping.")
        else:
            error = task.exception() or Unavailable("Trading has ended.")
            superseded = isinstance(error, Superseded)
            log.error("trading.ended", error=str(error), exc_info=None if superseded else error)
            if not superseded:
                self._on_failure(error)
        self.ended = error if isinstance(error, Unavailable) else Unavailable("Trading has ended; the log says why.")
        self._room.set()
        self._idle.set()
        for batch in (*self._under_way.values(), *self._open.values()):
            _fail(batch, self.ended)
        self._under_way.clear()
        self._open.clear()


def _fail(batch: Batch, error: Unavailable) -> None:
    for waiter in batch.waiters:
        if not waiter.done():
            waiter.set_exception(error)
    batch.waiters.clear()

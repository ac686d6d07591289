"""The ledger over a Database: SQLite or PostgreSQL, the same programs (face.Ledger says what each verb means)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput
from gesta.kernel.events import set_within
from gesta.ledger import appending, changing, daily, groups, reading, run_groups, scanning
from gesta.ledger.bounds import check_amounts, check_time, check_values
from gesta.ledger.query import (
    Cursor,
    EventSlice,
    ExecutorFilter,
    ExecutorSums,
    Filter,
    Page,
    Slice,
    SummaryRow,
)
from gesta.ledger.records import AppendResult, Event, Execution, FeedItem, NewEvent, NewExecution, Transition
from gesta.ledger.rows import check_text, check_words
from gesta.storage.program import Database, Program

T = TypeVar("T")

MIGRATIONS = ("ledger", "gesta.ledger.migrations")

# Rows of waiting appends are put into one program up to this many.
GATHER_ROWS = 4000
# Another process may have recorded what no notification told of: readers look by themselves this often.
LOOK_S = 1.0


class _Waiting:
    """An append that waits for its turn."""

    __slots__ = ("done", "rows")

    def __init__(self, rows: list[appending.Encoded], done: asyncio.Future[list[AppendResult]]) -> None:
        self.rows = rows
        self.done = done


class StoredLedger:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: dict[int, list[_Waiting]] = {}
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._heads: dict[int, int] = {}
        self._grown: dict[int, asyncio.Event] = {}
        database.listen(self._heard)

    async def append(self, organization: int, rows: Sequence[NewExecution]) -> list[AppendResult]:
        if not rows:
            return []
        for row in rows:
            check_text(row)
            check_values(row)
        waiting = _Waiting([appending.encode(row) for row in rows], asyncio.get_running_loop().create_future())
        self._waiting.setdefault(organization, []).append(waiting)
        # One program per organization is under way; what arrives meanwhile goes together into the next one.
        if organization not in self._busy:
            self._busy[organization] = asyncio.create_task(self._drain(organization))
        return await waiting.done

    async def _drain(self, organization: int) -> None:
        try:
            while queue := self._waiting.get(organization):
                group: list[_Waiting] = []
                count = 0
                while queue and (not group or count + len(queue[0].rows) <= GATHER_ROWS):
                    group.append(queue.pop(0))
                    count += len(group[-1].rows)
                await self._append_group(organization, group)
        finally:
            del self._busy[organization]
            self._waiting.pop(organization, None)

    async def _append_group(self, organization: int, group: list[_Waiting]) -> None:
        rows = [row for waiting in group for row in waiting.rows]
        try:
            results = await self._database.write(
                lambda: appending.append(organization, rows, self._clock.now_us()), key=organization
            )
        except Exception as error:  # noqa: BLE001 — handed to every waiting caller
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        start = 0
        for waiting in group:
            end = start + len(waiting.rows)
            if not waiting.done.done():
                waiting.done.set_result(results[start:end])
            start = end
        self.passed(organization, max((result.seq for result in results), default=0))

    async def transition(
        self, organization: int, execution_id: str, change: Transition, *, account: int | None = None
    ) -> Execution:
        check_event(change.event)
        if change.detail is not None:
            check_amounts(change.detail)
            check_words(change.detail)
        after = await self._database.write(
            lambda: changing.transition(organization, execution_id, account, change, self._clock.now_us()),
            key=organization,
        )
        self.passed(organization, after.seq)
        return after

    async def note(self, organization: int, execution_id: str, events: Sequence[NewEvent]) -> list[Event]:
        for event in events:
            check_event(event)
        made = await self._database.write(
            lambda: changing.note(organization, execution_id, events, self._clock.now_us()), key=organization
        )
        if made:
            self.passed(organization, made[-1].seq)
        return made

    async def get(self, organization: int, execution_id: str, *, account: int | None = None) -> Execution | None:
        if "\0" in execution_id:
            return None
        return await self._database.read(lambda: reading.get(organization, execution_id, account), snapshot=False)

    async def page(
        self, query: Filter, *, offset: int, limit: int, newest_first: bool = True, total: bool = True
    ) -> Page:
        if _asks_for_nul(query):
            return Page(rows=[], total=0 if total else None, has_more=False)
        return await self._listed(
            query, lambda scan: reading.page(query, min(offset, 1 << 53), limit, newest_first, total, scan)
        )

    async def seek(self, query: Filter, *, after: Cursor | None, limit: int, newest_first: bool = True) -> Slice:
        if _asks_for_nul(query):
            return Slice(rows=[], next=None)
        return await self._listed(query, lambda scan: reading.seek(query, after, limit, newest_first, scan))

    async def count(self, query: Filter) -> int:
        if _asks_for_nul(query):
            return 0
        return await self._listed(query, lambda scan: reading.count(query, scan))

    async def _listed(self, query: Filter, program: Callable[[bool], Program[T]]) -> T:
        """From the counters where they answer, else from the rows, which may take long."""
        if scanning.is_needed(query):
            try:
                if run_groups.answer(query):
                    return await self._database.read(lambda: program(False))
            except run_groups.TooMany:
                pass
            return await self._database.read(lambda: program(True), unbounded=True)
        return await self._database.read(lambda: program(False))

    async def executors(self, query: ExecutorFilter, *, after: Cursor | None, limit: int) -> Page:
        if _names_nul(query):
            return Page(rows=[], total=0, has_more=False)
        try:
            return await self._database.read(lambda: groups.page(query, after, limit, groups.MOST_INLINE))
        except groups.TooMany:
            return await self._database.read(lambda: groups.page(query, after, limit, None), unbounded=True)

    async def executor_sums(self, query: ExecutorFilter) -> list[ExecutorSums]:
        if _names_nul(query):
            return []
        return await self._database.read(lambda: groups.sums(query), snapshot=False, unbounded=True)

    async def events(
        self, organization: int, execution_id: str, *, after_seq: int = 0, limit: int = 1000
    ) -> EventSlice:
        # Events are only ever added, so the two statements need no common snapshot.
        return await self._database.read(
            lambda: reading.events(organization, execution_id, after_seq, limit), snapshot=False
        )

    async def feed(self, organization: int, *, after_seq: int, limit: int) -> list[FeedItem]:
        return await self._database.read(lambda: reading.feed(organization, after_seq, limit), snapshot=False)

    async def head(self, organization: int) -> int:
        return await self._database.read(lambda: reading.head(organization), snapshot=False)

    async def wait(self, organization: int, *, after_seq: int, timeout_s: float) -> bool:
        deadline = self._clock.monotonic_s() + timeout_s
        while self._heads.get(organization, 0) <= after_seq:
            # Registered before the look, so that a commit in between is not missed.
            grown = self._grown.setdefault(organization, asyncio.Event())
            self.passed(organization, await self.head(organization))
            if self._heads.get(organization, 0) > after_seq:
                break
            left_s = deadline - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            await set_within(grown, min(left_s, LOOK_S))
        return True

    async def summary(self, query: Filter, *, by: frozenset[str]) -> list[SummaryRow]:
        daily.check(query)
        return await self._database.read(lambda: daily.summary(query, by), unbounded=True)

    def passed(self, organization: int, seq: int) -> None:
        """The feed has come to `seq`: wake who waits for it. Called too by who writes the ledger's programs within a
        transaction of its own."""
        if seq > self._heads.get(organization, 0):
            self._heads[organization] = seq
            grown = self._grown.pop(organization, None)
            if grown is not None:
                grown.set()

    def _heard(self, payload: str) -> None:
        organization, _, seq = payload.partition(":")
        if organization.isdecimal() and seq.isdecimal():
            self.passed(int(organization), int(seq))


def check_event(event: NewEvent) -> None:
    """Raise InvalidInput for an event that cannot be stored."""
    if event.at_us is not None:
        check_time(event.at_us)
    if not 0 < len(event.type) <= 128:
        raise InvalidInput("An event's type has 1 to 128 characters.", field="event.type")
    for name in ("type", "title", "message"):
        text = getattr(event, name)
        if "\0" in text or len(text) > 64 * 1024:
            raise InvalidInput("Event text has no NUL character and at most 65536 characters.", field=f"event.{name}")


def _names_nul(query: ExecutorFilter) -> bool:
    words = (*query.executor_types, *query.connectors, *query.trading_pairs, *query.controllers)
    return any("\0" in word for word in words)


def _asks_for_nul(query: Filter) -> bool:
    """PostgreSQL text cannot hold NUL, so nothing can match it."""
    return any(
        "\0" in text
        for text in (query.parent_id or "", query.name_contains or "", *query.correlation.values(), *query.applications)
    )

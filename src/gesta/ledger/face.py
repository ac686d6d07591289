"""The small face of the ledger: domain verbs over one organization's record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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


class Ledger(Protocol):
    async def append(self, organization: int, rows: Sequence[NewExecution]) -> list[AppendResult]:
        """Record rows; one result per row, in order. On return every `recorded` row is on disk.

        A row whose key exists is a `duplicate` (equal content: nothing happens) or a `conflict` (nothing happens).
        """
        ...

    async def transition(
        self, organization: int, execution_id: str, change: Transition, *, account: int | None = None
    ) -> Execution:
        """Apply one change with its event, totals and feed entry in one transaction.

        Raises NotFound, or Conflict when the life cycle or `expected_version` forbids it.
        """
        ...

    async def note(self, organization: int, execution_id: str, events: Sequence[NewEvent]) -> list[Event]:
        """Append events that change nothing else. Raises NotFound."""
        ...

    async def get(self, organization: int, execution_id: str, *, account: int | None = None) -> Execution | None:
        """One execution. With `account`, an id that this account's vendor uses is found even if another account took
        it first."""
        ...

    async def page(
        self, query: Filter, *, offset: int, limit: int, newest_first: bool = True, total: bool = True
    ) -> Page:
        """Rows in event-time order, ties by recording order. Cost does not grow with `offset`."""
        ...

    async def seek(self, query: Filter, *, after: Cursor | None, limit: int, newest_first: bool = True) -> Slice: ...

    async def count(self, query: Filter) -> int: ...

    async def executors(self, query: ExecutorFilter, *, after: Cursor | None, limit: int) -> Page:
        """Executors, newest first, after a cursor of this or of `seek`, with the exact total of the filter."""
        ...

    async def executor_sums(self, query: ExecutorFilter) -> list[ExecutorSums]:
        """Every combination of words that has executors which fit, with its sums, in the order of account, status,
        type, connector, pair, controller, close type."""
        ...

    async def events(
        self, organization: int, execution_id: str, *, after_seq: int = 0, limit: int = 1000
    ) -> EventSlice:
        """The timeline of one execution, oldest first. Raises NotFound."""
        ...

    async def feed(self, organization: int, *, after_seq: int, limit: int) -> list[FeedItem]:
        """Everything after `after_seq`, in recording order, without gaps."""
        ...

    async def head(self, organization: int) -> int:
        """The newest feed position; 0 when nothing was recorded."""
        ...

    async def wait(self, organization: int, *, after_seq: int, timeout_s: float) -> bool:
        """Return True once the feed has passed `after_seq`, False at the timeout."""
        ...

    async def summary(self, query: Filter, *, by: frozenset[str]) -> list[SummaryRow]:
        """Counts and sums grouped by any of `day`, `account`, `kind`, `status`, and always by currency.

        Only account(s), kinds, statuses and the time range (whole UTC days) of the filter apply; another condition is
        InvalidInput.
        """
        ...

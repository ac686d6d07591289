"""The ledger as a plain sort over a list: the model that the real stores are compared with. Not durable, not fast."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import reduce

import msgspec

from gesta.kernel.clock import Clock
from gesta.kernel.errors import Conflict, NotFound
from gesta.kernel.json import encode_json_sorted
from gesta.kernel.times import day_of, format_day
from gesta.ledger.codes import STATUS_CODE
from gesta.ledger.daily import EXACT, Sums, measures, texts
from gesta.ledger.daily import check as check_summary
from gesta.ledger.lifecycle import TERMINAL, check
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
from gesta.ledger.records import (
    AppendResult,
    Event,
    Execution,
    ExecutorDetail,
    FeedItem,
    NewEvent,
    NewExecution,
    Outcome,
    Status,
    Transition,
)
from gesta.ledger.rows import SEQ_BITS, SEQ_MASK, derived_id, derived_ids, search_text


class MemoryLedger:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[int, dict[str, Execution]] = {}
        self._row_number: dict[tuple[int, str], int] = {}
        self._content: dict[tuple[int, str], bytes] = {}
        self._events: dict[int, list[Event]] = {}
        self._grown = asyncio.Condition()

    async def append(self, organization: int, rows: Sequence[NewExecution]) -> list[AppendResult]:
        results = [self._append_one(organization, row) for row in rows]
        await self._wake()
        return results

    def _append_one(self, organization: int, row: NewExecution) -> AppendResult:
        mine = self._rows.setdefault(organization, {})
        content = encode_json_sorted(row) if row.content is None else row.content
        for candidate in (row.id, *derived_ids(row)):
            existing = mine.get(candidate)
            if existing is None:
                break
            if (existing.account, existing.origin, existing.external_id) == (row.account, row.origin, row.id):
                equal = self._content[organization, candidate] == content
                outcome = Outcome.DUPLICATE if equal else Outcome.CONFLICT
                message = "" if equal else "recorded before with different content"
                born = self._row_number[organization, candidate] & SEQ_MASK
                return AppendResult(outcome=outcome, id=candidate, seq=born, message=message)
        event = self._event(organization, candidate, NewEvent(type="execution.recorded"), None, row.status)
        self._row_number[organization, candidate] = organization << SEQ_BITS | event.seq
        self._content[organization, candidate] = content
        mine[candidate] = Execution(
            id=candidate,
            organization=organization,
            account=row.account,
            kind=row.kind,
            name=row.name,
            status=row.status,
            source=row.source,
            mode=row.mode,
            origin=row.origin,
            external_id=row.id,
            parent_id=row.parent_id,
            correlation=row.correlation,
            created_at_us=row.created_at_us,
            started_at_us=row.started_at_us,
            finished_at_us=row.finished_at_us,
            updated_at_us=row.updated_at_us or row.created_at_us,
            recorded_at_us=event.recorded_at_us,
            version=1,
            seq=event.seq,
            detail=row.detail,
            wire=row.wire,
        )
        return AppendResult(outcome=Outcome.RECORDED, id=candidate, seq=event.seq)

    def _event(
        self, organization: int, execution_id: str, new: NewEvent, before: Status | None, after: Status | None
    ) -> Event:
        events = self._events.setdefault(organization, [])
        now_us = self._clock.now_us()
        event = Event(
            seq=len(events) + 1,
            execution_id=execution_id,
            at_us=now_us if new.at_us is None else new.at_us,
            recorded_at_us=now_us,
            type=new.type,
            level=new.level,
            from_status=before,
            to_status=after,
            title=new.title,
            message=new.message,
            data=new.data,
        )
        events.append(event)
        return event

    async def transition(
        self, organization: int, execution_id: str, change: Transition, *, account: int | None = None
    ) -> Execution:
        row = await self.get(organization, execution_id, account=account)
        if row is None:
            raise NotFound(f"Execution {execution_id[:128]} not found.")
        if change.expected_version not in (None, row.version):
            raise Conflict(f"The execution is at version {row.version}, not {change.expected_version}.")
        status = change.status or row.status
        if change.status is not None:
            check(row.kind, row.status, change.status)
        event = self._event(organization, row.id, change.event, row.status, status)
        fields: dict[str, object] = {
            "status": status,
            "detail": change.detail or row.detail,
            "version": row.version + 1,
            "seq": event.seq,
            "updated_at_us": event.at_us,
        }
        if change.status is Status.RUNNING and row.started_at_us is None:
            fields["started_at_us"] = event.at_us
        if change.status is not None:
            fields["finished_at_us"] = event.at_us if status in TERMINAL else None
        self._rows[organization][row.id] = changed = msgspec.structs.replace(row, **fields)
        await self._wake()
        return changed

    async def note(self, organization: int, execution_id: str, events: Sequence[NewEvent]) -> list[Event]:
        row = await self.get(organization, execution_id)
        if row is None:
            raise NotFound(f"Execution {execution_id[:128]} not found.")
        made = [self._event(organization, row.id, new, None, None) for new in events]
        if made:
            self._rows[organization][row.id] = msgspec.structs.replace(row, seq=made[-1].seq)
        await self._wake()
        return made

    async def get(self, organization: int, execution_id: str, *, account: int | None = None) -> Execution | None:
        mine = self._rows.get(organization, {})
        found = mine.get(execution_id)
        if account is None or (found is not None and found.account == account):
            return found
        return mine.get(derived_id(account, execution_id))

    def _matching(self, query: Filter, newest_first: bool) -> list[Execution]:
        rows = [row for row in self._rows.get(query.organization, {}).values() if _matches(query, row)]
        rows.sort(key=self._key, reverse=newest_first)
        return rows

    def _key(self, row: Execution) -> tuple[int, int]:
        return row.created_at_us, self._row_number[row.organization, row.id]

    async def page(
        self, query: Filter, *, offset: int, limit: int, newest_first: bool = True, total: bool = True
    ) -> Page:
        rows = self._matching(query, newest_first)
        more = offset + limit < len(rows)
        following = Cursor(*self._key(rows[offset + limit - 1])) if more and limit else None
        return Page(
            rows=rows[offset : offset + limit], total=len(rows) if total else None, has_more=more, next=following
        )

    async def seek(self, query: Filter, *, after: Cursor | None, limit: int, newest_first: bool = True) -> Slice:
        rows = self._matching(query, newest_first)
        if after is not None:
            place = (after.created_at_us, after.row)
            rows = [row for row in rows if (self._key(row) < place if newest_first else self._key(row) > place)]
        more = len(rows) > limit
        return Slice(rows=rows[:limit], next=Cursor(*self._key(rows[limit - 1])) if more else None)

    async def count(self, query: Filter) -> int:
        return len(self._matching(query, True))

    async def executors(self, query: ExecutorFilter, *, after: Cursor | None, limit: int) -> Page:
        rows = [row for row, _ in self._executors(query)]
        rows.sort(key=self._key, reverse=True)
        total = len(rows)
        if after is not None:
            rows = [row for row in rows if self._key(row) < (after.created_at_us, after.row)]
        more = len(rows) > limit
        following = Cursor(*self._key(rows[limit - 1])) if more else None
        return Page(rows=rows[:limit], total=total, has_more=more, next=following)

    async def executor_sums(self, query: ExecutorFilter) -> list[ExecutorSums]:
        found: dict[tuple[object, ...], list[ExecutorDetail]] = {}
        for row, detail in self._executors(query):
            ended = row.status in TERMINAL
            found.setdefault(
                (
                    *(row.account, row.status, detail.executor_type or None, detail.connector or None),
                    *(detail.trading_pair or None, row.correlation.get("controller_id") or None),
                    (detail.close_type or None) if ended else None,
                ),
                [],
            ).append(detail)
        names = ("account", "status", "executor_type", "connector", "trading_pair", "controller_id", "close_type")
        made = []
        for key, details in found.items():
            over = [each for each in details if key[1] in TERMINAL]
            made.append(
                ExecutorSums(
                    **dict(zip(names, key, strict=True)),  # type: ignore[arg-type]
                    count=len(details),
                    won=sum(each.net_pnl_quote > 0 for each in over),
                    net_pnl_quote=_exact_sum(each.net_pnl_quote for each in over),
                    net_pnl_quote_squares=_exact_sum(
                        EXACT.multiply(each.net_pnl_quote, each.net_pnl_quote) for each in over
                    ),
                    net_pnl_pct=_exact_sum(each.net_pnl_pct for each in over),
                    fees_quote=_exact_sum(each.fees_quote for each in over),
                    filled_quote=_exact_sum(each.filled_quote for each in over),
                )
            )
        return sorted(
            made,
            key=lambda row: (
                *(row.account, STATUS_CODE[row.status], row.executor_type or "", row.connector or ""),
                *(row.trading_pair or "", row.controller_id or "", row.close_type or ""),
            ),
        )

    def _executors(self, query: ExecutorFilter) -> list[tuple[Execution, ExecutorDetail]]:
        return [
            (row, row.detail)
            for row in self._rows.get(query.organization, {}).values()
            if isinstance(row.detail, ExecutorDetail)
            and (not query.accounts or row.account in query.accounts)
            and (not query.statuses or row.status in query.statuses)
            and (not query.executor_types or (row.detail.executor_type or "") in query.executor_types)
            and (not query.connectors or (row.detail.connector or "") in query.connectors)
            and (not query.trading_pairs or (row.detail.trading_pair or "") in query.trading_pairs)
            and (not query.controllers or row.correlation.get("controller_id", "") in query.controllers)
        ]

    async def events(
        self, organization: int, execution_id: str, *, after_seq: int = 0, limit: int = 1000
    ) -> EventSlice:
        if await self.get(organization, execution_id) is None:
            raise NotFound(f"Execution {execution_id[:128]} not found.")
        events = [
            event
            for event in self._events.get(organization, [])
            if event.execution_id == execution_id and event.seq > after_seq
        ]
        return EventSlice(events=events[:limit], has_more=len(events) > limit)

    async def feed(self, organization: int, *, after_seq: int, limit: int) -> list[FeedItem]:
        events = self._events.get(organization, [])
        start = bisect_left(events, after_seq + 1, key=lambda event: event.seq)
        rows = self._rows.get(organization, {})
        return [FeedItem(event=event, execution=rows[event.execution_id]) for event in events[start : start + limit]]

    async def head(self, organization: int) -> int:
        return len(self._events.get(organization, []))

    async def wait(self, organization: int, *, after_seq: int, timeout_s: float) -> bool:
        async def passed() -> None:
            async with self._grown:
                await self._grown.wait_for(lambda: len(self._events.get(organization, [])) > after_seq)

        try:
            await asyncio.wait_for(passed(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def _wake(self) -> None:
        async with self._grown:
            self._grown.notify_all()

    async def summary(self, query: Filter, *, by: frozenset[str]) -> list[SummaryRow]:
        check_summary(query)
        groups: dict[tuple[object, ...], Sums] = {}
        for row in self._matching(query, False):
            currency, count, quantity, volume, fees, pnl = measures(row.detail)
            key = (
                format_day(day_of(row.created_at_us)) if "day" in by else None,
                row.account if "account" in by else None,
                row.kind if "kind" in by else None,
                row.status if "status" in by else None,
                currency,
            )
            groups.setdefault(key, Sums()).add(Sums(count, quantity, volume, fees, pnl))
        names = ("day", "account", "kind", "status", "currency", "count", "quantity", "volume", "fees", "pnl")
        summed = [
            msgspec.convert(dict(zip(names, (*key, sums.count, *texts(sums)), strict=True)), SummaryRow)
            for key, sums in groups.items()
        ]
        return sorted(
            summed, key=lambda row: (row.day or "", row.account or 0, str(row.kind), str(row.status), row.currency)
        )


def _exact_sum(values: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, values, Decimal(0))


def _matches(query: Filter, row: Execution) -> bool:
    return (
        query.account in (None, row.account)
        and (not query.accounts or row.account in query.accounts)
        and (not query.kinds or row.kind in query.kinds)
        and (not query.statuses or row.status in query.statuses)
        and (not query.sources or row.source in query.sources)
        and (not query.modes or row.mode in query.modes)
        and (query.created_from_us is None or row.created_at_us >= query.created_from_us)
        and (query.created_to_us is None or row.created_at_us < query.created_to_us)
        and query.parent_id in (None, row.parent_id)
        and all(row.correlation.get(key) == value for key, value in query.correlation.items())
        and (not query.applications or row.correlation.get("application") in query.applications)
        and (query.name_contains is None or query.name_contains.casefold() in search_text(row))
    )

"""The reading programs of the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from gesta.kernel.errors import NotFound
from gesta.kernel.json import encode_json
from gesta.ledger import merged, run_groups, scanning, walk
from gesta.ledger.changing import find
from gesta.ledger.codes import STATUSES
from gesta.ledger.query import Cursor, EventSlice, Filter, Page, Slice
from gesta.ledger.records import Event, Execution, FeedItem, Severity
from gesta.ledger.rows import SEQ_BITS, SEQ_MASK, event_of, execution_of, key_of
from gesta.ledger.statements import SQL
from gesta.storage.program import Fetch, Program, Row

# The type of the event that tells of a birth; `event.feed` has it too.
BORN = "execution.recorded"


def get(organization: int, execution_id: str, account: int | None) -> Program[Execution | None]:
    row = yield from find(organization, execution_id, account)
    return None if row is None else execution_of(row)


def several(organization: int, ids: Sequence[str]) -> Program[dict[str, Execution]]:
    """Those of up to a thousand ids that are on record."""
    rows = yield Fetch(SQL["execution.rows"], (organization, encode_json([key_of(id_) for id_ in ids]).decode()))
    wanted = set(ids)
    return {row[4]: execution_of(row) for row in rows if row[4] in wanted}


def page(query: Filter, offset: int, limit: int, newest_first: bool, total: bool, scan: bool = False) -> Program[Page]:
    """The program of `Ledger.page`. With `scan`, what counters do not answer is read from the rows; without, it raises
    run_groups.TooMany."""
    low, high = walk.bounds_of(query)
    counted: int | None = None
    if low >= high:
        return Page(rows=[], total=0 if total else None, has_more=False)
    scopes = yield from _scopes(query, scan)
    if scopes is None:
        rows = yield from scanning.select(query, low, high, offset=offset, limit=limit + 1, newest_first=newest_first)
        if total:
            counted = yield from scanning.count(query, low, high)
    elif len(scopes) != 1:
        several = yield from merged.plan(query, scopes)
        rows, counted = yield from merged.rows(
            several, low, high, offset=offset, limit=limit + 1, newest_first=newest_first, total=total
        )
    else:
        plan = yield from walk.plan(query, scopes[0])
        if total or offset:
            span = yield from walk.span(plan, low, high)
            counted = span.rows
            rows = yield from walk.select(plan, span, offset=offset, limit=limit + 1, newest_first=newest_first)
        else:
            rows = yield from walk.first(plan, low, high, limit=limit + 1, newest_first=newest_first)
    found = [execution_of(row) for row in rows[:limit]]
    return Page(rows=found, total=counted if total else None, has_more=len(rows) > limit, next=_next(rows, limit))


def _scopes(query: Filter, scan: bool) -> Program[list[int] | None]:
    """The scopes of the counter tree that answer a query together; None where it is read from the rows."""
    if not scanning.is_needed(query):
        return [-query.organization if query.account is None else query.account]
    return None if scan else (yield from run_groups.scopes(query))


def count(query: Filter, scan: bool = False) -> Program[int]:
    """The program of `Ledger.count`; `scan` as of `page`."""
    low, high = walk.bounds_of(query)
    if low >= high:
        return 0
    scopes = yield from _scopes(query, scan)
    if scopes is None:
        return (yield from scanning.count(query, low, high))
    if len(scopes) != 1:
        several = yield from merged.plan(query, scopes)
        below, upto = yield from merged.ranks(several, (low, high))
        return upto - below
    plan = yield from walk.plan(query, scopes[0])
    span = yield from walk.span(plan, low, high)
    return span.rows


def seek(query: Filter, after: Cursor | None, limit: int, newest_first: bool, scan: bool = False) -> Program[Slice]:
    """The program of `Ledger.seek`; `scan` as of `page`."""
    low, high = walk.bounds_of(query)
    if after is not None:
        if newest_first:
            high = min(high, (after.created_at_us, after.row))
        else:
            low = max(low, (after.created_at_us, after.row + 1))
    if low >= high:
        return Slice(rows=[], next=None)
    scopes = yield from _scopes(query, scan)
    if scopes is None:
        rows = yield from scanning.select(query, low, high, offset=0, limit=limit + 1, newest_first=newest_first)
    elif len(scopes) != 1:
        several = yield from merged.plan(query, scopes)
        rows, _ = yield from merged.rows(
            several, low, high, offset=0, limit=limit + 1, newest_first=newest_first, total=False
        )
    else:
        plan = yield from walk.plan(query, scopes[0])
        rows = yield from walk.first(plan, low, high, limit=limit + 1, newest_first=newest_first)
    found = [execution_of(row) for row in rows[:limit]]
    return Slice(rows=found, next=_next(rows, limit))


def _next(rows: list[Row], limit: int) -> Cursor | None:
    """The place after the last of `limit` rows, if another row follows."""
    if len(rows) <= limit or limit == 0:
        return None
    last = rows[limit - 1]
    return Cursor(last[9], last[0])


def events(organization: int, execution_id: str, after_seq: int, limit: int) -> Program[EventSlice]:
    row = yield from find(organization, execution_id, None)
    if row is None:
        raise NotFound(f"Execution {execution_id[:128]} not found.")
    rid = row[0]
    execution = execution_of(row)
    after = organization << SEQ_BITS | min(max(after_seq, 0), SEQ_MASK)
    rows: list[Row] = []
    if execution.seq != rid & SEQ_MASK:
        rows = yield Fetch(SQL["event.timeline"], (rid, after, limit + 1))
    found = [event_of(each, execution_id) for each in rows]
    if after < rid:
        found.insert(0, (yield from _birth(rid, execution, found)))
    return EventSlice(events=found[:limit], has_more=len(found) > limit)


def _birth(rid: int, execution: Execution, following: list[Event]) -> Program[Event]:
    """The first event of every execution, which is not stored: its row says all but the status it was born with."""
    left = [event.from_status for event in following if event.from_status is not None]
    status = left[0] if left else execution.status
    if following and not left:
        rows = yield Fetch(SQL["event.first_left"], (rid,))
        status = STATUSES[rows[0][0]] if rows else execution.status
    return Event(
        seq=rid & SEQ_MASK,
        execution_id=execution.id,
        at_us=execution.recorded_at_us,
        recorded_at_us=execution.recorded_at_us,
        type=BORN,
        level=Severity.INFO,
        from_status=None,
        to_status=status,
        title="",
        message="",
        data={},
    )


def feed(organization: int, after_seq: int, limit: int) -> Program[list[FeedItem]]:
    first = organization << SEQ_BITS
    after = first | min(max(after_seq, 0), SEQ_MASK)
    rows = yield Fetch(SQL["event.feed"], (after, first | SEQ_MASK, limit))
    items = []
    for row in rows:
        execution = execution_of(row[10:])
        items.append(FeedItem(event=event_of(row[:10], execution.id), execution=execution))
    return items


def head(organization: int) -> Program[int]:
    rows = yield Fetch(SQL["stream.head"], (organization,))
    return int(rows[0][0]) if rows else 0

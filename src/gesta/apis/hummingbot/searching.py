"""Searching executors: what the ledger knows by index it finds; what it does not, is looked for row by row, bounded.

Pages are stable: a cursor is a place in the order of creation, and neither a new executor nor one that finishes moves
it (hummingbot-api's own cursor is lost when the executor that it names finishes, protocols/hummingbot.md §11.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from gesta.access.face import Access
from gesta.access.model import AccountType, Principal
from gesta.apis.hummingbot.bodies import Search
from gesta.desk.reading import MAX_PAGE, Reading
from gesta.ledger.query import Cursor, Filter
from gesta.ledger.records import Execution, ExecutorDetail, Kind

# Rows that one request looks through for what no index knows: connectors, types, several pairs or controllers.
MAX_SCANNED = 20_000
EXECUTORS = frozenset({Kind.EXECUTOR})


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is None at the end. `total` is exact, or None where it took more than MAX_SCANNED rows."""

    rows: list[Execution]
    next: Cursor | None
    total: int | None


NOTHING = Found(rows=[], next=None, total=0)


async def find(reading: Reading, access: Access, principal: Principal, search: Search) -> Found:
    """The executors that fit, newest first, from the cursor on."""
    conditions: dict[str, Any] = {"kinds": EXECUTORS, "statuses": search.statuses}
    if search.accounts:
        organization = principal.organization.id
        named = [await access.account(organization, name, AccountType.TRADING) for name in sorted(search.accounts)]
        accounts = frozenset(account.id for account in named if account is not None)
        if principal.account is not None:
            accounts &= {principal.account.id}
        if not accounts:
            reading.filter(principal)  # a caller who may not read is told so, whatever was asked
            return NOTHING
        # One account is found by its own index.
        conditions |= {"account": min(accounts)} if len(accounts) == 1 else {"accounts": accounts}
    correlation = {}
    if len(search.pairs) == 1:
        correlation["trading_pair"] = min(search.pairs)
    if len(search.controllers) == 1:
        correlation["controller_id"] = min(search.controllers)
    query = reading.filter(principal, **conditions, correlation=correlation)
    if not (search.connectors or search.types or len(search.pairs) > 1 or len(search.controllers) > 1):
        part = await reading.seek(principal, query, after=search.after, limit=search.limit)
        return Found(rows=part.rows, next=part.next, total=await reading.count(principal, query))
    return await _scan(reading, principal, query, search)


def fits(search: Search, execution: Execution) -> bool:
    detail = execution.detail
    return (
        isinstance(detail, ExecutorDetail)
        and (not search.connectors or detail.connector in search.connectors)
        and (not search.types or detail.executor_type in search.types)
        and (not search.pairs or detail.trading_pair in search.pairs)
        and (not search.controllers or execution.correlation.get("controller_id") in search.controllers)
    )


async def every(reading: Reading, principal: Principal, query: Filter) -> AsyncIterator[Execution]:
    """Every row of a filter, newest first. Others run between two pages."""
    after: Cursor | None = None
    while True:
        part = await reading.seek(principal, query, after=after, limit=MAX_PAGE)
        for row in part.rows:
            yield row
        after = part.next
        if after is None:
            return


async def _scan(reading: Reading, principal: Principal, query: Filter, search: Search) -> Found:
    total = None
    if await reading.count(principal, query) <= MAX_SCANNED:
        total = 0
        async for row in every(reading, principal, query):
            total += fits(search, row)
    rows: list[Execution] = []
    after, last_after, scanned = search.after, search.after, 0
    while True:
        part = await reading.seek(principal, query, after=after, limit=MAX_PAGE)
        for row in part.rows:
            if not fits(search, row):
                continue
            if len(rows) == search.limit:
                place = await _after_row(reading, principal, query, last_after, rows[-1].id)
                return Found(rows=rows, next=place, total=total)
            rows.append(row)
            last_after = after
        scanned += len(part.rows)
        if part.next is None or scanned >= MAX_SCANNED:
            return Found(rows=rows, next=part.next, total=total)
        after = part.next


async def _after_row(
    reading: Reading, principal: Principal, query: Filter, after: Cursor | None, execution_id: str
) -> Cursor | None:
    """The place behind a row, which stands behind `after`. New rows may come before it at any time."""
    while True:
        part = await reading.seek(principal, query, after=after, limit=MAX_PAGE)
        ids = [row.id for row in part.rows]
        if execution_id not in ids:
            after = part.next
            if after is None:
                return None
            continue
        exact = await reading.seek(principal, query, after=after, limit=ids.index(execution_id) + 1)
        if exact.rows and exact.rows[-1].id == execution_id:
            return exact.next

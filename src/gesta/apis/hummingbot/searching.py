"""Searching executors: by every filter at a cost that does not depend on how many executors there are.

Pages are stable: a cursor is a place in the order of creation, and neither a new executor nor one that finishes moves
it (hummingbot-api's own cursor is lost when the executor that it names finishes, protocols/hummingbot.md §11.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from gesta.access.face import Access
from gesta.access.model import AccountType, Principal
from gesta.apis.hummingbot.bodies import Search
from gesta.desk.reading import MAX_PAGE, Reading
from gesta.ledger.lifecycle import ACTIVE
from gesta.ledger.query import Cursor, ExecutorFilter
from gesta.ledger.records import Execution


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is None at the end. `total` is exact."""

    rows: list[Execution]
    next: Cursor | None
    total: int


NOTHING = Found(rows=[], next=None, total=0)


async def find(reading: Reading, access: Access, principal: Principal, search: Search) -> Found:
    """The executors that fit, newest first, from the cursor on."""
    organization = principal.organization.id
    accounts: frozenset[int] = frozenset()
    if search.accounts:
        named = [await access.account(organization, name, AccountType.TRADING) for name in sorted(search.accounts)]
        accounts = frozenset(account.id for account in named if account is not None)
        if not accounts:
            reading.filter(principal)  # a caller who may not read is told so, whatever was asked
            return NOTHING
    query = ExecutorFilter(
        organization=organization,
        accounts=accounts,
        statuses=search.statuses,
        executor_types=search.types,
        connectors=search.connectors,
        trading_pairs=search.pairs,
        controllers=search.controllers,
    )
    page = await reading.executors(principal, query, after=search.after, limit=search.limit)
    return Found(rows=page.rows, next=page.next, total=page.total or 0)


async def active(reading: Reading, principal: Principal, query: ExecutorFilter) -> AsyncIterator[Execution]:
    """Every active executor of a filter, newest first. Others run between two pages."""
    wanted = msgspec.structs.replace(query, statuses=ACTIVE)
    after: Cursor | None = None
    while True:
        page = await reading.executors(principal, wanted, after=after, limit=MAX_PAGE)
        for row in page.rows:
            yield row
        after = page.next
        if after is None:
            return

"""The query door: every read of every dialect. It confines a caller to its organization and, where its credential is
bound to one, to its account."""

from __future__ import annotations

from typing import Any

import msgspec

from gesta.access.model import Principal, Scope
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.ledger.face import Ledger
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
from gesta.ledger.records import Execution, FeedItem, Kind

MAX_PAGE = 1000


class Reading:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def filter(self, principal: Principal, **conditions: Any) -> Filter:
        """A Filter of the caller's organization (and account, if its credential is bound to one)."""
        return self._confine(principal, Filter(organization=principal.organization.id, **conditions))

    def _confine(self, principal: Principal, query: Filter) -> Filter:
        principal.require(Scope.READ)
        account = query.account if principal.account is None else principal.account.id
        if query.account not in (None, account):
            raise NotFound("No such account.", what="account")
        return msgspec.structs.replace(query, organization=principal.organization.id, account=account)

    async def get(
        self, principal: Principal, execution_id: str, *, account: int | None = None, kind: Kind | None = None
    ) -> Execution:
        """Raises NotFound for an unknown id, and equally for one outside the caller's reach."""
        principal.require(Scope.READ)
        if principal.account is not None:
            account = principal.account.id
        found = await self._ledger.get(principal.organization.id, execution_id, account=account)
        if found is None or (account is not None and found.account != account) or (kind and found.kind != kind):
            raise NotFound(f"Execution {execution_id[:128]} not found.")
        return found

    async def page(
        self,
        principal: Principal,
        query: Filter,
        *,
        offset: int,
        limit: int,
        newest_first: bool = True,
        total: bool = True,
    ) -> Page:
        if not 0 <= limit <= MAX_PAGE or offset < 0:
            raise InvalidInput(f"A page has 0 to {MAX_PAGE} rows and starts at 0 or later.", field="limit")
        return await self._ledger.page(
            self._confine(principal, query), offset=offset, limit=limit, newest_first=newest_first, total=total
        )

    async def seek(
        self, principal: Principal, query: Filter, *, after: Cursor | None, limit: int, newest_first: bool = True
    ) -> Slice:
        if not 0 < limit <= MAX_PAGE:
            raise InvalidInput(f"A page has 1 to {MAX_PAGE} rows.", field="limit")
        return await self._ledger.seek(
            self._confine(principal, query), after=after, limit=limit, newest_first=newest_first
        )

    async def count(self, principal: Principal, query: Filter) -> int:
        return await self._ledger.count(self._confine(principal, query))

    async def executors(self, principal: Principal, query: ExecutorFilter, *, after: Cursor | None, limit: int) -> Page:
        """Executors by what they are told apart by, newest first, with the exact total."""
        if not 0 < limit <= MAX_PAGE:
            raise InvalidInput(f"A page has 1 to {MAX_PAGE} rows.", field="limit")
        confined = self._confine_executors(principal, query)
        return (
            Page(rows=[], total=0, has_more=False)
            if confined is None
            else await self._ledger.executors(confined, after=after, limit=limit)
        )

    async def executor_sums(self, principal: Principal, query: ExecutorFilter) -> list[ExecutorSums]:
        """Counts of all executors and sums of those that have ended, by what they are told apart by."""
        confined = self._confine_executors(principal, query)
        return [] if confined is None else await self._ledger.executor_sums(confined)

    def _confine_executors(self, principal: Principal, query: ExecutorFilter) -> ExecutorFilter | None:
        """None where nothing is left that the caller may see."""
        principal.require(Scope.READ)
        accounts = query.accounts
        if principal.account is not None:
            mine = frozenset({principal.account.id})
            accounts = accounts & mine if accounts else mine
            if not accounts:
                return None
        return msgspec.structs.replace(query, organization=principal.organization.id, accounts=accounts)

    async def events(
        self, principal: Principal, execution: Execution, *, after_seq: int = 0, limit: int = 1000
    ) -> EventSlice:
        """The timeline of an execution that `get` gave."""
        principal.require(Scope.READ)
        return await self._ledger.events(principal.organization.id, execution.id, after_seq=after_seq, limit=limit)

    async def feed(self, principal: Principal, *, after_seq: int, limit: int) -> list[FeedItem]:
        principal.require(Scope.READ)
        return await self._ledger.feed(principal.organization.id, after_seq=after_seq, limit=limit)

    async def head(self, principal: Principal) -> int:
        principal.require(Scope.READ)
        return await self._ledger.head(principal.organization.id)

    async def wait(self, principal: Principal, *, after_seq: int, timeout_s: float) -> bool:
        return await self._ledger.wait(principal.organization.id, after_seq=after_seq, timeout_s=timeout_s)

    async def summary(self, principal: Principal, query: Filter, *, by: frozenset[str]) -> list[SummaryRow]:
        return await self._ledger.summary(self._confine(principal, query), by=by)

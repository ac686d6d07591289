"""What the reading routes share: from parameters to a filter, from a name to an account, from rows to a page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import msgspec

from gesta.access.model import AccountType, Environment, Principal
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.native.auth import Directory
from gesta.apis.native.codec import encoder, view_execution
from gesta.apis.native.export import PAGE_ROWS
from gesta.kernel.errors import Forbidden, InvalidInput, NotFound
from gesta.kernel.times import DAY_US
from gesta.ledger.cursor import encode_cursor
from gesta.ledger.query import Cursor, Filter
from gesta.ledger.records import CORRELATIONS, Execution

MAX_ID = 256


class Reads:
    """The reads of one server's native dialect."""

    def __init__(self, services: Services, directory: Directory) -> None:
        self._access = services.access
        self._reading = services.reading
        self._directory = directory
        self.printed = Printed(encoder.encode)

    async def _account_ids(self, principal: Principal, given: Mapping[str, Any]) -> frozenset[int] | None:
        """The accounts that the parameters mean; None for every account. Raises NotFound for an unknown name."""
        type: AccountType | None = given.get("account_type")
        environment: Environment | None = given.get("environment", principal.environment)
        if principal.environment not in (None, environment):
            raise Forbidden(f"This key is for {principal.environment} only.")
        if "account" in given:
            names = given["account"]
            return frozenset(
                [
                    account.id
                    for name in names
                    for account in await self._directory.by_name(principal, name, type, environment)
                ]
            )
        if type is None and environment is None:
            return None
        bound = principal.account
        reachable = [bound] if bound is not None else await self._access.accounts(principal.organization.id)
        wanted = frozenset(
            account.id
            for account in reachable
            if type in (None, account.type) and environment in (None, account.environment)
        )
        return None if len(wanted) == len(reachable) > 0 else wanted

    async def filter(self, principal: Principal, given: Mapping[str, Any]) -> Filter | None:
        """The filter that the parameters say; None when no execution can match."""
        ids = await self._account_ids(principal, given)
        if ids is not None and not ids:
            return None
        conditions: dict[str, Any] = {
            "kinds": frozenset(given.get("kind", ())),
            "statuses": frozenset(given.get("status", ())),
            "sources": frozenset(given.get("source", ())),
            "modes": frozenset(given.get("mode", ())),
            "created_from_us": given.get("created_from"),
            "created_to_us": given.get("created_to"),
            "parent_id": given.get("parent_id"),
            "name_contains": given.get("name"),
            "correlation": {name: given[name] for name in CORRELATIONS if name in given},
        }
        if ids is not None:
            conditions |= {"account": next(iter(ids))} if len(ids) == 1 else {"accounts": ids}
        return self._reading.filter(principal, **conditions)

    async def find(self, principal: Principal, execution_id: str, given: Mapping[str, Any]) -> Execution:
        """One execution by id, in the account that the parameters name. Raises NotFound."""
        if "\x00" in execution_id or len(execution_id) > MAX_ID:
            raise NotFound(f"Execution {execution_id[:128]!r} not found.")
        type: AccountType | None = given.get("account_type")
        environment: Environment | None = given.get("environment", principal.environment)
        if principal.environment not in (None, environment):
            raise Forbidden(f"This key is for {principal.environment} only.")
        if "account" in given:
            for account in await self._directory.by_name(principal, given["account"], type, environment):
                try:
                    return await self._reading.get(principal, execution_id, account=account.id)
                except NotFound:
                    continue
            raise NotFound(f"Execution {execution_id[:128]} not found.")
        found = await self._reading.get(principal, execution_id)
        if type is not None or environment is not None:
            account = await self._directory.by_id(principal.organization.id, found.account)
            if type not in (None, account.type) or environment not in (None, account.environment):
                raise NotFound(f"Execution {execution_id[:128]} not found.")
        return found

    async def views(self, principal: Principal, rows: list[Execution]) -> list[msgspec.Raw]:
        accounts = await self._directory.names(principal.organization.id, (row.account for row in rows))
        return [self.printed.of(row, partial(view_execution, row, accounts[row.account])) for row in rows]

    async def page(self, principal: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """`{"items", "total", "next_cursor", "has_more"}`."""
        cursor: Cursor | None = given.get("cursor")
        offset: int | None = given.get("offset")
        if cursor is not None and offset is not None:
            raise InvalidInput("Give `cursor` or `offset`, not both.", field="cursor", where="query")
        count = given.get("total", cursor is None)
        query = await self.filter(principal, given)
        if query is None:
            return {"items": [], "total": 0 if count else None, "next_cursor": None, "has_more": False}
        newest_first = given["order"] == "newest"
        limit: int = given["limit"]
        if cursor is None:
            page = await self._reading.page(
                principal, query, offset=offset or 0, limit=limit, newest_first=newest_first, total=count
            )
            rows, total, has_more = page.rows, page.total, page.has_more
            following = page.next if offset is None else None
        else:
            found = await self._reading.seek(principal, query, after=cursor, limit=limit, newest_first=newest_first)
            total = await self._reading.count(principal, query) if count else None
            rows, has_more, following = found.rows, found.next is not None, found.next
        return {
            "items": await self.views(principal, rows),
            "total": total,
            "next_cursor": None if following is None else encode_cursor(following),
            "has_more": has_more,
        }

    async def pages(
        self, principal: Principal, query: Filter, *, after: Cursor | None, newest_first: bool
    ) -> AsyncIterator[tuple[list[Execution], Cursor | None]]:
        """Every row after a place, a thousand at a time, with the place after it."""
        while True:
            found = await self._reading.seek(principal, query, after=after, limit=PAGE_ROWS, newest_first=newest_first)
            yield found.rows, found.next
            if found.next is None:
                return
            after = found.next

    async def summary(self, principal: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """`{"items"}`: counts and exact sums. Raises InvalidInput for a range that cuts a day."""
        for name in ("created_from", "created_to"):
            if given.get(name, 0) % DAY_US:
                raise InvalidInput(
                    f"`{name}` must be midnight UTC: a summary counts whole days.", field=name, where="query"
                )
        query = await self.filter(principal, given)
        if query is None:
            return {"items": []}
        rows = await self._reading.summary(principal, query, by=frozenset(given.get("by", ())))
        named = [row.account for row in rows if row.account is not None]
        accounts = await self._directory.names(principal.organization.id, named)
        items = []
        for row in rows:
            account = None if row.account is None else accounts[row.account]
            items.append(
                {
                    "day": row.day,
                    "account": account and account.name,
                    "account_type": account and account.type,
                    "environment": account and account.environment,
                    "kind": row.kind,
                    "status": row.status,
                    "currency": row.currency,
                    "count": row.count,
                    "quantity": row.quantity,
                    "volume": row.volume,
                    "fees": row.fees,
                    "pnl": row.pnl,
                }
            )
        return {"items": items}

"""Accounts by name and by id, remembered: an account never changes. A linked account may be removed, by another process
too: which one has its name is asked again after seconds."""

from __future__ import annotations

import math

from gesta.access import store
from gesta.access.model import Account, AccountType, Environment
from gesta.access.names import checked_name, checked_time_zone, name_key, possible
from gesta.kernel.clock import Clock
from gesta.storage.program import Database

REMEMBERED = 50_000
MAX_ID = 2**63 - 1
_Named = tuple[int, AccountType, Environment, str]


class AccountDirectory:
    """Only what exists is remembered; an unknown account is always asked of the database, because another process
    may have made it."""

    def __init__(self, database: Database, clock: Clock, linked_cache_s: float) -> None:
        self._database = database
        self._clock = clock
        self._linked_cache_s = linked_cache_s
        # With the second until which it is so.
        self._by_name: dict[_Named, tuple[Account, float]] = {}
        self._by_id: dict[tuple[int, int], Account] = {}
        self._oldest: dict[tuple[int, AccountType, Environment], tuple[Account, float]] = {}
        self._removals = 0

    async def by_name(
        self, organization: int, name: str, type: AccountType, environment: Environment
    ) -> Account | None:
        if not possible(name):
            return None
        known = self._by_name.get((organization, type, environment, name_key(name)))
        if known is not None and self._clock.monotonic_s() < known[1]:
            return known[0]
        removals = self._removals
        account = await self._database.read(
            lambda: store.account_by_name(organization, name, type, environment), snapshot=False
        )
        if account is not None and removals == self._removals:
            self._remember(account)
        return account

    async def by_id(self, organization: int, account_id: int) -> Account | None:
        account = self._by_id.get((organization, account_id))
        if account is None and 0 < account_id <= MAX_ID:
            account = await self._database.read(lambda: store.account_by_id(organization, account_id), snapshot=False)
            if account is not None:
                self._by_id[organization, account_id] = account
        return account

    async def oldest(self, organization: int, type: AccountType, environment: Environment) -> Account | None:
        key = (organization, type, environment)
        known = self._oldest.get(key)
        if known is not None and self._clock.monotonic_s() < known[1]:
            return known[0]
        removals = self._removals
        account = await self._database.read(
            lambda: store.oldest_account(organization, type, environment), snapshot=False
        )
        if account is not None and removals == self._removals:
            self._oldest[key] = (account, self._until_s(account))
        return account

    async def all(self, organization: int) -> list[Account]:
        return await self._database.read(lambda: store.accounts(organization), snapshot=False)

    async def ensure(self, organization: int, draft: store.AccountDraft, actor: str) -> Account:
        checked_account(draft)
        known = await self.by_name(organization, draft.name, draft.type, draft.environment)
        if known is not None:
            return known
        at_us = self._clock.now_us()
        account = await self._database.write(
            lambda: store.ensure_account(organization, draft, at_us, actor), key=organization
        )
        self._remember(account)
        return account

    def forget(self, account: Account) -> None:
        """One that was removed: its name is nobody's, and it is found by its id only."""
        self._removals += 1
        self._by_name.pop(_key(account), None)
        self._oldest.pop((account.organization, account.type, account.environment), None)

    def _until_s(self, account: Account) -> float:
        return self._clock.monotonic_s() + self._linked_cache_s if account.type is AccountType.LINKED else math.inf

    def _remember(self, account: Account) -> None:
        if len(self._by_id) >= REMEMBERED:
            self._by_id.clear()
            self._by_name.clear()
        self._by_id[account.organization, account.id] = account
        self._by_name[_key(account)] = (account, self._until_s(account))


def _key(account: Account) -> _Named:
    return account.organization, account.type, account.environment, name_key(account.name)


def checked_account(draft: store.AccountDraft) -> store.AccountDraft:
    """Raises InvalidInput for what cannot be an account."""
    checked_name(draft.name, field="account")
    checked_time_zone(draft.time_zone)
    checked_name(draft.currency, field="currency", limit=32)
    checked_name(draft.server_name, field="server_name")
    return draft

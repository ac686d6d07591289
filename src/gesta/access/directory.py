"""Accounts by name and by id, remembered: an account never changes, and is never deleted."""

from __future__ import annotations

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

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._by_name: dict[_Named, Account] = {}
        self._by_id: dict[tuple[int, int], Account] = {}
        self._oldest: dict[tuple[int, AccountType, Environment], Account] = {}

    async def by_name(
        self, organization: int, name: str, type: AccountType, environment: Environment
    ) -> Account | None:
        if not possible(name):
            return None
        account = self._by_name.get((organization, type, environment, name_key(name)))
        if account is None:
            account = await self._database.read(
                lambda: store.account_by_name(organization, name, type, environment), snapshot=False
            )
            self._remember(account)
        return account

    async def by_id(self, organization: int, account_id: int) -> Account | None:
        account = self._by_id.get((organization, account_id))
        if account is None and 0 < account_id <= MAX_ID:
            account = await self._database.read(lambda: store.account_by_id(organization, account_id), snapshot=False)
            self._remember(account)
        return account

    async def oldest(self, organization: int, type: AccountType, environment: Environment) -> Account | None:
        key = (organization, type, environment)
        account = self._oldest.get(key)
        if account is None:
            account = await self._database.read(
                lambda: store.oldest_account(organization, type, environment), snapshot=False
            )
            if account is not None:
                self._oldest[key] = account
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

    def _remember(self, account: Account | None) -> None:
        if account is None:
            return
        if len(self._by_id) >= REMEMBERED:
            self._by_id.clear()
            self._by_name.clear()
        self._by_id[account.organization, account.id] = account
        self._by_name[account.organization, account.type, account.environment, name_key(account.name)] = account


def checked_account(draft: store.AccountDraft) -> store.AccountDraft:
    """Raises InvalidInput for what cannot be an account."""
    checked_name(draft.name, field="account")
    checked_time_zone(draft.time_zone)
    checked_name(draft.currency, field="currency", limit=32)
    checked_name(draft.server_name, field="server_name")
    return draft

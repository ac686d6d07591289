"""Access without secrets of its own: credentials and accounts are what a test says they are."""

from __future__ import annotations

from gesta.access.model import Account, AccountType, Environment, Organization, Principal, Scope
from gesta.kernel.errors import RateLimited, Unauthenticated, Unavailable


class FakeAccess:
    """The part of `Access` that a dialect's reads use. `bearers`, `users` map a secret to its principal; `refuse_after`
    maps a bucket to how many requests it admits; `is_down` makes every call Unavailable."""

    def __init__(self) -> None:
        self.bearers: dict[str, Principal] = {}
        self.users: dict[tuple[str, str], Principal] = {}
        self.refuse_after: dict[str, int] = {}
        self.is_down = False
        self._accounts: dict[int, Account] = {}

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The database does not answer.")

    async def bearer(self, secret: str) -> Principal:
        self._check()
        if secret not in self.bearers:
            raise Unauthenticated("Unknown token.")
        return self.bearers[secret]

    async def basic(self, username: str, password: str) -> Principal:
        self._check()
        if (username, password) not in self.users:
            raise Unauthenticated("Unknown user or wrong password.")
        return self.users[username, password]

    async def account_by_id(self, organization: int, account_id: int) -> Account | None:
        self._check()
        account = self._accounts.get(account_id)
        return account if account is not None and account.organization == organization else None

    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        sought = (organization, name.casefold(), type, environment)
        for account in self._accounts.values():
            if (account.organization, account.name.casefold(), account.type, account.environment) == sought:
                return account
        return None

    async def oldest_account(
        self, organization: int, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        sought = (organization, type, environment)
        found = (each for each in self._accounts.values() if (each.organization, each.type, each.environment) == sought)
        return min(found, key=lambda each: each.id, default=None)

    async def ensure_account(
        self,
        organization: int,
        name: str,
        type: AccountType,
        environment: Environment = Environment.PRODUCTION,
        **settings: str | None,
    ) -> Account:
        self._check()
        for account in self._accounts.values():
            key = (account.organization, account.name.casefold(), account.type, account.environment)
            if key == (organization, name.casefold(), type, environment):
                return account
        account = Account(
            id=len(self._accounts) + 1,
            organization=organization,
            name=name,
            type=type,
            environment=environment,
            **{key: value for key, value in settings.items() if value is not None},
        )
        self._accounts[account.id] = account
        return account

    def admit(self, bucket: str, credential_id: int) -> None:
        if bucket not in self.refuse_after:
            return
        if self.refuse_after[bucket] <= 0:
            raise RateLimited("Too many requests.", retry_after_s=0.4)
        self.refuse_after[bucket] -= 1


def principal(organization: int, *scopes: Scope, credential_id: int = 1) -> Principal:
    """A caller of an organization; every scope when none is named."""
    return Principal(
        organization=Organization(id=organization, public_id=f"org_{organization:020d}", name=f"Org {organization}"),
        identity_id=organization,
        identity_name="owner",
        credential_id=credential_id,
        scopes=frozenset(scopes or Scope),
    )

"""The face of access: authentication, accounts, credentials, sessions, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gesta.access.model import (
    Account,
    AccountProfile,
    AccountType,
    AuditEntry,
    CredentialInfo,
    CredentialType,
    Environment,
    NewCredential,
    Organization,
    Principal,
    Scope,
    SessionTokens,
)


class Access(Protocol):
    # -- who is calling. Every failure is Unauthenticated, with `reason` missing | invalid | expired | revoked.
    async def bearer(self, secret: str) -> Principal:
        """A bearer token of CrossTrade, B3OS or native; any of them is valid in each of these dialects."""
        ...

    async def basic(self, username: str, password: str) -> Principal: ...

    async def api_key(self, key: str, linked_account: str | None = None) -> Principal:
        """`x-api-key`. `pk…` is production, `tk…` test. With `linked_account`, `Principal.account` is set;
        InvalidInput(field="linked_account_id") when the account is unknown."""
        ...

    async def session(self, token: str) -> Principal:
        """A session JWT: `Principal.account` and `.environment` are set."""
        ...

    # -- accounts
    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        """By name, without case. None if the organization has no such account."""
        ...

    async def account_by_id(self, organization: int, account_id: int) -> Account | None: ...

    async def oldest_account(
        self, organization: int, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        """The one that was made first. None if the organization has none of the type in the environment."""
        ...

    async def accounts(self, organization: int) -> list[Account]: ...

    async def ensure_account(
        self,
        organization: int,
        name: str,
        type: AccountType,
        environment: Environment = Environment.PRODUCTION,
        *,
        time_zone: str | None = None,
        currency: str | None = None,
        server_name: str | None = None,
        actor: str = "operator",
    ) -> Account:
        """The account, created if it did not exist (concurrent calls create one). Given settings of an existing
        account are left as they are. `actor` is the identity that the audit trail names. Raises InvalidInput for a
        name that is empty, longer than 256 characters or has control characters, and for an unknown time zone."""
        ...

    async def profile(self, account: Account) -> AccountProfile:
        """Raises NotFound for an account that was removed."""
        ...

    async def put_profile(
        self,
        account: Account,
        *,
        name: str | None = None,
        fields: Mapping[str, Any] | None = None,
        actor: str = "operator",
    ) -> AccountProfile:
        """None keeps what is there. Raises InvalidInput for a name as `ensure_account` does, and for too many fields;
        NotFound."""
        ...

    async def remove_account(self, account: Account, *, actor: str = "operator") -> None:
        """Its name is free again, its sessions end; what was recorded of it stays, and finds it by its id. Takes effect
        at once in this process, within seconds in others. Raises InvalidInput for any but a linked account,
        NotFound for one that was removed."""
        ...

    # -- organizations and credentials
    async def create_organization(self, name: str, *, actor: str = "operator") -> Organization:
        """Raises Conflict when the name is taken (compared without case)."""
        ...

    async def organizations(self) -> list[Organization]: ...

    async def create_credential(
        self,
        organization: int,
        *,
        type: CredentialType,
        scopes: frozenset[Scope],
        label: str = "",
        identity: str = "owner",
        username: str | None = None,
        environment: Environment | None = None,
        actor: str = "operator",
    ) -> NewCredential:
        """Create the identity if needed and a credential for it. BASIC needs `username` (a password is generated);
        API_KEY needs `environment`. Raises InvalidInput, Conflict for a username that is taken, NotFound for an
        unknown organization."""
        ...

    async def credentials(self, organization: int) -> list[CredentialInfo]: ...

    async def revoke_credential(
        self, organization: int, credential_id: int, *, actor: str = "operator"
    ) -> CredentialInfo:
        """Raises NotFound. Sessions that the credential opened end with it. Takes effect at once in this process,
        within seconds in others."""
        ...

    # -- sessions of linked accounts
    async def issue_session(self, principal: Principal, account: Account, *, force_refresh: bool) -> SessionTokens:
        """An unexpired token of the account is reused unless `force_refresh`."""
        ...

    async def revoke_session(self, token: str) -> int:
        """How many sessions were revoked, 0 or 1 (it had ended before). Raises Unauthenticated for a text that is not
        a session token of this server."""
        ...

    async def audit_trail(self, organization: int, limit: int = 100) -> list[AuditEntry]:
        """The newest mutations first; `limit` is clamped to 1..1000."""
        ...

    # -- limits
    def admit(self, bucket: str, credential_id: int) -> None:
        """Take one token of the credential's bucket. Raises RateLimited with `retry_after_s`. Buckets by name in the
        settings; `crosstrade` is 3/s with a burst of 20."""
        ...

    async def derived_key(self, purpose: str) -> bytes:
        """A secret of this installation for one purpose, the same in every process: what is signed with it can be
        checked later without being stored."""
        ...

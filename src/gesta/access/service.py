"""Access over a database: the implementation of `face.Access`."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from gesta.access import store
from gesta.access.authentication import Authenticator
from gesta.access.buckets import NANOSECONDS, Limiter
from gesta.access.directory import MAX_ID, AccountDirectory, checked_account
from gesta.access.drafts import Wanted, draft_credential
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
from gesta.access.names import checked_name
from gesta.access.passwords import Passwords
from gesta.access.sessions import SIGNING_KEY_BYTES, Sessions
from gesta.access.settings import AccessSettings
from gesta.kernel.clock import Clock
from gesta.kernel.errors import InvalidInput, NotFound, RateLimited, Unavailable
from gesta.kernel.ids import IdSource, xid
from gesta.kernel.json import encode_json
from gesta.storage.program import Database

AUDIT_LIMIT = 1000
# Of what an account says of itself.
MOST_FIELD_BYTES = 16 * 1024

log = structlog.get_logger("gesta.access")


class AccessService:
    """One per process. The database must be started and migrated (component `access`, `gesta.access.migrations`).

    Call `flush_last_used()` now and then, and `flush_last_used(force=True)` before the database stops.
    """

    def __init__(self, database: Database, clock: Clock, ids: IdSource, settings: AccessSettings | None = None) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self.settings = settings or AccessSettings()
        self._passwords = Passwords(ids)
        self._accounts = AccountDirectory(database, clock, self.settings.credential_cache_s)
        self._sessions = Sessions(database, clock, ids, self.settings)
        self._who = Authenticator(database, clock, self._passwords, self.settings, self._sessions.signing_key)
        self._limiters: dict[str, Limiter] = {}
        self._flushed_at_s: float | None = None

    # -- who is calling

    async def bearer(self, secret: str) -> Principal:
        return await self._who.bearer(secret)

    async def basic(self, username: str, password: str) -> Principal:
        return await self._who.basic(username, password)

    async def api_key(self, key: str, linked_account: str | None = None) -> Principal:
        principal = await self._who.api_key(key)
        if linked_account is None:
            return principal
        assert principal.environment is not None
        account = await self._accounts.by_name(
            principal.organization.id, linked_account, AccountType.LINKED, principal.environment
        )
        if account is None:
            raise InvalidInput(
                "No linked account has this id in the key's environment.", field="linked_account_id", where="header"
            )
        return msgspec.structs.replace(principal, account=account)

    async def session(self, token: str) -> Principal:
        return await self._who.session(token)

    # -- accounts

    async def account(
        self, organization: int, name: str, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        return await self._accounts.by_name(organization, name, type, environment)

    async def account_by_id(self, organization: int, account_id: int) -> Account | None:
        return await self._accounts.by_id(organization, account_id)

    async def oldest_account(
        self, organization: int, type: AccountType, environment: Environment = Environment.PRODUCTION
    ) -> Account | None:
        return await self._accounts.oldest(organization, type, environment)

    async def accounts(self, organization: int) -> list[Account]:
        return await self._accounts.all(organization)

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
        draft = store.AccountDraft(
            name=name,
            type=type,
            environment=environment,
            time_zone=time_zone or "UTC",
            currency=currency or "USD",
            server_name=server_name or "GESTA",
        )
        return await self._accounts.ensure(organization, draft, actor)

    async def profile(self, account: Account) -> AccountProfile:
        return await self._database.read(lambda: store.profile(account), snapshot=False)

    async def put_profile(
        self,
        account: Account,
        *,
        name: str | None = None,
        fields: Mapping[str, Any] | None = None,
        actor: str = "operator",
    ) -> AccountProfile:
        if name is not None:
            checked_name(name, field="name")
        if fields is not None and len(encode_json(fields)) > MOST_FIELD_BYTES:
            raise InvalidInput(f"The fields of an account may have {MOST_FIELD_BYTES} bytes of JSON.", field="fields")
        at_us = self._clock.now_us()
        return await self._database.write(
            lambda: store.put_profile(account, name, fields, at_us, actor), key=account.organization
        )

    async def remove_account(self, account: Account, *, actor: str = "operator") -> None:
        if account.type is not AccountType.LINKED:
            raise InvalidInput("Only linked accounts are removed.", field="account")
        at_us = self._clock.now_us()
        await self._database.write(
            lambda: store.remove_account(account.organization, account.id, at_us, actor), key=account.organization
        )
        self._accounts.forget(account)
        self._who.forget_account(account.id)

    # -- organizations and credentials

    async def create_organization(self, name: str, *, actor: str = "operator") -> Organization:
        draft, at_us = self._draft_organization(name), self._clock.now_us()
        return await self._database.write(lambda: store.create_organization(draft, at_us, actor))

    async def organizations(self) -> list[Organization]:
        return await self._database.read(store.organizations, snapshot=False)

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
        wanted = Wanted(
            type=type, scopes=scopes, label=label, identity=identity, username=username, environment=environment
        )
        draft, shown = await draft_credential(wanted, self._ids, self._passwords)
        at_us = self._clock.now_us()
        info = await self._database.write(
            lambda: store.create_credential(organization, draft, at_us, actor), key=organization
        )
        return NewCredential(info=info, secret=shown, username=username)

    async def credentials(self, organization: int) -> list[CredentialInfo]:
        """In order of creation, revoked ones included."""
        return await self._database.read(lambda: store.credentials(organization), snapshot=False)

    async def revoke_credential(
        self, organization: int, credential_id: int, *, actor: str = "operator"
    ) -> CredentialInfo:
        if not 0 < credential_id <= MAX_ID:
            raise NotFound("No credential has this id.", what="credential")
        at_us = self._clock.now_us()
        info = await self._database.write(
            lambda: store.revoke_credential(organization, credential_id, at_us, actor), key=organization
        )
        self._who.forget_credential(credential_id)
        return info

    async def found(
        self,
        name: str,
        account: store.AccountDraft,
        wanted: Sequence[Wanted],
        *,
        actor: str = "operator",
        only_first: bool = False,
    ) -> tuple[Organization, Account, tuple[NewCredential, ...]]:
        """A new organization with one account and the wanted credentials, in one transaction.

        Raises Conflict when the name or a username is taken, and with `only_first` when any organization exists.
        """
        organization_draft, account_draft = self._draft_organization(name), checked_account(account)
        drafts = [await draft_credential(each, self._ids, self._passwords) for each in wanted]
        key, at_us = self._ids.random_bytes(SIGNING_KEY_BYTES), self._clock.now_us()
        rows = tuple(draft for draft, _ in drafts)
        made = await self._database.write(
            lambda: store.found(organization_draft, account_draft, rows, key, at_us, actor, only_first=only_first)
        )
        credentials = tuple(
            NewCredential(info=info, secret=shown, username=draft.username)
            for info, (draft, shown) in zip(made.credentials, drafts, strict=True)
        )
        return made.organization, made.account, credentials

    # -- sessions of linked accounts

    async def issue_session(self, principal: Principal, account: Account, *, force_refresh: bool) -> SessionTokens:
        return await self._sessions.issue(principal, account, force_refresh=force_refresh)

    async def revoke_session(self, token: str) -> int:
        count = await self._sessions.revoke(token)
        self._who.forget_session(token)
        return count

    # -- the audit trail

    async def derived_key(self, purpose: str) -> bytes:
        return hmac.digest(await self._sessions.signing_key(), purpose.encode(), "sha256")

    async def audit_trail(self, organization: int, limit: int = 100) -> list[AuditEntry]:
        bounded = max(1, min(limit, AUDIT_LIMIT))
        return await self._database.read(lambda: store.audit_trail(organization, bounded), snapshot=False)

    # -- limits and last use

    def admit(self, bucket: str, credential_id: int) -> None:
        """Buckets are counted per process. Raises LookupError for a bucket that nobody defines."""
        limiter = self._limiters.get(bucket)
        if limiter is None:
            limiter = self._limiters[bucket] = Limiter(self.settings.bucket(bucket))
        wait_ns = limiter.take(credential_id, int(self._clock.monotonic_s() * NANOSECONDS))
        if wait_ns:
            raise RateLimited("Rate limit exceeded.", retry_after_s=wait_ns / NANOSECONDS, bucket=bucket)

    async def flush_last_used(self, *, force: bool = False) -> int:
        """Write when credentials were last used, at most once in `last_used_flush_s` unless forced. How many.

        A database that does not answer is not an error here: the times are kept for the next call.
        """
        now_s = self._clock.monotonic_s()
        due = self._flushed_at_s is None or now_s - self._flushed_at_s >= self.settings.last_used_flush_s
        if not (due or force):
            return 0
        used = self._who.take_used()
        if not used:
            return 0
        self._flushed_at_s = now_s
        rows = sorted(used.items())
        try:
            await self._database.write(lambda: store.mark_used(rows))
        except Unavailable as error:
            self._who.put_back_used(used)
            log.warning("access.last_used_not_written", error=error.message, credentials=len(used))
            return 0
        return len(rows)

    def _draft_organization(self, name: str) -> store.OrganizationDraft:
        return store.OrganizationDraft(public_id=xid(self._ids, "org"), name=checked_name(name, field="name"))

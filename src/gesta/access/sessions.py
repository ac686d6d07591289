"""Sessions of linked accounts: issued, handed out again, revoked (protocols/refold.md, "Session token")."""

from __future__ import annotations

from gesta.access import store
from gesta.access.model import Account, AccountType, Environment, Principal, SessionTokens
from gesta.access.settings import AccessSettings
from gesta.access.tokens import SessionClaims, read_token, sign_token
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from gesta.kernel.ids import IdSource
from gesta.storage.program import Database

SIGNING_KEY_BYTES = 32


class Sessions:
    """The signing key is made once per database and kept in it; a token is never stored, it is signed again."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource, settings: AccessSettings) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._key: bytes | None = None

    async def signing_key(self) -> bytes:
        if self._key is None:
            key = await self._database.read(store.signing_key, snapshot=False)
            if key is None:
                offered = self._ids.random_bytes(SIGNING_KEY_BYTES)
                key = await self._database.write(lambda: store.ensure_signing_key(offered))
            self._key = key
        return self._key

    async def issue(self, principal: Principal, account: Account, *, force_refresh: bool) -> SessionTokens:
        _check(principal, account)
        key = await self.signing_key()
        at_us = self._clock.now_us()
        now_s = at_us // 1_000_000
        row = None
        if not force_refresh:
            row = await self._database.read(
                lambda: store.reusable_session(account.id, principal.credential_id, now_s), snapshot=False
            )
        if row is None:
            fresh = store.SessionRow(
                token_id=self._ids.random_bytes(16).hex(),
                issued_at_s=now_s,
                expires_at_s=now_s + self._settings.session_ttl_s,
                refresh_expires_at_s=now_s + self._settings.refresh_ttl_s,
            )
            keep = self._settings.sessions_per_account
            row = await self._database.write(
                lambda: store.issue_session(principal, account, fresh, at_us, force_refresh=force_refresh, keep=keep),
                key=account.organization,
            )
        return _tokens(row, principal.organization.public_id, account, key, now_s)

    async def revoke(self, token: str) -> int:
        at_us = self._clock.now_us()
        try:
            claims = read_token(token, await self.signing_key(), at_us / 1_000_000)
        except Unauthenticated as error:
            if error.reason == "expired":
                return 0
            raise
        return await self._database.write(lambda: store.revoke_session(claims.jti, at_us // 1_000_000, at_us))


def _check(principal: Principal, account: Account) -> None:
    if account.organization != principal.organization.id:
        raise NotFound(f"No account has the id {account.id}.", what="account")
    if account.type is not AccountType.LINKED:
        raise InvalidInput("A session belongs to a linked account.", field="linked_account_id")
    if principal.account is not None and principal.account.id != account.id:
        raise Forbidden("This credential is bound to another account.")
    if principal.environment is not None and principal.environment is not account.environment:
        raise Forbidden(f"This credential is of the environment `{principal.environment}`.")


def _tokens(row: store.SessionRow, public_id: str, account: Account, key: bytes, now_s: int) -> SessionTokens:
    def token(environment: Environment, expires_at_s: int, is_refresh: bool) -> str:
        claims = SessionClaims(
            org_id=public_id,
            linked_account_id=account.name,
            environment=environment,
            iat=row.issued_at_s,
            exp=expires_at_s,
            jti=row.token_id,
            is_refresh=is_refresh,
        )
        return sign_token(claims, key)

    return SessionTokens(
        token=token(account.environment, row.expires_at_s, False),
        refresh_token=token(account.environment, row.refresh_expires_at_s, True),
        expires_in_s=row.expires_at_s - now_s,
        refresh_expires_in_s=row.refresh_expires_at_s - now_s,
    )

"""Who is calling: the four ways to present a credential, and what is remembered between calls.

A credential that was just verified is answered from memory for a few seconds, so that authentication costs a hash and
a look-up. What is revoked in this process is forgotten at once: a read that was under way while something was revoked
must not put the old answer back, hence the generation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable

from gesta.access import store
from gesta.access.cache import ExpiringCache
from gesta.access.model import CredentialType, Principal
from gesta.access.names import possible
from gesta.access.passwords import NOBODY, PASSWORD_LIMIT, Passwords
from gesta.access.settings import AccessSettings
from gesta.access.tokens import invalid_token, read_token
from gesta.kernel.clock import Clock
from gesta.kernel.errors import Unauthenticated
from gesta.storage.program import Database

BEARER_PREFIXES = ("gst_", "b3sk_")
KEY_PREFIXES = ("pk", "tk")
BEARER_TYPES = frozenset({CredentialType.BEARER, CredentialType.B3OS})
KEY_TYPES = frozenset({CredentialType.API_KEY})
SECRET_LIMIT = 512
CACHE_LIMIT = 10_000


class Authenticator:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        settings: AccessSettings,
        signing_key: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._settings = settings
        self._signing_key = signing_key
        self._known: ExpiringCache[store.Authentic] = ExpiringCache(CACHE_LIMIT)
        self._logins: ExpiringCache[Principal] = ExpiringCache(CACHE_LIMIT)
        self._sessions: ExpiringCache[Principal] = ExpiringCache(CACHE_LIMIT)
        self._proven: ExpiringCache[str] = ExpiringCache(CACHE_LIMIT)
        self._generation = 0
        self._used_at_us: dict[int, int] = {}

    async def bearer(self, secret: str) -> Principal:
        if not secret:
            raise Unauthenticated("A bearer token is needed.", reason="missing")
        if not secret.startswith(BEARER_PREFIXES):
            raise Unauthenticated("This is not a token of this server.", reason="invalid")
        return await self._by_secret(secret, BEARER_TYPES)

    async def api_key(self, key: str) -> Principal:
        if not key:
            raise Unauthenticated("An API key is needed.", reason="missing")
        if not key.startswith(KEY_PREFIXES):
            raise Unauthenticated("This is not an API key of this server.", reason="invalid")
        return await self._by_secret(key, KEY_TYPES)

    async def basic(self, username: str, password: str) -> Principal:
        if not username and not password:
            raise Unauthenticated("A username and a password are needed.", reason="missing")
        if len(password) > PASSWORD_LIMIT or len(username) > PASSWORD_LIMIT:
            raise Unauthenticated("Wrong username or password.", reason="invalid")
        proof = self._passwords.proof(username, password)
        now_s = self._clock.monotonic_s()
        principal = self._logins.get(proof, now_s)
        if principal is None:
            generation = self._generation
            principal = await self._log_in(username, password, proof)
            if generation == self._generation:
                self._logins.put(proof, principal, now_s=now_s, ttl_s=self._settings.credential_cache_s)
        self._touch(principal)
        return principal

    async def session(self, token: str) -> Principal:
        if not token:
            raise Unauthenticated("A session token is needed.", reason="missing")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        now_s = self._clock.monotonic_s()
        principal = self._sessions.get(digest, now_s)
        if principal is None:
            generation = self._generation
            unix_s = self._clock.now_us() / 1_000_000
            claims = read_token(token, await self._signing_key(), unix_s)
            found = await self._database.read(lambda: store.session_principal(claims.jti), snapshot=False)
            if found is None:
                raise invalid_token()
            revoked, principal = found
            if revoked:
                raise Unauthenticated("The session was revoked.", reason="revoked")
            if generation == self._generation:
                ttl_s = min(self._settings.credential_cache_s, claims.exp - unix_s)
                self._sessions.put(digest, principal, now_s=now_s, ttl_s=ttl_s)
        self._touch(principal)
        return principal

    def forget_credential(self, credential_id: int) -> None:
        """Take back every answer that rests on this credential."""
        self._generation += 1
        self._known.remove_where(lambda known: known.principal.credential_id == credential_id)
        self._logins.remove_where(lambda principal: principal.credential_id == credential_id)
        self._sessions.remove_where(lambda principal: principal.credential_id == credential_id)

    def forget_account(self, account_id: int) -> None:
        """The sessions of an account that was removed."""
        self._generation += 1
        self._sessions.remove_where(
            lambda principal: principal.account is not None and principal.account.id == account_id
        )

    def forget_session(self, token: str) -> None:
        self._generation += 1
        self._sessions.remove(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())

    def take_used(self) -> dict[int, int]:
        """Credential → when it was last used, since this was last asked."""
        used, self._used_at_us = self._used_at_us, {}
        return used

    def put_back_used(self, used_at_us: dict[int, int]) -> None:
        self._used_at_us = {**used_at_us, **self._used_at_us}

    async def _by_secret(self, secret: str, types: frozenset[CredentialType]) -> Principal:
        if len(secret) > SECRET_LIMIT or not secret.isascii():
            raise Unauthenticated("The credential is not valid.", reason="invalid")
        digest = hashlib.sha256(secret.encode()).digest()
        now_s = self._clock.monotonic_s()
        known = self._known.get(digest, now_s)
        if known is None:
            generation = self._generation
            known = await self._database.read(lambda: store.credential_by_secret(digest), snapshot=False)
            # Unknown secrets are not remembered: guesses would fill the memory.
            if known is None or not hmac.compare_digest(known.proof, digest):
                raise Unauthenticated("The credential is not valid.", reason="invalid")
            if known.revoked:
                raise Unauthenticated("The credential was revoked.", reason="revoked")
            if generation == self._generation:
                self._known.put(digest, known, now_s=now_s, ttl_s=self._settings.credential_cache_s)
        if known.type not in types:
            raise Unauthenticated("The credential is of another type.", reason="invalid")
        self._touch(known.principal)
        return known.principal

    async def _log_in(self, username: str, password: str, proof: bytes) -> Principal:
        known: store.Authentic | None = None
        if possible(username):
            known = await self._database.read(lambda: store.credential_by_username(username), snapshot=False)
        password_hash = known.proof.decode() if known is not None else NOBODY
        now_s = self._clock.monotonic_s()
        if self._proven.get(proof, now_s) != password_hash:
            matches = await self._passwords.verify(proof, password_hash, password)
            if not matches or known is None:
                raise Unauthenticated("Wrong username or password.", reason="invalid")
            self._proven.put(proof, password_hash, now_s=now_s, ttl_s=self._settings.password_cache_s)
        assert known is not None
        if known.revoked:
            raise Unauthenticated("The credential was revoked.", reason="revoked")
        return known.principal

    def _touch(self, principal: Principal) -> None:
        self._used_at_us[principal.credential_id] = self._clock.now_us()


def hash_secret(secret: str) -> bytes:
    """What is stored of a token of 256 random bits: a fast hash is enough, there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()

"""Who may do what: plain frozen values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.kernel.errors import Forbidden


class Scope(enum.StrEnum):
    """`admin` includes the others; `trade` and `run` include `read`."""

    READ = "read"
    TRADE = "trade"
    RUN = "run"
    ADMIN = "admin"


class AccountType(enum.StrEnum):
    TRADING = "trading"
    LINKED = "linked"


class Environment(enum.StrEnum):
    PRODUCTION = "production"
    TEST = "test"


class CredentialType(enum.StrEnum):
    """How a credential is presented. The secret's prefix: `gst_`, `b3sk_`, none for Basic, `pk_`/`tk_` for API keys."""

    BEARER = "bearer"
    B3OS = "b3os"
    BASIC = "basic"
    API_KEY = "api_key"


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is internal; `public_id` (`org_` and 20 characters) is what dialects print."""

    id: int
    public_id: str
    name: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A trading account (`Sim101`) or a linked account (`markwood@some_email.com`) of one organization.

    Names are unique per (organization, type, environment), compared without case. `time_zone` is the zone in which
    CrossTrade prints the account's times.
    """

    id: int
    organization: int
    name: str
    type: AccountType
    environment: Environment
    time_zone: str = "UTC"
    currency: str = "USD"
    server_name: str = "GESTA"


class AccountProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What an account says of itself: the name that is shown of it (the account's own where none is said), and fields
    of the organization's choosing, JSON values by name."""

    name: str
    fields: Mapping[str, Any]
    created_at_us: int
    updated_at_us: int


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling. `account` is set when the credential is bound to one (a session token, x-api-key with
    linked_account_id): then every read and write is confined to it."""

    organization: Organization
    identity_id: int
    identity_name: str
    credential_id: int
    scopes: frozenset[Scope]
    account: Account | None = None
    environment: Environment | None = None

    def allows(self, scope: Scope) -> bool:
        if Scope.ADMIN in self.scopes or scope in self.scopes:
            return True
        return scope is Scope.READ and bool(self.scopes & {Scope.TRADE, Scope.RUN})

    def require(self, scope: Scope) -> None:
        """Raise Forbidden, naming the scope that is missing."""
        if not self.allows(scope):
            raise Forbidden(f"This credential lacks the scope `{scope}`; create one with `gesta keys create`.")


class CredentialInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a credential: never its secret. `hint` is its first characters, or the Basic username."""

    id: int
    organization: int
    identity_name: str
    type: CredentialType
    hint: str
    label: str
    scopes: frozenset[Scope]
    environment: Environment | None
    created_at_us: int
    last_used_at_us: int | None
    revoked_at_us: int | None


class NewCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as created: `secret` exists here only, and is shown once."""

    info: CredentialInfo
    secret: str
    username: str | None = None

    def __repr__(self) -> str:
        """Without the secret, so that no log or traceback shows it."""
        return f"NewCredential(info={self.info!r}, secret=…)"


class SessionTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A session of one linked account (protocols/refold.md, session token)."""

    token: str
    refresh_token: str
    expires_in_s: int
    refresh_expires_in_s: int

    def __repr__(self) -> str:
        """Without the tokens, so that no log or traceback shows them."""
        return f"SessionTokens(expires_in_s={self.expires_in_s}, refresh_expires_in_s={self.refresh_expires_in_s})"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One mutation of access: who did what to what. `data` is JSON and never holds a secret."""

    id: int
    organization: int
    at_us: int
    identity: str
    action: str
    subject: str
    data: dict[str, str | int | None]

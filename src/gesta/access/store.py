"""The programs of access: each is one transaction over the tables of `migrations/`, and writes its own audit row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gesta.access.model import (
    Account,
    AccountProfile,
    AccountType,
    AuditEntry,
    CredentialInfo,
    CredentialType,
    Environment,
    Organization,
    Principal,
    Scope,
)
from gesta.access.names import name_key
from gesta.kernel.errors import Conflict, NotFound
from gesta.kernel.json import encode_json_sorted
from gesta.storage.program import Fetch, Many, Program, Row, load

SQL = load("gesta.access", "sql/access.sql")


class OrganizationDraft(msgspec.Struct, frozen=True, kw_only=True):
    public_id: str
    name: str


class AccountDraft(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: AccountType
    environment: Environment
    time_zone: str = "UTC"
    currency: str = "USD"
    server_name: str = "GESTA"


class CredentialDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A credential before it has an id. Either `secret_hash`, or `username` and `password_hash`."""

    type: CredentialType
    scopes: frozenset[Scope]
    label: str
    identity: str
    hint: str
    environment: Environment | None = None
    secret_hash: bytes | None = None
    username: str | None = None
    password_hash: str | None = None


class Authentic(msgspec.Struct, frozen=True):
    """A credential as looked up by what was presented. `proof` is the stored hash, of a token or of a password."""

    proof: bytes
    type: CredentialType
    revoked: bool
    principal: Principal


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    token_id: str
    issued_at_s: int
    expires_at_s: int
    refresh_expires_at_s: int


class Founded(msgspec.Struct, frozen=True):
    organization: Organization
    account: Account
    credentials: tuple[CredentialInfo, ...]


# -- the signing key


def signing_key() -> Program[bytes | None]:
    rows = yield Fetch(SQL["settings.key"])
    return bytes(rows[0][0]) if rows else None


def ensure_signing_key(offered: bytes) -> Program[bytes]:
    yield Fetch(SQL["settings.create"], (offered,))
    rows = yield Fetch(SQL["settings.key"])
    return bytes(rows[0][0])


# -- organizations


def create_organization(draft: OrganizationDraft, at_us: int, actor: str) -> Program[Organization]:
    rows = yield Fetch(SQL["organization.add"], (draft.public_id, draft.name, name_key(draft.name), at_us))
    if rows:
        yield from _audit(rows[0][0], at_us, actor, "organization.created", draft.public_id, {"name": draft.name})
        return Organization(id=rows[0][0], public_id=draft.public_id, name=draft.name)
    rows = yield Fetch(SQL["organization.by_public_id"], (draft.public_id,))
    if not rows:
        raise Conflict(f"An organization named {draft.name!r} exists already.")
    return _organization(rows[0])


def organizations() -> Program[list[Organization]]:
    rows = yield Fetch(SQL["organization.list"])
    return [_organization(row) for row in rows]


def _require_organization(organization: int) -> Program[None]:
    rows = yield Fetch(SQL["organization.get"], (organization,))
    if not rows:
        raise NotFound(f"No organization has the id {organization}.", what="organization")


def found(
    draft: OrganizationDraft,
    account: AccountDraft,
    credentials: Sequence[CredentialDraft],
    signing_key_offered: bytes,
    at_us: int,
    actor: str,
    *,
    only_first: bool,
) -> Program[Founded]:
    """An organization with an account and credentials, all or nothing. With `only_first`, raises Conflict when the
    database has an organization already."""
    # The row of the signing key is the lock: of two first runs at once, the second waits here and then sees the first.
    yield from ensure_signing_key(signing_key_offered)
    if only_first:
        rows = yield Fetch(SQL["organization.any"])
        if rows:
            raise Conflict("This database has an organization already.")
    organization = yield from create_organization(draft, at_us, actor)
    made = yield from ensure_account(organization.id, account, at_us, actor)
    infos: tuple[CredentialInfo, ...] = ()
    for credential in credentials:
        info = yield from create_credential(organization.id, credential, at_us, actor)
        infos = (*infos, info)
    return Founded(organization, made, infos)


# -- accounts


def account_by_name(
    organization: int, name: str, type: AccountType, environment: Environment
) -> Program[Account | None]:
    rows = yield Fetch(SQL["account.by_name"], (organization, type.value, environment.value, name_key(name)))
    return _account(rows[0]) if rows else None


def account_by_id(organization: int, account_id: int) -> Program[Account | None]:
    rows = yield Fetch(SQL["account.by_id"], (account_id, organization))
    return _account(rows[0]) if rows else None


def oldest_account(organization: int, type: AccountType, environment: Environment) -> Program[Account | None]:
    rows = yield Fetch(SQL["account.oldest"], (organization, type.value, environment.value))
    return _account(rows[0]) if rows else None


def accounts(organization: int) -> Program[list[Account]]:
    """Trading accounts first, then by name; sorted here because each database orders text in its own way."""
    rows = yield Fetch(SQL["account.list"], (organization,))
    found = [_account(row) for row in rows]
    return sorted(found, key=lambda each: (each.type is not AccountType.TRADING, name_key(each.name), each.environment))


def ensure_account(organization: int, draft: AccountDraft, at_us: int, actor: str) -> Program[Account]:
    existing = yield from account_by_name(organization, draft.name, draft.type, draft.environment)
    if existing is not None:
        return existing
    yield from _require_organization(organization)
    kind = (draft.type.value, draft.environment.value)
    settings = (draft.time_zone, draft.currency, draft.server_name)
    rows = yield Fetch(SQL["account.add"], (organization, draft.name, name_key(draft.name), *kind, *settings, at_us))
    if rows:
        data = {"id": rows[0][0], "type": kind[0], "environment": kind[1]}
        yield from _audit(organization, at_us, actor, "account.created", draft.name, data)
    account = yield from account_by_name(organization, draft.name, draft.type, draft.environment)
    assert account is not None
    return account


# What no name can end in: names have no control characters.
_REMOVED = "\x1f"


def profile(account: Account) -> Program[AccountProfile]:
    """Raises NotFound for an account that was removed."""
    rows = yield Fetch(SQL["account.profile"], (account.id, account.organization))
    if not rows:
        raise NotFound(f"No account has the id {account.id}.", what="account")
    created_at_us, name, fields, updated_at_us = rows[0]
    return AccountProfile(
        name=name or account.name,
        fields=msgspec.json.decode(fields) if fields else {},
        created_at_us=created_at_us,
        updated_at_us=updated_at_us or created_at_us,
    )


def put_profile(
    account: Account, name: str | None, fields: Mapping[str, Any] | None, at_us: int, actor: str
) -> Program[AccountProfile]:
    """None keeps what is there."""
    before = yield from profile(account)
    kept = before.name if name is None else name
    said = encode_json_sorted(before.fields if fields is None else fields).decode()
    yield Fetch(SQL["account.put_profile"], (account.id, kept, said, at_us))
    yield from _audit(account.organization, at_us, actor, "account.changed", account.name, {"id": account.id})
    return (yield from profile(account))


def remove_account(organization: int, account_id: int, at_us: int, actor: str) -> Program[None]:
    """With its sessions. Raises NotFound for one that is not there any more."""
    rows = yield Fetch(SQL["account.remove"], (account_id, organization, at_us, f"{_REMOVED}{account_id}"))
    if not rows:
        raise NotFound(f"No account has the id {account_id}.", what="account")
    yield Fetch(SQL["session.revoke_all"], (account_id, at_us))
    yield from _audit(organization, at_us, actor, "account.removed", rows[0][0], {"id": account_id})


# -- credentials


def create_credential(organization: int, draft: CredentialDraft, at_us: int, actor: str) -> Program[CredentialInfo]:
    yield from _require_organization(organization)
    yield Fetch(SQL["identity.add"], (organization, draft.identity, at_us))
    rows = yield Fetch(SQL["identity.by_name"], (organization, draft.identity))
    identity_id = rows[0][0]
    environment = draft.environment.value if draft.environment else None
    scopes = _scopes_text(draft.scopes)
    proofs = (draft.secret_hash, draft.username, draft.password_hash)
    named = (draft.type.value, draft.hint, draft.label)
    rows = yield Fetch(SQL["credential.add"], (organization, identity_id, *named, scopes, environment, *proofs, at_us))
    if rows:
        data = {"type": draft.type.value, "identity": draft.identity, "scopes": scopes, "label": draft.label}
        yield from _audit(organization, at_us, actor, "credential.created", str(rows[0][0]), data)
    else:
        rows = yield Fetch(SQL["credential.same"], (organization, draft.secret_hash, draft.password_hash))
        if not rows:
            raise Conflict(f"The username {draft.username!r} is taken.", field="username")
    return (yield from _credential(organization, rows[0][0]))


def credentials(organization: int) -> Program[list[CredentialInfo]]:
    rows = yield Fetch(SQL["credential.list"], (organization,))
    return [_info(row) for row in rows]


def revoke_credential(organization: int, credential_id: int, at_us: int, actor: str) -> Program[CredentialInfo]:
    """Revoking a revoked one changes nothing."""
    rows = yield Fetch(SQL["credential.revoke"], (organization, credential_id, at_us))
    info = yield from _credential(organization, credential_id)
    if rows:
        data = {"type": info.type.value, "identity": info.identity_name, "label": info.label}
        yield from _audit(organization, at_us, actor, "credential.revoked", str(credential_id), data)
    return info


def credential_by_secret(secret_hash: bytes) -> Program[Authentic | None]:
    rows = yield Fetch(SQL["credential.by_secret"], (secret_hash,))
    return _authentic(rows[0]) if rows else None


def credential_by_username(username: str) -> Program[Authentic | None]:
    rows = yield Fetch(SQL["credential.by_username"], (username,))
    return _authentic(rows[0]) if rows else None


def mark_used(used_at_us: Sequence[tuple[int, int]]) -> Program[None]:
    """`used_at_us` are (credential, time), in order of credential so that two processes cannot deadlock."""
    yield Many(SQL["credential.used"], used_at_us)


def _credential(organization: int, credential_id: int) -> Program[CredentialInfo]:
    rows = yield Fetch(SQL["credential.get"], (organization, credential_id))
    if not rows:
        raise NotFound(f"No credential has the id {credential_id}.", what="credential")
    return _info(rows[0])


# -- sessions


def reusable_session(account_id: int, credential_id: int, now_s: int) -> Program[SessionRow | None]:
    rows = yield Fetch(SQL["session.reusable"], (account_id, credential_id, now_s))
    if not rows:
        return None
    token_id, issued_at_s, expires_at_s, refresh_expires_at_s = rows[0]
    return SessionRow(
        token_id=token_id,
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        refresh_expires_at_s=refresh_expires_at_s,
    )


def issue_session(
    principal: Principal, account: Account, fresh: SessionRow, at_us: int, *, force_refresh: bool, keep: int
) -> Program[SessionRow]:
    """`fresh`, or the live session that the credential has for the account already."""
    organization, credential_id = account.organization, principal.credential_id
    rows = yield Fetch(SQL["account.lock"], (account.id, organization))
    if not rows:
        raise NotFound(f"No account has the id {account.id}.", what="account")
    if not force_refresh:
        existing = yield from reusable_session(account.id, credential_id, fresh.issued_at_s)
        if existing is not None:
            return existing
    times = (fresh.issued_at_s, fresh.expires_at_s, fresh.refresh_expires_at_s)
    rows = yield Fetch(SQL["session.add"], (organization, account.id, credential_id, fresh.token_id, *times))
    if rows:
        data = {"account": account.name, "credential": credential_id, "expires_at_s": fresh.expires_at_s}
        yield from _audit(organization, at_us, principal.identity_name, "session.issued", account.name, data)
    yield Fetch(SQL["session.prune"], (account.id, credential_id, fresh.issued_at_s, keep))
    return fresh


def session_principal(token_id: str) -> Program[tuple[bool, Principal] | None]:
    """(revoked, who). A session ends with the credential that opened it, and never has the scope `admin`."""
    rows = yield Fetch(SQL["session.get"], (token_id,))
    if not rows:
        return None
    session_revoked, credential_revoked, credential_id, scopes, *rest = rows[0]
    account = _account(rest[5:])
    principal = _principal((credential_id, scopes, account.environment.value, *rest[:5]))
    if Scope.ADMIN in principal.scopes:
        less = frozenset({Scope.READ, Scope.TRADE, Scope.RUN})
        principal = msgspec.structs.replace(principal, scopes=less)
    principal = msgspec.structs.replace(principal, account=account)
    return session_revoked is not None or credential_revoked is not None, principal


def revoke_session(token_id: str, now_s: int, at_us: int) -> Program[int]:
    rows = yield Fetch(SQL["session.revoke"], (token_id, at_us, now_s))
    if not rows:
        return 0
    organization = rows[0][0]
    ((identity, account),) = yield Fetch(SQL["session.identity"], (token_id,))
    yield from _audit(organization, at_us, identity, "session.revoked", account, {"account": account})
    return 1


# -- the audit trail


def audit_trail(organization: int, limit: int) -> Program[list[AuditEntry]]:
    rows = yield Fetch(SQL["audit.list"], (organization, limit))
    return [
        AuditEntry(
            id=id,
            organization=organization,
            at_us=at_us,
            identity=identity,
            action=action,
            subject=subject,
            data=msgspec.json.decode(data),
        )
        for id, organization, at_us, identity, action, subject, data in rows
    ]


def _audit(
    organization: int, at_us: int, identity: str, action: str, subject: str, data: dict[str, Any]
) -> Program[None]:
    text = encode_json_sorted(data).decode()
    yield Fetch(SQL["audit.add"], (organization, at_us, identity, action, subject, text))


# -- rows to values


def _organization(row: Row) -> Organization:
    return Organization(id=row[0], public_id=row[1], name=row[2])


def _account(row: Row) -> Account:
    id, organization, name, type, environment, time_zone, currency, server_name = row
    return Account(
        id=id,
        organization=organization,
        name=name,
        type=AccountType(type),
        environment=Environment(environment),
        time_zone=time_zone,
        currency=currency,
        server_name=server_name,
    )


def _info(row: Row) -> CredentialInfo:
    id, organization, identity, type, hint, label, scopes, environment, created, used, revoked = row
    return CredentialInfo(
        id=id,
        organization=organization,
        identity_name=identity,
        type=CredentialType(type),
        hint=hint,
        label=label,
        scopes=_scopes(scopes),
        environment=Environment(environment) if environment else None,
        created_at_us=created,
        last_used_at_us=used,
        revoked_at_us=revoked,
    )


def _authentic(row: Row) -> Authentic:
    proof, type, revoked_at_us, *rest = row
    proof = proof.encode() if isinstance(proof, str) else bytes(proof)
    return Authentic(proof, CredentialType(type), revoked_at_us is not None, _principal(rest))


def _principal(row: Row) -> Principal:
    credential_id, scopes, environment, identity_id, identity, organization, public_id, name = row
    return Principal(
        organization=Organization(id=organization, public_id=public_id, name=name),
        identity_id=identity_id,
        identity_name=identity,
        credential_id=credential_id,
        scopes=_scopes(scopes),
        environment=Environment(environment) if environment else None,
    )


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in text.split(","))


def _scopes_text(scopes: frozenset[Scope]) -> str:
    return ",".join(sorted(scope.value for scope in scopes))

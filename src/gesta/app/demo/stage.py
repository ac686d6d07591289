"""The stage of the demo: its organization, accounts and credentials, made once and found again after a restart."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from gesta.access.face import Access
from gesta.access.model import AccountType, CredentialType, Environment, Organization, Principal, Scope
from gesta.kernel.errors import InvalidInput, Unauthenticated
from gesta.kernel.json import decode_json, encode_json

ORGANIZATION = "Gesta demo"
TRADING_ACCOUNT = "Sim101"
EXECUTOR_ACCOUNT = "master_account"
LINKED_ACCOUNT = "demo@example.com"
TIME_ZONE = "America/Chicago"
SERVER_NAME = "GESTA-DEMO"

SECRETS_FILE = "demo-credentials.json"
_LABEL = "gesta demo"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the accounts that the activity happens in."""

    trading: int
    executors: int
    linked: int


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept in the data folder, readable by its owner only. The ledger itself holds hashes."""

    crosstrade_token: str
    hummingbot_username: str
    hummingbot_password: str
    b3os_token: str
    refold_api_key: str
    native_token: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` is who does what the demo does; it has no credential that could be presented."""

    organization: Organization
    accounts: Accounts
    actor: Principal
    secrets: Secrets


async def set_stage(access: Access, folder: Path) -> Stage:
    """Make what is missing. Secrets that the folder has and the ledger knows are used again; else the demo's old
    credentials are revoked and new ones made."""
    named = [each for each in await access.organizations() if each.name == ORGANIZATION]
    organization = named[0] if named else await access.create_organization(ORGANIZATION)
    accounts = await _accounts(access, organization)
    path = folder / SECRETS_FILE
    secrets = _read(path)
    if secrets is None or not await _known(access, organization, secrets):
        secrets = await _renew(access, organization)
        write_private(path, encode_json(secrets) + b"\n")
    actor = Principal(
        organization=organization,
        identity_id=0,
        identity_name="demo",
        credential_id=0,
        scopes=frozenset({Scope.TRADE, Scope.RUN}),
    )
    return Stage(organization=organization, accounts=accounts, actor=actor, secrets=secrets)


async def _accounts(access: Access, organization: Organization) -> Accounts:
    trading = await access.ensure_account(
        organization.id, TRADING_ACCOUNT, AccountType.TRADING, time_zone=TIME_ZONE, server_name=SERVER_NAME
    )
    executors = await access.ensure_account(organization.id, EXECUTOR_ACCOUNT, AccountType.TRADING)
    linked = await access.ensure_account(organization.id, LINKED_ACCOUNT, AccountType.LINKED, Environment.TEST)
    return Accounts(trading=trading.id, executors=executors.id, linked=linked.id)


def _read(path: Path) -> Secrets | None:
    try:
        return decode_json(path.read_bytes(), Secrets)
    except (FileNotFoundError, InvalidInput):
        return None


async def _known(access: Access, organization: Organization, secrets: Secrets) -> bool:
    """Whether each secret still opens the demo's own organization."""
    checks: tuple[Callable[[], Awaitable[Principal]], ...] = (
        lambda: access.bearer(secrets.crosstrade_token),
        lambda: access.basic(secrets.hummingbot_username, secrets.hummingbot_password),
        lambda: access.bearer(secrets.b3os_token),
        lambda: access.api_key(secrets.refold_api_key, LINKED_ACCOUNT),
        lambda: access.bearer(secrets.native_token),
    )
    try:
        return all([(await check()).organization.id == organization.id for check in checks])
    except (Unauthenticated, InvalidInput):
        return False


async def _renew(access: Access, organization: Organization) -> Secrets:
    existing = await access.credentials(organization.id)
    for credential in existing:
        if credential.label == _LABEL and credential.revoked_at_us is None:
            await access.revoke_credential(organization.id, credential.id)
    # A username is never given out twice, even after it was revoked.
    earlier = sum(credential.type is CredentialType.BASIC for credential in existing)
    username = "demo" if earlier == 0 else f"demo-{earlier + 1}"

    async def make(type: CredentialType, *scopes: Scope, environment: Environment | None = None) -> str:
        made = await access.create_credential(
            organization.id,
            type=type,
            scopes=frozenset(scopes),
            label=_LABEL,
            identity="demo",
            username=username if type is CredentialType.BASIC else None,
            environment=environment,
        )
        return made.secret

    return Secrets(
        crosstrade_token=await make(CredentialType.BEARER, Scope.TRADE),
        hummingbot_username=username,
        hummingbot_password=await make(CredentialType.BASIC, Scope.TRADE),
        b3os_token=await make(CredentialType.B3OS, Scope.RUN),
        refold_api_key=await make(CredentialType.API_KEY, Scope.RUN, environment=Environment.TEST),
        native_token=await make(CredentialType.BEARER, Scope.ADMIN),
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; a reader sees all of it or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(partial, path)

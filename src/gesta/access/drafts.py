"""New secrets: what the caller is shown once, and what of it is stored."""

from __future__ import annotations

import msgspec

from gesta.access.authentication import hash_secret
from gesta.access.model import CredentialType, Environment, Scope
from gesta.access.names import checked_label, checked_name, checked_username
from gesta.access.passwords import Passwords, new_password
from gesta.access.store import CredentialDraft
from gesta.kernel.errors import InvalidInput
from gesta.kernel.ids import IdSource, secret

HINT_LENGTH = 9


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as asked for."""

    type: CredentialType
    scopes: frozenset[Scope]
    label: str = ""
    identity: str = "owner"
    username: str | None = None
    environment: Environment | None = None


def check(wanted: Wanted) -> None:
    """Raises InvalidInput for a request that makes no sense, naming the field."""
    if not wanted.scopes:
        raise InvalidInput("A credential needs at least one scope.", field="scopes")
    checked_label(wanted.label)
    checked_name(wanted.identity, field="identity")
    if wanted.type is CredentialType.BASIC:
        if wanted.username is None:
            raise InvalidInput("A Basic credential needs a username.", field="username")
        checked_username(wanted.username)
    elif wanted.username is not None:
        raise InvalidInput("Only a Basic credential has a username.", field="username")
    if wanted.type is CredentialType.API_KEY:
        if wanted.environment is None:
            raise InvalidInput("An API key needs an environment: production or test.", field="environment")
    elif wanted.environment is not None:
        raise InvalidInput("Only an API key has an environment.", field="environment")


async def draft_credential(wanted: Wanted, ids: IdSource, passwords: Passwords) -> tuple[CredentialDraft, str]:
    """The row to store and the secret to show. Raises InvalidInput."""
    check(wanted)
    if wanted.type is CredentialType.BASIC:
        assert wanted.username is not None
        password = new_password(ids)
        draft = CredentialDraft(
            type=wanted.type,
            scopes=wanted.scopes,
            label=wanted.label,
            identity=wanted.identity,
            hint=wanted.username,
            username=wanted.username,
            password_hash=await passwords.hash(password),
        )
        return draft, password
    token = secret(ids, _prefix(wanted))
    draft = CredentialDraft(
        type=wanted.type,
        scopes=wanted.scopes,
        label=wanted.label,
        identity=wanted.identity,
        hint=token[:HINT_LENGTH],
        environment=wanted.environment,
        secret_hash=hash_secret(token),
    )
    return draft, token


def _prefix(wanted: Wanted) -> str:
    if wanted.type is CredentialType.API_KEY:
        return "tk_" if wanted.environment is Environment.TEST else "pk_"
    return "b3sk_" if wanted.type is CredentialType.B3OS else "gst_"

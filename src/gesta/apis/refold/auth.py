"""Who is calling, by either of the two published ways (seed 004, protocols/refold.md §1)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from gesta.access.face import Access
from gesta.access.model import Account, Principal
from gesta.apis.refold.errors import (
    InvalidCredentials,
    InvalidToken,
    LinkedAccountRequired,
    TokenMissing,
    UnknownLinkedAccount,
)
from gesta.kernel.errors import Forbidden, InvalidInput, Unauthenticated

BUCKET = "refold"


async def linked_account(access: Access, request: Request, query: Mapping[str, str]) -> tuple[Principal, Account]:
    """The caller and the linked account that the call is confined to: a session token, or an API key with
    `linked_account_id` in a header or in the query. The token is preferred where both are sent.

    Takes one token of the credential's rate bucket.
    """
    token = bearer_token(request)
    if token is not None:
        return await session(access, token)
    key = request.headers.get("x-api-key")
    if not key:
        raise TokenMissing()
    return await api_key(access, key, linked_account_id(request, query))


async def session(access: Access, token: str) -> tuple[Principal, Account]:
    try:
        principal = await access.session(token)
    except Unauthenticated:
        raise InvalidToken() from None
    return _admitted(access, principal)


async def api_key(access: Access, key: str, name: str | None) -> tuple[Principal, Account]:
    """The key is judged before the account: a caller without a valid key learns nothing about accounts."""
    try:
        principal = await access.api_key(key, name or None)
    except Unauthenticated:
        raise InvalidCredentials() from None
    except InvalidInput:
        raise UnknownLinkedAccount() from None
    return _admitted(access, principal)


async def check_key(access: Access, key: str) -> None:
    """Refuse a wrong key before its body is read."""
    try:
        await access.api_key(key)
    except Unauthenticated:
        raise InvalidCredentials() from None


async def organization(access: Access, request: Request) -> Principal:
    """The caller of what is an organization's own: an API key, whatever linked account it names. Raises Forbidden for
    the session of one account."""
    key = request.headers.get("x-api-key")
    if not key:
        token = bearer_token(request)
        if token is None:
            raise TokenMissing()
        await session(access, token)
        raise Forbidden("A session is of one linked account; use the organization's API key here")
    try:
        principal = await access.api_key(key)
    except Unauthenticated:
        raise InvalidCredentials() from None
    access.admit(BUCKET, principal.credential_id)
    return principal


def _admitted(access: Access, principal: Principal) -> tuple[Principal, Account]:
    access.admit(BUCKET, principal.credential_id)
    if principal.account is None:
        raise LinkedAccountRequired()
    return principal, principal.account


def bearer_token(request: Request) -> str | None:
    """The token of `Authorization: Bearer …`; None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.casefold() == "bearer" else None


def linked_account_id(request: Request, query: Mapping[str, str]) -> str | None:
    """The header before the query (the Node SDK repeats the id in the query)."""
    header = request.headers.get("linked_account_id", "").strip()
    return utf8(header) or query.get("linked_account_id") or None


def utf8(header: str) -> str:
    """Header bytes are read as Latin-1; clients that send other characters send UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return header


async def revoke(access: Access, token: str) -> int:
    """How many sessions ended, 0 or 1; 0 where this one had ended before. Raises InvalidToken for anything else."""
    try:
        return await access.revoke_session(token)
    except Unauthenticated:
        raise InvalidToken() from None

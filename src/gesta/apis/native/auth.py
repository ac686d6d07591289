"""Who is calling the native dialect, and which accounts of the organization it means by name."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import HTTPConnection

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Environment, Principal
from gesta.kernel.errors import InvalidInput, NotFound, Unauthenticated

_MAX_SECRET = 4096
_MAX_KNOWN = 10_000


def one_header(connection: HTTPConnection, name: str) -> str | None:
    """The one value of a header. Raises InvalidInput if it is sent twice or is not plain ASCII."""
    values = connection.headers.getlist(name)
    if len(values) > 1:
        raise InvalidInput(f"The header `{name}` is sent more than once.", field=name, where="header")
    return values[0] if values else None


async def authenticate(access: Access, connection: HTTPConnection) -> Principal:
    """`Authorization: Bearer` (a `gst_` or `b3sk_` token), or `x-api-key` with an optional `linked_account_id`.

    Raises Unauthenticated, or InvalidInput for an unknown linked account.
    """
    authorization = one_header(connection, "authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret or len(secret) > _MAX_SECRET or not secret.isascii():
            raise Unauthenticated("Send `Authorization: Bearer <token>`.", reason="invalid")
        return await access.bearer(secret)
    key = one_header(connection, "x-api-key")
    if key is None:
        raise Unauthenticated("Send `Authorization: Bearer <token>` or `x-api-key`.", reason="missing")
    if not key or len(key) > _MAX_SECRET or not key.isascii():
        raise Unauthenticated("The API key is not valid.", reason="invalid")
    linked = one_header(connection, "linked_account_id")
    if linked is not None and (not linked or len(linked) > 256 or not linked.isprintable()):
        raise InvalidInput("No such linked account.", field="linked_account_id", where="header")
    return await access.api_key(key, linked)


class Directory:
    """Accounts by id, remembered: an account's name, type and environment never change."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._known: dict[tuple[int, int], Account] = {}

    async def by_id(self, organization: int, account_id: int) -> Account:
        """Raises NotFound."""
        known = self._known.get((organization, account_id))
        if known is not None:
            return known
        account = await self._access.account_by_id(organization, account_id)
        if account is None:
            raise NotFound("No such account.", what="account")
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[organization, account_id] = account
        return account

    async def names(self, organization: int, account_ids: Iterable[int]) -> dict[int, Account]:
        return {account_id: await self.by_id(organization, account_id) for account_id in set(account_ids)}

    async def by_name(
        self,
        principal: Principal,
        name: str,
        type: AccountType | None = None,
        environment: Environment | None = None,
    ) -> list[Account]:
        """Every account of that name within the caller's reach, of each type and environment that is not excluded.

        Raises NotFound if there is none.
        """
        bound = principal.account
        if bound is not None:
            fits = (
                bound.name.casefold() == name.casefold()
                and type in (None, bound.type)
                and environment in (None, bound.environment)
            )
            if fits:
                return [bound]
        else:
            environments = [environment] if environment else list(Environment)
            found = [
                await self._access.account(principal.organization.id, name, each_type, each_environment)
                for each_type in ([type] if type else list(AccountType))
                for each_environment in environments
                if principal.environment in (None, each_environment)
            ]
            reachable = [account for account in found if account is not None]
            if reachable:
                return reachable
        raise NotFound(f"No account {name[:128]!r}.", what="account")

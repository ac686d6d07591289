"""One call of a command, from either surface, and the accounts that it reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Principal
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.arguments import read_id
from gesta.apis.crosstrade.reach import environment_of, reaches
from gesta.kernel.errors import NotFound


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated, admitted call. `args` are raw: text from a path or a query, JSON values from a body or from
    the WebSocket's `args`."""

    services: Services
    principal: Principal
    printed: Printed
    args: Mapping[str, Any]


# The reply is a JSON object, but for GetQuote of several instruments, which the vendor answers with a bare array.
Handler = Callable[[Call], Awaitable[Any]]


async def account_of(call: Call) -> Account:
    """The account that `account` names. Raises NotFound for an unknown one, and equally for one out of reach."""
    name = read_id(call.args, "account", what="account")
    account = await call.services.access.account(
        call.principal.organization.id, name, AccountType.TRADING, environment_of(call.principal)
    )
    if account is None or not reaches(call.principal, account):
        raise NotFound(f"Account {name[:128]} not found", what="account")
    return account


async def accounts_of(call: Call) -> list[Account]:
    """Every account within reach."""
    found = await call.services.access.accounts(call.principal.organization.id)
    return [account for account in found if reaches(call.principal, account)]


async def accounts_asked(call: Call) -> list[Account]:
    """The account that `account` names; without it every account within reach."""
    if call.args.get("account") not in (None, ""):
        return [await account_of(call)]
    return await accounts_of(call)

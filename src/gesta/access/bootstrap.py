"""The first organization: one trading account and one credential of every type."""

from __future__ import annotations

import msgspec

from gesta.access.drafts import Wanted
from gesta.access.model import Account, AccountType, CredentialType, Environment, NewCredential, Organization, Scope
from gesta.access.service import AccessService
from gesta.access.store import AccountDraft
from gesta.kernel.errors import Conflict

FIRST_ACCOUNT = "Sim101"
FIRST_USER = "admin"
NAMES_TRIED = 100


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """What was made. The secrets exist here only."""

    organization: Organization
    account: Account
    bearer: NewCredential
    b3os: NewCredential
    basic: NewCredential
    production_key: NewCredential
    test_key: NewCredential


async def bootstrap(
    access: AccessService, name: str, *, only_first: bool = False, actor: str = "operator"
) -> Bootstrap:
    """Make the organization `name` with the account Sim101 and its credentials, all or nothing.

    The Basic user is `admin`; where another organization has it, `admin-2`, `admin-3` … Raises InvalidInput for an
    impossible name, Conflict when the name is taken or, with `only_first`, when any organization exists.
    """
    account = AccountDraft(name=FIRST_ACCOUNT, type=AccountType.TRADING, environment=Environment.PRODUCTION)
    for attempt in range(1, NAMES_TRIED + 1):
        username = FIRST_USER if attempt == 1 else f"{FIRST_USER}-{attempt}"
        try:
            made = await access.found(name, account, _wanted(username), actor=actor, only_first=only_first)
        except Conflict as error:
            if error.details.get("field") != "username" or attempt == NAMES_TRIED:
                raise
        else:
            organization, trading, (bearer, b3os, basic, production_key, test_key) = made
            return Bootstrap(
                organization=organization,
                account=trading,
                bearer=bearer,
                b3os=b3os,
                basic=basic,
                production_key=production_key,
                test_key=test_key,
            )
    raise AssertionError("the last attempt raises")


def _wanted(username: str) -> list[Wanted]:
    admin, run = frozenset({Scope.ADMIN}), frozenset({Scope.RUN})
    trade = frozenset({Scope.TRADE, Scope.RUN})
    return [
        Wanted(type=CredentialType.BEARER, scopes=admin, label="gesta init"),
        Wanted(type=CredentialType.B3OS, scopes=run, label="gesta init"),
        Wanted(type=CredentialType.BASIC, scopes=trade, label="gesta init", username=username),
        Wanted(type=CredentialType.API_KEY, scopes=run, label="gesta init", environment=Environment.PRODUCTION),
        Wanted(type=CredentialType.API_KEY, scopes=run, label="gesta init", environment=Environment.TEST),
    ]

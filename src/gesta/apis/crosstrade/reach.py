"""Which accounts a caller of this dialect reaches. Pure."""

from __future__ import annotations

from gesta.access.model import Account, AccountType, Environment, Principal


def environment_of(principal: Principal) -> Environment:
    """That of the caller's key; production where it is for none in particular."""
    return principal.environment or Environment.PRODUCTION


def reaches(principal: Principal, account: Account) -> bool:
    """Whether it is a trading account of the caller's organization and environment, and of its one account if it is
    bound to one."""
    return (
        account.organization == principal.organization.id
        and account.type is AccountType.TRADING
        and account.environment is environment_of(principal)
        and (principal.account is None or principal.account.id == account.id)
    )


__all__ = ["environment_of", "reaches"]

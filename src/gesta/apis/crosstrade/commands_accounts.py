"""The commands of accounts (protocols/crosstrade.md §2.3)."""

from __future__ import annotations

from typing import Final

from gesta.apis.crosstrade import accounts, examples, models_trading
from gesta.apis.crosstrade.command import ACCOUNT, Command

COMMANDS: Final = (
    Command(
        api="ListAccounts",
        path="/v1/api/accounts",
        summary="The trading accounts",
        description="The accounts that the token reaches, with their money.",
        arguments=(),
        reply=models_trading.AccountList,
        example={"accounts": [examples.ACCOUNT], "success": True},
        run=accounts.list_accounts,
        tag="accounts",
    ),
    # Before the account of one name: there is none that is called snapshot.
    Command(
        api="GetAccountSummary",
        path="/v1/api/accounts/snapshot",
        summary="All accounts and their open positions at one moment",
        description="As at the vendor, the reply has no `success`.",
        arguments=(),
        reply=models_trading.AccountSummary,
        example=examples.SUMMARY,
        run=accounts.get_account_summary,
        tag="accounts",
    ),
    Command(
        api="GetAccount",
        path="/v1/api/accounts/{account}",
        summary="One account",
        description="With its money.",
        arguments=(ACCOUNT,),
        reply=models_trading.AccountReply,
        example={**examples.ACCOUNT, "success": True},
        run=accounts.get_account,
        tag="accounts",
    ),
)

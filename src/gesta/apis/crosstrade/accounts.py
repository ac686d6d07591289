"""What the account commands do."""

from __future__ import annotations

from typing import Any

from gesta.access.model import Account
from gesta.apis.crosstrade.calls import Call, account_of, accounts_of
from gesta.apis.crosstrade.codec_trading import account_object, snapshot_row
from gesta.apis.crosstrade.wall_clock import offset_time
from gesta.desk.trading.views import AccountView


async def list_accounts(call: Call) -> dict[str, Any]:
    """ListAccounts: the trading accounts that the credential reaches."""
    user = call.principal.identity_name
    accounts = [account_object(account, await _view(call, account), user=user) for account in await accounts_of(call)]
    return {"accounts": accounts, "success": True}


async def get_account(call: Call) -> dict[str, Any]:
    account = await account_of(call)
    return {
        **account_object(account, await _view(call, account), user=call.principal.identity_name),
        "success": True,
    }


async def get_account_summary(call: Call) -> dict[str, Any]:
    """Every account with its open positions at one moment, in the zone of the first account."""
    accounts = await accounts_of(call)
    rows = [
        snapshot_row(account, await _view(call, account), user=call.principal.identity_name) for account in accounts
    ]
    now_us = call.services.clock.now_us()
    return {
        "type": "snapshot",
        "timestamp": offset_time(now_us, accounts[0].time_zone if accounts else "UTC"),
        "epoch": now_us // 1000,
        "accounts": rows,
    }


async def _view(call: Call, account: Account) -> AccountView | None:
    """The account's money; None on a server that does not trade."""
    if call.services.trading is None:
        return None
    return await call.services.trading.account(call.principal, account)

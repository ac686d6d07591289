"""`pnlUpdate`: the money of a caller's accounts, asked of the trading desk at each connection's own interval.

The vendor's inner keys are not public (protocols/crosstrade.md §3.2); these are the words of its account object (§2.3).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gesta.access.model import Account, Principal
from gesta.apis.common.services import Services
from gesta.apis.crosstrade.numbers import double, encode_reply
from gesta.apis.crosstrade.reach import reaches
from gesta.desk.trading.views import AccountView

# Connections that ask within so many seconds of each other are given the same figures.
SHARED_S: Final = 0.1
# What is kept for that is forgotten when it is so many accounts.
_MOST_KEPT: Final = 10_000


def pnl_object(view: AccountView) -> dict[str, Any]:
    """One row of `accounts`. The realized figures are those of the trading day; `realizedProfitLoss` is after
    commissions, as NinjaTrader has it, `grossRealizedProfitLoss` before."""
    return {
        "account": view.account.name,
        "accountId": view.account.id,
        "realizedProfitLoss": double(view.session_realized - view.session_commission),
        "grossRealizedProfitLoss": double(view.session_realized),
        "unrealizedProfitLoss": double(view.unrealized),
        "commission": double(view.session_commission),
        "cashValue": double(view.cash),
        "netLiquidation": double(view.net_liquidation),
        "buyingPower": double(view.buying_power),
    }


class PnlPushes:
    """The rows as JSON, asked once for connections that want them at the same moment."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rows: dict[int, tuple[float, asyncio.Task[str]]] = {}

    async def frame(self, principal: Principal) -> tuple[str, str]:
        """The frame around its `seq`: every trading account that the caller reaches. Raises the desk's errors."""
        accounts = await self._services.access.accounts(principal.organization.id)
        rows = [await self._row(principal, account) for account in accounts if reaches(principal, account)]
        epoch = self._services.clock.now_us() // 1000
        return f'{{"type":"pnlUpdate","epoch":{epoch},"seq":', f',"accounts":[{",".join(rows)}]}}'

    async def _row(self, principal: Principal, account: Account) -> str:
        now_s = self._services.clock.monotonic_s()
        asked_s, asking = self._rows.get(account.id, (float("-inf"), None))
        if asking is None or now_s - asked_s > SHARED_S:
            if len(self._rows) >= _MOST_KEPT:
                self._rows.clear()
            asking = asyncio.create_task(self._ask(principal, account), name="pnl row")
            asking.add_done_callback(_heard)
            self._rows[account.id] = (now_s, asking)
        # One connection's end must not take the figures from the others.
        return await asyncio.shield(asking)

    async def _ask(self, principal: Principal, account: Account) -> str:
        return encode_reply(pnl_object(await self._services.trades.account(principal, account))).decode()


def _heard(asking: asyncio.Task[str]) -> None:
    """Whoever waited has the failure; where nobody did any more, it concerns nobody."""
    if not asking.cancelled():
        asking.exception()


__all__ = ["PnlPushes", "pnl_object"]

"""The trading section of the asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from gesta.client import _trading_calls as calls
from gesta.client._requests import PAGE_ROWS
from gesta.client._trading_calls import Ask, Number, OrderTerms, Terms

if TYPE_CHECKING:
    from gesta.client._async import AsyncGesta

T = TypeVar("T")


class AsyncTrading:
    """`gesta.trading`: accounts, orders, positions. Orders, positions and accounts are dictionaries in CrossTrade's
    words; a fraction in them is a Decimal. What failed in passing is
    repeated without being done twice: an order that is placed carries a client id."""

    def __init__(self, client: AsyncGesta) -> None:
        self._client = client

    async def _do(self, ask: Ask[T]) -> T:
        return ask.read(await self._client._send(ask.call))

    # -- accounts

    async def accounts(self) -> list[dict[str, Any]]:
        """The trading accounts that the token reaches."""
        return await self._do(calls.accounts())

    async def snapshot(self) -> list[dict[str, Any]]:
        """`{"account", "positions"}` of every account: its money, and what is open."""
        return await self._do(calls.snapshot())

    async def funds(self, account: str) -> dict[str, Any]:
        """An account's money, limits and open positions; amounts are exact decimal text."""
        return await self._do(calls.funds(account))

    async def configure(
        self, account: str, *, cash: Number | None = None, max_position: Number | None = None
    ) -> dict[str, Any]:
        """Set the paper money of an account, or its largest position in any one instrument. Scope admin."""
        return await self._do(calls.configure(account, cash, max_position))

    # -- orders

    async def place(
        self, account: str, instrument: str, action: str, quantity: Number, **terms: Unpack[Terms]
    ) -> dict[str, Any]:
        """Place an order: `action` is `buy` or `sell`, `terms` are the fields of OrderTerms. The answer has `orderId`;
        `wait` tells what becomes of it. Raises BadRequest, saying what would be right."""
        return await self._do(calls.place(account, instrument, action, quantity, OrderTerms(**terms)))

    async def replace(
        self, account: str, order_id: str, instrument: str, action: str, quantity: Number, **terms: Unpack[Terms]
    ) -> dict[str, Any]:
        """Cancel an order and place another, which gets no client id. The answer has the new `orderId`."""
        return await self._do(calls.replace(account, order_id, instrument, action, quantity, OrderTerms(**terms)))

    async def change(
        self,
        account: str,
        order_id: str,
        *,
        quantity: Number | None = None,
        limit_price: Number | None = None,
        stop_price: Number | None = None,
    ) -> dict[str, Any]:
        """New terms for a working order, which keeps its id."""
        return await self._do(calls.change(account, order_id, quantity, limit_price, stop_price))

    async def cancel(self, account: str, order_id: str) -> dict[str, Any]:
        """Cancel one order, by Gesta's id or the client's. Raises BadRequest for one that is unknown or over."""
        return await self._do(calls.cancel(account, order_id))

    async def cancel_orders(self, account: str, *, instrument: str | None = None) -> dict[str, Any]:
        """Cancel every working order of the account, or those of one instrument. The answer has `orderIds`."""
        return await self._do(calls.cancel_orders(account, instrument))

    async def order(self, account: str, order_id: str) -> dict[str, Any]:
        """One order as it stands."""
        return await self._do(calls.order(account, order_id))

    async def orders(
        self, account: str, *, working: bool = False, limit: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Orders, newest first, page after page: all of them, or those that work."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = await self._do(calls.orders(account, working=working, limit=size, cursor=cursor))
            rows = calls.rows_in(page, "orders")
            for row in rows:
                yield row
            cursor = page.get("nextCursor")
            left = None if left is None else left - len(rows)
            if not cursor:
                return

    async def lifecycle(self, account: str, order_id: str, *, limit: int = 200) -> list[dict[str, Any]]:
        """The life of an order, its fills included."""
        return await self._do(calls.lifecycle(account, order_id, limit))

    async def wait(self, account: str, order_id: str, *, timeout_s: float = 10, final: bool = True) -> dict[str, Any]:
        """The order once it is over, or with `final=False` once the venue has answered; as it stands after
        `timeout_s`."""
        order = await self.order(account, order_id)
        for pause_s in calls.pauses(timeout_s):
            if calls.is_settled(order, final=final):
                break
            await self._client._sleep(pause_s)
            order = await self.order(account, order_id)
        return order

    # -- positions

    async def positions(self, account: str | None = None) -> list[dict[str, Any]]:
        """The open positions of one account, or of all."""
        return await self._do(calls.positions(account))

    async def flatten(self, account: str | None = None, *, instrument: str | None = None) -> dict[str, Any]:
        """Cancel what works, then close what is open: of one account or of all, of one instrument or of every one.
        The answer has `orderIds`, what closes, and `closedPositions` as they stood."""
        return await self._do(calls.flatten(account, instrument))

    # -- what the venue takes back

    async def bust(self, execution_id: str, *, reason: str) -> dict[str, Any]:
        """Take back a fill: position and money are what the others make. The answer is the fill as it now stands."""
        return await self._do(calls.bust(execution_id, reason))

    async def correct(
        self,
        execution_id: str,
        *,
        reason: str,
        price: Number | None = None,
        quantity: Number | None = None,
        commission: Number | None = None,
    ) -> dict[str, Any]:
        """Correct a fill; what is left out stays. The answer is the fill as it now stands."""
        return await self._do(calls.correct(execution_id, reason, price, quantity, commission))

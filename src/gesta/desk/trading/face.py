"""The face of the trading desk. Every method takes who asks first, and confines it to what it may reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from gesta.access.model import Account, Principal
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, MarketPosition, PlaceOrder
from gesta.desk.trading.views import (
    AccountView,
    Flattened,
    OrderNote,
    OrderSlice,
    OrderView,
    PositionView,
    Update,
)
from gesta.ledger.records import Execution


class Trading(Protocol):
    # -- orders
    async def place(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        """On return the order is on disk and the venue has it; what it becomes is told by updates.

        Raises InvalidInput for terms that cannot be (with `field`), Conflict for a `client_id` that has other terms or
        a market position that is not the required one, Unavailable where this process does not trade.
        """
        ...

    async def cancel(self, principal: Principal, account: Account, order_id: str) -> OrderView:
        """By Gesta's id or the client's. Raises NotFound(what="order") for an unknown one, Conflict for a final one."""
        ...

    async def cancel_orders(
        self, principal: Principal, accounts: Sequence[Account], *, instrument: str | None = None
    ) -> list[OrderView]:
        """Every working order of the accounts, or those of one instrument."""
        ...

    async def change(
        self, principal: Principal, account: Account, order_id: str, request: ChangeOrder
    ) -> OrderView: ...

    async def replace(self, principal: Principal, account: Account, order_id: str, request: PlaceOrder) -> OrderView:
        """Cancel, wait for the venue's word, place the new order. What was filled meanwhile is not placed again."""
        ...

    async def order(self, principal: Principal, account: Account, order_id: str) -> OrderView: ...

    async def orders(
        self,
        principal: Principal,
        account: Account,
        *,
        working: bool | None = None,
        after: int | None = None,
        limit: int = 500,
    ) -> OrderSlice: ...

    async def timeline(
        self, principal: Principal, account: Account, order_id: str, *, limit: int = 200
    ) -> tuple[OrderView, list[OrderNote]]:
        """The order and its life, oldest first."""
        ...

    # -- positions
    async def positions(
        self, principal: Principal, accounts: Sequence[Account], *, include_flat: bool = False
    ) -> list[PositionView]: ...

    async def position(self, principal: Principal, account: Account, instrument: str) -> PositionView:
        """Flat where there never was one."""
        ...

    async def close(
        self, principal: Principal, account: Account, instrument: str, *, quantity: Decimal | None = None
    ) -> OrderView | None:
        """A reduce-only market order for the position, or a part of it. None when it is flat."""
        ...

    async def flatten(
        self,
        principal: Principal,
        accounts: Sequence[Account],
        *,
        instrument: str | None = None,
        market_position: MarketPosition | None = None,
    ) -> Flattened:
        """Cancel what works there, then close what is open."""
        ...

    async def reverse(self, principal: Principal, account: Account, instrument: str) -> OrderView | None:
        """Close the position and open its opposite, of the same size. None when it is flat."""
        ...

    async def reverse_position(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        """Close the position on the instrument, wait for that (at most about five seconds), then place the order."""
        ...

    async def flat_place(self, principal: Principal, account: Account, request: PlaceOrder) -> OrderView:
        """Flatten the instrument, wait until it is flat, then place the order. Conflict if it does not get flat."""
        ...

    async def cancel_and_bracket(
        self, principal: Principal, account: Account, request: BracketPosition
    ) -> list[OrderView]:
        """Protect the position anew. Conflict when there is none, before or midway."""
        ...

    # -- accounts
    async def account(self, principal: Principal, account: Account) -> AccountView: ...

    async def configure(
        self,
        principal: Principal,
        account: Account,
        *,
        cash: Decimal | None = None,
        max_position: Decimal | None = None,
    ) -> AccountView:
        """Set the paper money of an account, or the largest position in any one instrument. Scope admin."""
        ...

    # -- what the venue takes back
    async def bust(self, principal: Principal, execution_id: str, *, reason: str) -> Execution:
        """The fill did not happen: it is cancelled, and the position and the money are what the others make."""
        ...

    async def correct(
        self,
        principal: Principal,
        execution_id: str,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        commission: Decimal | None = None,
        reason: str,
    ) -> Execution: ...

    # -- what happens
    def subscribe(self, organization: int, listener: Callable[[Sequence[Update]], None]) -> Callable[[], None]:
        """Call `listener` after each commit that concerns the organization; the result ends that. It may not block."""
        ...

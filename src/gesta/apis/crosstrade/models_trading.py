"""The wire shapes of orders, positions and accounts, for the OpenAPI document. What is sent is built by
`codec_trading`; tests hold the two equal. Meanings: protocols/crosstrade.md §2.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Whole = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]
OrderStateWord = Literal[
    "Initialized",
    "Submitted",
    "Accepted",
    "Working",
    "PartFilled",
    "ChangePending",
    "CancelPending",
    "Filled",
    "Cancelled",
    "Rejected",
    "Unknown",
]


class OrderReply(msgspec.Struct, kw_only=True, rename="camel"):
    """What became of an order that was placed, changed or cancelled; its fills are told by its executions."""

    order_id: Annotated[str, Meta(description="The order's id; for a cancel, as the caller named it.")]
    success: Literal[True]


class OrdersReply(msgspec.Struct, kw_only=True, rename="camel"):
    order_ids: list[str]
    success: Literal[True]


class BracketReply(OrdersReply, kw_only=True, rename="camel"):
    """The pair that protects the position now. The keys after `orderIds` are Gesta's."""

    stop_loss_order_id: str | None
    take_profit_order_id: str | None
    oco_id: str | None


class StatusReply(msgspec.Struct, kw_only=True):
    status: OrderStateWord
    success: Literal[True]


class Order(msgspec.Struct, kw_only=True, rename="camel"):
    """One order, in NinjaTrader's words. 0.0 stands for a price that the order does not have."""

    account: str
    order_id: str
    instrument: str
    instrument_type: str
    order_type: Literal["Market", "Limit", "StopMarket", "StopLimit", "MIT"]
    order_state: OrderStateWord
    quantity: Whole
    average_fill_price: float
    filled: Whole
    from_entry_signal: None
    gtd: str
    has_overfill: bool
    is_backtest_order: bool
    limit_price: float
    limit_price_changed: float
    name: str
    oco: Annotated[str, Meta(description="The group of orders that cancel each other; empty if none.")]
    order_action: Literal["Buy", "Sell"]
    quantity_changed: int
    server_name: str
    stop_price: float
    stop_price_changed: float
    time: Annotated[str, Meta(description="Wall clock of the placing, in the account's zone, seven digits.")]
    epoch: Annotated[int, Meta(description="The same in Unix milliseconds, UTC.")]
    time_in_force: Literal["Day", "Gtc", "Ioc", "Fok"]
    original_order_id: Annotated[str | None, Meta(description="The caller's own id, given at the placing.")]
    strategy: Annotated[str | None, Meta(description="As it was given; Gesta has no ATM templates.")]
    reduce_only: bool
    stop_loss_ticks: int | None
    take_profit_ticks: int | None
    entry_order_id: Annotated[str | None, Meta(description="The entry whose bracket this order belongs to.")]
    replaces_order_id: str | None
    is_triggered: bool
    is_gap: Annotated[bool, Meta(description="It fired on the first quote after a hole in the market data.")]
    is_expired: Annotated[bool, Meta(description="`orderState` is Cancelled because its time was up.")]
    reason: Annotated[str | None, Meta(description="Why it was rejected, cancelled or expired.")]
    updated_epoch: int


class OrderObjectReply(Order, kw_only=True, rename="camel"):
    """One order, flattened, beside `success`."""

    success: Literal[True]


class OrderList(msgspec.Struct, kw_only=True, rename="camel"):
    """Newest first. `nextCursor` appears where a page was asked for or the list was cut at its cap."""

    orders: list[Order]
    success: Literal[True]
    next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET


class LifecycleEvent(msgspec.Struct, kw_only=True, rename="camel"):
    timestamp: Annotated[str, Meta(description="UTC, three digits.")]
    epoch: Annotated[float, Meta(description="Milliseconds, as a double.")]
    source: Annotated[str, Meta(description="`api_received`, `order_update`, `desk` or `execution`.")]
    event: str
    order_state: OrderStateWord | None
    order_id: str
    message: str | None
    execution_id: str | msgspec.UnsetType = msgspec.UNSET
    price: float | msgspec.UnsetType = msgspec.UNSET
    quantity: Whole | msgspec.UnsetType = msgspec.UNSET
    raw: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Lifecycle(msgspec.Struct, kw_only=True, rename="camel"):
    """Everything that happened to one order, oldest first."""

    success: Literal[True]
    order_id: str
    original_order_id: str | None
    account: str
    count: int
    events: list[LifecycleEvent]


class Position(msgspec.Struct, kw_only=True, rename="camel"):
    """One position. `marketPrice` and `unrealizedProfitLoss` are null while the instrument has no market data."""

    type: Literal["NinjaTrader.Cbi.Position"]
    account: str
    instrument: str
    instrument_type: str
    market_position: Literal["Long", "Short", "Flat"]
    quantity: Annotated[Whole, Meta(description="Unsigned.")]
    average_price: float
    market_price: float | None
    unrealized_profit_loss: float | None
    tag: None


class PositionReply(Position, kw_only=True, rename="camel"):
    success: Literal[True]


class PositionList(msgspec.Struct, kw_only=True):
    positions: list[Position]
    success: Literal[True]


class AllPositions(PositionList, kw_only=True):
    count: int


class ClosedPositions(msgspec.Struct, kw_only=True, rename="camel"):
    """The positions as they stood before they were closed."""

    closed_positions: list[Position]
    success: Literal[True]
    warning: Annotated[str, Meta(description="There was nothing to do.")] | msgspec.UnsetType = msgspec.UNSET


class FlattenedPositions(ClosedPositions, kw_only=True, rename="camel"):
    order_ids: Annotated[list[str], Meta(description="The orders that close the positions.")]


class Account(msgspec.Struct, kw_only=True, rename="camel"):
    """One trading account. What Gesta does not keep is 0; `item` holds the money by NinjaTrader's names."""

    id: int
    name: str
    display_name: str
    primary_user: str
    provider: Literal["Simulator"]
    denomination: Annotated[str, Meta(description="NinjaTrader's currency name, for example `UsDollar`.")]
    status: Literal["Enabled"]
    daily_loss_limit: float
    min_cash_value: float
    max_order_size: int
    max_position_size: Annotated[Whole, Meta(description="Of any one instrument; 0 if unbounded.")]
    connection: Literal["NinjaTrader.Cbi.Connection"]
    connection_status: Annotated[
        Literal["Connected", "Disconnected"], Meta(description="Disconnected on a server that does not trade.")
    ]
    last_transaction_sum: float
    item: dict[str, float]


class AccountReply(Account, kw_only=True, rename="camel"):
    success: Literal[True]


class AccountList(msgspec.Struct, kw_only=True):
    accounts: list[Account]
    success: Literal[True]


class SnapshotAccount(Account, kw_only=True, rename="camel"):
    type: str
    is_account_flat: bool


class SnapshotRow(msgspec.Struct, kw_only=True):
    account: SnapshotAccount
    positions: list[Position]


class AccountSummary(msgspec.Struct, kw_only=True):
    """All accounts with their open positions, at one moment. As at the vendor, without `success`."""

    type: Literal["snapshot"]
    timestamp: Annotated[str, Meta(description="In the first account's zone, seven digits and the offset.")]
    epoch: int
    accounts: list[SnapshotRow]

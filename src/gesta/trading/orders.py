"""Orders as frozen values: what is asked for, and what has become of it. Prices in ticks, quantities in lots."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec


class Side(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(enum.StrEnum):
    """A stop becomes marketable once the market trades at or through its price; market-if-touched from the other
    side, as a take-profit does."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    STOP_LIMIT = "stop_limit"
    MARKET_IF_TOUCHED = "market_if_touched"

    @property
    def has_limit(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        """Whether the order waits for a trigger price."""
        return self in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED)


class TimeInForce(enum.StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderState(enum.StrEnum):
    """`order_states.py` has the transitions. The words follow NinjaTrader's, which prints `expired` as Cancelled."""

    INITIALIZED = "initialized"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    WORKING = "working"
    PART_FILLED = "part_filled"
    CHANGE_PENDING = "change_pending"
    CANCEL_PENDING = "cancel_pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Bracket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Protective orders that each fill of an entry brings with it, one canceling the other. Offsets in ticks from the
    fill's price, positive; None leaves that side out."""

    stop_ticks: int | None = None
    target_ticks: int | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order as it stands. `id` is 32 hex digits, made by Gesta; `client_id` is the caller's own, unique in its
    account. `instrument` is a resolved name.

    `filled` lots for `filled_ticks` = Σ ticks·lots, so that the average price is exact; `fills` counts them and makes
    their ids; `commission` is what they cost, in the instrument's currency. `opened_by` is the entry whose bracket this
    order belongs to, `replaces` the order it took the place of, `parent_id` the executor or run that placed it.
    `is_triggered` says that a stop's price was reached. `gap` says that it fired on the first quote after a hole in the
    market data. `placed` has the terms that it was placed with, if they have been changed. `time` fields are UTC
    microseconds.
    """

    id: str
    organization: int
    account: int
    instrument: str
    side: Side
    type: OrderType
    quantity: int
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    client_id: str | None = None
    oco_id: str | None = None
    reduce_only: bool = False
    bracket: Bracket | None = None
    name: str = ""
    strategy: str = ""
    parent_id: str | None = None
    opened_by: str | None = None
    replaces: str | None = None
    venue: str = "paper"
    state: OrderState = OrderState.INITIALIZED
    filled: int = 0
    filled_ticks: int = 0
    fills: int = 0
    commission: Decimal = Decimal(0)
    is_triggered: bool = False
    gap: bool = False
    reason: str = ""
    placed: Change | None = None
    created_at_us: int
    updated_at_us: int
    seq: int = 0

    @property
    def leaves(self) -> int:
        """Lots still to fill."""
        return self.quantity - self.filled


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """New terms of a working order; None keeps what it has. `quantity` is the whole one, filled lots included."""

    quantity: int | None = None
    limit_ticks: int | None = None
    stop_ticks: int | None = None

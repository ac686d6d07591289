"""What a venue is: orders go in, events come out, and nothing else changes anything.

An order is journaled before it is submitted. A fill never comes as a return value. An answer that does not come is an
`UNKNOWN`, resolved by asking for the order's id, never by sending it again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from gesta.trading.market import MarketData
from gesta.trading.orders import Change, Order, OrderState, OrderType, TimeInForce


class VenueCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue does by itself. `native_oco`: it cancels the other orders of a group."""

    order_types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    native_oco: bool = False
    change: bool = False
    finds_by_id: bool = True


class Ack(enum.StrEnum):
    """The immediate answer to a request. `ACCEPTED` says only that it was taken: what follows comes as events."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """`at_us` is Gesta's clock, `venue_time_us` the market's."""

    order_id: str
    at_us: int
    venue_time_us: int


class OrderAccepted(_Event, frozen=True, kw_only=True):
    """At the venue. `is_working` says that it rests in the book or fills at once, rather than waits for a trigger."""

    is_working: bool


class OrderRejected(_Event, frozen=True, kw_only=True):
    """`reason` is a sentence for a person."""

    reason: str


class OrderTriggered(_Event, frozen=True, kw_only=True):
    """A stop or touch price was reached. `gap` says that the market may have reached it unseen."""

    gap: bool = False


class OrderFilled(_Event, frozen=True, kw_only=True):
    """One fill of `lots` at `ticks`. `commission` in money units of the instrument's currency.

    `key` is unique for the order and makes the delivery idempotent. `reference_ticks` is the last traded price before
    the fill, from which slippage is counted; None where it is not meant to be (a resting limit).
    """

    key: str
    lots: int
    ticks: int
    commission: int
    is_maker: bool
    reference_ticks: int | None = None
    gap: bool = False


class OrderCancelled(_Event, frozen=True, kw_only=True):
    """`reason` says who wanted it: the caller, the other order of a pair, immediate-or-cancel …"""

    reason: str = ""


class OrderExpired(_Event, frozen=True, kw_only=True):
    reason: str = "The session ended."


class OrderChanged(_Event, frozen=True, kw_only=True):
    """The new terms are in force. `quantity` includes what is filled."""

    quantity: int
    limit_ticks: int | None
    stop_ticks: int | None
    reason: str = ""


class CancelRefused(_Event, frozen=True, kw_only=True):
    reason: str


class ChangeRefused(_Event, frozen=True, kw_only=True):
    reason: str


VenueEvent = (
    OrderAccepted
    | OrderRejected
    | OrderTriggered
    | OrderFilled
    | OrderCancelled
    | OrderExpired
    | OrderChanged
    | CancelRefused
    | ChangeRefused
)
EventSink = Callable[[Sequence[VenueEvent]], None]


class AccountFunds(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue that checks buying power must know. `cash` in money units; `max_position` is the largest quantity,
    not lots, in any one instrument."""

    cash: int
    max_position: Decimal | None = None


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """`cost` as `positions.Position` has it."""

    lots: int
    cost: int


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """What was on record when the venue was last heard of: where a venue that is ours starts again, and what another's
    answers are compared with. Keys are account, and (account, instrument)."""

    orders: Sequence[Order] = ()
    positions: Mapping[tuple[int, str], OpenPosition] = {}
    funds: Mapping[int, AccountFunds] = {}


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue knows of one order."""

    order_id: str
    state: OrderState
    filled: int


class Venue(Protocol):
    """One place where orders are executed. All calls and all events are on the event loop's thread.

    `on_events` may be called inside `submit`, `cancel`, `change` and `on_market`; it must not call back into the venue.
    """

    name: str
    capabilities: VenueCapabilities

    async def start(self, resume: Resume, on_events: EventSink) -> None: ...

    async def stop(self) -> None: ...

    async def submit(self, order: Order) -> Ack: ...

    async def cancel(self, order_id: str) -> Ack: ...

    async def change(self, order_id: str, change: Change) -> Ack: ...

    def on_market(self, data: MarketData) -> None: ...

    async def query(self, order_id: str) -> OrderReport | None: ...

    def free(self, account: int) -> int | None:
        """Money units that new orders may tie up; None where the venue sets no limit, or does not say."""
        ...

    def set_funds(self, account: int, funds: AccountFunds) -> None: ...
    def set_position(self, account: int, instrument: str, position: OpenPosition) -> None: ...

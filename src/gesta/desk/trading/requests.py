"""What a caller asks for, prices and quantities as `Decimal`; the desk turns them into ticks and lots, or refuses."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from gesta.trading.orders import Bracket, OrderType, Side, TimeInForce


class MarketPosition(enum.StrEnum):
    LONG = "long"
    SHORT = "short"
    FLAT = "flat"


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A new order. `instrument` in any accepted form. `client_id` makes a repeated placement harmless: the same id with
    the same terms is the same order, with other terms a Conflict.

    `require_market_position`: the order is refused unless the position is one of these (empty: any). `max_positions`:
    an order that opens a position is refused when the account has that many open ones.
    """

    instrument: str
    side: Side
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    oco_id: str | None = None
    client_id: str | None = None
    reduce_only: bool = False
    bracket: Bracket | None = None
    name: str = ""
    strategy: str = ""
    parent_id: str | None = None
    require_market_position: frozenset[MarketPosition] = frozenset()
    max_positions: int | None = None


class ChangeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """New terms for a working order, which keeps its id. None keeps what it has."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class BracketPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Protect an open position: cancel what works on the instrument, then a stop and a target as a pair.

    `position` is the side of the position that is expected, None for whatever it is; the quantity is clamped to it.
    """

    instrument: str
    position: Side | None = None
    quantity: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    oco_id: str | None = None

"""An order inside the venue: what it is allowed to change as it works, apart from the frozen one that was submitted."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from gesta.trading.instruments import InstrumentKind
from gesta.trading.orders import Order, OrderState, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from gesta.venues.paper.accounts import Exposure
    from gesta.venues.paper.book import Book
    from gesta.venues.paper.groups import Group
    from gesta.venues.paper.ladder import Level

_MARKETABLE = frozenset({OrderType.MARKET, OrderType.STOP_MARKET, OrderType.MARKET_IF_TOUCHED})


class Place(enum.IntEnum):
    """Where a living order is."""

    NOWHERE = 0
    ON_ITS_WAY = 1  # within the latency
    AWAITS_TRIGGER = 2
    AWAITS_QUOTE = 3  # a market order that found nothing to match
    RESTS = 4


class Working:
    """`order` is what was submitted; quantity, prices and fills here are what counts now.

    `serial` is its time priority, for life. `is_capped`: it may only reduce a position. `is_accepted`: it was said that
    the venue has it. `ahead`: lots of others in front of it in the queue, None while that is not known. `day_end_us`:
    the end of the session in which it was placed, where that was before this start of the venue.
    """

    __slots__ = (
        "ahead",
        "book",
        "day_end_us",
        "exposure",
        "filled",
        "fills",
        "group",
        "held",
        "id",
        "is_accepted",
        "is_buy",
        "is_capped",
        "is_immediate",
        "is_market",
        "is_triggered",
        "level",
        "limit",
        "order",
        "place",
        "price",
        "quantity",
        "serial",
        "stamp",
        "stop",
    )

    def __init__(self, order: Order, serial: int, book: Book, exposure: Exposure, *, spot_short: bool) -> None:
        self.order = order
        self.id = order.id
        self.serial = serial
        self.book = book
        self.exposure = exposure
        self.is_buy = order.side is Side.BUY
        self.is_market = order.type in _MARKETABLE
        self.is_immediate = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        is_long_only = book.instrument.kind is InstrumentKind.SPOT and not spot_short
        self.is_capped = order.reduce_only or (is_long_only and not self.is_buy)
        self.quantity = order.quantity
        self.filled = order.filled
        self.fills = order.fills
        self.limit = order.limit_ticks
        self.stop = order.stop_ticks
        self.is_triggered = order.is_triggered
        self.is_accepted = False
        self.place = Place.NOWHERE
        self.group: Group | None = None
        self.level: Level | None = None
        self.stamp = 0
        self.ahead: int | None = None
        self.held = 0
        self.price = 0
        self.day_end_us: int | None = None

    @property
    def leaves(self) -> int:
        return self.quantity - self.filled

    @property
    def awaits_trigger(self) -> bool:
        return self.order.type.has_stop and not self.is_triggered

    @property
    def state(self) -> OrderState:
        if self.place is Place.ON_ITS_WAY:
            return OrderState.SUBMITTED
        if self.place is Place.AWAITS_TRIGGER:
            return OrderState.ACCEPTED
        return OrderState.PART_FILLED if self.filled else OrderState.WORKING

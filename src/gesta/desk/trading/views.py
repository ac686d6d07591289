"""What the trading desk answers: the committed state, prices as `Decimal`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import msgspec

from gesta.access.model import Account
from gesta.desk.trading.requests import MarketPosition
from gesta.ledger.records import Execution
from gesta.trading.instruments import Instrument
from gesta.trading.orders import Order
from gesta.trading.positions import Position, average_ticks

# What a double can tell apart: an average price is printed as one.
_DOUBLE = Context(prec=16)


def ratio(value: Fraction) -> Decimal:
    """To sixteen digits, exact where that is enough."""
    return _DOUBLE.divide(Decimal(value.numerator), Decimal(value.denominator))


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    instrument: Instrument
    order: Order

    @property
    def average_price(self) -> Decimal:
        """Of what is filled; 0 before the first fill."""
        if not self.order.filled:
            return Decimal(0)
        return ratio(Fraction(self.order.filled_ticks, self.order.filled) * Fraction(self.instrument.tick_size))


class OrderSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next` is what `after` takes to go on; None at the end."""

    rows: Sequence[OrderView]
    next: int | None


class OrderNote(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an order's life: what was asked, what the venue said. `source` is `api`, `venue` or `desk`."""

    number: int
    at_us: int
    source: str
    event: str
    state: str
    message: str = ""
    data: dict[str, Any] = {}


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """`market_price` and `unrealized` are None while the instrument has no market data."""

    account: Account
    instrument: Instrument
    position: Position
    market_price: Decimal | None
    unrealized: Decimal | None

    @property
    def market_position(self) -> MarketPosition:
        lots = self.position.lots
        return MarketPosition.LONG if lots > 0 else MarketPosition.SHORT if lots < 0 else MarketPosition.FLAT

    @property
    def quantity(self) -> Decimal:
        return self.instrument.quantity(abs(self.position.lots))

    @property
    def average_price(self) -> Decimal:
        return ratio(average_ticks(self.position) * Fraction(self.instrument.tick_size))


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account's money, in its currency. `realized` is before commissions. `cash` = starting cash + all realized −
    all commissions; the `session_…` figures count from the start of the trading day."""

    account: Account
    venue: str
    cash: Decimal
    starting_cash: Decimal
    session_cash: Decimal
    realized: Decimal
    session_realized: Decimal
    commission: Decimal
    session_commission: Decimal
    unrealized: Decimal
    initial_margin: Decimal
    max_position: Decimal | None
    positions: Sequence[PositionView]

    @property
    def net_liquidation(self) -> Decimal:
        return self.cash + self.unrealized

    @property
    def buying_power(self) -> Decimal:
        return self.net_liquidation - self.initial_margin


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """`closed` are the positions as they stood; `order_ids` what closes them; `cancelled` what was working."""

    order_ids: Sequence[str]
    closed: Sequence[PositionView]
    cancelled: Sequence[str]


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    order: OrderView


class FillUpdate(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    execution: Execution


class PositionUpdate(msgspec.Struct, frozen=True, kw_only=True):
    position: PositionView


# Told after the commit, in the order of the events: a fill before the position that it made.
Update = OrderUpdate | FillUpdate | PositionUpdate

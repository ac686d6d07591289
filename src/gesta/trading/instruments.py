"""What can be traded: sizes, values and the arithmetic of ticks and lots. Prices are integers of ticks, quantities
integers of lots; `Decimal` stands at the edges only."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from functools import cached_property

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.trading.money import UNITS, divided, to_units

MAX_LOTS = 10**15
MAX_TICKS = 10**12
_SHOWN = 40


class InstrumentKind(enum.StrEnum):
    FUTURE = "future"
    SPOT = "spot"
    LINEAR_PERPETUAL = "linear_perpetual"
    INVERSE_PERPETUAL = "inverse_perpetual"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One tradable thing, resolved: `ES 12-26`, never `ES`.

    `point_value` is what one point of price is worth, in `currency`, for a quantity of 1; of an inverse perpetual it is
    the face value of one contract in the quote currency, and `currency` is the coin it settles in. `initial_margin` is
    per contract; where it is None, `margin_rate` times the value counts. `calendar` names a table of `sessions`.
    """

    name: str
    root: str
    kind: InstrumentKind
    tick_size: Decimal
    lot_size: Decimal
    point_value: Decimal = Decimal(1)
    currency: str = "USD"
    exchange: str = ""
    description: str = ""
    min_notional: Decimal = Decimal(0)
    initial_margin: Decimal | None = None
    margin_rate: Decimal = Decimal(1)
    expiry: date | None = None
    calendar: str = "always"

    # -- prices and quantities at the edge

    def ticks(self, price: Decimal, field: str = "price") -> int:
        """The price in ticks. Raises InvalidInput, naming the nearest prices that would be right, if it is off tick."""
        if not price.is_finite() or price.copy_abs() > MAX_TICKS * self.tick_size:
            raise InvalidInput(f"`{field}` is out of range.", field=field)
        number = int(price // self.tick_size)
        # Multiplied back: a remainder that is too small for the context would be zero.
        if self.price(number) != price:
            below = number if price > 0 else number - 1
            near = f"{self.price(below)} or {self.price(below + 1)}"
            raise InvalidInput(
                f"`{field}` {_shown(price)} is not a multiple of {self.name}'s tick size {self.tick_size}: use {near}.",
                field=field,
            )
        return number

    def price(self, ticks: int) -> Decimal:
        return ticks * self.tick_size

    def lots(self, quantity: Decimal, field: str = "quantity") -> int:
        """The quantity in lots. Raises InvalidInput unless it is positive and a multiple of the lot size."""
        if not quantity.is_finite() or quantity <= 0 or quantity > MAX_LOTS * self.lot_size:
            raise InvalidInput(f"`{field}` must be a positive number of {self.name}.", field=field)
        number = int(quantity // self.lot_size)
        if self.quantity(number) != quantity:
            raise InvalidInput(
                f"`{field}` {_shown(quantity)} is not a multiple of {self.name}'s lot size {self.lot_size}.",
                field=field,
            )
        return number

    def quantity(self, lots: int) -> Decimal:
        return lots * self.lot_size

    # -- value

    @cached_property
    def factor(self) -> int:
        """Money units of one tick for one lot; of an inverse perpetual, the units of `lot face value / tick`."""
        if self.kind is InstrumentKind.INVERSE_PERPETUAL:
            return to_units(self.lot_size * self.point_value / self.tick_size)
        return to_units(self.tick_size * self.lot_size * self.point_value)

    def value(self, ticks: int, lots: int) -> int:
        """Signed value, in money units, such that a long's profit is `value(exit) - value(entry)`.

        Linear: price times quantity, exact. Inverse: minus face value over price, in the coin, rounded once here, as a
        venue that settles in coins books it.
        """
        if self.kind is InstrumentKind.INVERSE_PERPETUAL:
            return -divided(self.factor * lots * (1 if ticks > 0 else -1), abs(ticks)) if ticks else 0
        return self.factor * ticks * lots

    def notional(self, ticks: int, lots: int) -> int:
        """What the lots are worth, in money units, never negative: of an inverse perpetual its face value, in the quote
        currency, so that it can be compared with an account's money."""
        if self.kind is InstrumentKind.INVERSE_PERPETUAL:
            return to_units(self.lot_size * self.point_value) * abs(lots)
        return abs(self.value(ticks, lots))

    def quoted(self, settled: int, ticks: int) -> int:
        """Money units of the settlement currency as units of the quote currency: the coin of an inverse perpetual at a
        price, anything else as it is."""
        if self.kind is InstrumentKind.INVERSE_PERPETUAL:
            return divided(settled * to_units(self.price(ticks)), UNITS)
        return settled

    def margin(self, ticks: int, lots: int) -> int:
        """What holding the lots ties up, in money units."""
        if self.initial_margin is not None:
            return divided(to_units(self.initial_margin * self.lot_size) * abs(lots), 1)
        return divided(self.notional(ticks, abs(lots)) * to_units(self.margin_rate), UNITS)


def _shown(number: Decimal) -> str:
    """For a message: never the whole of a number that someone wrote a page of."""
    text = str(number)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

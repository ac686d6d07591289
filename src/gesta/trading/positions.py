"""A position as the exact fold of its fills: average-cost accounting in whole money units.

Closing a part takes away its share of the open cost, rounded to a unit; the rest stays with what is left. A reversal's
value is cut in two, and what opens gets what the close leaves. So the realized profits of a round trip add up to the
cash that moved, each fill valued whole, to the last unit.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from gesta.trading.instruments import Instrument
from gesta.trading.money import divided


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`lots` is signed. `cost` is the value at which the open lots were entered, in money units, signed as
    `Instrument.value` gives it for the signed lots. `ticks_lots` = Σ ticks·lots of what is open, unsigned, times
    `PRECISION`, for the average price. `realized` is before commissions; `commission` is all that was paid.
    """

    lots: int = 0
    cost: int = 0
    ticks_lots: int = 0
    realized: int = 0
    commission: int = 0
    fills: int = 0
    bought: int = 0
    sold: int = 0


# Average prices keep this many parts of a tick·lot when a position is reduced.
PRECISION = 10**9

FLAT = Position()


class FillEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What one fill did: the position before and after it and NinjaTrader's flags (protocols/crosstrade.md §5).

    `realized` is None where nothing was closed. A reversal is an exit and an initial entry, and not a last exit.
    """

    before: int
    after: int
    realized: int | None
    is_entry: bool
    is_exit: bool
    is_initial_entry: bool
    is_last_exit: bool


def apply_fill(
    position: Position, instrument: Instrument, change: int, ticks: int, commission: int = 0
) -> tuple[Position, FillEffect]:
    """Fold one fill of `change` signed lots at `ticks`. `commission` in money units, for the whole fill."""
    before = position.lots
    after = before + change
    closing = min(abs(before), abs(change)) if before * change < 0 else 0
    lots, cost, ticks_lots, realized = before, position.cost, position.ticks_lots, None
    # Of the whole fill: two parts of it, each rounded by itself, might not add up to it.
    value = instrument.value(ticks, abs(change))
    if closing:
        sign = 1 if before > 0 else -1
        released = divided(cost * closing, abs(before))
        closed = value if closing == abs(change) else instrument.value(ticks, closing)
        realized = sign * closed - released
        value -= closed
        ticks_lots -= divided(ticks_lots * closing, abs(before))
        cost -= released
        lots -= sign * closing
    opening = abs(change) - closing
    if opening:
        sign = 1 if change > 0 else -1
        cost += sign * value
        ticks_lots += ticks * opening * PRECISION
        lots += sign * opening
    assert lots == after
    folded = Position(
        lots=after,
        cost=cost,
        ticks_lots=ticks_lots,
        realized=position.realized + (realized or 0),
        commission=position.commission + commission,
        fills=position.fills + 1,
        bought=position.bought + max(change, 0),
        sold=position.sold + max(-change, 0),
    )
    effect = FillEffect(
        before=before,
        after=after,
        realized=realized,
        is_entry=after * change > 0,
        is_exit=before * change < 0,
        is_initial_entry=after * change > 0 and before * change <= 0,
        is_last_exit=before * change < 0 and after == 0,
    )
    return folded, effect


def average_ticks(position: Position) -> Fraction:
    """The average entry price in ticks; 0 when flat."""
    return Fraction(position.ticks_lots, PRECISION * abs(position.lots)) if position.lots else Fraction(0)


def unrealized(position: Position, instrument: Instrument, ticks: int) -> int:
    """Money units that closing everything at `ticks` would realize, before commissions."""
    if not position.lots:
        return 0
    sign = 1 if position.lots > 0 else -1
    return sign * instrument.value(ticks, abs(position.lots)) - position.cost

"""What a fill did to a position: NinjaTrader's flags (protocols/crosstrade.md §5)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.ledger.records import Side


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    is_entry: bool
    is_exit: bool
    is_initial_entry: bool
    is_last_exit: bool


def signed(side: Side, quantity: Decimal) -> Decimal:
    """The change of the position: positive for a buy."""
    return quantity if side is Side.BUY else -quantity


def flags_of(side: Side, quantity: Decimal, position_after: Decimal) -> Flags:
    """Entry if the position after is in the fill's direction, exit if the position before was against it.

    A reversal is both an exit and an initial entry, and not a last exit.
    """
    change = signed(side, quantity)
    before = position_after - change
    is_entry = position_after * change > 0
    is_exit = before * change < 0
    return Flags(
        is_entry=is_entry,
        is_exit=is_exit,
        is_initial_entry=is_entry and before * change <= 0,
        is_last_exit=is_exit and position_after == 0,
    )

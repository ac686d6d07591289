"""Position holds: what executors leave open when they end, added up as hummingbot-api does it (protocols/hummingbot.md
§10). What was bought and what was sold are two sums; where both are there, the smaller amount is matched, realised and
taken off both. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from gesta.executors.machines.face import Tracked, Trade

ZERO = Decimal(0)
# The newest executors that a hold names; `executor_count` counts all.
MOST_NAMED = 1000


class HoldKey(msgspec.Struct, frozen=True, order=True):
    """What one hold is of. `account` is the id of the account."""

    organization: int
    account: int
    connector: str
    pair: str
    controller: str


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts in base, money in quote. After each addition one of the two sides is empty. `fees_quote` are all fees of
    what was added and stand beside the realised profit, they are not taken off it. `counted_quote`: what open amounts
    were worth above their cost and fees when an executor ended that reports it, too, as its own profit."""

    buy_base: Decimal = ZERO
    buy_quote: Decimal = ZERO
    sell_base: Decimal = ZERO
    sell_quote: Decimal = ZERO
    realized_quote: Decimal = ZERO
    fees_quote: Decimal = ZERO
    counted_quote: Decimal = ZERO
    executor_count: int = 0
    executor_ids: tuple[str, ...] = ()
    updated_at_us: int = 0

    @property
    def net_base(self) -> Decimal:
        """Above zero is long."""
        return self.buy_base - self.sell_base

    @property
    def matched_base(self) -> Decimal:
        """What stands on both sides: nothing, once it is realised."""
        return min(self.buy_base, self.sell_base)

    @property
    def side(self) -> str:
        net = self.net_base
        return "LONG" if net > 0 else "SHORT" if net < 0 else "FLAT"

    @property
    def buy_breakeven(self) -> Decimal | None:
        return self.buy_quote / self.buy_base if self.buy_base else None

    @property
    def sell_breakeven(self) -> Decimal | None:
        return self.sell_quote / self.sell_base if self.sell_base else None

    def unrealized(self, price: Decimal) -> Decimal:
        """What is open, marked at a price."""
        net = self.net_base
        average = self.buy_breakeven if net > 0 else self.sell_breakeven
        return net * (price - average) if net and average is not None else ZERO

    def filled(self, side: Trade, base: Decimal, quote: Decimal, fees: Decimal = ZERO) -> Hold:
        """The hold after so much more was bought or sold."""
        if side is Trade.BUY:
            grown = msgspec.structs.replace(self, buy_base=self.buy_base + base, buy_quote=self.buy_quote + quote)
        else:
            grown = msgspec.structs.replace(self, sell_base=self.sell_base + base, sell_quote=self.sell_quote + quote)
        return _settled(msgspec.structs.replace(grown, fees_quote=self.fees_quote + fees))

    def ended(self, executor_id: str, orders: Iterable[Tracked], *, at_us: int, counted_quote: Decimal = ZERO) -> Hold:
        """The hold after an executor has ended and left these orders' fills; `counted_quote` of them is counted."""
        hold = self
        for order in orders:
            fees = order.fees_quote + order.fees_base * order.average
            hold = hold.filled(order.side, order.executed_base, order.executed_quote, fees)
        return msgspec.structs.replace(
            hold,
            counted_quote=self.counted_quote + counted_quote,
            executor_count=self.executor_count + 1,
            executor_ids=(*self.executor_ids, executor_id)[-MOST_NAMED:],
            updated_at_us=at_us,
        )


def _settled(hold: Hold) -> Hold:
    matched = hold.matched_base
    if not matched:
        return hold
    # The whole of a side is its own sum: no rest is left by a division.
    cost = hold.buy_quote if matched == hold.buy_base else hold.buy_quote * matched / hold.buy_base
    income = hold.sell_quote if matched == hold.sell_base else hold.sell_quote * matched / hold.sell_base
    return msgspec.structs.replace(
        hold,
        buy_base=hold.buy_base - matched,
        buy_quote=hold.buy_quote - cost,
        sell_base=hold.sell_base - matched,
        sell_quote=hold.sell_quote - income,
        realized_quote=hold.realized_quote + income - cost,
    )

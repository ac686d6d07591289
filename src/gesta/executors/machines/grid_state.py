"""What a grid executor knows of itself, and what its position is worth (protocols/hummingbot.md §5)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.executors.machines.common import US, ZERO, fees_quote
from gesta.executors.machines.face import CloseType, Leg, RunnableStatus, Tracked, Trade
from gesta.executors.machines.grid_config import Config
from gesta.executors.machines.grid_levels import Level, LevelState, Plan, level_round

__all__ = ["ENDED_KEPT", "RECENT_KEPT", "RESEND_US", "Ended", "Position", "Realized", "State", "position"]

#: A cancel that nobody has answered is sent again after this time.
RESEND_US = 5 * US
#: Orders that ended without a fill and are still known, for a fill that is told after the cancel.
ENDED_KEPT = 50
#: Orders of completed rounds that are still shown one by one; the sums have them all.
RECENT_KEPT = 50


class Realized(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums of all completed rounds. `dust_base`: what they left open, each less than one base increment."""

    buy_quote: Decimal = ZERO
    sell_quote: Decimal = ZERO
    fees_quote: Decimal = ZERO
    dust_base: Decimal = ZERO

    @property
    def pnl_quote(self) -> Decimal:
        return self.sell_quote - self.buy_quote - self.fees_quote

    def plus(self, side: Trade, opened: Decimal, closed: Decimal, fees: Decimal, dust: Decimal = ZERO) -> Realized:
        """With a round of a grid of `side`: what its openings cost or brought in quote, and its closings."""
        buy, sell = (opened, closed) if side is Trade.BUY else (closed, opened)
        return Realized(
            buy_quote=self.buy_quote + buy,
            sell_quote=self.sell_quote + sell,
            fees_quote=self.fees_quote + fees,
            dust_base=self.dust_base + dust,
        )


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """An order that ended without a fill, and the level it was of."""

    level: int
    order: Tracked


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`plan` is None until a price is known. `mid` is the last that the machine was told. `opened_at_us` is the newest
    opening's time, None if openings need not wait for it; `open_again_at_us` the moment at which those that had to wait
    may be sent. `counted` are orders that ended before they were filled whole, as they were when their round was
    counted: a later fill of one is of another round. `exits` are the market orders that close what is left at the end.
    `failed_at_us` is the sending time of the newest orders that were refused: orders sent together fail as one."""

    config: Config
    leg: Leg
    begun_at_us: int
    max_retries: int
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    plan: Plan | None = None
    levels: tuple[Level, ...] = ()
    exits: tuple[Tracked, ...] = ()
    ended: tuple[Ended, ...] = ()
    counted: tuple[Tracked, ...] = ()
    recent: tuple[Tracked, ...] = ()
    realized: Realized = Realized()
    last_tag: int = 0
    retries: int = 0
    failed_at_us: int = -1
    retry_at_us: int = 0
    opened_at_us: int | None = None
    open_again_at_us: int = 0
    look_at_us: int | None = None
    trailing_trigger: Decimal | None = None
    trailing_since_us: int = 0
    mid: Decimal | None = None

    @property
    def end_us(self) -> int | None:
        limit_s = self.config.triple_barrier.time_limit_s
        if limit_s is None:
            return None
        start_us = self.begun_at_us if self.config.timestamp_us is None else self.config.timestamp_us
        return start_us + limit_s * US

    def of(self, *states: LevelState) -> tuple[Level, ...]:
        return tuple(level for level in self.levels if level.state in states)

    @property
    def open_places(self) -> int:
        """How many more opening orders may be live. Unlike in Hummingbot, `max_open_orders` is a bound, not a gate."""
        return self.config.max_open_orders - len(self.of(LevelState.OPEN_ORDER_PLACED))

    @property
    def left_base(self) -> Decimal:
        """What is still open, in base; below 0 if more was closed than opened."""
        left = sum((level_round(self.config, level).left for level in self.levels if level.orders), ZERO)
        return left + self.realized.dust_base - self.exited_base

    @property
    def exited_base(self) -> Decimal:
        exited = ZERO
        for order in self.exits:
            exited += order.executed_base if order.side is not self.config.side else -order.executed_base
        return exited

    @property
    def open_orders(self) -> tuple[Tracked, ...]:
        """The orders with fills that are of no completed round: what a hold is made of."""
        orders = [order for level in self.levels for order in level.orders if order.executed_base]
        return (*orders, *(order for order in self.exits if order.executed_base))


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is open, at its cost, and the sums of all that is not. Without partial closings: §5's formulas as they are,
    but for the fills' prices in the place of the orders' own."""

    base: Decimal = ZERO
    average_price: Decimal = ZERO
    size_quote: Decimal = ZERO
    fees_quote: Decimal = ZERO
    realized: Realized

    def pnl_quote(self, side: Trade, mid: Decimal | None) -> Decimal:
        if not self.size_quote:
            return ZERO
        moved = ZERO if mid is None else (mid - self.average_price) / self.average_price
        return side.sign * moved * self.size_quote - self.fees_quote

    def pnl_pct(self, side: Trade, mid: Decimal | None) -> Decimal:
        return self.pnl_quote(side, mid) / self.size_quote if self.size_quote > 0 else ZERO


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of what is open: base after fees and before, cost, fees, and the fees that the amount has in it."""

    net: Decimal = ZERO
    gross: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    in_amount: Decimal = ZERO

    def plus(self, other: _Open) -> _Open:
        return _Open(
            net=self.net + other.net,
            gross=self.gross + other.gross,
            cost=self.cost + other.cost,
            fees=self.fees + other.fees,
            in_amount=self.in_amount + other.in_amount,
        )


def position(state: State) -> Position:
    """Rounds that are closed in part are realized in proportion, and so is what the exits have closed of the rest."""
    side, realized = state.config.side, state.realized
    left = _Open()
    for level in state.levels:
        if not level.orders:
            continue
        sums = level_round(state.config, level)
        opened = _Open(
            net=sums.opened_net,
            gross=sums.opened_base,
            cost=sums.opened_quote,
            fees=sums.opened_fees,
            in_amount=sums.fees_in_amount,
        )
        if sums.closed_base:
            opened, realized = _closed(side, opened, sums.closed_base, sums.closed_quote, sums.closed_fees, realized)
        left = left.plus(opened)
    if state.exits:
        quote = sum((o.executed_quote if o.side is not side else -o.executed_quote for o in state.exits), ZERO)
        left, realized = _closed(side, left, state.exited_base, quote, fees_quote(state.exits), realized)
    if not left.gross and left.cost:
        # Rounds that were closed too far, and others that are not, outweigh each other: nothing is open.
        realized = realized.plus(side, left.cost, ZERO, ZERO)
    average = left.cost / left.gross if left.gross else ZERO
    return Position(
        base=left.net,
        average_price=average,
        size_quote=left.net * average,
        fees_quote=left.fees,
        realized=realized,
    )


def _closed(
    side: Trade, opened: _Open, base: Decimal, quote: Decimal, fees: Decimal, realized: Realized
) -> tuple[_Open, Realized]:
    """What is left open when `base` is closed for `quote`. More than was open, if a cancelled closing filled after
    all, is open the other way, at what it was closed for."""
    part = base / opened.net if opened.net else ZERO
    excess = ZERO
    if not opened.net or part < 0:
        part, excess = ZERO, base
    elif part > 1:
        part, excess = Decimal(1), base - opened.net
    excess_quote = quote * excess / base if excess else ZERO
    realized = realized.plus(
        side, part * (opened.cost - opened.in_amount), quote - excess_quote, part * opened.fees + fees
    )
    rest = 1 - part
    left = _Open(
        net=opened.net - base,
        gross=rest * opened.gross - excess,
        cost=rest * opened.cost - excess_quote,
        fees=rest * opened.fees,
        in_amount=rest * opened.in_amount,
    )
    return left, realized

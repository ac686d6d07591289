"""The DCA executor's state, its PnL, and the prices at which its barriers act (protocols/hummingbot.md §4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import (
    US,
    ZERO,
    Book,
    average_price,
    closing_price,
    executed_base,
    fees_quote,
    held_json,
    meets_minimum,
    order_ids,
    quantize_amount,
    trailing_raised,
)
from gesta.executors.machines.dca_config import Config, Mode, bounds_of
from gesta.executors.machines.face import CloseType, Leg, Price, RunnableStatus, Tracked, Trade, Trail, Watch

__all__ = [
    "Figures",
    "State",
    "barrier_watches",
    "bound_watch",
    "custom_info",
    "figures_of",
    "left_open",
    "stop_loss_pct",
    "trail",
    "trailed",
]

# A watched level is computed, and may err in its last digit. Prices are ticks, and far coarser than this.
HAIR = Decimal("1e-20")


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`levels` are the tags of the levels' orders, 0 for one without. `next_open_at_us` is the earliest moment for the
    next level, `next_close_at_us` for another close order after one that failed. `beyond` says on which side of the
    next level's bounds the mid price was last seen (1 above, -1 below, 0 not looked yet), `blind` that there was no
    price to look at. `look_at_us`: since then something was filled, and the barriers have not been looked at.
    `trailing_since_us` is when the trailing trigger was set last. `last_price` is kept when the executor ends with
    something open: its PnL is that of then."""

    config: Config
    leg: Leg
    max_retries: int
    levels: tuple[int, ...]
    end_at_us: int | None = None
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    book: Book = Book()
    retries: int = 0
    trailing_trigger: Decimal | None = None
    trailing_since_us: int = 0
    next_open_at_us: int = 0
    next_close_at_us: int = 0
    look_at_us: int | None = None
    beyond: int = 0
    blind: bool = False
    refusal: str = ""
    last_price: Price | None = None

    @property
    def opens(self) -> tuple[Tracked, ...]:
        return tuple(order for order in self.book.orders if order.side is self.config.side)

    @property
    def closes(self) -> tuple[Tracked, ...]:
        return tuple(order for order in self.book.orders if order.side is not self.config.side)

    @property
    def next_level(self) -> int | None:
        """The first level without an order."""
        return self.levels.index(0) if 0 in self.levels else None


def _average(opens: tuple[Tracked, ...]) -> Decimal:
    filled = executed_base(opens)
    if not filled:
        return ZERO
    return sum((order.average * order.executed_base for order in opens), ZERO) / filled


def left_open(state: State) -> Decimal:
    """What is still to be closed. On a spot market, fees taken in base are not there to be sold."""
    opens = state.opens
    left = executed_base(opens) - executed_base(state.closes)
    if not state.leg.is_perpetual and state.config.side is Trade.BUY:
        left -= sum((order.fees_base for order in opens), ZERO)
    return quantize_amount(state.leg.rules, left) if left > 0 else ZERO


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    open_filled: Decimal
    average: Decimal
    open_quote: Decimal
    closed: Decimal
    market: Decimal | None
    close_price: Decimal
    fees: Decimal
    net_quote: Decimal
    net_pct: Decimal
    filled_quote: Decimal


def figures_of(state: State, price: Price | None) -> Figures:
    """PnL of what is closed at what it was closed at, of the rest at what it could be closed at now."""
    opens, closes = state.opens, state.closes
    filled, average = executed_base(opens), _average(opens)
    price = state.last_price or price
    market = None if price is None else closing_price(state.config.side, price)
    closed, close_average = executed_base(closes), average_price(closes)
    mark = average if market is None else market
    close_price = mark
    if close_average is not None:
        close_price = close_average
        if left_open(state) and filled:
            close_price = (closed * close_average + (filled - closed) * mark) / filled
    open_quote = filled * average
    pct = state.config.side.sign * (close_price - average) / average if average else ZERO
    fees = fees_quote(state.book.orders)
    net = pct * open_quote - fees
    return Figures(
        open_filled=filled,
        average=average,
        open_quote=open_quote,
        closed=closed,
        market=market,
        close_price=close_price,
        fees=fees,
        net_quote=net,
        net_pct=net / open_quote if open_quote else ZERO,
        filled_quote=open_quote + (closed * close_average if close_average is not None else ZERO),
    )


def _price_at(state: State, net_pct: Decimal) -> Decimal:
    """The closing price at which the net PnL is this fraction: `figures_of` turned round, nothing being closed yet."""
    opens = state.opens
    average = _average(opens)
    fees_pct = fees_quote(state.book.orders) / (executed_base(opens) * average)
    return average * (1 + state.config.side.sign * (net_pct + fees_pct))


def stop_loss_pct(state: State) -> Decimal | None:
    """The net PnL fraction at or below which the stop-loss acts, None while there is none to act."""
    config = state.config
    filled = executed_base(state.opens)
    if config.stop_loss is None or not filled:
        return None
    if config.mode is Mode.TAKER:
        return -sum(config.amounts_quote, ZERO) * config.stop_loss / (filled * _average(state.opens))
    orders = state.book.some(state.levels)
    armed = len(orders) == len(state.levels) and all(order.is_done or order.executed_base for order in orders)
    return -config.stop_loss if armed else None


def barrier_watches(state: State) -> tuple[Watch, ...]:
    """In terms of PnL: the nearest barrier below, the nearest above; a short's prices run the other way."""
    config = state.config
    left = left_open(state)
    if not left:
        return ()
    worse = [pct for pct in (stop_loss_pct(state), state.trailing_trigger) if pct is not None]
    better = [] if config.take_profit is None else [config.take_profit]
    if config.trailing_stop is not None and state.trailing_trigger is None:
        better.append(config.trailing_stop.activation_pct)
    of, sign = ("bid" if config.side is Trade.BUY else "ask"), config.side.sign
    found = []
    # A stop acts at its price, take-profit and trailing only beyond theirs.
    for pct, is_worse in ((max(worse, default=None), True), (min(better, default=None), False)):
        if pct is None:
            continue
        level = _price_at(state, pct)
        level *= 1 + sign * HAIR
        if level > 0 and meets_minimum(state.leg.rules, left, level):
            below = is_worse is (config.side is Trade.BUY)
            found.append(Watch(of=of, at_or_below=level) if below else Watch(of=of, at_or_above=level))
    return tuple(found)


def trail(state: State) -> Trail | None:
    """An active trailing trigger rises with the best price, by as much as the PnL differs, in terms of the price."""
    trailing = state.config.trailing_stop
    if trailing is None or state.trailing_trigger is None or not left_open(state):
        return None
    is_long = state.config.side is Trade.BUY
    return Trail(
        of="bid" if is_long else "ask",
        is_rising=is_long,
        distance=trailing.delta_pct * _average(state.opens),
        since_us=state.trailing_since_us,
    )


def trailed(state: State, at_us: int, price: Price | None) -> State:
    """With the trailing trigger as high as the best price since it was set last."""
    if price is None or price.best is None or state.trailing_trigger is None or not left_open(state):
        return state
    best_pct = figures_of(state, Price(price.best, price.best)).net_pct
    trigger = trailing_raised(state.config.trailing_stop, state.trailing_trigger, best_pct)
    if trigger == state.trailing_trigger:
        return state
    return msgspec.structs.replace(state, trailing_trigger=trigger, trailing_since_us=at_us)


def custom_info(state: State, figures: Figures, held: tuple[Tracked, ...]) -> dict[str, Any]:
    """§4."""
    config = state.config
    amount = sum(config.amounts_quote, ZERO)
    weighted = sum((p * a for p, a in zip(config.prices, config.amounts_quote, strict=True)), ZERO)
    return {
        "side": config.side,
        "current_position_average_price": figures.average,
        "target_position_average_price": weighted / amount,
        "filled_amount": figures.open_filled + figures.closed,
        "filled_amount_quote": figures.filled_quote,
        "max_amount_quote": amount,
        "min_price": min(config.prices),
        "max_price": max(config.prices),
        "max_loss_quote": amount * (config.stop_loss or ZERO),
        "current_market_price": figures.market,
        "close_price": figures.close_price,
        "close_type": state.close_type,
        "close_timestamp": None if state.close_at_us is None else Decimal(state.close_at_us) / US,
        "n_levels": len(config.prices),
        "trailing_stop_trigger_pct": state.trailing_trigger,
        "total_executed_amount_backup": figures.open_filled,
        "current_retries": state.retries,
        "max_retries": state.max_retries,
        "level_id": config.level_id,
        "order_ids": order_ids(state.book.orders),
        "held_position_orders": held_json(held),
    }


def bound_watch(state: State) -> Watch | None:
    """What brings the mid price back into the bounds of the next level; None if it is not known to be outside."""
    level = state.next_level
    if level is None or not state.beyond:
        return None
    low, high = bounds_of(state.config, level)
    if state.beyond > 0:
        return None if high is None else Watch(of="mid", at_or_below=high * (1 - HAIR))
    return None if low is None else Watch(of="mid", at_or_above=low * (1 + HAIR))

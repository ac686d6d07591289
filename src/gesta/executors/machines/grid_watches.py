"""What must wake a grid executor: the prices that change what it does, and its moments."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gesta.executors.machines.common import ZERO, trailing_raised
from gesta.executors.machines.face import OrderKind, OrderStatus, Price, RunnableStatus, Trade, Trail, Watch, Watches
from gesta.executors.machines.grid_levels import LevelState
from gesta.executors.machines.grid_state import RESEND_US, State, position

__all__ = ["trailed", "watches"]

# A wake-up is by "at or above"; what is asked for "above" lies beyond by less than any price increment. It also covers
# the last digit that computing a price from a percentage may lose.
BEYOND = Decimal("1e-20")


def watches(state: State) -> Watches:
    if state.status not in (RunnableStatus.RUNNING, RunnableStatus.SHUTTING_DOWN):
        return Watches()
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return Watches(at_us=_moment(state))
    if state.plan is None or state.mid is None:
        return Watches(at_us=_moment(state), every=True)
    return Watches(
        prices=(*_mid_watch(state, state.mid), *_market_profit_watch(state)), at_us=_moment(state), trail=_trail(state)
    )


def trailed(state: State, at_us: int, price: Price | None) -> State:
    """With the trailing trigger as high as the best price since it was set last."""
    if price is None or price.best is None or state.trailing_trigger is None:
        return state
    open_position = position(state)
    if open_position.size_quote <= 0:
        return state
    best_pct = open_position.pnl_pct(state.config.side, price.best)
    trigger = trailing_raised(state.config.triple_barrier.trailing_stop, state.trailing_trigger, best_pct)
    if trigger == state.trailing_trigger:
        return state
    return msgspec.structs.replace(state, trailing_trigger=trigger, trailing_since_us=at_us)


def _trail(state: State) -> Trail | None:
    trailing, open_position = state.config.triple_barrier.trailing_stop, position(state)
    if trailing is None or state.trailing_trigger is None or open_position.size_quote <= 0:
        return None
    return Trail(
        of="mid",
        is_rising=state.config.side is Trade.BUY,
        distance=trailing.delta_pct * open_position.average_price,
        since_us=state.trailing_since_us,
    )


def _moment(state: State) -> int | None:
    moments = [state.retry_at_us, state.open_again_at_us, *(level.retry_at_us for level in state.levels)]
    for level in state.levels:
        moments += [o.updated_at_us + RESEND_US for o in level.orders if o.status is OrderStatus.CANCELLING]
    future = [moment for moment in moments if moment]
    if state.look_at_us is not None:
        future.append(state.look_at_us)
    if state.status is RunnableStatus.RUNNING and state.end_us is not None:
        future.append(state.end_us)
    return min(future, default=None)


def _mid_watch(state: State, mid: Decimal) -> tuple[Watch, ...]:
    """The nearest price on each side at which something changes. What lies on the near side of `mid` has been looked
    at already: it cannot be crossed again before the other side is."""
    levels = [*_range_levels(state), *_pnl_levels(state), *_bound_levels(state), *_waiting_levels(state)]
    below = max((level for level in levels if level < mid), default=None)
    above = min((level for level in levels if level > mid), default=None)
    if below is None and above is None:
        return ()
    return (Watch(of="mid", at_or_below=below, at_or_above=above),)


def _range_levels(state: State) -> list[Decimal]:
    config = state.config
    limit = [config.limit_price] if config.limit_price else []
    if config.side is Trade.BUY:
        return [*limit, config.end_price * (1 + BEYOND)]
    return [*limit, config.start_price * (1 - BEYOND)]


def _pnl_levels(state: State) -> list[Decimal]:
    """The mid prices at which the position's PnL reaches the stop-loss and the trailing stop's marks."""
    barrier, side = state.config.triple_barrier, state.config.side
    open_position = position(state)
    if open_position.size_quote <= 0:
        return []
    marks: list[tuple[Decimal, bool]] = []
    if barrier.stop_loss is not None:
        marks.append((-barrier.stop_loss, False))
    if barrier.trailing_stop is not None:
        if state.trailing_trigger is None:
            marks.append((barrier.trailing_stop.activation_pct, True))
        else:
            marks.append((state.trailing_trigger, False))
    fees_pct = open_position.fees_quote / open_position.size_quote
    levels = []
    for pct, better in marks:
        level = open_position.average_price * (1 + side.sign * (pct + fees_pct))
        upwards = better is (side is Trade.BUY)
        levels.append(level * (1 + BEYOND) if upwards else level * (1 - BEYOND))
        if not better:
            # Reached exactly, a stop-loss has to fire.
            levels.append(level * (1 + BEYOND) if side is Trade.BUY else level * (1 - BEYOND))
    return levels


def _bound_levels(state: State) -> list[Decimal]:
    """Where a level or an order comes into the activation bounds, or leaves them."""
    bound = state.config.activation_bounds
    if bound is None:
        return []
    prices = [level.price for level in state.of(LevelState.NOT_ACTIVE)] if state.open_places > 0 else []
    prices += [level.take_profit_price for level in state.of(LevelState.OPEN_ORDER_FILLED)]
    for level in state.levels:
        prices += [order.price for order in level.orders if not order.is_done and order.price is not None]
    levels = []
    for price in prices:
        for factor in (1 - BEYOND, 1 + BEYOND):
            levels.append(price / (1 + bound) * factor)
            if bound < 1:
                levels.append(price / (1 - bound) * factor)
    return levels


def _waiting_levels(state: State) -> list[Decimal]:
    """A level that is too small to be opened at this price is looked at again when the price comes to it."""
    return [level.price for level in state.of(LevelState.NOT_ACTIVE)] if state.open_places > 0 else []


def _market_profit_watch(state: State) -> tuple[Watch, ...]:
    if state.config.triple_barrier.take_profit_order_type is not OrderKind.MARKET:
        return ()
    prices = [level.take_profit_price for level in state.of(LevelState.OPEN_ORDER_FILLED) if not level.retry_at_us]
    prices = [price for price in prices if price > ZERO]
    if not prices:
        return ()
    if state.config.side is Trade.BUY:
        return (Watch(of="bid", at_or_above=min(prices)),)
    return (Watch(of="ask", at_or_below=max(prices)),)

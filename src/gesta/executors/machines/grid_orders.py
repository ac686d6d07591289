"""Which orders a grid sends at a price: the levels that are due, their amounts and prices (hummingbot.md §5)."""

from __future__ import annotations

from decimal import Decimal

from gesta.executors.machines.common import best_price, meets_minimum, quantize_amount, quantize_price
from gesta.executors.machines.face import OrderKind, OrderStatus, Price, Tracked, Trade
from gesta.executors.machines.grid_levels import Level, LevelState, level_round
from gesta.executors.machines.grid_state import State

__all__ = ["closing", "distant", "due_to_close", "due_to_open", "opening"]


def due_to_open(state: State, price: Price) -> list[Level]:
    """The levels that may be opened, the nearest first. One too small for the venue at this price is not among them:
    as the price comes nearer, its amount grows."""
    config, rules = state.config, state.leg.rules
    if state.plan is None:
        return []
    levels = [level for level in state.of(LevelState.NOT_ACTIVE) if not level.retry_at_us]
    bound = config.activation_bounds
    if bound is not None and config.side is Trade.BUY:
        levels = [level for level in levels if level.price >= price.mid * (1 - bound)]
    elif bound is not None:
        levels = [level for level in levels if level.price <= price.mid * (1 + bound)]
    due = [level for level in levels if meets_minimum(rules, *opening(state, state.plan.amount_quote, level, price))]
    return sorted(due, key=lambda level: abs(level.price - price.mid))


def opening(state: State, amount_quote: Decimal, level: Level, price: Price) -> tuple[Decimal, Decimal]:
    """Amount and price of a level's opening. One that would cross the book is placed just behind it."""
    config, rules = state.config, state.leg.rules
    best = best_price(config.side, price)
    at = level.price
    if at >= best if config.side is Trade.BUY else at <= best:
        at = best * (1 - config.side.sign * config.safe_extra_spread)
    if config.triple_barrier.open_order_type.is_limit:
        at = quantize_price(rules, at)
    return quantize_amount(rules, amount_quote / price.mid), at


def due_to_close(state: State, price: Price) -> list[Level]:
    """The filled levels whose closing is to be sent. By limit order it rests at the level's profit; a market order
    would close at once at whatever price there is, and so waits for the profit to be reached."""
    config = state.config
    levels = [level for level in state.of(LevelState.OPEN_ORDER_FILLED) if not level.retry_at_us]
    if config.triple_barrier.take_profit_order_type is OrderKind.MARKET:
        if config.side is Trade.BUY:
            return [level for level in levels if price.bid >= level.take_profit_price]
        return [level for level in levels if price.ask <= level.take_profit_price]
    bound = config.activation_bounds
    if bound is None:
        return levels
    return [level for level in levels if abs(level.take_profit_price - price.mid) / price.mid < bound]


def closing(state: State, level: Level, price: Price) -> tuple[Decimal, Decimal]:
    """Amount and price of what closes a level. One that would cross the book is placed just behind it."""
    config, rules = state.config, state.leg.rules
    best = best_price(config.side.opposite, price)
    at = level.take_profit_price
    if at <= best if config.side is Trade.BUY else at >= best:
        at = best * (1 + config.side.sign * config.safe_extra_spread)
    if config.triple_barrier.take_profit_order_type.is_limit:
        at = quantize_price(rules, at)
    return quantize_amount(rules, level_round(config, level).left), at


def distant(state: State, mid: Decimal) -> list[tuple[Level, Tracked]]:
    """The resting orders, of both sides, that are farther from the mid than the activation bounds."""
    bound = state.config.activation_bounds
    if bound is None:
        return []
    found = []
    for level in state.levels:
        order = level.live
        if order is None or order.price is None or not order.kind.is_limit:
            continue
        if order.status is OrderStatus.OPEN and abs(order.price - mid) / mid > bound:
            found.append((level, order))
    return found

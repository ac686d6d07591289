"""What a position executor computes from its state: exposure, PnL, the levels that concern it, and its report.

The formulas, and the order of their operations, are Hummingbot's (protocols/hummingbot.md §2.2), so that 28 digits
agree. Where it knows one entry and one exit order, here are sums over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gesta.executors.machines.common import (
    US,
    ZERO,
    TripleBarrier,
    average_price,
    closing_price,
    executed_base,
    executed_quote,
    fees_quote,
    held_json,
    meets_minimum,
    order_ids,
    quantize_amount,
)
from gesta.executors.machines.face import (
    CloseType,
    OrderKind,
    OrderStatus,
    Price,
    Report,
    RunnableStatus,
    Tracked,
    Trade,
    Trail,
    Watch,
    Watches,
)

if TYPE_CHECKING:
    from gesta.executors.machines.position import State

# A level is computed another way round than the PnL that it stands for, and is wrong in the last digit. It is set this
# much nearer where the machine acts at the level itself, and this much farther where it acts only beyond it, so that it
# is never woken by what it has just looked at. No price has so many digits that it could lie between.
SLACK = Decimal("1e-15")


# -- exposure


def open_filled(state: State) -> Decimal:
    """Base that was opened and can be closed: fees that were taken in base are gone."""
    opens = state.opens
    base = executed_base(opens) - sum((order.fees_base for order in opens), ZERO)
    return max(ZERO, quantize_amount(state.leg.rules, base))


def close_filled(state: State) -> Decimal:
    return executed_base(state.targets) + executed_base(state.closes)


def amount_to_close(state: State) -> Decimal:
    return open_filled(state) - close_filled(state)


def outstanding(orders: Iterable[Tracked]) -> Decimal:
    return sum((order.amount - order.executed_base for order in orders if not order.is_done), ZERO)


def left_to_close(state: State) -> Decimal:
    """What no closing order is out for."""
    return quantize_amount(state.leg.rules, amount_to_close(state) - outstanding(state.closes))


def entry_remaining(state: State) -> Decimal:
    return state.config.amount - executed_base(state.opens)


def can_be_closed(state: State) -> bool:
    """Whether barriers can guard it: something is open, and a venue would take the order that closes it."""
    filled = open_filled(state)
    return bool(filled) and amount_to_close(state) > 0 and meets_minimum(state.leg.rules, filled, entry(state))


# -- prices


def entry(state: State) -> Decimal:
    """The average price of its fills, the wanted price before the first."""
    average = average_price(state.opens)
    return average if average is not None else state.entry_price or ZERO


def entry_order_price(state: State, price: Price) -> Decimal:
    wanted = state.entry_price or ZERO
    if state.config.triple_barrier.open_order_type is not OrderKind.LIMIT_MAKER:
        return wanted
    return min(wanted, price.bid) if state.config.side is Trade.BUY else max(wanted, price.ask)


def market_price(state: State, price: Price) -> Decimal:
    return closing_price(state.config.side, price)


def market_target(barrier: TripleBarrier) -> Decimal | None:
    """The take-profit, if it closes by market order."""
    return barrier.take_profit if barrier.take_profit_order_type is OrderKind.MARKET else None


def resting_target(barrier: TripleBarrier) -> Decimal | None:
    """The take-profit, if an order rests for it."""
    return barrier.take_profit if barrier.take_profit_order_type is not OrderKind.MARKET else None


def target_price(state: State) -> Decimal:
    """Gross: before fees (§2.3)."""
    return entry(state) * (1 + state.config.side.sign * (state.config.triple_barrier.take_profit or ZERO))


def target_order_price(state: State, price: Price) -> Decimal:
    target = target_price(state)
    if state.config.triple_barrier.take_profit_order_type is not OrderKind.LIMIT_MAKER:
        return target
    return max(target, price.ask) if state.config.side is Trade.BUY else min(target, price.bid)


def target_is_reached(state: State, price: Price) -> bool:
    sign = state.config.side.sign
    return sign * market_price(state, price) >= sign * target_price(state)


def close_price(state: State, price: Price | None) -> Decimal:
    """The average price of the exit: its fills, and what is open at the price it could be closed at. What is left open
    at the end counts at its entry: its PnL is the hold's from there on."""
    closing = (*state.targets, *state.closes)
    closed, left = close_filled(state), amount_to_close(state)
    if state.status is RunnableStatus.TERMINATED or price is None:
        market = entry(state)
    else:
        market = entry(state) if state.close_type is CloseType.POSITION_HOLD else market_price(state, price)
    if not closed:
        return market
    if left <= 0:
        return average_price(closing) or market
    return (executed_quote(closing) + left * market) / (closed + left)


# -- profit and loss


def _pnl(state: State, price: Price | None) -> tuple[Decimal, Decimal]:
    """Net PnL in quote, and as a fraction of the entry's value."""
    filled, at = open_filled(state), entry(state)
    if filled and at:
        # The subtraction comes first, as in Hummingbot: a product with the sign would be the same.
        close = close_price(state, price)
        pct = (close - at) / at if state.config.side is Trade.BUY else (at - close) / at
    else:
        pct = ZERO
    net = pct * filled * at - fees_quote(state.book.orders)
    value = filled * at
    return net, net / value if value else ZERO


def net_pnl_pct(state: State, price: Price) -> Decimal:
    return _pnl(state, price)[1]


# -- activation bounds


def within_bounds(state: State, at: Decimal, side: Trade, kind: OrderKind, mid: Decimal) -> tuple[bool, str]:
    """Whether an order at price `at` is near enough to the market (§2.3); if not, the bound to come back over."""
    bounds = state.config.activation_bounds
    if bounds is None:
        return True, ""
    if kind.is_limit:
        if side is Trade.BUY:
            return at >= mid * (1 - bounds[0]), "high"
        return at <= mid * (1 + bounds[0]), "low"
    low, high = _market_bounds(at, side, bounds)
    return low <= mid <= high, "low" if mid < low else "high"


def _market_bounds(at: Decimal, side: Trade, bounds: tuple[Decimal, Decimal]) -> tuple[Decimal, Decimal]:
    below, above = bounds if side is Trade.BUY else (bounds[1], bounds[0])
    return at * (1 - below), at * (1 + above)


def _bound_level(at: Decimal, side: Trade, bound: Decimal) -> Decimal | None:
    """The mid price from which a limit order is near enough: below it to buy, above it to sell. None: always."""
    if side is Trade.BUY:
        return at / (1 - bound) if bound < 1 else None
    return at / (1 + bound)


# -- what must wake it


def watches(state: State) -> Watches:
    if state.status in (RunnableStatus.NOT_STARTED, RunnableStatus.TERMINATED):
        return Watches()
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return Watches(at_us=state.look_at_us)
    moments = [moment for moment in (state.look_at_us, state.end_us) if moment is not None]
    entry_levels = _entry_levels(state)
    wanted = not state.entry_over and entry_remaining(state) > 0 and all(order.is_done for order in state.opens)
    # An entry that is wanted, and neither out of its bounds nor to be tried again later, lacks only market data.
    waits_for_data = wanted and not entry_levels and state.look_at_us is None
    return Watches(
        prices=(*entry_levels, *_barrier_levels(state)),
        at_us=min(moments, default=None),
        every=waits_for_data,
        trail=_trail(state),
    )


def _entry_levels(state: State) -> list[Watch]:
    bounds, at = state.config.activation_bounds, state.entry_price
    if bounds is None or at is None or state.entry_over or entry_remaining(state) <= 0:
        return []
    side, kind = state.config.side, state.config.triple_barrier.open_order_type
    working = next((order for order in reversed(state.opens) if not order.is_done), None)
    if not kind.is_limit:
        if working is not None or not state.approach:
            return []
        low, high = _market_bounds(at, side, bounds)
        return [_above("mid", low) if state.approach == "low" else _below("mid", high)]
    return _bound_levels(at, side, bounds[0], working, waits=bool(state.approach))


def _bound_levels(at: Decimal, side: Trade, bound: Decimal, working: Tracked | None, *, waits: bool) -> list[Watch]:
    """Where a limit order leaves its bounds, or comes back into them. While the venue is asked, it is the answer that
    wakes."""
    level = _bound_level(at, side, bound)
    if level is None:
        return []
    if working is not None:
        if working.status is not OrderStatus.OPEN:
            return []
        # A buy leaves its bounds upwards.
        return [_above("mid", level, beyond=True) if side is Trade.BUY else _below("mid", level, beyond=True)]
    if not waits:
        return []
    return [_below("mid", level) if side is Trade.BUY else _above("mid", level)]


def _barrier_levels(state: State) -> list[Watch]:
    if not can_be_closed(state):
        return []
    barrier, trailing = state.config.triple_barrier, state.config.triple_barrier.trailing_stop
    sign, levels = state.config.side.sign, list[Watch]()

    def loss(pct: Decimal, *, beyond: bool = False) -> None:
        levels.append(_toward(state, -sign, _price_at(state, pct), beyond=beyond))

    def gain(pct: Decimal, *, beyond: bool = False) -> None:
        levels.append(_toward(state, sign, _price_at(state, pct), beyond=beyond))

    if barrier.stop_loss is not None:
        loss(-barrier.stop_loss)
    if trailing is not None and state.trailing_trigger is None:
        gain(trailing.activation_pct, beyond=True)
    elif trailing is not None and state.trailing_trigger is not None:
        loss(state.trailing_trigger, beyond=True)
    target = market_target(barrier)
    if target is not None:
        gain(target)
    if resting_target(barrier) is not None:
        levels.extend(_target_levels(state))
    return levels


def _trail(state: State) -> Trail | None:
    """From here on the trigger rises with the best price: by as much as the PnL differs, in terms of the price."""
    trailing = state.config.triple_barrier.trailing_stop
    if trailing is None or state.trailing_trigger is None or not can_be_closed(state):
        return None
    distance = trailing.delta_pct * entry(state) * open_filled(state) / amount_to_close(state)
    is_long = state.config.side is Trade.BUY
    of = "bid" if is_long else "ask"
    return Trail(of=of, is_rising=is_long, distance=distance, since_us=state.trailing_since_us)


def _toward(state: State, sign: int, level: Decimal, *, beyond: bool = False) -> Watch:
    """The closing price at a level, reached upwards (1) or downwards (-1)."""
    of = "bid" if state.config.side is Trade.BUY else "ask"
    return _above(of, level, beyond=beyond) if sign > 0 else _below(of, level, beyond=beyond)


def _target_levels(state: State) -> list[Watch]:
    entering = next((order for order in state.opens if not order.is_done), None)
    if entering is not None:
        # Reached before the entry is whole: the rest of the entry is called back.
        wanted = entering.status is OrderStatus.OPEN
        return [_toward(state, state.config.side.sign, target_price(state))] if wanted else []
    bounds = state.config.activation_bounds
    if bounds is None:
        return []
    working = next((order for order in state.targets if not order.is_done), None)
    return _bound_levels(target_price(state), state.config.side.opposite, bounds[0], working, waits=state.target_waits)


def _price_at(state: State, pct: Decimal) -> Decimal:
    """The closing price at which the net PnL is `pct` of the entry's value."""
    filled, at, sign = open_filled(state), entry(state), state.config.side.sign
    close = at * (1 + sign * pct) + sign * fees_quote(state.book.orders) / filled
    closed, left = close_filled(state), amount_to_close(state)
    if closed:
        close = (close * (closed + left) - executed_quote((*state.targets, *state.closes))) / left
    return close


def _above(of: str, level: Decimal, *, beyond: bool = False) -> Watch:
    return Watch(of=of, at_or_above=level + abs(level) * (SLACK if beyond else -SLACK))


def _below(of: str, level: Decimal, *, beyond: bool = False) -> Watch:
    return Watch(of=of, at_or_below=level - abs(level) * (SLACK if beyond else -SLACK))


# -- the report


def held(state: State) -> tuple[Tracked, ...]:
    """Every order with a fill, of an executor that ended with something left open."""
    if state.status is not RunnableStatus.TERMINATED or amount_to_close(state) <= 0:
        return ()
    return state.book.filled


def report(state: State, price: Price | None) -> Report:
    net, pct = _pnl(state, price)
    filled = open_filled(state)
    close = close_price(state, price)
    closed_quote = close_filled(state) * (average_price((*state.targets, *state.closes)) or ZERO)
    return Report(
        status=state.status,
        close_type=state.close_type,
        net_pnl_quote=net,
        net_pnl_pct=pct,
        cum_fees_quote=fees_quote(state.book.orders),
        filled_amount_quote=filled * entry(state) + closed_quote,
        is_active=state.status in (RunnableStatus.NOT_STARTED, RunnableStatus.RUNNING),
        is_trading=state.status is RunnableStatus.RUNNING and filled > 0,
        close_at_us=state.close_at_us,
        custom_info=_custom_info(state, close),
        held=held(state),
    )


def _custom_info(state: State, close: Decimal) -> dict[str, Any]:
    """§2.3, last line."""
    opens = state.opens
    return {
        "level_id": state.config.level_id,
        "current_position_average_price": entry(state),
        "side": state.config.side,
        "current_retries": state.retries,
        "max_retries": state.max_retries,
        "close_price": close,
        "open_order_last_update": opens[-1].updated_at_us / US if opens else None,
        "order_ids": order_ids(state.book.orders),
        "held_position_orders": held_json(held(state)),
    }

"""How a grid executor stands (protocols/hummingbot.md §5)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from gesta.executors.machines.common import US, ZERO, held_json
from gesta.executors.machines.face import CloseType, OrderStatus, Price, Report, RunnableStatus, Tracked
from gesta.executors.machines.grid_levels import Level, LevelState
from gesta.executors.machines.grid_state import Position, Realized, State, position

__all__ = ["report"]


def report(state: State, price: Price | None) -> Report:
    """At `price`, or at the last price that the machine was told. A terminated grid is worth what it was at its end."""
    ended = state.status is RunnableStatus.TERMINATED
    mid = state.mid if ended or price is None else price.mid
    side = state.config.side
    open_position = position(state)
    realized = open_position.realized
    pnl = open_position.pnl_quote(side, mid) + realized.pnl_quote
    fees = open_position.fees_quote + realized.fees_quote
    filled = abs(open_position.size_quote) + realized.buy_quote + realized.sell_quote
    if state.close_type is CloseType.POSITION_HOLD:
        # What is held is worth something where it is held; that it was traded is true of the grid.
        realized = state.realized
        pnl, fees = realized.pnl_quote, realized.fees_quote
    held = state.open_orders if ended else ()
    return Report(
        status=state.status,
        close_type=state.close_type,
        net_pnl_quote=pnl,
        net_pnl_pct=pnl / filled if filled > 0 else ZERO,
        cum_fees_quote=fees,
        filled_amount_quote=filled,
        is_active=not ended,
        is_trading=state.status is RunnableStatus.RUNNING and open_position.size_quote > 0,
        close_at_us=state.close_at_us,
        custom_info=_custom_info(state, open_position, realized, held, mid),
        held=held,
        own_pnl_quote=state.realized.pnl_quote,
    )


def _custom_info(
    state: State, open_position: Position, realized: Realized, held: tuple[Tracked, ...], mid: Decimal | None
) -> dict[str, Any]:
    config = state.config
    shown = [*state.recent, *(order for level in state.levels for order in level.orders), *state.exits]
    ended = [entry.order for entry in state.ended]
    return {
        "side": config.side,
        "level_id": config.level_id,
        "current_retries": state.retries,
        "max_retries": state.max_retries,
        "levels_by_state": {name.value: len(state.of(name)) for name in LevelState},
        "filled_orders": held_json(state.recent),
        "held_position_orders": held_json(held),
        "held_position_value": sum((order.executed_quote for order in held), ZERO),
        "failed_orders": _ids(order for order in ended if order.status is OrderStatus.FAILED),
        "canceled_orders": _ids(order for order in ended if order.status is OrderStatus.CANCELLED),
        "realized_buy_size_quote": realized.buy_quote,
        "realized_sell_size_quote": realized.sell_quote,
        "realized_imbalance_quote": realized.buy_quote - realized.sell_quote,
        "realized_fees_quote": realized.fees_quote,
        "realized_pnl_quote": realized.pnl_quote,
        "realized_pnl_pct": realized.pnl_quote / realized.buy_quote if realized.buy_quote > 0 else ZERO,
        "position_size_quote": open_position.size_quote,
        "position_fees_quote": open_position.fees_quote,
        "position_pnl_quote": open_position.pnl_quote(config.side, mid),
        "current_position_average_price": open_position.average_price,
        "open_liquidity_placed": _unfilled(state, state.of(LevelState.OPEN_ORDER_PLACED)),
        "close_liquidity_placed": _unfilled(state, state.of(LevelState.CLOSE_ORDER_PLACED)),
        "grid_level_prices": [level.price for level in state.levels],
        "grid_tp_prices": [level.take_profit_price for level in state.levels],
        "grid_side": config.side,
        "grid_limit_price": config.limit_price,
        "grid_step": ZERO if state.plan is None else state.plan.step,
        "fill_events": [_fill_event(order) for order in shown if order.executed_base],
    }


def _ids(orders: Iterable[Tracked]) -> list[str]:
    return [order.venue_id or str(order.tag) for order in orders]


def _unfilled(state: State, levels: tuple[Level, ...]) -> Decimal:
    """The quote amount of the levels whose live order has no fill yet."""
    plan = state.plan
    if plan is None:
        return ZERO
    return sum((plan.amount_quote for level in levels if level.live and not level.live.executed_base), ZERO)


def _fill_event(order: Tracked) -> dict[str, Any]:
    return {
        "client_order_id": order.venue_id or str(order.tag),
        "trade_type": order.side.value,
        "price": order.average,
        "amount_base": order.executed_base,
        "amount_quote": order.executed_quote,
        "fees_quote": order.fees_quote,
        "timestamp": Decimal(order.updated_at_us) / US,
    }

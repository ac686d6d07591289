"""The levels of a grid: where they lie, and what each of them is doing (protocols/hummingbot.md §5).

A level buys (a BUY grid) at its price and sells `take_profit` above it, again and again. The orders since it was last
complete are its round. What is left of a round is what its openings filled less what its closings filled, so a fill
counts from the moment it happens, whatever becomes of the rest of its order.
"""

from __future__ import annotations

import enum
from decimal import ROUND_CEILING, Decimal

import msgspec

from gesta.executors.machines.common import ZERO, fees_quote, meets_minimum, quantize_amount
from gesta.executors.machines.face import Tracked, Trade, TradingRules
from gesta.executors.machines.grid_config import Config
from gesta.kernel.errors import InvalidInput

__all__ = [
    "MOST_LEVELS",
    "TABLE",
    "Level",
    "LevelEvent",
    "LevelState",
    "Plan",
    "Round",
    "level_round",
    "plan",
    "settled",
]

#: Beyond these a grid is a mistake in its spread, and would slow down everything that the executor does.
MOST_LEVELS = 1_000

MINIMUM_MARGIN = Decimal("1.05")


class LevelState(enum.StrEnum):
    NOT_ACTIVE = "NOT_ACTIVE"
    OPEN_ORDER_PLACED = "OPEN_ORDER_PLACED"
    OPEN_ORDER_FILLED = "OPEN_ORDER_FILLED"
    CLOSE_ORDER_PLACED = "CLOSE_ORDER_PLACED"
    COMPLETE = "COMPLETE"


class LevelEvent(enum.StrEnum):
    """What happens to a level. The four of the second group are told when none of its orders is live."""

    OPEN_SENT = "open_sent"
    CLOSE_SENT = "close_sent"

    EMPTY = "empty"  # the round has no fill
    HOLDING = "holding"  # the round has fills left that a venue would let us close
    DUST = "dust"  # what the round has left is less than a venue takes
    CLOSED = "closed"  # what was opened is closed again

    COUNTED = "counted"  # the round is added to what the grid has realized


_S, _E = LevelState, LevelEvent

#: What follows what. A pair that is not here cannot happen.
TABLE: dict[tuple[LevelState, LevelEvent], LevelState] = {
    (_S.NOT_ACTIVE, _E.OPEN_SENT): _S.OPEN_ORDER_PLACED,
    # The opening was cancelled or refused; the level may be opened again.
    (_S.OPEN_ORDER_PLACED, _E.EMPTY): _S.NOT_ACTIVE,
    # Filled in whole, or in part and then cancelled: what is filled is closed at the level's profit.
    (_S.OPEN_ORDER_PLACED, _E.HOLDING): _S.OPEN_ORDER_FILLED,
    # Too little to be closed alone: it stays in the round, and is closed with the next opening's fills.
    (_S.OPEN_ORDER_PLACED, _E.DUST): _S.NOT_ACTIVE,
    # A closing that was believed dead had closed the dust of this round after all.
    (_S.OPEN_ORDER_PLACED, _E.CLOSED): _S.COMPLETE,
    (_S.OPEN_ORDER_FILLED, _E.CLOSE_SENT): _S.CLOSE_ORDER_PLACED,
    # The closing was cancelled or refused: the rest is closed by another one.
    (_S.CLOSE_ORDER_PLACED, _E.HOLDING): _S.OPEN_ORDER_FILLED,
    (_S.CLOSE_ORDER_PLACED, _E.DUST): _S.NOT_ACTIVE,
    (_S.CLOSE_ORDER_PLACED, _E.CLOSED): _S.COMPLETE,
    (_S.COMPLETE, _E.COUNTED): _S.NOT_ACTIVE,
    # Fills that come after the answer that their order was cancelled.
    (_S.NOT_ACTIVE, _E.EMPTY): _S.NOT_ACTIVE,
    (_S.NOT_ACTIVE, _E.HOLDING): _S.OPEN_ORDER_FILLED,
    (_S.NOT_ACTIVE, _E.DUST): _S.NOT_ACTIVE,
    (_S.NOT_ACTIVE, _E.CLOSED): _S.COMPLETE,
    (_S.OPEN_ORDER_FILLED, _E.HOLDING): _S.OPEN_ORDER_FILLED,
    (_S.OPEN_ORDER_FILLED, _E.DUST): _S.NOT_ACTIVE,
    (_S.OPEN_ORDER_FILLED, _E.CLOSED): _S.COMPLETE,
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`step` is the distance of two levels and `take_profit` that of a level's closing, both fractions."""

    prices: tuple[Decimal, ...]
    amount_quote: Decimal
    step: Decimal
    take_profit: Decimal


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`orders` are the round's. `retry_at_us` is the moment before which a refused order is not sent again."""

    index: int
    price: Decimal
    take_profit_price: Decimal
    state: LevelState = LevelState.NOT_ACTIVE
    orders: tuple[Tracked, ...] = ()
    retry_at_us: int = 0

    @property
    def live(self) -> Tracked | None:
        return next((order for order in self.orders if not order.is_done), None)

    def after(self, event: LevelEvent) -> Level:
        return msgspec.structs.replace(self, state=TABLE[self.state, event])

    def with_order(self, order: Tracked) -> Level:
        """The level with `order` in the place of the one of its tag, or as its newest."""
        if any(known.tag == order.tag for known in self.orders):
            orders = tuple(order if known.tag == order.tag else known for known in self.orders)
        else:
            orders = (*self.orders, order)
        return msgspec.structs.replace(self, orders=orders)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a round. `opened_net` is what the openings filled less the fees that were taken out of it."""

    opened_base: Decimal = ZERO
    opened_net: Decimal = ZERO
    opened_quote: Decimal = ZERO
    opened_fees: Decimal = ZERO
    closed_base: Decimal = ZERO
    closed_quote: Decimal = ZERO
    closed_fees: Decimal = ZERO
    # Fees of openings that were taken in base: they are in the amount already, and not once more in its cost.
    fees_in_amount: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return self.opened_net - self.closed_base


def level_round(config: Config, level: Level) -> Round:
    opened = [order for order in level.orders if order.side is config.side and order.executed_base]
    closed = [order for order in level.orders if order.side is not config.side and order.executed_base]
    in_base = [o for o in opened if o.fees_base] if config.deduct_base_fees and config.side is Trade.BUY else []
    opened_base = sum((order.executed_base for order in opened), ZERO)
    return Round(
        opened_base=opened_base,
        opened_net=opened_base - sum((order.fees_base for order in in_base), ZERO),
        opened_quote=sum((order.executed_quote for order in opened), ZERO),
        opened_fees=fees_quote(opened),
        closed_base=sum((order.executed_base for order in closed), ZERO),
        closed_quote=sum((order.executed_quote for order in closed), ZERO),
        closed_fees=fees_quote(closed),
        fees_in_amount=fees_quote(in_base),
    )


def settled(config: Config, rules: TradingRules, level: Level) -> Level:
    """The level after a look at its round, once none of its orders is live."""
    if level.live is not None:
        return level
    sums = level_round(config, level)
    closable = quantize_amount(rules, sums.left)
    if not sums.opened_base and not sums.closed_base:
        event = LevelEvent.EMPTY
    elif not quantize_amount(rules, abs(sums.left)):
        event = LevelEvent.CLOSED
    elif meets_minimum(rules, closable, level.take_profit_price):
        event = LevelEvent.HOLDING
    else:
        event = LevelEvent.DUST
    return level.after(event)


def plan(config: Config, rules: TradingRules, price: Decimal) -> Plan:
    """The levels at a mid price of `price`, by the formulas of §5, in decimals where Hummingbot rounds through floats.

    Raises InvalidInput if they would be more than MOST_LEVELS, or if a short's profit could not be reached above 0.
    """
    step_base = rules.min_base_increment
    min_notional = max(config.min_order_amount_quote, rules.min_notional)
    min_base = max(MINIMUM_MARGIN * min_notional / price, _up_to_step(min_notional / price, step_base))
    min_base = _up_to_step(min_base, step_base)
    min_quote = min_base * price
    span = (config.end_price - config.start_price) / config.start_price
    min_step = max(config.min_spread_between_orders, rules.min_price_increment / price)

    amount_quote, count = min_quote, 1
    affordable = int(config.total_amount_quote / min_quote)
    if affordable:
        # A range narrower than one step has one level.
        count = max(1, min(affordable, int(span / min_step) if min_step else affordable))
        base = max(min_base, quantize_amount(rules, config.total_amount_quote / (price * count)))
        amount_quote = base * price
        count = max(1, min(count, int(config.total_amount_quote / amount_quote)))
    if count > MOST_LEVELS:
        raise InvalidInput(
            f"min_spread_between_orders ({config.min_spread_between_orders}) must be so wide that the grid has at most "
            f"{MOST_LEVELS} levels; it would have {count}",
            field="min_spread_between_orders",
        )
    if count == 1:
        prices: tuple[Decimal, ...] = ((config.start_price + config.end_price) / 2,)
    else:
        width = config.end_price - config.start_price
        prices = tuple(config.start_price + width * i / (count - 1) for i in range(count))
    step = span / (count - 1) if count > 1 else span
    take_profit = max(step, config.take_profit) if config.coerce_tp_to_step else config.take_profit
    if config.side is Trade.SELL and take_profit >= 1:
        raise InvalidInput(
            f"coerce_tp_to_step (true) must leave a take_profit below 1 for a SELL side; the step is {step}",
            field="coerce_tp_to_step",
        )
    return Plan(prices=prices, amount_quote=amount_quote, step=step, take_profit=take_profit)


def _up_to_step(value: Decimal, step: Decimal) -> Decimal:
    if step <= 0:
        return value
    return (value / step).to_integral_value(ROUND_CEILING) * step

"""`order_executor`: one order until it is filled, by one of four strategies (protocols/hummingbot.md §3).

What it fills is held: it never ends COMPLETED, and has no PnL of its own. A chaser follows the best price: it is
cancelled when the market has gone from it, and what is left is placed again after the cancel is known, so that no fill
is lost. An order that fails is placed again a second later, on the `Moved` that `watches` asks for.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import (
    RETRY_US,
    US,
    ZERO,
    Book,
    average_price,
    best_price,
    check_row,
    executed_base,
    executed_quote,
    failure_message,
    fees_quote,
    held_json,
    meets_minimum,
    one_leg,
    quantize_amount,
    quantize_price,
)
from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Command,
    Event,
    Leg,
    Log,
    Machine,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    Place,
    PositionAction,
    Price,
    Report,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Trade,
    Watch,
    Watches,
)
from gesta.executors.machines.parsing import MARKET_FIELDS, Fields

__all__ = ["FIELDS", "MACHINE", "TRANSITIONS", "Chaser", "Config", "State", "Strategy"]

#: What follows what. A change without a row is a defect, and raises.
TRANSITIONS: Mapping[RunnableStatus, frozenset[RunnableStatus]] = {
    RunnableStatus.NOT_STARTED: frozenset(
        {
            RunnableStatus.RUNNING,  # it started, and can pay for its order
            RunnableStatus.TERMINATED,  # it cannot pay (INSUFFICIENT_BALANCE), or was stopped before (EARLY_STOP)
        }
    ),
    RunnableStatus.RUNNING: frozenset(
        {
            RunnableStatus.SHUTTING_DOWN,  # it was stopped: its order is cancelled, and the answer awaited
            RunnableStatus.TERMINATED,  # all is filled (POSITION_HOLD), or too many orders failed
        }
    ),
    RunnableStatus.SHUTTING_DOWN: frozenset(
        {
            RunnableStatus.TERMINATED,  # no order is live: POSITION_HOLD with a fill, EARLY_STOP without
        }
    ),
    RunnableStatus.TERMINATED: frozenset(),  # nothing follows: a late update changes nothing
}

#: Orders that ended unfilled and are still known, for a fill that is told after its cancel.
ENDED_KEPT = 8

FIELDS = (
    *MARKET_FIELDS,
    "side",
    "amount",
    "position_action",
    "price",
    "chaser_config",
    "execution_strategy",
    "leverage",
    "level_id",
    "slippage_pct",
    "slippage_multiplier",
    "max_slippage_pct",
)

# A chaser is left behind beyond its level, not at it: the level is set this much farther, so that rounding at the last
# digit does not wake it at the level. No price has so many digits that it could lie between.
SLACK = Decimal("1e-15")


class Strategy(enum.StrEnum):
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    LIMIT_CHASER = "LIMIT_CHASER"

    @property
    def kind(self) -> OrderKind:
        return OrderKind.LIMIT_MAKER if self is Strategy.LIMIT_CHASER else OrderKind(self.value)


class Chaser(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions of the best price: how far from it the order rests, and how far it may go before it is followed."""

    distance: Decimal
    refresh_threshold: Decimal


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """§3. `amount` in base. The slippage fields, in percent, are for on-chain gateways only; they are echoed."""

    connector_name: str
    trading_pair: str
    side: Trade
    amount: Decimal
    execution_strategy: Strategy
    position_action: PositionAction = PositionAction.OPEN
    price: Decimal | None = None
    chaser: Chaser | None = None
    leverage: int = 1
    level_id: str | None = None
    slippage_pct: Decimal = Decimal("0.05")
    slippage_multiplier: Decimal = Decimal(5)
    max_slippage_pct: Decimal = Decimal(5)
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`look_at_us`: the moment from which it wants to look at everything again."""

    config: Config
    leg: Leg
    max_retries: int
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    book: Book = Book()
    retries: int = 0
    look_at_us: int | None = None

    @property
    def working(self) -> Tracked | None:
        """Its live order: there is never more than one."""
        return next((order for order in reversed(self.book.orders) if not order.is_done), None)

    @property
    def remaining(self) -> Decimal:
        return self.config.amount - executed_base(self.book.orders)


Step = tuple[State, tuple[Command, ...]]


class OrderMachine:
    type = "order_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        fields = Fields(config, FIELDS)
        strategy = fields.word("execution_strategy", Strategy)
        price = fields.decimal_or("price", None, above=0)
        if price is None and strategy in (Strategy.LIMIT, Strategy.LIMIT_MAKER):
            fields.refuse("price", f"be given for {strategy}")
        chaser = fields.nested("chaser_config", ("distance", "refresh_threshold"))
        if strategy is Strategy.LIMIT_CHASER and not fields.has("chaser_config"):
            fields.refuse("chaser_config", f"be given for {strategy}")
        slippage_pct = fields.decimal_or("slippage_pct", Decimal("0.05"), at_least=0)
        max_slippage_pct = fields.decimal_or("max_slippage_pct", Decimal(5), at_least=0)
        if max_slippage_pct < slippage_pct:
            fields.refuse("max_slippage_pct", f"be at least slippage_pct ({slippage_pct})")
        return Config(
            **fields.market(),
            side=fields.side(),
            amount=fields.decimal("amount", above=0),
            execution_strategy=strategy,
            position_action=fields.word_or("position_action", PositionAction, PositionAction.OPEN),
            price=price,
            chaser=Chaser(
                distance=chaser.decimal("distance", above=0),
                refresh_threshold=chaser.decimal("refresh_threshold", above=0),
            )
            if fields.has("chaser_config")
            else None,
            leverage=fields.integer_or("leverage", 1, at_least=1),
            level_id=fields.text_or("level_id", None),
            slippage_pct=slippage_pct,
            slippage_multiplier=fields.decimal_or("slippage_multiplier", Decimal(5), above=1),
            max_slippage_pct=max_slippage_pct,
        )

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return one_leg(config.connector_name, config.trading_pair)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        return State(config=config, leg=legs[0], max_retries=max_retries)

    def step(self, state: State, event: Event) -> Step:
        if state.status is RunnableStatus.TERMINATED:
            return state, ()
        price = event.prices.get(0)
        match event:
            case Started():
                return _start(state, event, price)
            case Moved():
                return _look(state, event.at_us, price)
            case OrderUpdated():
                return _update(state, event.order, event.at_us)
            case StopAsked():
                return _stop(state, event.at_us)

    def watches(self, state: State) -> Watches:
        if state.status is not RunnableStatus.RUNNING:
            return Watches()
        order, chaser = state.working, state.config.chaser
        if order is None:
            # With no moment to try again at, it lacks only market data.
            return Watches(at_us=state.look_at_us, every=state.look_at_us is None)
        if chaser is None or not _is_chasing(state) or order.price is None or order.status is not OrderStatus.OPEN:
            return Watches(at_us=state.look_at_us)
        return Watches(prices=_chase_level(order, order.price, chaser.refresh_threshold), at_us=state.look_at_us)

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        orders = state.book.orders
        return Report(
            status=state.status,
            close_type=state.close_type,
            net_pnl_quote=ZERO,
            net_pnl_pct=ZERO,
            cum_fees_quote=fees_quote(orders),
            filled_amount_quote=executed_quote(orders),
            is_active=state.status in (RunnableStatus.NOT_STARTED, RunnableStatus.RUNNING),
            # By Hummingbot's rule what has no PnL is not trading.
            is_trading=False,
            close_at_us=state.close_at_us,
            custom_info=_custom_info(state),
            held=_held(state),
        )


MACHINE: Machine[Config, State] = OrderMachine()


def _to(state: State, status: RunnableStatus, **changes: Any) -> State:
    check_row(TRANSITIONS, state.status, status)
    return msgspec.structs.replace(state, status=status, **changes)


def _terminate(state: State, at_us: int, close_type: CloseType) -> State:
    """End; what was filled is held, whatever ended it."""
    if state.book.filled:
        close_type = CloseType.POSITION_HOLD
    return _to(state, RunnableStatus.TERMINATED, close_type=close_type, close_at_us=at_us, look_at_us=None)


def _start(state: State, event: Started, price: Price | None) -> Step:
    if state.status is not RunnableStatus.NOT_STARTED:
        return state, ()
    if not event.affordable:
        message = f"Not enough balance to trade {state.config.amount} {state.config.trading_pair}."
        return _terminate(state, event.at_us, CloseType.INSUFFICIENT_BALANCE), (Log(level="ERROR", message=message),)
    return _look(_to(state, RunnableStatus.RUNNING), event.at_us, price)


# -- running


def _look(state: State, at_us: int, price: Price | None) -> Step:
    if state.status is not RunnableStatus.RUNNING:
        return state, ()
    if state.look_at_us is not None and state.look_at_us <= at_us:
        state = msgspec.structs.replace(state, look_at_us=None)
    order = state.working
    if order is not None:
        if price is None or not _is_left_behind(state, order, price):
            return state, ()
        return msgspec.structs.replace(state, book=state.book.cancelling(order.tag)), (Cancel(tag=order.tag),)
    last = max((order.created_at_us for order in state.book.orders), default=None)
    if last is not None and at_us < last + RETRY_US:
        return msgspec.structs.replace(state, look_at_us=last + RETRY_US), ()
    return _place(state, at_us, price)


def _is_chasing(state: State) -> bool:
    return state.config.execution_strategy is Strategy.LIMIT_CHASER


def _is_left_behind(state: State, order: Tracked, price: Price) -> bool:
    """Whether the best price has gone from a chaser's order by more than its threshold."""
    chaser = state.config.chaser
    if not _is_chasing(state) or chaser is None or order.price is None or order.status is not OrderStatus.OPEN:
        return False
    best = best_price(order.side, price)
    return order.side.sign * (best - order.price) > best * chaser.refresh_threshold


def _order_price(state: State, price: Price | None) -> Decimal | None:
    """The price of an order now; None if it needs market data that is not there. A market order has none either."""
    config, side = state.config, state.config.side
    if config.execution_strategy is Strategy.LIMIT:
        return config.price
    if price is None or config.execution_strategy is Strategy.MARKET:
        return None
    best = best_price(side, price)
    if best <= 0:
        # A side of the book that is empty is no price.
        return None
    if config.chaser is not None and _is_chasing(state):
        return best * (1 - side.sign * config.chaser.distance)
    wanted = config.price if config.price is not None else best
    return min(wanted, best) if side is Trade.BUY else max(wanted, best)


def _place(state: State, at_us: int, price: Price | None) -> Step:
    config, rules = state.config, state.leg.rules
    at = _order_price(state, price)
    if at is None and config.execution_strategy is not Strategy.MARKET:
        return state, ()
    limit = None if at is None else quantize_price(rules, at)
    amount = quantize_amount(rules, state.remaining)
    # A market order is worth what the other side asks for it.
    worth = limit if limit is not None or price is None else best_price(config.side.opposite, price)
    if (limit is not None and limit <= 0) or not meets_minimum(rules, amount, worth):
        # The venue would refuse it again and again: there is no use in asking.
        message = f"{amount} {config.trading_pair} at {'market' if limit is None else limit} is below the minimum."
        logs = (Log(level="WARNING" if state.book.filled else "ERROR", message=message),) if amount else ()
        return _terminate(state, at_us, CloseType.FAILED), logs
    book, order = state.book.pruned(ENDED_KEPT).placed(
        side=config.side,
        kind=config.execution_strategy.kind,
        amount=amount,
        price=limit,
        action=config.position_action,
        at_us=at_us,
    )
    return msgspec.structs.replace(state, book=book), (Place(order=order),)


# -- what the venue says


def _update(state: State, update: Tracked, at_us: int) -> Step:
    book = state.book.updated(update)
    if book is state.book:
        return state, ()
    known, order = state.book.get(update.tag), book.get(update.tag)
    assert known is not None
    assert order is not None
    state = msgspec.structs.replace(state, book=book)
    logs: tuple[Command, ...] = ()
    if order.status is OrderStatus.FAILED and not known.is_done:
        logs = (Log(level="ERROR", message=failure_message(order)),)
        state = msgspec.structs.replace(state, retries=state.retries + 1)
    if state.working is not None:
        return state, logs
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return _terminate(state, at_us, CloseType.EARLY_STOP), logs
    if state.remaining <= 0 or order.is_filled:
        return _terminate(state, at_us, CloseType.POSITION_HOLD), logs
    if state.retries > state.max_retries:
        return _terminate(state, at_us, CloseType.FAILED), logs
    return msgspec.structs.replace(state, look_at_us=at_us), logs


# -- ending


def _stop(state: State, at_us: int) -> Step:
    """Whether to keep the position is not asked: what was filled is always held."""
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return state, ()
    order = state.working
    if state.status is RunnableStatus.NOT_STARTED or order is None:
        return _terminate(state, at_us, CloseType.EARLY_STOP), ()
    state = _to(state, RunnableStatus.SHUTTING_DOWN, close_at_us=at_us, look_at_us=None)
    if order.status is OrderStatus.CANCELLING:
        return state, ()
    return msgspec.structs.replace(state, book=state.book.cancelling(order.tag)), (Cancel(tag=order.tag),)


# -- watching and reporting


def _chase_level(order: Tracked, at: Decimal, threshold: Decimal) -> tuple[Watch, ...]:
    if order.side is Trade.SELL:
        return (Watch(of="ask", at_or_below=at / (1 + threshold) * (1 - SLACK)),)
    # From a threshold of the whole price on, a buy is never left behind.
    return (Watch(of="bid", at_or_above=at / (1 - threshold) * (1 + SLACK)),) if threshold < 1 else ()


def _held(state: State) -> tuple[Tracked, ...]:
    return state.book.filled if state.status is RunnableStatus.TERMINATED else ()


def _custom_info(state: State) -> dict[str, Any]:
    """§3, last line. What only an on-chain gateway has is null."""
    config, orders = state.config, state.book.orders
    last = orders[-1] if orders else None
    return {
        "side": config.side,
        "level_id": config.level_id,
        "current_retries": state.retries,
        "max_retries": state.max_retries,
        "order_id": None if last is None else last.venue_id or str(last.tag),
        "order_last_update": None if last is None else last.updated_at_us / US,
        "held_position_orders": held_json(_held(state)),
        "executed_amount_base": executed_base(orders),
        "average_executed_price": average_price(orders) or ZERO,
        "slippage_pct": config.slippage_pct,
        "max_slippage_pct": config.max_slippage_pct,
        "transaction_hash": None,
        "swap_provider": None,
        "wallet_address": None,
    }

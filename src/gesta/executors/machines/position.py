"""`position_executor`: one position from entry to exit, guarded by a triple barrier (protocols/hummingbot.md §2).

Equal to Hummingbot in what it sends and reports, except where Hummingbot loses sight of exposure (§2.4): every fill
counts, whatever became of its order; stop-loss and trailing stop guard what is filled so far; what stays open is
reported as held. An order's update is book-keeping, and what it means for the barriers is decided by the `Moved` that
`watches` then asks for at once. Winding down goes on with every update.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines import position_math as math
from gesta.executors.machines.common import (
    RETRY_US,
    US,
    Book,
    TripleBarrier,
    best_price,
    check_row,
    closing_action,
    failure_message,
    meets_minimum,
    one_leg,
    quantize_amount,
    quantize_price,
    trailing_raised,
    trailing_step,
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
    Watches,
)
from gesta.executors.machines.parsing import MARKET_FIELDS, Fields

__all__ = ["FIELDS", "MACHINE", "TRANSITIONS", "Config", "State"]

#: What follows what. A change without a row is a defect, and raises.
TRANSITIONS: Mapping[RunnableStatus, frozenset[RunnableStatus]] = {
    RunnableStatus.NOT_STARTED: frozenset(
        {
            RunnableStatus.RUNNING,  # it started, and can pay for its entry
            RunnableStatus.TERMINATED,  # it cannot pay (INSUFFICIENT_BALANCE), is late (EXPIRED), was stopped before
        }
    ),
    RunnableStatus.RUNNING: frozenset(
        {
            RunnableStatus.SHUTTING_DOWN,  # a barrier, a stop, or too many failures: orders are cancelled, then closed
        }
    ),
    RunnableStatus.SHUTTING_DOWN: frozenset(
        {
            RunnableStatus.TERMINATED,  # no order is live, and what was filled is closed, held, or too small to close
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
    "entry_price",
    "triple_barrier_config",
    "leverage",
    "activation_bounds",
    "level_id",
)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """§2.1. `amount` in base. `entry_price` None: the best price of one's own side at the beginning."""

    connector_name: str
    trading_pair: str
    side: Trade
    amount: Decimal
    entry_price: Decimal | None = None
    triple_barrier: TripleBarrier = TripleBarrier()
    leverage: int = 1
    activation_bounds: tuple[Decimal, Decimal] | None = None
    level_id: str | None = None
    id: str | None = None
    timestamp_us: int | None = None
    controller_id: str = "main"


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`look_at_us`: the moment from which it wants to look at everything again. `entry_over`: no more is bought in.
    `approach`: the entry is out of its bounds; `low` or `high` is the one that the price has to come back over.
    `target_waits`: the take-profit is out of its bounds. `trailing_since_us`: when the trigger was last set."""

    config: Config
    leg: Leg
    begun_at_us: int
    max_retries: int
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    entry_price: Decimal | None = None
    book: Book = Book()
    retries: int = 0
    trailing_trigger: Decimal | None = None
    trailing_since_us: int = 0
    entry_over: bool = False
    approach: str = ""
    target_waits: bool = False
    look_at_us: int | None = None

    @property
    def end_us(self) -> int | None:
        limit_s = self.config.triple_barrier.time_limit_s
        if limit_s is None:
            return None
        start_us = self.begun_at_us if self.config.timestamp_us is None else self.config.timestamp_us
        return start_us + limit_s * US

    @property
    def opens(self) -> tuple[Tracked, ...]:
        return tuple(order for order in self.book.orders if order.side is self.config.side)

    @property
    def targets(self) -> tuple[Tracked, ...]:
        """The take-profit limit orders."""
        return tuple(o for o in self.book.orders if o.side is not self.config.side and o.kind.is_limit)

    @property
    def closes(self) -> tuple[Tracked, ...]:
        """The market orders that close."""
        return tuple(o for o in self.book.orders if o.side is not self.config.side and not o.kind.is_limit)


Step = tuple[State, tuple[Command, ...]]


def _with(state: State, **changes: Any) -> State:
    return msgspec.structs.replace(state, **changes)


class PositionMachine:
    type = "position_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        fields = Fields(config, FIELDS)
        return Config(
            **fields.market(),
            side=fields.side(),
            amount=fields.decimal("amount", above=0),
            entry_price=fields.decimal_or("entry_price", None, above=0),
            triple_barrier=fields.triple_barrier(),
            leverage=fields.integer_or("leverage", 1, at_least=1),
            activation_bounds=fields.activation_bounds(),
            level_id=fields.text_or("level_id", None),
        )

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return one_leg(config.connector_name, config.trading_pair)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        state = State(config=config, leg=legs[0], begun_at_us=at_us, max_retries=max_retries)
        return _priced(state, prices.get(0))

    def step(self, state: State, event: Event) -> Step:
        if state.status is RunnableStatus.TERMINATED:
            return state, ()
        price = event.prices.get(0)
        state = _trailed(_priced(state, price), event.at_us, price)
        match event:
            case Started():
                return _start(state, event, price)
            case Moved():
                return _look(state, event.at_us, price)
            case OrderUpdated():
                return _update(state, event.order, event.at_us, price)
            case StopAsked():
                return _stop(state, event, price)

    def watches(self, state: State) -> Watches:
        return math.watches(state)

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        return math.report(state, prices.get(0))


MACHINE: Machine[Config, State] = PositionMachine()


# -- beginning


def _priced(state: State, price: Price | None) -> State:
    """With the entry price, as soon as it can be known."""
    if state.entry_price is not None:
        return state
    if state.config.entry_price is not None:
        return _with(state, entry_price=state.config.entry_price)
    best = None if price is None else best_price(state.config.side, price)
    # A side of the book that is empty is no price.
    return state if best is None or best <= 0 else _with(state, entry_price=best)


def _trailed(state: State, at_us: int, price: Price | None) -> State:
    """With the trailing trigger as high as the best price since it was set last. It comes before what the event
    changes: that price belonged to the position as it was."""
    if price is None or price.best is None or state.trailing_trigger is None or not math.can_be_closed(state):
        return state
    best_pct = math.net_pnl_pct(state, Price(price.best, price.best))
    trigger = trailing_raised(state.config.triple_barrier.trailing_stop, state.trailing_trigger, best_pct)
    if trigger == state.trailing_trigger:
        return state
    return _with(state, trailing_trigger=trigger, trailing_since_us=at_us)


def _start(state: State, event: Started, price: Price | None) -> Step:
    if state.status is not RunnableStatus.NOT_STARTED:
        return state, ()
    if not event.affordable:
        message = f"Not enough balance to open {state.config.amount} {state.config.trading_pair}."
        return _terminate(state, event.at_us, CloseType.INSUFFICIENT_BALANCE), (Log(level="ERROR", message=message),)
    if state.end_us is not None and state.end_us <= event.at_us:
        message = "The time limit was over before the start."
        return _terminate(state, event.at_us, CloseType.EXPIRED), (Log(level="WARNING", message=message),)
    return _look(_to(state, RunnableStatus.RUNNING), event.at_us, price)


def _to(state: State, status: RunnableStatus, **changes: Any) -> State:
    check_row(TRANSITIONS, state.status, status)
    return _with(state, status=status, **changes)


def _terminate(state: State, at_us: int, close_type: CloseType) -> State:
    return _to(state, RunnableStatus.TERMINATED, close_type=close_type, close_at_us=at_us, look_at_us=None)


# -- running


def _look(state: State, at_us: int, price: Price | None) -> Step:
    """Look at everything: the entry, then stop-loss, trailing stop, take-profit and time limit, in this order."""
    if state.status is RunnableStatus.NOT_STARTED:
        return state, ()
    if state.look_at_us is not None and state.look_at_us <= at_us:
        state = _with(state, look_at_us=None)
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return _wind_down(state, at_us, price)
    commands: tuple[Command, ...] = ()
    # What is over is not bought into any more, not even to be sold at once.
    if state.end_us is None or at_us < state.end_us:
        state, commands = _control_entry(state, at_us, price)
    if state.status is not RunnableStatus.RUNNING:
        return state, commands
    state, barrier_commands = _control_barriers(state, at_us, price)
    return state, commands + barrier_commands


def _control_entry(state: State, at_us: int, price: Price | None) -> Step:
    working = next((order for order in reversed(state.opens) if not order.is_done), None)
    if price is None or state.entry_price is None:
        return state, ()
    kind = state.config.triple_barrier.open_order_type
    inside, approach = math.within_bounds(state, state.entry_price, state.config.side, kind, price.mid)
    if working is not None:
        # A market order that is out is not called back, nor one that the venue has not answered for.
        if inside or working.status is not OrderStatus.OPEN or not working.kind.is_limit:
            return state, ()
        return _with(state, book=state.book.cancelling(working.tag)), (Cancel(tag=working.tag),)
    remaining = math.entry_remaining(state)
    if state.entry_over or remaining <= 0:
        return state, ()
    if state.approach != (approach := "" if inside else approach):
        state = _with(state, approach=approach)
    if not inside:
        return state, ()
    last = max((order.created_at_us for order in state.opens), default=None)
    if last is not None and at_us < last + RETRY_US:
        return _with(state, look_at_us=last + RETRY_US), ()
    return _place_entry(state, remaining, kind, price, at_us)


def _place_entry(state: State, remaining: Decimal, kind: OrderKind, price: Price, at_us: int) -> Step:
    rules = state.leg.rules
    at = math.entry_order_price(state, price)
    limit = at if kind is OrderKind.MARKET else quantize_price(rules, at)
    amount = quantize_amount(rules, remaining)
    if limit <= 0 or not meets_minimum(rules, amount, limit):
        if math.open_filled(state):
            return _with(state, entry_over=True), ()
        # The venue would refuse it again and again: there is no use in asking.
        message = f"The entry of {amount} at {limit} is below the venue's minimum."
        state, commands = _shut_down(state, CloseType.FAILED, at_us, price)
        return state, (Log(level="ERROR", message=message), *commands)
    book, order = state.book.pruned(ENDED_KEPT).placed(
        side=state.config.side, kind=kind, amount=amount, price=limit, action=PositionAction.OPEN, at_us=at_us
    )
    return _with(state, book=book), (Place(order=order),)


def _control_barriers(state: State, at_us: int, price: Price | None) -> Step:
    barrier = state.config.triple_barrier
    guarded = price is not None and math.can_be_closed(state)
    if price is not None and guarded:
        pnl_pct = math.net_pnl_pct(state, price)
        if barrier.stop_loss is not None and pnl_pct <= -barrier.stop_loss:
            return _shut_down(state, CloseType.STOP_LOSS, at_us, price)
        if barrier.trailing_stop is not None:
            trigger, crossed = trailing_step(barrier.trailing_stop, state.trailing_trigger, pnl_pct)
            if crossed:
                return _shut_down(state, CloseType.TRAILING_STOP, at_us, price)
            if trigger != state.trailing_trigger:
                state = _with(state, trailing_trigger=trigger, trailing_since_us=at_us)
        target = math.market_target(barrier)
        if target is not None and pnl_pct >= target:
            return _shut_down(state, CloseType.TAKE_PROFIT, at_us, price)
    if state.end_us is not None and state.end_us <= at_us:
        return _shut_down(state, CloseType.TIME_LIMIT, at_us, price)
    if price is not None and guarded and math.resting_target(barrier) is not None:
        return _control_target(state, at_us, price)
    return state, ()


def _control_target(state: State, at_us: int, price: Price) -> Step:
    """The resting take-profit: one order for what is open, once the entry has ended."""
    entry = next((order for order in state.opens if not order.is_done), None)
    if entry is not None:
        # The target is reached before the entry is whole: what there is of it is what there will be.
        if math.target_is_reached(state, price) and entry.status is OrderStatus.OPEN:
            book = state.book.cancelling(entry.tag)
            return _with(state, book=book, entry_over=True), (Cancel(tag=entry.tag),)
        return state, ()
    kind = state.config.triple_barrier.take_profit_order_type
    at = math.target_order_price(state, price)
    inside, _ = math.within_bounds(state, at, state.config.side.opposite, kind, price.mid)
    live = [order for order in state.targets if not order.is_done]
    if state.target_waits is inside:
        state = _with(state, target_waits=not inside)
    if not inside:
        leaving = [order.tag for order in live if order.status is OrderStatus.OPEN]
        book = state.book
        for tag in leaving:
            book = book.cancelling(tag)
        return (_with(state, book=book) if leaving else state), tuple(Cancel(tag=tag) for tag in leaving)
    uncovered = quantize_amount(state.leg.rules, math.amount_to_close(state) - math.outstanding(live))
    limit = quantize_price(state.leg.rules, at)
    if limit <= 0 or not meets_minimum(state.leg.rules, uncovered, limit):
        return state, ()
    last = max((o.created_at_us for o in state.targets if o.is_done and not o.is_filled), default=None)
    if last is not None and at_us < last + RETRY_US:
        return _with(state, look_at_us=last + RETRY_US), ()
    return _place_exit(state, kind, uncovered, limit, at_us)


def _place_exit(state: State, kind: OrderKind, amount: Decimal, limit: Decimal | None, at_us: int) -> Step:
    book, order = state.book.pruned(ENDED_KEPT).placed(
        side=state.config.side.opposite,
        kind=kind,
        amount=amount,
        price=limit,
        action=closing_action(state.leg),
        at_us=at_us,
    )
    return _with(state, book=book), (Place(order=order),)


# -- what the venue says


def _update(state: State, update: Tracked, at_us: int, price: Price | None) -> Step:
    book = state.book.updated(update)
    if book is state.book:
        return state, ()
    known, order = state.book.get(update.tag), book.get(update.tag)
    assert known is not None
    assert order is not None
    state = _with(state, book=book)
    commands: tuple[Command, ...] = ()
    if order.status is OrderStatus.FAILED and not known.is_done:
        commands = (Log(level="ERROR", message=failure_message(order)),)
    if _counts_as_retry(state, order) and not known.is_done:
        state = _with(state, retries=state.retries + 1)
        if state.retries > state.max_retries:
            state, winding = _fail(state, at_us, price)
            return state, commands + winding
    if state.status is RunnableStatus.RUNNING:
        if order.is_filled and order in state.targets:
            return _shut_down(state, CloseType.TAKE_PROFIT, at_us, price)
        return _with(state, look_at_us=at_us), commands
    if state.status is RunnableStatus.SHUTTING_DOWN:
        state, winding = _wind_down(state, at_us, price)
        return state, commands + winding
    return state, commands


def _counts_as_retry(state: State, order: Tracked) -> bool:
    """A failure of an order that is still wanted. A closing order that the venue cancels is no better than one that it
    refuses; an entry that is cancelled may have been by its bounds or by the account's owner. A target that is refused
    is tried again without end (§2.3): the position must not be given up for it."""
    if state.status is RunnableStatus.RUNNING:
        return order.status is OrderStatus.FAILED and order in state.opens
    return order.is_done and not order.is_filled and order in state.closes


def _fail(state: State, at_us: int, price: Price | None) -> Step:
    if state.status is RunnableStatus.SHUTTING_DOWN:
        return _wind_down(_with(state, close_type=CloseType.FAILED), at_us, price)
    return _shut_down(state, CloseType.FAILED, at_us, price)


# -- ending


def _stop(state: State, event: StopAsked, price: Price | None) -> Step:
    wanted = CloseType.POSITION_HOLD if event.keep_position else CloseType.EARLY_STOP
    if state.status is RunnableStatus.NOT_STARTED:
        return _terminate(state, event.at_us, CloseType.EARLY_STOP), ()
    if state.status is RunnableStatus.RUNNING:
        return _shut_down(state, wanted, event.at_us, price)
    # It is closing already. A market order cannot be taken back; without one, the last word counts.
    if state.close_type is CloseType.FAILED or any(not order.is_done for order in state.closes):
        return state, ()
    if event.keep_position or state.close_type is CloseType.POSITION_HOLD:
        state = _with(state, close_type=wanted)
    return _wind_down(state, event.at_us, price)


def _shut_down(state: State, close_type: CloseType, at_us: int, price: Price | None) -> Step:
    state = _to(state, RunnableStatus.SHUTTING_DOWN, close_type=close_type, close_at_us=at_us, look_at_us=None)
    return _wind_down(state, at_us, price)


def _wind_down(state: State, at_us: int, price: Price | None) -> Step:
    """Cancel what works, close what is filled, end when nothing is live. A resting target holds the position's base at
    the venue, so that the market order waits for its cancel; the entry's cancel it need not wait for."""
    commands: list[Command] = []
    for order in (*state.opens, *state.targets):
        if not order.is_done and order.status is not OrderStatus.CANCELLING:
            state = _with(state, book=state.book.cancelling(order.tag))
            commands.append(Cancel(tag=order.tag))
    keeps = state.close_type in (CloseType.FAILED, CloseType.POSITION_HOLD)
    if not keeps and all(order.is_done for order in state.targets):
        rest = math.left_to_close(state)
        if meets_minimum(state.leg.rules, rest, None if price is None else math.market_price(state, price)):
            broken = [order for order in state.closes if order.is_done and not order.is_filled]
            due_us = max((order.created_at_us for order in broken), default=-RETRY_US) + RETRY_US
            if broken and at_us < due_us:
                return _with(state, look_at_us=due_us), tuple(commands)
            # Hummingbot counts the failure and the order placed again (§2.3): two of its retries for each attempt.
            state = _with(state, retries=state.retries + bool(broken))
            state, placing = _place_exit(state, OrderKind.MARKET, rest, None, at_us)
            return state, (*commands, *placing)
    if state.book.live:
        return state, tuple(commands)
    state, logs = _finish(state, at_us)
    return state, (*commands, *logs)


def _finish(state: State, at_us: int) -> Step:
    assert state.close_type is not None
    close_type, left = state.close_type, math.amount_to_close(state)
    if close_type is CloseType.POSITION_HOLD and not math.open_filled(state):
        close_type = CloseType.EARLY_STOP
    by_target = any(order.executed_base for order in state.targets)
    if left <= 0 and by_target and not any(order.executed_base for order in state.closes):
        # Its target was reached while something else was about to close it.
        close_type = CloseType.TAKE_PROFIT
    logs: tuple[Command, ...] = ()
    if left > 0 and close_type is not CloseType.POSITION_HOLD:
        why = "too many orders failed" if close_type is CloseType.FAILED else "it is below the venue's minimum"
        message = f"{left} {state.config.trading_pair} stays open and is reported as held: {why}."
        logs = (Log(level="ERROR" if close_type is CloseType.FAILED else "WARNING", message=message),)
    return _terminate(state, at_us, close_type), logs

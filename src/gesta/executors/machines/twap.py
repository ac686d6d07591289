"""The TWAP executor: an amount of quote traded in equal slices, one per interval (protocols/hummingbot.md §6).

Each slot sends one order: at the market (TAKER), or a limit order at a distance from the mid price (MAKER), which is
cancelled after `order_resubmission_time` and sent again at the price of then, once its cancel is confirmed. What is
bought or sold is the result, and is never closed.

Every order's fills count, whichever slot sent it and whatever became of it. A slot whose order failed, or was cancelled
by the venue, sends what is missing again; the other slots are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import (
    RETRY_US,
    US,
    ZERO,
    Book,
    executed_base,
    executed_quote,
    fees_quote,
    held_json,
    meets_minimum,
    one_leg,
    order_ids,
    quantize_amount,
    quantize_price,
)
from gesta.executors.machines.face import (
    CloseType,
    Command,
    Event,
    Leg,
    Moved,
    OrderStatus,
    OrderUpdated,
    PositionAction,
    Price,
    Report,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Watches,
)
from gesta.executors.machines.turn import Transitions, Turn
from gesta.executors.machines.twap_config import Config, Mode, parse

__all__ = ["MACHINE", "Config", "Mode", "State"]

#: What follows what. A change without a row is a defect, and raises.
TRANSITIONS: Transitions = {
    RunnableStatus.NOT_STARTED: frozenset(
        {
            RunnableStatus.RUNNING,  # it started, can pay for its amount, and its slices are large enough
            RunnableStatus.TERMINATED,  # it cannot (INSUFFICIENT_BALANCE, FAILED), or was stopped before
        }
    ),
    RunnableStatus.RUNNING: frozenset(
        {
            RunnableStatus.TERMINATED,  # every slot has its slice; no order is open then, so nothing is to wind up
            RunnableStatus.SHUTTING_DOWN,  # a stop, or too many failures: open orders are cancelled, and may still fill
        }
    ),
    RunnableStatus.SHUTTING_DOWN: frozenset(
        {
            RunnableStatus.TERMINATED,  # no order is live
        }
    ),
    RunnableStatus.TERMINATED: frozenset(),  # nothing follows: a late update changes nothing
}

#: Close types after which what was executed is a position that somebody has to know of. After COMPLETED and EARLY_STOP
#: it is the result that was asked for, as far as it went.
REPORTED_HELD = (CloseType.POSITION_HOLD, CloseType.FAILED)

#: Orders that ended unfilled are remembered for as many, so that a fill told late is still counted.
REMEMBERED = 50


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """`tag` is its newest order, 0 before the first; `tags` those before it that filled in part. `price` is the mid
    price that the newest was sized at. `is_settled`: it has its slice, or what is missing is too little to send."""

    tag: int = 0
    tags: tuple[int, ...] = ()
    price: Decimal = ZERO
    is_settled: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`retry_at_us` is the earliest moment for another order after one that failed. `blind`: an order is due, and there
    was no price to size it at. `last_price` is that of the end: an executor that ended has the PnL of then."""

    config: Config
    leg: Leg
    max_retries: int
    started_at_us: int
    slots: tuple[Slot, ...]
    status: RunnableStatus = RunnableStatus.NOT_STARTED
    close_type: CloseType | None = None
    close_at_us: int | None = None
    book: Book = Book()
    retries: int = 0
    retry_at_us: int = 0
    blind: bool = False
    refusal: str = ""
    last_price: Price | None = None

    def due_at_us(self, slot: int) -> int:
        return self.started_at_us + slot * self.config.order_interval_s * US

    def is_vacant(self, slot: Slot) -> bool:
        """Whether it has no order, or one that ended without its slice."""
        if slot.is_settled:
            return False
        order = self.book.get(slot.tag) if slot.tag else None
        return order is None or order.is_done

    def resubmit_at_us(self, order: Tracked) -> int | None:
        """The first moment at which an open order has been open for longer than allowed."""
        after_s = self.config.order_resubmission_time_s
        if self.config.mode is not Mode.MAKER or after_s is None or order.status is not OrderStatus.OPEN:
            return None
        return order.created_at_us + after_s * US + 1


# -- sizing


def _has_sent(state: State, slot: Slot) -> bool:
    """Whether an order of the slot was taken by the venue."""
    order = state.book.get(slot.tag) if slot.tag else None
    return order is not None and order.status is not OrderStatus.FAILED


def _open_quote(state: State, slot: Slot) -> Decimal:
    """What of a slot's newest order is not executed, whether it still may be or not, in quote."""
    order = state.book.get(slot.tag) if slot.tag else None
    if order is None or order.status is OrderStatus.FAILED:
        return ZERO
    return (order.amount - order.executed_base) * (order.price or slot.price)


def _slice_quote(state: State, at: int) -> Decimal:
    """The quote to send for a slot: an equal share, among the slots that have sent nothing, of what is not committed.

    A slot that sends again after a cancel counts as one that has sent, and its cancelled order as committed, as
    Hummingbot does it; what it has executed itself is taken off its share. The last to send takes all that is left.
    """
    slot = state.slots[at]
    others = [other for number, other in enumerate(state.slots) if number != at and not other.is_settled]
    left = state.config.total_amount_quote - executed_quote(state.book.orders)
    left -= sum((_open_quote(state, other) for other in others), ZERO)
    unsent = sum(1 for other in others if not _has_sent(state, other))
    own = executed_quote(state.book.some((*slot.tags, slot.tag)))
    if not _has_sent(state, slot):
        return (left + own) / (unsent + 1) - own
    return (left - _open_quote(state, slot)) / unsent - own if unsent else left


# -- sending


def _send(turn: Turn[State], at: int) -> None:
    """An order for a slot, or its end if what is missing is too little for one."""
    state = turn.state
    config, rules = state.config, state.leg.rules
    if turn.price is None:
        turn.change(blind=True)
        return
    mid = turn.price.mid
    slot = state.slots[at]
    amount = quantize_amount(rules, _slice_quote(state, at) / mid)
    price = None
    if config.order_kind.is_limit:
        price = quantize_price(rules, mid * (1 - config.side.sign * config.limit_order_buffer))
    if not meets_minimum(rules, amount, mid if price is None else price):
        _put(turn, at, msgspec.structs.replace(slot, is_settled=True))
        return
    order = turn.place(config.side, config.order_kind, amount, price, PositionAction.OPEN)
    before = state.book.get(slot.tag)
    tags = (*slot.tags, slot.tag) if before is not None and before.executed_base else slot.tags
    _put(turn, at, Slot(tag=order.tag, tags=tags, price=mid))
    turn.change(book=turn.state.book.pruned(REMEMBERED))


def _put(turn: Turn[State], at: int, slot: Slot) -> None:
    slots = turn.state.slots
    turn.change(slots=(*slots[:at], slot, *slots[at + 1 :]))


def _look(turn: Turn[State]) -> None:
    """Send what is due, and cancel what has been open for too long."""
    if turn.state.status is not RunnableStatus.RUNNING:
        return
    turn.change(blind=False)
    for number, slot in enumerate(turn.state.slots):
        if turn.state.due_at_us(number) > turn.at_us:
            break
        if turn.state.is_vacant(slot) and (not slot.tag or turn.at_us >= turn.state.retry_at_us):
            _send(turn, number)
    for order in turn.state.book.live:
        moment = turn.state.resubmit_at_us(order)
        if moment is not None and turn.at_us >= moment:
            turn.cancel(order)
    _complete(turn)


def _complete(turn: Turn[State]) -> None:
    state = turn.state
    if state.book.live or not all(slot.is_settled for slot in state.slots):
        return
    if state.book.filled:
        turn.log("INFO", "Every slice is executed.")
        _terminate(turn, CloseType.COMPLETED)
    else:
        turn.log("ERROR", "No slice was large enough to be sent.")
        _terminate(turn, CloseType.FAILED)


# -- winding up


def _wind_up(turn: Turn[State], close_type: CloseType) -> None:
    turn.to(RunnableStatus.SHUTTING_DOWN, close_type=close_type, close_at_us=turn.at_us, blind=False)
    for order in turn.state.book.live:
        turn.cancel(order)
    _settle(turn)


def _settle(turn: Turn[State]) -> None:
    """End once no order can fill any more. A hold that holds nothing is an early stop."""
    state = turn.state
    if state.status is not RunnableStatus.SHUTTING_DOWN or state.book.live or state.close_type is None:
        return
    holds_nothing = state.close_type is CloseType.POSITION_HOLD and not state.book.filled
    _terminate(turn, CloseType.EARLY_STOP if holds_nothing else state.close_type)


def _terminate(turn: Turn[State], close_type: CloseType) -> None:
    turn.to(
        RunnableStatus.TERMINATED, close_type=close_type, close_at_us=turn.at_us, last_price=turn.price, blind=False
    )


# -- events


def _start(turn: Turn[State], affordable: bool) -> None:
    if turn.state.refusal:
        turn.log("ERROR", turn.state.refusal)
        _terminate(turn, CloseType.FAILED)
    elif not affordable:
        turn.log("ERROR", "Not enough balance for the amount.")
        _terminate(turn, CloseType.INSUFFICIENT_BALANCE)
    else:
        turn.to(RunnableStatus.RUNNING)
        _look(turn)


def _order_updated(turn: Turn[State], update: Tracked) -> None:
    known = turn.state.book.get(update.tag)
    book = turn.state.book.updated(update)
    order = book.get(update.tag)
    if known is None or order is None or book is turn.state.book:
        return
    turn.change(book=book)
    if order.is_done and order.status is not known.status:
        _ended(turn, known, order)
    if turn.state.status is RunnableStatus.RUNNING:
        _complete(turn)
    _settle(turn)


def _ended(turn: Turn[State], known: Tracked, order: Tracked) -> None:
    """An order is done: its slot has its slice, or sends what is missing again. Not so once the executor winds up."""
    state = turn.state
    at = next((number for number, slot in enumerate(state.slots) if slot.tag == order.tag), None)
    if order.is_filled:
        if at is not None:
            _put(turn, at, msgspec.structs.replace(state.slots[at], is_settled=True))
        return
    asked_for = order.status is OrderStatus.CANCELLED and known.status is OrderStatus.CANCELLING
    if not asked_for:
        told = "failed" if order.status is OrderStatus.FAILED else "was cancelled by the venue"
        turn.log("ERROR", f"Order {order.tag} {told}: {order.reason or 'no reason was given'}.")
    if state.status is not RunnableStatus.RUNNING:
        return
    if asked_for:
        if at is not None:
            _send(turn, at)
        return
    turn.change(retries=state.retries + 1, retry_at_us=order.created_at_us + RETRY_US)
    if turn.state.retries > state.max_retries:
        turn.log("ERROR", f"{turn.state.retries} retries exceed the {state.max_retries} allowed.")
        _wind_up(turn, CloseType.FAILED)


def _stop(turn: Turn[State], keep_position: bool) -> None:
    status = turn.state.status
    if status is RunnableStatus.NOT_STARTED:
        _terminate(turn, CloseType.EARLY_STOP)
    elif status is RunnableStatus.RUNNING:
        turn.log("INFO", f"Stopped, {'keeping the position' if keep_position else 'leaving what is executed'}.")
        _wind_up(turn, CloseType.POSITION_HOLD if keep_position else CloseType.EARLY_STOP)


class TwapMachine:
    type = "twap_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        """Raises InvalidInput with `field`."""
        return parse(config)

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return one_leg(config.connector_name, config.trading_pair)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        """Slices that the market would never take are told at the start, and end the executor as FAILED."""
        rules = legs[0].rules
        quote = config.total_amount_quote / config.slots
        price = prices.get(0)
        refusal = ""
        if quote < rules.min_notional or (price is not None and quote / price.mid < rules.min_order_size):
            refusal = (
                f"A slice of {quote} is below what {config.trading_pair} takes: at least {rules.min_order_size} in "
                f"base and {rules.min_notional} in quote. Raise the total amount or the interval between orders."
            )
        return State(
            config=config,
            leg=legs[0],
            max_retries=max_retries,
            started_at_us=at_us,
            slots=(Slot(),) * config.slots,
            refusal=refusal,
        )

    def step(self, state: State, event: Event) -> tuple[State, tuple[Command, ...]]:
        if state.status is RunnableStatus.TERMINATED:
            return state, ()
        turn = Turn(state, event, TRANSITIONS)
        if isinstance(event, Started):
            if state.status is RunnableStatus.NOT_STARTED:
                _start(turn, event.affordable)
        elif isinstance(event, Moved):
            _look(turn)
        elif isinstance(event, OrderUpdated):
            _order_updated(turn, event.order)
        elif isinstance(event, StopAsked):
            _stop(turn, event.keep_position)
        return turn.state, tuple(turn.commands)

    def watches(self, state: State) -> Watches:
        """No price concerns it: only moments, and any price at all while it has none to size an order at."""
        if state.status is not RunnableStatus.RUNNING:
            return Watches()
        moments = []
        for number, slot in enumerate(state.slots):
            if slot.is_settled:
                continue
            if not slot.tag:
                # Those after it are due later.
                moments.append(state.due_at_us(number))
                break
            if state.is_vacant(slot):
                moments.append(state.retry_at_us)
        live = state.book.live
        moments += [moment for order in live if (moment := state.resubmit_at_us(order)) is not None]
        if state.blind:
            return Watches(every=True)
        return Watches(at_us=min(moments, default=None))

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        """PnL is that of what was executed, at the mid price."""
        price = state.last_price or prices.get(0)
        orders = state.book.orders
        base = executed_base(orders)
        average = sum((order.average * order.executed_base for order in orders), ZERO) / base if base else ZERO
        quote = base * average
        pct = ZERO
        if price is not None and average:
            pct = state.config.side.sign * (price.mid - average) / average
        fees = fees_quote(orders)
        net = pct * quote - fees
        is_active = state.status in (RunnableStatus.NOT_STARTED, RunnableStatus.RUNNING)
        is_left = state.status is RunnableStatus.TERMINATED and state.close_type in REPORTED_HELD
        held = state.book.filled if is_left else ()
        return Report(
            status=state.status,
            close_type=state.close_type,
            net_pnl_quote=net,
            net_pnl_pct=net / quote if quote else ZERO,
            cum_fees_quote=fees,
            filled_amount_quote=quote,
            is_active=is_active,
            is_trading=is_active and bool(net),
            close_at_us=state.close_at_us,
            custom_info={
                "side": state.config.side,
                "current_position_average_price": average,
                "filled_amount_base": base,
                "filled_amount_quote": quote,
                "current_retries": state.retries,
                "max_retries": state.max_retries,
                "order_ids": order_ids(orders),
                "held_position_orders": held_json(held),
            },
            held=held,
        )


MACHINE = TwapMachine()

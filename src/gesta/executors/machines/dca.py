"""The DCA executor: a position built up level by level, closed as a whole (protocols/hummingbot.md §4).

Levels open in order, at most one in a second: as limit orders (MAKER), or at the market when the price is near the
level (TAKER). Stop-loss, trailing stop, take-profit and time limit close everything by market order. The stop-loss of
a MAKER is the plan's as a whole: it is armed when no level is waiting wholly unfilled any more, so that it does not cut
short the averaging that it was computed for; a TAKER's is a loss in quote and armed from the first fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.executors.machines.common import (
    RETRY_US,
    US,
    ZERO,
    closing_price,
    executed_base,
    meets_minimum,
    one_leg,
    quantize_amount,
    quantize_price,
    trailing_step,
)
from gesta.executors.machines.dca_config import Config, Mode, bounds_of, parse
from gesta.executors.machines.dca_position import (
    Figures,
    State,
    barrier_watches,
    bound_watch,
    custom_info,
    figures_of,
    left_open,
    stop_loss_pct,
    trail,
    trailed,
)
from gesta.executors.machines.face import (
    CloseType,
    Command,
    Event,
    Leg,
    Moved,
    OrderKind,
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

__all__ = ["MACHINE", "Config", "Mode", "State"]

#: What follows what. A change without a row is a defect, and raises.
TRANSITIONS: Transitions = {
    RunnableStatus.NOT_STARTED: frozenset(
        {
            RunnableStatus.RUNNING,  # it started, can pay for its levels, and they are large enough
            RunnableStatus.TERMINATED,  # it cannot, is late (EXPIRED), or was stopped before
        }
    ),
    RunnableStatus.RUNNING: frozenset(
        {
            RunnableStatus.SHUTTING_DOWN,  # a barrier, a stop, or too many failures: levels are cancelled, then closed
        }
    ),
    RunnableStatus.SHUTTING_DOWN: frozenset(
        {
            RunnableStatus.TERMINATED,  # no order is live, and what was filled is closed, held, or too small to close
        }
    ),
    RunnableStatus.TERMINATED: frozenset(),  # nothing follows: a late update changes nothing
}

#: Close types that leave what is filled where it is.
LEAVES_OPEN = (CloseType.POSITION_HOLD, CloseType.FAILED)

# -- opening


def _open_next(turn: Turn[State]) -> None:
    state = turn.state
    config = state.config
    level = state.next_level
    if level is None or turn.at_us < state.next_open_at_us:
        return
    low, high = bounds_of(config, level)
    if low is not None or high is not None:
        if turn.price is None:
            turn.change(blind=True)
            return
        mid = turn.price.mid
        beyond = 1 if high is not None and mid >= high else -1 if low is not None and mid <= low else 0
        turn.change(beyond=beyond, blind=False)
        if beyond:
            return
    price = config.prices[level]
    rules = state.leg.rules
    order = turn.place(
        config.side,
        config.order_kind,
        quantize_amount(rules, config.amounts_quote[level] / price),
        quantize_price(rules, price) if config.order_kind.is_limit else None,
        PositionAction.OPEN,
    )
    levels = (*state.levels[:level], order.tag, *state.levels[level + 1 :])
    turn.change(levels=levels, next_open_at_us=turn.at_us + RETRY_US, beyond=0, blind=False)


# -- barriers, in the order of their precedence


def _barrier(turn: Turn[State]) -> CloseType | None:
    state = turn.state
    config = state.config
    filled = executed_base(state.opens)
    if turn.price is not None and filled:
        market = closing_price(config.side, turn.price)
        # What the venue would not take as an order cannot be closed, by whatever barrier.
        if meets_minimum(state.leg.rules, left_open(state), market):
            figures = figures_of(state, turn.price)
            if (close_type := _price_barrier(turn, figures)) is not None:
                return close_type
    if state.end_at_us is not None and turn.at_us >= state.end_at_us:
        return CloseType.TIME_LIMIT
    return None


def _price_barrier(turn: Turn[State], figures: Figures) -> CloseType | None:
    config = turn.state.config
    if config.stop_loss is not None:
        if config.mode is Mode.TAKER:
            if figures.net_quote <= -sum(config.amounts_quote, ZERO) * config.stop_loss:
                return CloseType.STOP_LOSS
        elif stop_loss_pct(turn.state) is not None and figures.net_pct <= -config.stop_loss:
            return CloseType.STOP_LOSS
    if config.trailing_stop is not None:
        trigger, crossed = trailing_step(config.trailing_stop, turn.state.trailing_trigger, figures.net_pct)
        if trigger != turn.state.trailing_trigger:
            turn.change(trailing_trigger=trigger, trailing_since_us=turn.at_us)
        if crossed:
            return CloseType.TRAILING_STOP
    if config.take_profit is not None and figures.net_pct > config.take_profit:
        return CloseType.TAKE_PROFIT
    return None


# -- winding up


def _wind_up(turn: Turn[State], close_type: CloseType, message: str) -> None:
    """Cancel the levels and close what they have filled; a fill that comes after its cancel is closed too."""
    turn.log("ERROR" if close_type is CloseType.FAILED else "INFO", message)
    turn.to(RunnableStatus.SHUTTING_DOWN, close_type=close_type, close_at_us=turn.at_us)
    for order in turn.state.book.live:
        turn.cancel(order)
    if close_type not in LEAVES_OPEN:
        _close(turn)
    _settle(turn)


def _close(turn: Turn[State]) -> bool:
    """Place a market order for what is left open, if a venue would take it. Says whether it did."""
    state = turn.state
    left = left_open(state)
    market = None if turn.price is None else closing_price(state.config.side, turn.price)
    if not meets_minimum(state.leg.rules, left, market):
        return False
    turn.place(state.config.side.opposite, OrderKind.MARKET, left, None, PositionAction.CLOSE)
    turn.change(next_close_at_us=0)
    return True


def _settle(turn: Turn[State]) -> None:
    """While shutting down: wait for the orders, close what is left, end."""
    state = turn.state
    if state.status is not RunnableStatus.SHUTTING_DOWN or state.book.live:
        return
    assert state.close_type is not None
    if state.close_type not in LEAVES_OPEN:
        if state.next_close_at_us and left_open(state):
            if turn.at_us < state.next_close_at_us:
                return
            # Placing a close again is counted beside the failure that made it necessary, as Hummingbot does.
            turn.change(retries=state.retries + 1)
            if turn.state.retries > state.max_retries:
                turn.change(close_type=CloseType.FAILED)
                _settle(turn)
                return
        if _close(turn):
            return
    close_type = state.close_type
    if close_type is CloseType.POSITION_HOLD and not left_open(state):
        close_type = CloseType.EARLY_STOP
    _terminate(turn, close_type)


def _terminate(turn: Turn[State], close_type: CloseType) -> None:
    left = left_open(turn.state)
    if left and close_type is not CloseType.POSITION_HOLD:
        turn.log("WARNING", f"{left} of {turn.state.config.trading_pair} stay open and are reported as held.")
    turn.to(
        RunnableStatus.TERMINATED,
        close_type=close_type,
        close_at_us=turn.at_us,
        last_price=turn.price if left else None,
        next_close_at_us=0,
        look_at_us=None,
        blind=False,
    )


# -- events


def _start(turn: Turn[State], affordable: bool) -> None:
    state = turn.state
    if state.refusal:
        turn.log("ERROR", state.refusal)
        _terminate(turn, CloseType.FAILED)
    elif not affordable:
        turn.log("ERROR", "Not enough balance for the levels.")
        _terminate(turn, CloseType.INSUFFICIENT_BALANCE)
    elif state.end_at_us is not None and turn.at_us >= state.end_at_us:
        turn.log("WARNING", "The time limit was over before the start.")
        _terminate(turn, CloseType.EXPIRED)
    else:
        turn.to(RunnableStatus.RUNNING)
        _look(turn)


def _look(turn: Turn[State]) -> None:
    """Everything again, at the prices of now. Barriers come first: a level is not opened to be closed at once."""
    if turn.state.status is RunnableStatus.RUNNING:
        turn.change(look_at_us=None)
        close_type = _barrier(turn)
        if close_type is not None:
            _wind_up(turn, close_type, f"{close_type}: closing the position.")
        else:
            _open_next(turn)
    _settle(turn)


def _order_updated(turn: Turn[State], update: Tracked) -> None:
    state = turn.state
    known = state.book.get(update.tag)
    book = state.book.updated(update)
    order = book.get(update.tag)
    if known is None or order is None or book is state.book:
        return
    turn.change(book=book)
    if order.status is OrderStatus.FAILED and known.status is not OrderStatus.FAILED:
        _failed(turn, order)
    elif order.is_done and order.side is not state.config.side and not order.is_filled and left_open(turn.state):
        # A close that the venue ended before its time is placed again at the pace of one that failed.
        turn.change(next_close_at_us=order.created_at_us + RETRY_US)
    if turn.state.status is RunnableStatus.RUNNING:
        # What it means for the barriers is decided by the `Moved` that `watches` asks for at once.
        turn.change(look_at_us=turn.at_us)
        _check_levels(turn)
    _settle(turn)


def _failed(turn: Turn[State], order: Tracked) -> None:
    state = turn.state
    turn.log("ERROR", f"Order {order.tag} failed: {order.reason or 'no reason was given'}.")
    is_close = order.side is not state.config.side
    if state.status is RunnableStatus.SHUTTING_DOWN and not is_close:
        # It was to be cancelled: nothing is tried again, and its failure must not keep the rest from being closed.
        return
    turn.change(retries=state.retries + 1)
    if is_close:
        turn.change(next_close_at_us=order.created_at_us + RETRY_US)
    elif not order.executed_base:
        # The level is free again. One that filled in part before it failed stays as it is: its fills count.
        turn.change(levels=tuple(0 if tag == order.tag else tag for tag in state.levels), beyond=0)
    if turn.state.retries <= state.max_retries:
        return
    message = f"{turn.state.retries} retries exceed the {state.max_retries} allowed."
    if state.status is RunnableStatus.RUNNING:
        _wind_up(turn, CloseType.FAILED, message)
    elif state.status is RunnableStatus.SHUTTING_DOWN:
        turn.log("ERROR", message)
        turn.change(close_type=CloseType.FAILED)


def _check_levels(turn: Turn[State]) -> None:
    """Levels that all ended unfilled (cancelled at the venue) will never be a position: nothing is left to wait for."""
    state = turn.state
    if 0 not in state.levels and not state.book.live and not executed_base(state.opens):
        _wind_up(turn, CloseType.FAILED, "Every level was cancelled at the venue without a fill.")


def _stop(turn: Turn[State], keep_position: bool) -> None:
    state = turn.state
    if state.status is RunnableStatus.NOT_STARTED:
        _terminate(turn, CloseType.EARLY_STOP)
    elif state.status is RunnableStatus.RUNNING:
        close_type = CloseType.POSITION_HOLD if keep_position else CloseType.EARLY_STOP
        _wind_up(turn, close_type, f"Stopped, {'keeping' if keep_position else 'closing'} the position.")
    elif keep_position and state.close_type not in LEAVES_OPEN and left_open(state) and not state.book.live:
        # A close that waits for its next try is not tried again. One that is at the venue already is left to finish.
        turn.change(close_type=CloseType.POSITION_HOLD)
        _settle(turn)


class DcaMachine:
    type = "dca_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        """Raises InvalidInput with `field`."""
        return parse(config)

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return one_leg(config.connector_name, config.trading_pair)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        """A level that the market would never take is told at the start, and ends the executor as FAILED."""
        rules = legs[0].rules
        refusal = ""
        for amount, price in zip(config.amounts_quote, config.prices, strict=True):
            if amount < rules.min_notional or amount / price < rules.min_order_size:
                refusal = (
                    f"The level of {amount} at {price} is below what {config.trading_pair} takes: "
                    f"at least {rules.min_order_size} in base and {rules.min_notional} in quote."
                )
                break
        begun_at_us = at_us if config.timestamp_us is None else config.timestamp_us
        return State(
            config=config,
            leg=legs[0],
            max_retries=max_retries,
            levels=(0,) * len(config.prices),
            end_at_us=None if config.time_limit_s is None else begun_at_us + config.time_limit_s * US,
            refusal=refusal,
        )

    def step(self, state: State, event: Event) -> tuple[State, tuple[Command, ...]]:
        if state.status is RunnableStatus.TERMINATED:
            return state, ()
        turn = Turn(trailed(state, event.at_us, event.prices.get(0)), event, TRANSITIONS)
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
        """Barriers and the next level's bounds. A level that the price is beyond already must wake at once."""
        if state.status is RunnableStatus.SHUTTING_DOWN:
            waits = state.next_close_at_us and state.close_type not in LEAVES_OPEN and not state.book.live
            return Watches(at_us=state.next_close_at_us if waits else None)
        if state.status is not RunnableStatus.RUNNING:
            return Watches()
        moments = [at_us for at_us in (state.end_at_us, state.look_at_us) if at_us is not None]
        prices = list(barrier_watches(state))
        bound = bound_watch(state)
        if bound is not None:
            prices.append(bound)
        elif state.next_level is not None and not state.blind:
            moments.append(state.next_open_at_us)
        return Watches(prices=tuple(prices), at_us=min(moments, default=None), every=state.blind, trail=trail(state))

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        state = trailed(state, state.trailing_since_us, prices.get(0))
        figures = figures_of(state, prices.get(0))
        is_active = state.status in (RunnableStatus.NOT_STARTED, RunnableStatus.RUNNING)
        held: tuple[Tracked, ...] = ()
        if state.status is RunnableStatus.TERMINATED and left_open(state):
            held = state.book.filled
        return Report(
            status=state.status,
            close_type=state.close_type,
            net_pnl_quote=figures.net_quote,
            net_pnl_pct=figures.net_pct,
            cum_fees_quote=figures.fees,
            filled_amount_quote=figures.filled_quote,
            is_active=is_active,
            is_trading=is_active and bool(figures.net_quote),
            close_at_us=state.close_at_us,
            custom_info=custom_info(state, figures, held),
            held=held,
        )


MACHINE = DcaMachine()

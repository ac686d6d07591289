"""`grid_executor`: a ladder of small positions between two prices, each closed at its own profit
(protocols/hummingbot.md §5).

Equal to Hummingbot in what it sends and reports, except: `max_open_orders` bounds the live openings, where Hummingbot
only asks before a batch; every fill counts and is closed once, also those of orders that are cancelled in part;
positions are worth what their fills cost; a take-profit by market order waits for its price; a trailing stop ends with
the position that it trailed; refused orders end the grid by its retry rule; a position that is kept is reported as
held. An order's update is book-keeping, and what follows from it is decided by the `Moved` that `watches` then asks for
at once, so that fills told together are answered together. Winding down goes on with every update.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from gesta.executors.machines.common import (
    RETRY_US,
    ZERO,
    check_row,
    meets_minimum,
    one_leg,
    quantize_amount,
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
from gesta.executors.machines.grid_book import counted, updated
from gesta.executors.machines.grid_config import Config, parse
from gesta.executors.machines.grid_levels import Level, LevelEvent, plan
from gesta.executors.machines.grid_orders import closing, distant, due_to_close, due_to_open, opening
from gesta.executors.machines.grid_report import report
from gesta.executors.machines.grid_state import RESEND_US, State, position
from gesta.executors.machines.grid_watches import trailed, watches
from gesta.kernel.errors import InvalidInput

__all__ = ["MACHINE", "TRANSITIONS", "Config", "State"]

#: What follows what. A change without a row is a defect, and raises.
TRANSITIONS: Mapping[RunnableStatus, frozenset[RunnableStatus]] = {
    RunnableStatus.NOT_STARTED: frozenset(
        {
            RunnableStatus.RUNNING,  # it started
            RunnableStatus.SHUTTING_DOWN,  # it was stopped before
            RunnableStatus.TERMINATED,  # it cannot pay for anything (INSUFFICIENT_BALANCE)
        }
    ),
    RunnableStatus.RUNNING: frozenset(
        {
            RunnableStatus.SHUTTING_DOWN,  # a barrier, a stop, or too many refusals: its orders are cancelled first
        }
    ),
    RunnableStatus.SHUTTING_DOWN: frozenset(
        {
            RunnableStatus.TERMINATED,  # no order is live, and what was open is closed, held, or too small to close
        }
    ),
    RunnableStatus.TERMINATED: frozenset(),  # nothing follows: a late update changes nothing
}

Step = tuple[State, tuple[Command, ...]]


class GridMachine:
    type = "grid_executor"

    def parse(self, config: Mapping[str, Any]) -> Config:
        return parse(config)

    def legs(self, config: Config) -> tuple[Leg, ...]:
        return one_leg(config.connector_name, config.trading_pair)

    def begin(
        self, config: Config, legs: tuple[Leg, ...], *, at_us: int, prices: Mapping[int, Price], max_retries: int
    ) -> State:
        """Raises InvalidInput for a grid of too many levels, which shows only at a price."""
        state = State(config=config, leg=legs[0], begun_at_us=at_us, max_retries=max_retries)
        price = prices.get(0)
        return state if price is None else _planned(state, price)

    def step(self, state: State, event: Event) -> Step:
        if state.status is RunnableStatus.TERMINATED:
            return state, ()
        state = trailed(state, event.at_us, event.prices.get(0))
        if isinstance(event, OrderUpdated):
            state, told = updated(state, event.order, event.at_us)
            if told is None:
                return state, ()
        else:
            told = ()
        turn = _Turn(state, event, told)
        match event:
            case Started():
                turn.start(event)
            case Moved():
                turn.look()
            case OrderUpdated():
                turn.update()
            case StopAsked():
                turn.stop(event.keep_position)
        return turn.state, tuple(turn.commands)

    def watches(self, state: State) -> Watches:
        return watches(state)

    def report(self, state: State, prices: Mapping[int, Price]) -> Report:
        return report(state, prices.get(0))


MACHINE: Machine[Config, State] = GridMachine()


def _planned(state: State, price: Price) -> State:
    """With its levels, which are laid once, at the first price that is known."""
    laid = plan(state.config, state.leg.rules, price.mid)
    factor = 1 + state.config.side.sign * laid.take_profit
    levels = tuple(Level(index=index, price=at, take_profit_price=at * factor) for index, at in enumerate(laid.prices))
    return msgspec.structs.replace(state, plan=laid, levels=levels, mid=price.mid)


class _Turn:
    """One step in the making: the state as it has become so far, and the commands that follow from it."""

    def __init__(self, state: State, event: Event, logs: tuple[Log, ...]) -> None:
        self.at_us = event.at_us
        self.price = event.prices.get(0)
        self.commands: list[Command] = list(logs)
        self.state = state
        if self.price is not None:
            self.change(mid=self.price.mid)

    def change(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)

    def to(self, status: RunnableStatus, **changes: Any) -> None:
        if status is not self.state.status:
            check_row(TRANSITIONS, self.state.status, status)
        self.change(status=status, **changes)

    def log(self, level: str, message: str) -> None:
        self.commands.append(Log(level=level, message=message))

    def put(self, level: Level) -> None:
        levels = self.state.levels
        self.change(levels=(*levels[: level.index], level, *levels[level.index + 1 :]))

    def place(
        self, side: Trade, kind: OrderKind, amount: Decimal, price: Decimal | None, action: PositionAction
    ) -> Tracked:
        order = Tracked(
            tag=self.state.last_tag + 1,
            side=side,
            kind=kind,
            amount=amount,
            price=price,
            action=action,
            created_at_us=self.at_us,
            updated_at_us=self.at_us,
        )
        self.change(last_tag=order.tag)
        self.commands.append(Place(order=order))
        return order

    # -- events

    def start(self, event: Started) -> None:
        if self.state.status is not RunnableStatus.NOT_STARTED:
            return
        if not event.affordable:
            self.log("ERROR", f"Not enough balance for {self.state.config.total_amount_quote} in quote.")
            self.to(RunnableStatus.TERMINATED, close_type=CloseType.INSUFFICIENT_BALANCE, close_at_us=self.at_us)
            return
        self.to(RunnableStatus.RUNNING)
        self.look()

    def look(self) -> None:
        """Look at everything: the barriers, then what is to be opened, closed and cancelled."""
        self.pass_moments()
        if self.state.status is RunnableStatus.SHUTTING_DOWN:
            self.wind_down()
        elif self.state.status is RunnableStatus.RUNNING:
            self.lay_levels()
            close_type = self.barrier()
            if close_type is not None:
                self.shut_down(close_type)
            elif self.price is not None and self.state.plan is not None:
                self.open_levels(self.price)
                self.close_levels(self.price)
                self.cancel_distant(self.price.mid)
                self.cancel_again()

    def update(self) -> None:
        if self.state.status is RunnableStatus.SHUTTING_DOWN:
            self.wind_down()
        elif self.state.status is RunnableStatus.RUNNING and self.state.retries > self.state.max_retries:
            self.shut_down(CloseType.FAILED)

    def stop(self, keep_position: bool) -> None:
        if self.state.status is not RunnableStatus.SHUTTING_DOWN:
            self.shut_down(CloseType.POSITION_HOLD if keep_position else CloseType.EARLY_STOP)
        elif keep_position and all(order.is_done for order in self.state.exits):
            # It may be kept as long as it is not being sold.
            self.change(close_type=CloseType.POSITION_HOLD)
            self.wind_down()

    # -- running

    def pass_moments(self) -> None:
        """Forget the moments that have come, so that none of them is waited for twice."""
        state = self.state
        if state.look_at_us is not None and state.look_at_us <= self.at_us:
            self.change(look_at_us=None)
        if state.retry_at_us and state.retry_at_us <= self.at_us:
            self.change(retry_at_us=0)
        if state.open_again_at_us and state.open_again_at_us <= self.at_us:
            self.change(open_again_at_us=0)
        for level in state.levels:
            if level.retry_at_us and level.retry_at_us <= self.at_us:
                self.put(msgspec.structs.replace(level, retry_at_us=0))

    def lay_levels(self) -> None:
        if self.state.plan is not None or self.price is None:
            return
        try:
            self.state = _planned(self.state, self.price)
        except InvalidInput as error:
            self.log("ERROR", error.message)
            self.shut_down(CloseType.FAILED)

    def barrier(self) -> CloseType | None:
        """Which barrier is crossed, in their order of precedence; the trailing stop's trigger is moved along."""
        state, config, mid = self.state, self.state.config, self.state.mid
        if state.status is not RunnableStatus.RUNNING:
            return None
        expired = state.end_us is not None and state.end_us <= self.at_us
        if self.price is None or mid is None or state.plan is None:
            return CloseType.TIME_LIMIT if expired else None
        buys = config.side is Trade.BUY
        open_position = position(state)
        pnl_pct = open_position.pnl_pct(config.side, mid)
        stop_loss = config.triple_barrier.stop_loss
        if stop_loss is not None and pnl_pct <= -stop_loss:
            return CloseType.STOP_LOSS
        if config.limit_price and (mid <= config.limit_price if buys else mid >= config.limit_price):
            return CloseType.POSITION_HOLD if config.keep_position else CloseType.STOP_LOSS
        if expired:
            return CloseType.TIME_LIMIT
        if self.trailing_crossed(pnl_pct if open_position.size_quote > 0 else None):
            return CloseType.TRAILING_STOP
        if mid > config.end_price if buys else mid < config.start_price:
            return CloseType.TAKE_PROFIT
        return None

    def trailing_crossed(self, pnl_pct: Decimal | None) -> bool:
        trailing, trigger = self.state.config.triple_barrier.trailing_stop, self.state.trailing_trigger
        if trailing is None:
            return False
        moved, crossed = (None, False) if pnl_pct is None else trailing_step(trailing, trigger, pnl_pct)
        if moved != trigger:
            self.change(trailing_trigger=moved, trailing_since_us=self.at_us)
        return crossed

    def open_levels(self, price: Price) -> None:
        state, config, spacing_us = self.state, self.state.config, self.state.config.order_spacing_us
        if state.open_places <= 0 or state.plan is None:
            return
        levels = due_to_open(state, price)
        if not levels:
            return
        if state.opened_at_us is not None and self.at_us < state.opened_at_us + spacing_us:
            self.change(open_again_at_us=state.opened_at_us + spacing_us)
            return
        batch = state.open_places
        if config.max_orders_per_batch is not None:
            batch = min(batch, config.max_orders_per_batch)
        for level in levels[:batch]:
            amount, at = opening(state, state.plan.amount_quote, level, price)
            order = self.place(config.side, config.triple_barrier.open_order_type, amount, at, PositionAction.OPEN)
            self.put(level.with_order(order).after(LevelEvent.OPEN_SENT))
        if spacing_us:
            self.change(opened_at_us=self.at_us)
            if len(levels) > batch and self.state.open_places > 0:
                self.change(open_again_at_us=self.at_us + spacing_us)

    def close_levels(self, price: Price) -> None:
        for level in due_to_close(self.state, price):
            amount, at = closing(self.state, level, price)
            if not meets_minimum(self.state.leg.rules, amount, at):
                self.put(msgspec.structs.replace(level, retry_at_us=self.at_us + RETRY_US))
                continue
            config = self.state.config
            kind = config.triple_barrier.take_profit_order_type
            order = self.place(config.side.opposite, kind, amount, at, PositionAction.CLOSE)
            self.put(level.with_order(order).after(LevelEvent.CLOSE_SENT))

    def cancel_distant(self, mid: Decimal) -> None:
        for level, order in distant(self.state, mid):
            self.cancel(level, order)

    def cancel(self, level: Level, order: Tracked) -> None:
        changed = msgspec.structs.replace(order, status=OrderStatus.CANCELLING, updated_at_us=self.at_us)
        self.put(level.with_order(changed))
        self.commands.append(Cancel(tag=order.tag))

    def cancel_again(self) -> None:
        """A cancel that nobody has answered for long may have been lost."""
        for level in self.state.levels:
            order = level.live
            if order is None or order.status is not OrderStatus.CANCELLING:
                continue
            if order.updated_at_us + RESEND_US <= self.at_us:
                self.cancel(level, order)

    # -- winding down

    def shut_down(self, close_type: CloseType) -> None:
        self.log("INFO", f"Closing the grid: {close_type}.")
        self.to(
            RunnableStatus.SHUTTING_DOWN,
            close_type=close_type,
            close_at_us=self.at_us,
            look_at_us=None,
            retry_at_us=0,
            open_again_at_us=0,
            retries=self.state.retries if close_type is CloseType.FAILED else 0,
            levels=tuple(msgspec.structs.replace(level, retry_at_us=0) for level in self.state.levels),
        )
        self.wind_down()

    def wind_down(self) -> None:
        """Cancel what is live; then hold what is left, or close it by one market order."""
        for level in self.state.levels:
            order = level.live
            if order is not None and order.kind.is_limit and order.status is not OrderStatus.CANCELLING:
                self.cancel(level, order)
        self.cancel_again()
        state = self.state
        if any(level.live for level in state.levels) or any(not order.is_done for order in state.exits):
            return
        if state.close_type in (CloseType.POSITION_HOLD, CloseType.FAILED):
            self.end()
        elif state.config.keep_position and state.open_orders and state.close_type is not CloseType.TAKE_PROFIT:
            # The grid is to leave its position open, whatever ended it, unless it reached its end price.
            self.change(close_type=CloseType.POSITION_HOLD)
            self.end()
        elif not quantize_amount(state.leg.rules, abs(state.left_base)):
            self.state = counted(state)
            self.end()
        elif state.retries > state.max_retries:
            self.log("ERROR", "What is left could not be closed; it is held.")
            self.change(close_type=CloseType.FAILED)
            self.end()
        elif not state.retry_at_us:
            self.exit()

    def exit(self) -> None:
        state, rules = self.state, self.state.leg.rules
        left = state.left_base
        amount = quantize_amount(rules, abs(left))
        if not meets_minimum(rules, amount, state.mid):
            self.log("WARNING", f"What is left ({amount}) is below the venue's minimum; it is held.")
            self.end()
            return
        # More was closed than opened if a closing that was believed cancelled filled after all.
        too_much = left < ZERO
        order = self.place(
            state.config.side if too_much else state.config.side.opposite,
            OrderKind.MARKET,
            amount,
            None,
            PositionAction.OPEN if too_much else PositionAction.CLOSE,
        )
        self.change(exits=(*state.exits, order))

    def end(self) -> None:
        close_type = self.state.close_type
        if close_type is CloseType.POSITION_HOLD and not self.state.open_orders:
            close_type = CloseType.EARLY_STOP
        self.to(
            RunnableStatus.TERMINATED, close_type=close_type, close_at_us=self.at_us, retry_at_us=0, look_at_us=None
        )

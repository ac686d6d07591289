"""The orders of a grid executor: what an update of one of them changes, and what a completed round leaves."""

from __future__ import annotations

import msgspec

from gesta.executors.machines.common import RETRY_US, ZERO, merged
from gesta.executors.machines.face import Log, OrderStatus, RunnableStatus, Tracked
from gesta.executors.machines.grid_levels import Level, LevelEvent, LevelState, level_round, settled
from gesta.executors.machines.grid_state import ENDED_KEPT, RECENT_KEPT, Ended, Realized, State

__all__ = ["counted", "updated"]


def updated(state: State, update: Tracked, at_us: int) -> tuple[State, tuple[Log, ...] | None]:
    """The state after an update and the lines to log; None, and the state itself, if it says nothing new."""
    update = _uncounted(state, update)
    for level in state.levels:
        for known in level.orders:
            if known.tag == update.tag:
                order = merged(known, update)
                if order == known:
                    return state, None
                return _noted(_settled(state, level.with_order(order)), known, order, at_us, level)
    for at, known in enumerate(state.exits):
        if known.tag == update.tag:
            order = merged(known, update)
            if order == known:
                return state, None
            exits = (*state.exits[:at], order, *state.exits[at + 1 :])
            return _noted(msgspec.structs.replace(state, exits=exits), known, order, at_us, None)
    for at, entry in enumerate(state.ended):
        if entry.order.tag == update.tag:
            return _late(state, at, entry, merged(entry.order, update), at_us)
    return state, None


def _uncounted(state: State, update: Tracked) -> Tracked:
    """The update without the fills that a completed round has counted."""
    counted_then = next((order for order in state.counted if order.tag == update.tag), None)
    return update if counted_then is None else _sums(update, counted_then, -1)


def _sums(order: Tracked, other: Tracked, sign: int) -> Tracked:
    return msgspec.structs.replace(
        order,
        executed_base=order.executed_base + sign * other.executed_base,
        executed_quote=order.executed_quote + sign * other.executed_quote,
        fees_quote=order.fees_quote + sign * other.fees_quote,
        fees_base=order.fees_base + sign * other.fees_base,
    )


def _late(state: State, at: int, entry: Ended, order: Tracked, at_us: int) -> tuple[State, tuple[Log, ...] | None]:
    """A fill of an order that had ended without one is of the level's round again."""
    if not order.executed_base:
        return state, None
    state = msgspec.structs.replace(state, ended=(*state.ended[:at], *state.ended[at + 1 :]))
    state = _settled(state, state.levels[entry.level].with_order(order))
    if state.status is RunnableStatus.RUNNING:
        state = msgspec.structs.replace(state, look_at_us=at_us)
    line = f"Order {order.tag} filled {order.executed_base} after it was {entry.order.status}."
    return state, (Log(level="WARNING", message=line),)


def _noted(
    state: State, known: Tracked, order: Tracked, at_us: int, level: Level | None
) -> tuple[State, tuple[Log, ...]]:
    """With a refusal counted, or an end of refusals. An exit that is cancelled is not closed: it counts like one."""
    if state.status is RunnableStatus.RUNNING:
        filled = order.executed_base > known.executed_base
        if filled:
            state = msgspec.structs.replace(state, retries=0)
        if filled or order.is_done:
            state = msgspec.structs.replace(state, look_at_us=at_us)
    lost_exit = level is None and order.status is OrderStatus.CANCELLED
    if known.is_done or (order.status is not OrderStatus.FAILED and not lost_exit):
        if order.status is OrderStatus.CANCELLED and not known.is_done and level is not None:
            # An opening that was called back need not be waited for (§5).
            state = msgspec.structs.replace(state, opened_at_us=None)
        return state, ()
    if order.created_at_us > state.failed_at_us:
        state = msgspec.structs.replace(state, retries=state.retries + 1, failed_at_us=order.created_at_us)
    again_us = max(order.created_at_us + RETRY_US, at_us)
    if level is None:
        state = msgspec.structs.replace(state, retry_at_us=again_us)
    else:
        state = _with_level(state, msgspec.structs.replace(state.levels[level.index], retry_at_us=again_us))
        state = msgspec.structs.replace(state, opened_at_us=None)
    line = f"Order {order.tag} ({order.side} {order.amount}) {order.status}: {order.reason or 'no reason given'}."
    return state, (Log(level="ERROR", message=line),)


def _with_level(state: State, level: Level) -> State:
    levels = (*state.levels[: level.index], level, *state.levels[level.index + 1 :])
    return msgspec.structs.replace(state, levels=levels)


def _settled(state: State, level: Level) -> State:
    """With the level's new state. A complete round is counted at once, and the level may trade again."""
    level = settled(state.config, state.leg.rules, level)
    if level.live is None:
        empty = [order for order in level.orders if not order.executed_base]
        ended = (*state.ended, *(Ended(level=level.index, order=order) for order in empty))[-ENDED_KEPT:]
        orders = tuple(order for order in level.orders if order.executed_base)
        level = msgspec.structs.replace(level, orders=orders)
        state = msgspec.structs.replace(state, ended=ended)
    if level.state is LevelState.COMPLETE:
        return _round_counted(state, level)
    return _with_level(state, level)


def _round_counted(state: State, level: Level) -> State:
    realized = _with_round(state, state.realized, level)
    state = _remembered(state, level)
    recent = (*state.recent, *level.orders)[-RECENT_KEPT:]
    level = msgspec.structs.replace(level, orders=()).after(LevelEvent.COUNTED)
    return _with_level(msgspec.structs.replace(state, realized=realized, recent=recent), level)


def _with_round(state: State, realized: Realized, level: Level) -> Realized:
    sums = level_round(state.config, level)
    return realized.plus(
        state.config.side,
        sums.opened_quote - sums.fees_in_amount,
        sums.closed_quote,
        sums.opened_fees + sums.closed_fees,
        sums.left,
    )


def _remembered(state: State, level: Level) -> State:
    """With the orders of a complete round that may yet fill, should their cancel turn out to have come too late."""
    counted_now, ended = state.counted, state.ended
    for order in level.orders:
        if order.is_filled:
            continue
        before = next((known for known in counted_now if known.tag == order.tag), None)
        whole = order if before is None else _sums(order, before, 1)
        counted_now = (*(known for known in counted_now if known.tag != order.tag), whole)[-ENDED_KEPT:]
        nothing = _sums(order, order, -1)
        ended = (*ended, Ended(level=level.index, order=nothing))[-ENDED_KEPT:]
    return msgspec.structs.replace(state, counted=counted_now, ended=ended)


def counted(state: State) -> State:
    """With every round and the exits counted: nothing is open any more."""
    realized, side = state.realized, state.config.side
    rounds = [level for level in state.levels if level.orders]
    for level in rounds:
        realized = _with_round(state, realized, level)
    for order in state.exits:
        opened, closed = (ZERO, order.executed_quote) if order.side is not side else (order.executed_quote, ZERO)
        realized = realized.plus(side, opened, closed, order.fees_quote)
    realized = msgspec.structs.replace(realized, dust_base=realized.dust_base - state.exited_base)
    levels = tuple(msgspec.structs.replace(level, orders=(), state=LevelState.NOT_ACTIVE) for level in state.levels)
    orders = [*(order for level in rounds for order in level.orders), *state.exits]
    recent = (*state.recent, *(order for order in orders if order.executed_base))[-RECENT_KEPT:]
    return msgspec.structs.replace(state, realized=realized, recent=recent, levels=levels, exits=())

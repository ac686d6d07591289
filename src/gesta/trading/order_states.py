"""The life cycle of an order as one table. A missing row is the error; a refused change changes nothing."""

from __future__ import annotations

import enum

from gesta.kernel.errors import Conflict
from gesta.trading.orders import OrderState

S = OrderState


class OrderEvent(enum.StrEnum):
    """What can happen to an order."""

    SUBMIT = "submit"
    ACCEPT = "accept"
    WORK = "work"
    TRIGGER = "trigger"
    FILL_PART = "fill_part"
    FILL_REST = "fill_rest"
    REQUEST_CHANGE = "request_change"
    CHANGE = "change"
    REFUSE_CHANGE = "refuse_change"
    REQUEST_CANCEL = "request_cancel"
    CANCEL = "cancel"
    REFUSE_CANCEL = "refuse_cancel"
    EXPIRE = "expire"
    REJECT = "reject"
    LOSE = "lose"


E = OrderEvent

TERMINAL = frozenset({S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED})
WORKING = frozenset(OrderState) - TERMINAL

# What can happen to any order that the venue holds.
_LIVE = {
    E.FILL_PART: S.PART_FILLED,
    E.FILL_REST: S.FILLED,
    E.CANCEL: S.CANCELLED,
    E.EXPIRE: S.EXPIRED,
    E.LOSE: S.UNKNOWN,
    E.REQUEST_CANCEL: S.CANCEL_PENDING,
}

TRANSITIONS: dict[OrderState, dict[OrderEvent, OrderState]] = {
    # Journaled, not yet sent. A restart sends it, or learns from the venue that it was.
    S.INITIALIZED: {
        E.SUBMIT: S.SUBMITTED,
        E.ACCEPT: S.ACCEPTED,
        E.WORK: S.WORKING,
        E.REJECT: S.REJECTED,
        E.CANCEL: S.CANCELLED,
        E.REQUEST_CANCEL: S.CANCEL_PENDING,
        E.LOSE: S.UNKNOWN,
        # The venue's answer may overtake the note that it was sent.
        E.FILL_PART: S.PART_FILLED,
        E.FILL_REST: S.FILLED,
    },
    S.SUBMITTED: {
        E.ACCEPT: S.ACCEPTED,
        E.WORK: S.WORKING,
        E.REJECT: S.REJECTED,
        **_LIVE,
    },
    # At the venue, waiting for its trigger or for a quote.
    S.ACCEPTED: {
        E.WORK: S.WORKING,
        E.TRIGGER: S.WORKING,
        E.REJECT: S.REJECTED,
        E.REQUEST_CHANGE: S.CHANGE_PENDING,
        E.CHANGE: S.ACCEPTED,
        **_LIVE,
    },
    S.WORKING: {
        E.TRIGGER: S.WORKING,
        E.REQUEST_CHANGE: S.CHANGE_PENDING,
        E.CHANGE: S.WORKING,
        **_LIVE,
    },
    S.PART_FILLED: {
        E.TRIGGER: S.PART_FILLED,
        E.REQUEST_CHANGE: S.CHANGE_PENDING,
        E.CHANGE: S.PART_FILLED,
        **_LIVE,
    },
    # The order may trigger and fill while a change is on its way; the change then meets what is left.
    S.CHANGE_PENDING: {
        E.CHANGE: S.WORKING,
        E.REFUSE_CHANGE: S.WORKING,
        E.WORK: S.CHANGE_PENDING,
        E.TRIGGER: S.CHANGE_PENDING,
        **_LIVE,
        E.FILL_PART: S.CHANGE_PENDING,
    },
    # A fill can overtake the cancel: what was filled stands, and the cancel takes the rest or nothing.
    S.CANCEL_PENDING: {
        E.ACCEPT: S.CANCEL_PENDING,
        E.WORK: S.CANCEL_PENDING,
        E.TRIGGER: S.CANCEL_PENDING,
        E.FILL_PART: S.CANCEL_PENDING,
        E.FILL_REST: S.FILLED,
        E.CANCEL: S.CANCELLED,
        E.REFUSE_CANCEL: S.WORKING,
        E.EXPIRE: S.EXPIRED,
        E.REJECT: S.REJECTED,
        E.REQUEST_CANCEL: S.CANCEL_PENDING,
        E.CHANGE: S.CANCEL_PENDING,
        E.REFUSE_CHANGE: S.CANCEL_PENDING,
        E.LOSE: S.UNKNOWN,
    },
    S.FILLED: {},
    # A venue may report, late or after a restart, a fill from before the cancel or the expiry: it happened, it counts.
    S.CANCELLED: {E.FILL_PART: S.CANCELLED, E.FILL_REST: S.FILLED},
    S.EXPIRED: {E.FILL_PART: S.EXPIRED, E.FILL_REST: S.FILLED},
    # The same of one that the venue had refused, or had not known when it was asked.
    S.REJECTED: {E.FILL_PART: S.REJECTED, E.FILL_REST: S.FILLED},
    # A submit without an answer. What the venue says next, or is asked, resolves it; it is never sent again blindly.
    S.UNKNOWN: {
        E.ACCEPT: S.ACCEPTED,
        E.WORK: S.WORKING,
        E.REJECT: S.REJECTED,
        E.FILL_PART: S.PART_FILLED,
        E.FILL_REST: S.FILLED,
        E.CANCEL: S.CANCELLED,
        E.EXPIRE: S.EXPIRED,
        E.REQUEST_CANCEL: S.CANCEL_PENDING,
        # It was a change or a cancel that was not answered, and the order works on.
        E.TRIGGER: S.WORKING,
        E.CHANGE: S.WORKING,
        E.REFUSE_CHANGE: S.WORKING,
        E.REFUSE_CANCEL: S.WORKING,
        E.LOSE: S.UNKNOWN,
    },
}


def next_state(current: OrderState, event: OrderEvent, *, filled: int = 0) -> OrderState:
    """The state that follows. `filled` lots decide whether an order that goes on rests as working or part filled.

    Raises Conflict, saying what could happen instead, where the table has no row.
    """
    following = TRANSITIONS[current].get(event)
    if following is None:
        allowed = ", ".join(sorted(TRANSITIONS[current])) or "nothing: it is final"
        raise Conflict(
            f"An order that is {current} cannot {event.replace('_', ' ')}; what may happen is {allowed}.",
            current=current.value,
        )
    if following is S.WORKING and filled:
        return S.PART_FILLED
    return following

"""The order's life cycle: every row of the table can be reached and does what it says; everything else is refused."""

from __future__ import annotations

import itertools

import pytest

from gesta.kernel.errors import Conflict
from gesta.trading.order_states import TERMINAL, TRANSITIONS, WORKING, OrderEvent, next_state
from gesta.trading.orders import OrderState

S, E = OrderState, OrderEvent
FILLS = (E.FILL_PART, E.FILL_REST)
ROWS = [(state, event) for state, following in TRANSITIONS.items() for event in following]
MISSING = [pair for pair in itertools.product(OrderState, OrderEvent) if pair not in ROWS]


def paths() -> dict[OrderState, list[OrderEvent]]:
    """The shortest way into each state from birth, by the table alone."""
    found: dict[OrderState, list[OrderEvent]] = {S.INITIALIZED: []}
    edge = [S.INITIALIZED]
    while edge:
        state = edge.pop(0)
        for event, target in TRANSITIONS[state].items():
            if target not in found:
                found[target] = [*found[state], event]
                edge.append(target)
    return found


def lived(*events: OrderEvent, filled: int = 0) -> OrderState:
    state = S.INITIALIZED
    for event in events:
        state = next_state(state, event, filled=filled)
        filled += event is E.FILL_PART
    return state


def test_every_state_has_its_rows_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(OrderState) == set(paths())
    assert set(OrderState) == TERMINAL | WORKING
    assert not TERMINAL & WORKING


def test_every_event_happens_somewhere() -> None:
    assert {event for _, event in ROWS} == set(OrderEvent)


@pytest.mark.parametrize(("state", "event"), ROWS, ids="-".join)
def test_every_row_is_reached_from_birth_and_leads_where_it_says(state: OrderState, event: OrderEvent) -> None:
    assert lived(*paths()[state]) is state
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), MISSING, ids="-".join)
def test_a_missing_row_is_a_conflict_that_says_what_may_happen(state: OrderState, event: OrderEvent) -> None:
    with pytest.raises(Conflict) as refused:
        next_state(state, event)
    assert refused.value.details["current"] == state.value
    for allowed in TRANSITIONS[state]:
        assert allowed in refused.value.message


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_is_final_stays_final(state: OrderState) -> None:
    assert set(TRANSITIONS[state].values()) <= TERMINAL
    assert set(TRANSITIONS[state]) <= set(FILLS), "only a fill from before the end may still be told"


@pytest.mark.parametrize("state", sorted(WORKING))
def test_whatever_works_can_end_and_can_be_asked_to(state: OrderState) -> None:
    assert E.REQUEST_CANCEL in TRANSITIONS[state]
    assert E.CANCEL in TRANSITIONS[state]
    assert E.FILL_REST in TRANSITIONS[state]


def test_a_fill_overtakes_the_cancel() -> None:
    asked = (E.SUBMIT, E.WORK, E.REQUEST_CANCEL)
    assert lived(*asked, E.FILL_PART) is S.CANCEL_PENDING
    assert lived(*asked, E.FILL_PART, E.CANCEL) is S.CANCELLED
    assert lived(*asked, E.FILL_REST) is S.FILLED
    # The venue's answer to the cancel then finds nothing left, and changes nothing.
    with pytest.raises(Conflict):
        lived(*asked, E.FILL_REST, E.CANCEL)


def test_a_refused_cancel_leaves_what_was_there() -> None:
    asked = (E.SUBMIT, E.WORK, E.REQUEST_CANCEL)
    assert lived(*asked, E.REFUSE_CANCEL) is S.WORKING
    assert lived(*asked, E.FILL_PART, E.REFUSE_CANCEL) is S.PART_FILLED


@pytest.mark.parametrize(("ending", "state"), [(E.CANCEL, S.CANCELLED), (E.EXPIRE, S.EXPIRED)])
def test_a_fill_from_before_the_end_that_is_told_late_counts(ending: OrderEvent, state: OrderState) -> None:
    ended = (E.SUBMIT, E.WORK, ending)
    assert lived(*ended, E.FILL_PART) is state
    assert lived(*ended, E.FILL_PART, E.FILL_REST) is S.FILLED


def test_what_a_restart_finds_is_told_without_the_note_that_it_was_sent() -> None:
    for event, state in ((E.ACCEPT, S.ACCEPTED), (E.WORK, S.WORKING), (E.FILL_PART, S.PART_FILLED)):
        assert lived(event) is state
    assert lived(E.FILL_REST) is S.FILLED


def test_a_change_meets_what_is_left() -> None:
    asked = (E.SUBMIT, E.WORK, E.REQUEST_CHANGE)
    assert lived(*asked, E.TRIGGER, E.FILL_PART) is S.CHANGE_PENDING
    for answer in (E.CHANGE, E.REFUSE_CHANGE):
        assert lived(*asked, answer) is S.WORKING
        assert lived(*asked, E.FILL_PART, answer) is S.PART_FILLED
    assert lived(*asked, E.FILL_REST) is S.FILLED
    assert lived(*asked, E.REQUEST_CANCEL, E.CHANGE) is S.CANCEL_PENDING


@pytest.mark.parametrize("asked", [(), (E.WORK,), (E.WORK, E.REQUEST_CHANGE), (E.WORK, E.REQUEST_CANCEL)])
@pytest.mark.parametrize("answer", sorted(TRANSITIONS[S.UNKNOWN]))
def test_an_order_without_an_answer_is_resolved_by_whatever_the_venue_says(
    asked: tuple[OrderEvent, ...], answer: OrderEvent
) -> None:
    lost = lived(E.SUBMIT, *asked, E.LOSE)
    assert lost is S.UNKNOWN
    assert lived(E.SUBMIT, *asked, E.LOSE, answer) is TRANSITIONS[S.UNKNOWN][answer]


def test_an_order_that_goes_on_with_fills_is_part_filled() -> None:
    assert next_state(S.UNKNOWN, E.WORK, filled=1) is S.PART_FILLED
    assert next_state(S.CHANGE_PENDING, E.CHANGE, filled=1) is S.PART_FILLED
    assert next_state(S.CHANGE_PENDING, E.CHANGE, filled=0) is S.WORKING

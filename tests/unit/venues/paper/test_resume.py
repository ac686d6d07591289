"""What a start makes of the record: orders rest again, and the first quote is the first after a hole."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.trading.money import UNITS
from gesta.trading.orders import OrderState
from gesta.trading.venue import AccountFunds, OpenPosition, Resume
from tests.unit.venues.paper.floor import ES, HOUR_US, NOW_US, START_US, Floor, order, told


def resumed(*orders: dict[str, Any], **more: Any) -> Floor:
    settings = more.pop("settings", {})
    made = []
    for number, terms in enumerate(orders):
        type_ = terms.pop("type", "limit")
        state = terms.pop("state", OrderState.WORKING)
        fields = {"id": f"{number}", "side": "buy", "quantity": 2, "seq": number} | terms
        id, side, quantity = fields.pop("id"), fields.pop("side"), fields.pop("quantity")
        made.append(order(id, side, type_, quantity, state=state, **fields))
    return Floor(Resume(orders=made, **more), **settings)


def test_a_stop_that_was_crossed_meanwhile_fires_at_the_first_quote_at_that_price() -> None:
    floor = resumed({"type": "stop_market", "side": "sell", "stop": 95, "state": OrderState.ACCEPTED})
    assert told(floor.quote(80, 81)) == ["triggered 0 gap", "filled 0 2@80 gap"]


def test_only_the_first_quote_of_an_instrument_counts_as_a_gap() -> None:
    floor = resumed({"type": "stop_market", "side": "sell", "stop": 95})
    assert floor.quote(100, 101) == []
    assert told(floor.quote(80, 81)) == ["triggered 0", "filled 0 2@80"]


def test_a_stop_that_a_trade_reaches_first_waits_for_the_first_quote() -> None:
    floor = resumed({"type": "stop_market", "side": "sell", "stop": 95})
    assert told(floor.trade(90)) == ["triggered 0 gap"]
    assert told(floor.quote(89, 91)) == ["filled 0 2@89 gap"]


def test_a_crossed_quote_is_not_the_first() -> None:
    floor = resumed({"type": "stop_market", "side": "sell", "stop": 95})
    assert floor.quote(82, 81) == []
    assert told(floor.quote(80, 81)) == ["triggered 0 gap", "filled 0 2@80 gap"]


def test_orders_rest_with_what_is_left_by_age_of_their_placing() -> None:
    floor = resumed(
        {"limit": 99, "quantity": 5, "filled": 3, "fills": 2, "state": OrderState.PART_FILLED, "created_at_us": 12},
        {"limit": 99, "quantity": 5, "created_at_us": 11},
        {"limit": 99, "quantity": 5, "created_at_us": 12, "seq": -1},
    )
    events = floor.quote(98, 99, 5, 11)
    assert told(events) == ["filled 1 5@99 maker gap", "filled 2 5@99 maker gap", "filled 0 1@99 maker gap"]
    assert getattr(events[2], "key", "") == "0:3"


def test_triggered_orders_do_not_wait_again() -> None:
    floor = resumed(
        {"type": "stop_limit", "stop": 200, "limit": 99, "is_triggered": True},
        {"type": "stop_market", "stop": 200, "is_triggered": True},
    )
    assert told(floor.quote(98, 99)) == ["filled 1 2@99 gap", "filled 0 2@99 maker gap"]


def test_immediate_orders_are_settled_by_the_first_quote() -> None:
    floor = resumed({"limit": 99, "time_in_force": "ioc", "state": OrderState.ACCEPTED}, settings={"slip_ticks": 0})
    assert told(floor.quote(98, 99, 5, 1)) == ["filled 0 1@99 gap", "cancelled 0"]


@pytest.mark.parametrize("state", [OrderState.INITIALIZED, OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.FILLED])
def test_what_may_not_have_arrived_is_not_in_the_book(state: OrderState) -> None:
    floor = resumed({"limit": 99, "state": state})
    assert floor.quote(90, 91) == []
    assert told(floor.submit(order("0", "buy", "limit", 2, limit=80))) == ["working 0"]


@pytest.mark.parametrize("state", [OrderState.CHANGE_PENDING, OrderState.CANCEL_PENDING])
def test_what_was_about_to_change_works_as_it_was(state: OrderState) -> None:
    assert told(resumed({"limit": 99, "state": state}).quote(98, 99)) == ["filled 0 2@99 maker gap"]


def test_a_repeated_submit_of_what_rests_changes_nothing() -> None:
    floor = resumed({"limit": 99})
    assert floor.submit(order("0", "buy", "limit", 2, limit=99)) == []


def test_groups_are_together_again() -> None:
    floor = resumed(
        {"side": "sell", "limit": 105, "quantity": 3, "filled": 1, "oco": "p"},
        {"side": "sell", "type": "stop_market", "stop": 95, "oco": "p"},
    )
    assert told(floor.quote(105, 106, 1, 5)) == ["filled 0 1@105 maker gap", "changed 1 1 None 95"]
    joined = told(floor.submit(order("late", "sell", "limit", 3, limit=110, oco="p")))
    assert joined == ["working late", "changed late 1 110 None"]


def test_positions_funds_and_what_orders_hold_back_are_there_again() -> None:
    floor = resumed(
        {"limit": 99, "quantity": 5, "filled": 1},
        {"side": "sell", "limit": 105, "reduce_only": True},
        positions={(1, ES.name): OpenPosition(lots=3, cost=ES.value(100, 3))},
        funds={1: AccountFunds(cash=100_000 * UNITS)},
    )
    assert floor.matcher.accounts.reserve(1) == 4 * 13_200 * UNITS
    (refused,) = floor.submit(order("a", "buy", "limit", limit=90))
    assert getattr(refused, "reason", "") == "Order needs 13200.00 USD of margin, 7600.00 are free."
    assert told(floor.quote(105, 106)) == ["filled 1 2@105 maker gap"]


def test_a_day_order_of_a_session_that_ended_meanwhile_expires_before_it_can_fill() -> None:
    ended = {"limit": 99, "time_in_force": "day", "created_at_us": START_US - HOUR_US}
    today = {"limit": 99, "time_in_force": "day", "created_at_us": START_US}
    assert told(resumed(ended, today).quote(98, 99)) == ["expired 0", "filled 1 2@99 maker gap"]


def test_a_day_order_of_a_recording_lasts_for_the_session_that_is_replayed() -> None:
    """It was placed years after what is replayed: the clock says nothing of its session."""
    floor = resumed({"limit": 99, "time_in_force": "day", "created_at_us": START_US + 10_000 * HOUR_US})
    assert floor.quote(100, 101) == []
    assert told(floor.quote(90, 91, after_us=HOUR_US)) == ["expired 0"]


def test_nothing_is_told_of_what_was_there() -> None:
    floor = resumed({"limit": 99, "created_at_us": NOW_US})
    report = floor.matcher.query("0")
    assert report is not None
    assert (report.state, report.filled) == (OrderState.WORKING, 0)

"""New terms for a working order."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.trading.money import UNITS
from tests.unit.venues.paper.floor import BTC, ES, Floor, order, told


@pytest.fixture
def floor() -> Floor:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101, 5, 5)
    return floor


def test_a_limit_moves(floor: Floor) -> None:
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    assert told(floor.change("a", quantity=3, limit_ticks=98)) == ["changed a 3 98 None"]
    assert told(floor.quote(97, 98, 5, 9)) == ["filled a 3@98 maker"]


def test_a_limit_that_becomes_marketable_takes(floor: Floor) -> None:
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    assert told(floor.change("a", limit_ticks=103)) == ["changed a 2 103 None", "filled a 2@101"]


def test_a_stop_moves_and_fires_if_it_is_reached(floor: Floor) -> None:
    floor.submit(order("a", "sell", "stop_market", stop=95))
    assert told(floor.change("a", stop_ticks=98)) == ["changed a 1 None 98"]
    assert floor.quote(99, 101) == []
    assert told(floor.change("a", stop_ticks=99)) == ["changed a 1 None 99", "triggered a", "filled a 1@99"]


def test_a_stop_limit_changes_both_prices(floor: Floor) -> None:
    floor.submit(order("a", "buy", "stop_limit", stop=110, limit=111))
    assert told(floor.change("a", limit_ticks=106, stop_ticks=105)) == ["changed a 1 106 105"]
    assert told(floor.quote(104, 105)) == ["triggered a", "filled a 1@105"]


def test_a_waiting_market_order_changes_its_quantity(floor: Floor) -> None:
    floor.submit(order("a", "buy", "market", 7))
    assert told(floor.change("a", quantity=6)) == ["changed a 6 None None"]
    assert told(floor.quote(100, 101)) == ["filled a 1@101"]


def test_none_keeps_what_it_has(floor: Floor) -> None:
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    assert told(floor.change("a")) == ["changed a 2 95 None"]


@pytest.mark.parametrize(
    ("type_", "prices", "change", "expected"),
    [
        ("limit", {"limit": 101}, {"quantity": 5}, "The quantity must be more than what is filled, 5."),
        ("market", {}, {"limit_ticks": 90}, "The order has no limit price to change."),
        ("limit", {"limit": 101}, {"stop_ticks": 90}, "The order has no stop price to change."),
        ("stop_market", {"stop": 100}, {"stop_ticks": 99}, "The stop price was reached already."),
    ],
)
def test_terms_that_cannot_be_are_refused(
    floor: Floor, type_: str, prices: dict[str, int], change: dict[str, int], expected: str
) -> None:
    floor.submit(order("a", "buy", type_, 7, **prices))
    (refused,) = floor.change("a", **change)
    assert getattr(refused, "reason", "") == expected


def test_the_stop_price_that_it_has_may_be_named_again(floor: Floor) -> None:
    floor.submit(order("a", "buy", "stop_limit", 7, stop=100, limit=101))
    assert told(floor.change("a", stop_ticks=100, quantity=6)) == ["changed a 6 101 100"]


def test_an_unknown_order_is_refused(floor: Floor) -> None:
    (refused,) = floor.change("a", quantity=2)
    assert getattr(refused, "reason", "") == "No such order works here."


def test_more_needs_more_margin_and_less_gives_it_back(floor: Floor) -> None:
    floor.fund(30_000)
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    (refused,) = floor.change("a", quantity=3)
    assert getattr(refused, "reason", "") == "Order needs 13200.00 USD of margin, 3600.00 are free."
    assert floor.matcher.accounts.reserve(1) == 26_400 * UNITS
    assert told(floor.change("a", quantity=1)) == ["changed a 1 95 None"]
    assert floor.matcher.accounts.reserve(1) == 13_200 * UNITS
    assert told(floor.quote(94, 95)) == ["filled a 1@95 maker"]


def test_more_than_the_largest_position_is_refused(floor: Floor) -> None:
    floor.fund(10**9, max_position=3)
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    assert told(floor.change("a", quantity=4)) == ["change refused a"]
    assert told(floor.change("a", quantity=3)) == ["changed a 3 95 None"]


def test_more_spot_than_is_held_is_refused(floor: Floor) -> None:
    terms: dict[str, Any] = {"instrument": BTC.name}
    floor.quote(100, 101, instrument=BTC.name)
    floor.submit(order("buy", "buy", "market", 3, **terms))
    floor.submit(order("a", "sell", "limit", 2, limit=105, **terms))
    assert told(floor.change("a", quantity=4)) == ["change refused a"]
    assert told(floor.change("a", quantity=3)) == ["changed a 3 105 None"]


def test_a_refused_change_leaves_the_order_as_it_was(floor: Floor) -> None:
    floor.fund(30_000)
    floor.submit(order("a", "buy", "limit", 2, limit=95))
    floor.change("a", quantity=9, limit_ticks=99)
    exposure = floor.matcher.accounts.exposure(1, ES.name)
    assert (exposure.buy_lots, exposure.buy_held) == (2, 26_400 * UNITS)
    assert floor.quote(98, 99) == []
    assert told(floor.quote(94, 95)) == ["filled a 2@95 maker"]

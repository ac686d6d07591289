"""What an account may do: buying power, the largest position, the least notional; and the words of a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.trading.instruments import Instrument
from gesta.trading.money import UNITS
from gesta.trading.venue import OpenPosition
from tests.unit.venues.paper.floor import BTC, ES, INVERSE, NQ, PERP, Floor, order, told


def reason(floor: Floor, *args: Any, **terms: Any) -> str:
    (event,) = floor.submit(order(*args, **terms))
    return str(getattr(event, "reason", ""))


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    floor.quote(100, 101, 50, 50)
    floor.quote(100, 101, 50, 50, instrument=NQ.name)
    floor.fund(30_000)
    return floor


# -- buying power


def test_an_order_needs_margin_for_what_it_opens(floor: Floor) -> None:
    floor.fund(12_000)
    expected = "Order needs 26400.00 USD of margin, 12000.00 are free."
    assert reason(floor, "a", "buy", "limit", 2, limit=99) == expected
    assert reason(floor, "b", "sell", "market", 2) == expected
    assert reason(floor, "c", "buy", "stop_market", 2, stop=110) == expected


def test_an_account_that_nobody_funded_is_not_limited(floor: Floor) -> None:
    assert told(floor.submit(order("a", "buy", "market", 50, account=9))) == ["working a", "filled a 50@101"]


def test_working_orders_hold_margin_back_until_they_end(floor: Floor) -> None:
    assert told(floor.submit(order("a", "buy", "limit", 2, limit=99))) == ["working a"]
    assert floor.matcher.accounts.reserve(1) == 26_400 * UNITS
    expected = "Order needs 13200.00 USD of margin, 3600.00 are free."
    assert reason(floor, "b", "buy", "limit", limit=98) == expected
    floor.cancel("a")
    assert floor.matcher.accounts.reserve(1) == 0
    assert told(floor.submit(order("c", "buy", "limit", limit=98))) == ["working c"]


def test_both_sides_hold_back_what_the_worse_one_could_open(floor: Floor) -> None:
    floor.submit(order("a", "buy", "limit", 2, limit=99))
    assert told(floor.submit(order("b", "sell", "limit", 2, limit=105))) == ["working b"]
    assert floor.matcher.accounts.reserve(1) == 26_400 * UNITS


def test_a_position_ties_margin_up_and_closing_it_needs_none(floor: Floor) -> None:
    floor.submit(order("a", "buy", "market", 2))
    assert floor.matcher.accounts.reserve(1) == 0
    assert reason(floor, "b", "buy", "limit", limit=99).startswith("Order needs 13200.00 USD of margin, 3574.99")
    assert told(floor.submit(order("c", "sell", "limit", 2, limit=105))) == ["working c"]
    assert floor.matcher.accounts.reserve(1) == 0
    assert reason(floor, "d", "sell", "limit", limit=105).startswith("Order needs 13200.00 USD")


def test_profit_and_loss_at_the_mark_count(floor: Floor) -> None:
    floor.submit(order("a", "buy", "market", 2))
    floor.trade(901)  # 800 ticks of 12.50 for each of two lots
    assert told(floor.submit(order("b", "buy", "limit", limit=99))) == ["working b"]
    floor.cancel("b")
    floor.trade(61)
    assert reason(floor, "c", "buy", "limit", limit=99) == ("Order needs 13200.00 USD of margin, 2599.99 are free.")
    floor.quote(20, 21)
    floor.trade(1)
    assert told(floor.submit(order("d", "sell", "market", 2))) == ["working d", "filled d 2@20"]
    cash = floor.matcher.accounts.account(1).cash
    assert cash == (30_000 - 81 * 25) * UNITS - 8


def test_margin_of_one_instrument_is_missing_for_another(floor: Floor) -> None:
    floor.submit(order("a", "buy", "market", 1))
    assert reason(floor, "b", "buy", "market", 1, instrument=NQ.name).startswith("Order needs 20000.00 USD")


def test_a_reduce_only_order_needs_nothing(floor: Floor) -> None:
    floor.matcher.accounts.set_position(1, ES.name, OpenPosition(lots=5, cost=ES.value(100, 5)))
    floor.fund(0)
    assert told(floor.submit(order("a", "sell", "limit", 5, limit=105, reduce_only=True))) == ["working a"]
    assert told(floor.submit(order("b", "sell", "market", 5))) == ["working b", "filled b 5@100"]


@pytest.mark.parametrize(
    ("instrument", "lots", "limit", "needed"),
    [
        (PERP, 1000, 90_000, "45000.00 USDT"),  # 10 coins at 45,000, a tenth of it
        (BTC, 100, 90_000, "45000.00 USDT"),
        (INVERSE, 4000, 90_000, "40000.00 USD"),  # 4,000 contracts of 100 dollars
        (PERP, 1, 90_001, "45.01 USDT"),
    ],
)
def test_margin_by_value(instrument: Instrument, lots: int, limit: int, needed: str) -> None:
    floor = Floor()
    floor.fund(0)
    expected = f"Order needs {needed} of margin, 0.00 are free."
    assert reason(floor, "a", "buy", "limit", lots, limit=limit, instrument=instrument.name) == expected


def test_a_tiny_amount_keeps_its_digits() -> None:
    floor = Floor()
    floor.fund(0)
    told_reason = reason(floor, "a", "buy", "limit", 1, limit=2, instrument=PERP.name)
    assert told_reason == "Order needs 0.001 USDT of margin, 0.00 are free."


def test_a_fill_moves_the_margin_from_the_order_to_the_position() -> None:
    floor = Floor(slip_ticks=0)
    floor.fund(1_000_000)
    floor.quote(89_999, 90_000, 30, 30, instrument=PERP.name)
    floor.submit(order("a", "buy", "market", 100, instrument=PERP.name))
    assert floor.matcher.accounts.reserve(1) == PERP.margin(90_000, 70)
    floor.quote(89_999, 90_001, 30, 70, instrument=PERP.name)
    assert floor.matcher.accounts.reserve(1) == 0
    free = floor.matcher.accounts.free(floor.matcher.accounts.account(1))
    position = floor.matcher.accounts.exposure(1, PERP.name)
    mark = 90_000
    expected = 1_000_000 * UNITS - 200 + PERP.value(mark, 100) - position.cost - PERP.margin(mark, 100)
    assert free == expected


def test_a_position_without_a_market_is_valued_at_its_cost() -> None:
    floor = Floor()
    floor.fund(100_000)
    accounts = floor.matcher.accounts
    accounts.set_position(1, PERP.name, OpenPosition(lots=100, cost=PERP.value(90_000, 100)))
    accounts.set_position(1, INVERSE.name, OpenPosition(lots=100, cost=INVERSE.value(90_000, 100)))
    assert accounts.free(accounts.account(1)) == (100_000 - 4_500 - 1_000) * UNITS


def test_what_settles_in_a_coin_counts_at_the_mark_and_is_no_cash() -> None:
    floor = Floor()
    floor.fund(100_000)
    floor.quote(89_999, 90_000, 500, 500, instrument=INVERSE.name)
    floor.submit(order("a", "buy", "market", 100, instrument=INVERSE.name))
    accounts = floor.matcher.accounts
    assert accounts.account(1).cash == 100_000 * UNITS
    floor.trade(100_000, instrument=INVERSE.name)
    free = accounts.free(accounts.account(1))
    # 100 contracts of 100 dollars: bought at 45,000, worth 1,111.11 dollars more at 50,000.
    assert free is not None
    assert free // UNITS == 100_000 - 1_000 + 1_111


# -- the largest position


def test_the_largest_position_counts_what_works(floor: Floor) -> None:
    floor.fund(10**9, max_position=5)
    floor.submit(order("a", "buy", "limit", 3, limit=99))
    assert reason(floor, "b", "buy", "limit", 3, limit=98) == (
        "With what is working, the order could bring the position in ES 12-26 to 6 long; at most 5 is allowed."
    )
    assert told(floor.submit(order("c", "sell", "limit", 5, limit=105))) == ["working c"]
    assert reason(floor, "d", "sell", "limit", 1, limit=105).endswith("to 6 short; at most 5 is allowed.")


def test_the_largest_position_is_a_quantity_not_lots() -> None:
    floor = Floor()
    floor.fund(10**9, max_position=1)
    assert told(floor.submit(order("a", "buy", "limit", 100, limit=99, instrument=PERP.name))) == ["working a"]
    assert reason(floor, "b", "buy", "limit", 1, limit=99, instrument=PERP.name).endswith(
        "to 1.01 long; at most 1 is allowed."
    )


def test_a_position_that_is_too_large_already_can_be_closed_or_turned(floor: Floor) -> None:
    floor.fund(10**9, max_position=5)
    floor.matcher.accounts.set_position(1, ES.name, OpenPosition(lots=9, cost=ES.value(100, 9)))
    assert reason(floor, "a", "buy", "limit", limit=99) != ""
    assert told(floor.submit(order("b", "sell", "limit", 14, limit=105))) == ["working b"]


# -- the least notional, and terms


def test_the_least_notional() -> None:
    floor = Floor()
    assert reason(floor, "a", "buy", "limit", 1, limit=99, instrument=BTC.name) == (
        "The order is worth 0.49 USDT, less than the least of 0.5 USDT for BTC-USDT."
    )
    assert told(floor.submit(order("b", "buy", "limit", 1, limit=100, instrument=BTC.name))) == ["working b"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"type_": "limit"}, "A limit order needs a limit price."),
        ({"type_": "stop_market"}, "A stop-market order needs a stop price."),
        ({"type_": "stop_limit", "stop": 9}, "A stop-limit order needs a limit price."),
        ({"type_": "market_if_touched"}, "A market-if-touched order needs a stop price."),
        ({"type_": "market", "quantity": 0}, "The quantity must be positive."),
    ],
)
def test_terms_that_cannot_be(floor: Floor, terms: dict[str, Any], expected: str) -> None:
    assert reason(floor, "a", "buy", **terms) == expected


def test_a_rejected_order_leaves_nothing_behind(floor: Floor) -> None:
    floor.fund(0)
    reason(floor, "a", "buy", "limit", 2, limit=99)
    exposure = floor.matcher.accounts.exposure(1, ES.name)
    assert (exposure.buy_lots, exposure.buy_held, exposure.reserve) == (0, 0, 0)
    assert told(floor.cancel("a")) == ["cancel refused a"]

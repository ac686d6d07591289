"""Where a grid's levels lie, and how a grid's config is read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.face import OrderKind, Trade, TradingRules
from gesta.executors.machines.grid import MACHINE
from gesta.executors.machines.grid_levels import TABLE, LevelState, plan
from gesta.kernel.errors import InvalidInput
from tests.unit.executors.grid_desk import RULES, config

D = Decimal


def planned(price: str = "100", rules: TradingRules = RULES, **changes: Any) -> Any:
    return plan(MACHINE.parse(config(**changes)), rules, D(price))


def test_levels_are_spread_evenly_from_start_to_end() -> None:
    laid = planned()
    assert len(laid.prices) == 10
    assert (laid.prices[0], laid.prices[-1]) == (D(95), D(105))
    assert laid.prices[1] == D(95) + D(10) / 9
    assert laid.amount_quote == D(100)
    assert laid.step == (D(10) / D(95)) / 9


def test_the_spread_bounds_the_number_of_levels() -> None:
    # The range is 10.5 % wide: five steps of 2 %.
    laid = planned(min_spread_between_orders="0.02")
    assert len(laid.prices) == 5
    assert laid.amount_quote == D(200)


def test_the_price_increment_is_the_least_spread() -> None:
    laid = planned(rules=TradingRules(min_price_increment=D(5)), min_spread_between_orders="0")
    assert len(laid.prices) == 2


def test_the_minimum_of_an_order_bounds_the_number_of_levels() -> None:
    # 100 in quote, each level at least 30 and the margin of 5 %: three levels.
    laid = planned(total_amount_quote="100", min_order_amount_quote="30")
    assert len(laid.prices) == 3
    assert laid.amount_quote == D("33.33")


def test_the_venues_minimum_counts_if_it_is_greater() -> None:
    rules = TradingRules(min_price_increment=D("0.01"), min_base_increment=D("0.1"), min_notional=D(50))
    laid = planned(total_amount_quote="200", rules=rules)
    # 52.5 with the margin, in whole tenths of base at 100: 60 a level.
    assert len(laid.prices) == 3
    assert laid.amount_quote == D(60)


def test_too_little_money_still_makes_one_level_in_the_middle() -> None:
    laid = planned(total_amount_quote="1")
    assert laid.prices == (D(100),)
    assert laid.amount_quote == D("10.5")
    assert laid.step == D(10) / D(95)


def test_a_range_narrower_than_a_step_makes_one_level() -> None:
    laid = planned(start_price="99.9", end_price="100.1")
    assert laid.prices == (D(100),)
    assert laid.amount_quote == D(1000)


def test_a_grid_of_absurdly_many_levels_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        planned(total_amount_quote="10000000", min_spread_between_orders="0.00001")
    assert refused.value.field == "min_spread_between_orders"


def test_the_profit_is_at_least_a_step_if_it_is_coerced() -> None:
    barrier = {"take_profit": "0.001"}
    assert planned(barrier=barrier).take_profit == D("0.001")
    assert planned(barrier=barrier, coerce_tp_to_step=True).take_profit == (D(10) / D(95)) / 9
    assert planned(barrier={"take_profit": "0.5"}, coerce_tp_to_step=True).take_profit == D("0.5")


def test_a_short_whose_profit_would_lie_at_zero_is_refused() -> None:
    changes = {"side": "SELL", "start_price": "50", "end_price": "200", "limit_price": "300"}
    with pytest.raises(InvalidInput) as refused:
        planned(**changes, total_amount_quote="11", coerce_tp_to_step=True)
    assert refused.value.field == "coerce_tp_to_step"


# -- the config


def test_defaults() -> None:
    parsed = MACHINE.parse(
        {
            "connector_name": "binance_perpetual",
            "trading_pair": "BTC-USDT",
            "start_price": 95,
            "end_price": 105,
            "limit_price": 0,
            "total_amount_quote": 1000,
            "triple_barrier_config": {"take_profit": 0.01},
        }
    )
    assert parsed.side is Trade.BUY
    assert parsed.min_spread_between_orders == D("0.0005")
    assert parsed.min_order_amount_quote == D(5)
    assert (parsed.max_open_orders, parsed.max_orders_per_batch, parsed.order_frequency_s) == (5, None, 0)
    assert parsed.activation_bounds is None
    assert parsed.safe_extra_spread == D("0.0001")
    assert (parsed.leverage, parsed.level_id) == (20, None)
    assert (parsed.deduct_base_fees, parsed.keep_position, parsed.coerce_tp_to_step) == (False, False, False)
    assert parsed.triple_barrier.take_profit_order_type is OrderKind.MARKET
    assert MACHINE.legs(parsed)[0].is_perpetual


@pytest.mark.parametrize("side", [2, "2", "SELL", "sell"])
def test_a_side_by_value_and_by_name(side: Any) -> None:
    assert MACHINE.parse(config(side=side, limit_price="0")).side is Trade.SELL


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"start_price": "105"}, "start_price"),
        ({"start_price": "0"}, "start_price"),
        ({"end_price": "NaN"}, "end_price"),
        ({"limit_price": "-1"}, "limit_price"),
        ({"limit_price": None}, "limit_price"),
        ({"limit_price": "95"}, "limit_price"),
        ({"side": "SELL", "limit_price": "105"}, "limit_price"),
        ({"total_amount_quote": "Infinity"}, "total_amount_quote"),
        ({"total_amount_quote": "0"}, "total_amount_quote"),
        ({"total_amount_quote": "1e30"}, "total_amount_quote"),
        ({"min_spread_between_orders": "-0.1"}, "min_spread_between_orders"),
        ({"min_order_amount_quote": "0"}, "min_order_amount_quote"),
        ({"max_open_orders": 0}, "max_open_orders"),
        ({"max_open_orders": 2.5}, "max_open_orders"),
        ({"max_orders_per_batch": 0}, "max_orders_per_batch"),
        ({"order_frequency": -1}, "order_frequency"),
        ({"activation_bounds": 0}, "activation_bounds"),
        ({"safe_extra_spread": 1}, "safe_extra_spread"),
        ({"leverage": 0}, "leverage"),
        ({"deduct_base_fees": "yes"}, "deduct_base_fees"),
        ({"triple_barrier_config": None}, "triple_barrier_config"),
        ({"barrier": {"take_profit": None}}, "triple_barrier_config.take_profit"),
        ({"barrier": {"stop_loss": 0}}, "triple_barrier_config.stop_loss"),
        ({"barrier": {"stop_loss_order_type": "LIMIT"}}, "triple_barrier_config.stop_loss_order_type"),
        ({"side": "SELL", "limit_price": 0, "barrier": {"take_profit": 1}}, "triple_barrier_config.take_profit"),
        ({"max_open_order": 3, "max_open_orders": None}, "max_open_order"),
        ({"side": 3}, "side"),
        ({"trading_pair": "BTCUSDT"}, "trading_pair"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        MACHINE.parse(config(**changes))
    assert refused.value.field == field
    assert refused.value.message.startswith(f"{field} (")


def test_a_short_is_told_where_its_limit_belongs() -> None:
    with pytest.raises(InvalidInput, match=r"limit_price \(90\) must be higher than end_price \(105\) for a SELL"):
        MACHINE.parse(config(side=2))


def test_every_state_of_a_level_can_be_entered_and_left() -> None:
    assert {state for state, _ in TABLE} == set(LevelState)
    assert set(TABLE.values()) == set(LevelState)

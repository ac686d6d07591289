"""The TWAP executor by the rules of protocols/hummingbot.md §6, and what it does better."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.face import (
    CloseType,
    OrderKind,
    OrderUpdated,
    PositionAction,
    RunnableStatus,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.executors.machines.twap import MACHINE, TRANSITIONS
from gesta.executors.machines.twap_config import MOST_SLOTS, Mode, parse
from gesta.kernel.errors import InvalidInput
from tests.unit.executors.machine_bench import SECOND, START_US, Bench

CONFIG: dict[str, Any] = {
    "type": "twap_executor",
    "connector_name": "binance",
    "trading_pair": "BTC-USDT",
    "side": 1,
    "total_amount_quote": "1000",
    "total_duration": 40,
    "order_interval": 10,
}
MAKER: dict[str, Any] = {"mode": "MAKER", "limit_order_buffer": "0.001", "order_resubmission_time": 5}


def bench(price: str | None = "100", **changes: Any) -> Bench:
    kwargs = {name: changes.pop(name) for name in ("rules", "max_retries", "affordable", "start") if name in changes}
    return Bench(MACHINE, {**CONFIG, **changes}, price, **kwargs)


def executed(desk: Bench) -> Decimal:
    return desk.report.filled_amount_quote


# -- config


def test_defaults_and_slots() -> None:
    config = parse(CONFIG)
    assert (config.mode, config.leverage, config.slots) == (Mode.TAKER, 1, 5)
    assert parse({**CONFIG, "total_duration": 49}).slots == 5
    assert parse({**CONFIG, "total_duration": 9}).slots == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"connector_name": ""}, "connector_name"),
        ({"trading_pair": "A-B-C"}, "trading_pair"),
        ({"side": "LONG"}, "side"),
        ({"leverage": "0"}, "leverage"),
        ({"total_amount_quote": 0}, "total_amount_quote"),
        ({"total_amount_quote": "1e40"}, "total_amount_quote"),
        ({"total_amount_quote": float("nan")}, "total_amount_quote"),
        ({"total_duration": 0}, "total_duration"),
        ({"total_duration": None}, "total_duration"),
        ({"order_interval": -1}, "order_interval"),
        ({"order_interval": 1, "total_duration": MOST_SLOTS}, "order_interval"),
        ({"mode": "MAKER"}, "limit_order_buffer"),
        ({**MAKER, "limit_order_buffer": "-0.1"}, "limit_order_buffer"),
        ({**MAKER, "limit_order_buffer": "1"}, "limit_order_buffer"),
        ({**MAKER, "order_resubmission_time": 0}, "order_resubmission_time"),
        ({"order_resubmision_time": 5}, "order_resubmision_time"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse({**CONFIG, **changes})
    assert refusal.value.field == field
    assert " must " in refusal.value.message


def test_a_maker_may_be_at_the_mid_price() -> None:
    desk = bench(**{**MAKER, "limit_order_buffer": 0})
    assert (desk.last.kind, desk.last.price) == (OrderKind.LIMIT, Decimal(100))


# -- beginning


def test_every_status_has_its_row() -> None:
    assert set(TRANSITIONS) == set(RunnableStatus)
    assert not TRANSITIONS[RunnableStatus.TERMINATED]


@pytest.mark.parametrize(
    "rules", [TradingRules(min_notional=Decimal(201)), TradingRules(min_order_size=Decimal("2.1"))]
)
def test_slices_that_the_market_would_never_take_fail_before_an_order(rules: TradingRules) -> None:
    desk = bench(rules=rules)
    assert (desk.report.status, desk.report.close_type) == (RunnableStatus.TERMINATED, CloseType.FAILED)
    assert not desk.sent


def test_the_smallest_size_is_of_base_not_of_quote() -> None:
    # A slice of 2 quote at a price of 0.01 is 200 of base, and 100 of base are enough.
    rules = TradingRules(min_order_size=Decimal(100))
    assert bench("0.01", total_amount_quote="10", rules=rules).last.amount == 200


def test_without_balance_it_never_begins() -> None:
    desk = bench(affordable=False)
    assert desk.report.close_type is CloseType.INSUFFICIENT_BALANCE
    assert not desk.sent


def test_stopped_before_the_start() -> None:
    desk = bench(start=False)
    desk.stop()
    assert desk.report.close_type is CloseType.EARLY_STOP


# -- slices


def test_a_slice_at_each_slot_of_what_is_left() -> None:
    desk = bench()
    for second, price in ((0, "100"), (10, "103"), (20, "104"), (30, "95"), (40, "95")):
        if second:
            assert desk.machine.watches(desk.state).at_us == START_US + second * SECOND
            desk.at(second - 0.5)
            desk.at(second, price)
        desk.fill(desk.last.tag)
    assert [(order.kind, order.amount) for order in desk.sent] == [
        (OrderKind.MARKET, Decimal(amount)) for amount in ("2", "1.9417", "1.9230", "2.1053", "2.1053")
    ]
    assert {(order.side, order.action, order.price) for order in desk.sent} == {(Trade.BUY, PositionAction.OPEN, None)}
    assert (desk.report.status, desk.report.close_type) == (RunnableStatus.TERMINATED, CloseType.COMPLETED)
    assert executed(desk) == Decimal("999.9941")
    assert not desk.report.held
    final = desk.report
    desk.price("1")
    assert desk.report == final


def test_slots_that_are_late_share_what_is_left() -> None:
    desk = bench()
    desk.fill(1)
    desk.at(25)
    assert [order.amount for order in desk.sent] == [2, 2, 2]


def test_a_seller_is_above_the_mid_price() -> None:
    desk = bench(side="SELL", **MAKER)
    assert (desk.last.side, desk.last.price) == (Trade.SELL, Decimal("100.1"))


def test_without_a_price_it_waits_for_any() -> None:
    desk = bench(None)
    assert desk.machine.watches(desk.state).every
    desk.at(3, "100")
    assert len(desk.sent) == 1
    assert not desk.machine.watches(desk.state).every
    assert desk.machine.watches(desk.state).at_us == START_US + 10 * SECOND


def test_an_order_that_is_open_for_too_long_is_sent_again_once_its_cancel_is_confirmed() -> None:
    desk = bench(**MAKER)
    desk.accept(1)
    desk.at(5, "103")
    assert not desk.cancelled, "as long as allowed is not too long"
    moment = desk.machine.watches(desk.state).at_us
    assert moment == START_US + 5 * SECOND + 1
    desk.at(6)
    assert (desk.cancelled, len(desk.sent)) == ([1], 1)
    desk.at(7)
    assert (desk.cancelled, len(desk.sent)) == ([1], 1)
    desk.cancel(1)
    assert (desk.last.price, desk.last.amount) == (Decimal("102.89"), Decimal("1.9422"))
    assert desk.report.custom_info["current_retries"] == 0


def test_without_a_resubmission_time_an_order_stays() -> None:
    desk = bench(mode="MAKER", limit_order_buffer="0.001")
    desk.accept(1)
    desk.at(9, "200")
    assert not desk.cancelled


def test_what_a_resubmitted_order_has_filled_is_not_bought_twice() -> None:
    desk = bench(**MAKER)
    desk.fill(1, "1.8")
    desk.at(6)
    desk.cancel(1)
    assert Decimal("0.19") < desk.last.amount < Decimal("0.21")
    desk.fill(2)
    for second in (10, 20, 30, 40):
        desk.at(second)
        desk.fill(desk.last.tag)
    assert desk.report.close_type is CloseType.COMPLETED
    assert Decimal(999) < executed(desk) <= 1000


def test_a_fill_that_overtakes_the_cancel_is_the_slice() -> None:
    desk = bench(**MAKER)
    desk.accept(1)
    desk.at(6)
    desk.fill(1)
    desk.cancel(1)
    assert len(desk.sent) == 1


def test_the_last_slice_is_resubmitted_too() -> None:
    desk = bench(**MAKER)
    for second in (10, 20, 30, 40):
        desk.fill(desk.last.tag)
        desk.at(second)
    desk.accept(5)
    desk.at(46, "103")
    desk.cancel(5)
    assert desk.last.price == Decimal("102.89")
    desk.fill(6)
    assert desk.report.close_type is CloseType.COMPLETED
    assert Decimal(999) < executed(desk) <= 1000


# -- failures


def test_a_rejected_slice_is_sent_again_and_the_others_stay() -> None:
    desk = bench()
    desk.fill(1)
    desk.at(10)
    desk.fail(2)
    assert desk.machine.watches(desk.state).at_us == START_US + 11 * SECOND
    desk.at(10.5)
    assert len(desk.sent) == 2
    desk.at(11)
    assert desk.last.amount == 2
    for second in (20, 30, 40):
        desk.fill(desk.last.tag)
        desk.at(second)
    desk.fill(desk.last.tag)
    assert desk.report.close_type is CloseType.COMPLETED
    assert executed(desk) == 1000
    assert desk.report.custom_info["current_retries"] == 1


def test_a_slice_that_the_venue_cuts_short_is_finished() -> None:
    desk = bench()
    desk.fill(1, "0.5")
    desk.cancel(1)
    assert len(desk.sent) == 1
    desk.at(1)
    assert desk.last.amount == Decimal("1.5")
    assert desk.report.custom_info["current_retries"] == 1


def test_a_slice_that_failed_with_fills_sends_the_rest() -> None:
    desk = bench()
    desk.fill(1, "0.5")
    desk.fail(1)
    desk.at(1)
    assert desk.last.amount == Decimal("1.5")


def test_a_slice_rejected_for_ever_fails_and_says_what_it_holds() -> None:
    desk = bench(max_retries=2)
    desk.fill(1)
    for second in (10, 11, 12):
        desk.at(second)
        desk.fail(desk.last.tag)
    assert (desk.report.status, desk.report.close_type) == (RunnableStatus.TERMINATED, CloseType.FAILED)
    assert [order.tag for order in desk.report.held] == [1]
    assert executed(desk) == 200
    assert any("rejected" in log.message for log in desk.logs)


def test_too_little_for_an_order_ends_the_slot() -> None:
    desk = bench(rules=TradingRules(min_base_increment=Decimal("0.0001"), min_order_size=Decimal("0.5")))
    desk.fill(1, "1.8")
    desk.cancel(1)
    desk.at(1)
    assert len(desk.sent) == 1
    desk.at(10)
    assert desk.last.amount == Decimal("2.05"), "the others take it over"


# -- stopping


def test_a_stop_is_an_early_stop() -> None:
    desk = bench()
    desk.fill(1)
    desk.stop()
    assert (desk.report.status, desk.report.close_type) == (RunnableStatus.TERMINATED, CloseType.EARLY_STOP)
    assert executed(desk) == 200
    assert not desk.report.held


def test_a_kept_position_is_held_with_the_fills_that_came_after_the_cancel() -> None:
    desk = bench(**MAKER)
    desk.fill(1)
    desk.at(10)
    desk.accept(2)
    desk.stop(keep_position=True)
    assert desk.cancelled == [2]
    assert desk.report.status is RunnableStatus.SHUTTING_DOWN
    assert desk.report.is_active is False
    desk.fill(2, "0.5")
    desk.cancel(2)
    assert desk.report.close_type is CloseType.POSITION_HOLD
    assert [order.tag for order in desk.report.held] == [1, 2]
    assert len(desk.report.custom_info["held_position_orders"]) == 2
    assert len(desk.sent) == 2


def test_a_hold_of_nothing_is_an_early_stop() -> None:
    desk = bench()
    desk.stop(keep_position=True)
    desk.cancel(1)
    assert desk.report.close_type is CloseType.EARLY_STOP


def test_a_failure_while_winding_up_changes_neither_close_type_nor_retries() -> None:
    desk = bench(max_retries=0)
    desk.stop()
    desk.fail(1)
    assert desk.report.close_type is CloseType.EARLY_STOP
    assert desk.report.custom_info["current_retries"] == 0


# -- reporting


def test_the_figures_are_at_the_mid_price() -> None:
    desk = bench()
    desk.fill(1)
    desk.price("110")
    report = desk.report
    assert report.net_pnl_quote == Decimal(20) - Decimal("0.1")
    assert report.net_pnl_pct == report.net_pnl_quote / 200
    assert (report.cum_fees_quote, report.filled_amount_quote) == (Decimal("0.1"), Decimal(200))
    assert (report.is_active, report.is_trading) == (True, True)
    assert report.custom_info == {
        "side": Trade.BUY,
        "current_position_average_price": 100,
        "filled_amount_base": 2,
        "filled_amount_quote": 200,
        "current_retries": 0,
        "max_retries": 10,
        "order_ids": ["v1"],
        "held_position_orders": [],
    }


def test_an_unknown_or_repeated_update_changes_nothing() -> None:
    desk = bench()
    desk.fill(1)
    before = desk.state
    unknown = Tracked(tag=99, side=Trade.BUY, kind=OrderKind.MARKET, amount=Decimal(1), executed_base=Decimal(1))
    for order in (desk.orders[1], unknown):
        assert desk.step(OrderUpdated(at_us=desk.at_us, prices=desk.prices, order=order)) == ()
        assert desk.state == before

"""The grid executor: each rule of protocols/hummingbot.md §5, and each of its defects that is not shared."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gesta.executors.machines.face import (
    CloseType,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    PositionAction,
    Price,
    RunnableStatus,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.executors.machines.grid import MACHINE
from gesta.executors.machines.grid_levels import LevelState
from tests.unit.executors.grid_desk import RULES, SECOND, GridDesk, config

D = Decimal

RUNNING, SHUTTING_DOWN, TERMINATED = (
    RunnableStatus.RUNNING,
    RunnableStatus.SHUTTING_DOWN,
    RunnableStatus.TERMINATED,
)


def ended(desk: GridDesk) -> tuple[RunnableStatus, CloseType | None]:
    return desk.report.status, desk.report.close_type


def states(desk: GridDesk) -> dict[str, int]:
    counts: dict[str, int] = desk.report.custom_info["levels_by_state"]
    return {name: count for name, count in counts.items() if count}


# -- opening


def test_the_bound_of_open_orders_is_a_bound() -> None:
    desk = GridDesk(config(max_open_orders=3)).start()
    assert len(desk.live) == 3
    # The nearest levels: 99.44, 100.56 (behind the bid), 98.33.
    assert desk.placed() == [("BUY", "1.0000", "99.44"), ("BUY", "1.0000", "99.99"), ("BUY", "1.0000", "98.33")]
    desk.move()
    assert len(desk.sent) == 3


def test_a_place_that_is_free_is_taken_by_the_nearest_level() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.run("99.4")
    assert [order.side for order in desk.sent] == [Trade.BUY, Trade.BUY, Trade.SELL]
    assert len([order for order in desk.live if order.side is Trade.BUY]) == 1


def test_openings_in_batches_come_a_second_apart() -> None:
    desk = GridDesk(config(max_orders_per_batch=2, max_open_orders=5)).start()
    assert len(desk.sent) == 2
    desk.look()
    assert len(desk.sent) == 2
    assert MACHINE.watches(desk.state).at_us == SECOND
    desk.move()
    desk.move()
    assert len(desk.sent) == 5
    assert MACHINE.watches(desk.state).at_us is None


def test_openings_wait_for_the_order_frequency() -> None:
    desk = GridDesk(config(max_open_orders=1, order_frequency=30)).start()
    desk.run("99.4")
    assert desk.placed(1) == [("SELL", "1.0000", "100.43")]
    assert MACHINE.watches(desk.state).at_us == 30 * SECOND
    desk.move(seconds=28)
    assert len(desk.sent) == 2
    desk.move(seconds=1)
    assert len(desk.sent) == 3


def test_levels_out_of_the_activation_bounds_wait_for_the_price() -> None:
    desk = GridDesk(config(activation_bounds="0.01"), "104").start()
    # 104 · 0.99 = 102.96: two levels at and above it.
    assert desk.placed() == [("BUY", "0.9615", "103.88"), ("BUY", "0.9615", "103.98")]
    (watch,) = MACHINE.watches(desk.state).prices
    # 102.78 comes in at 102.78 / 0.99 = 103.816.
    assert watch.of == "mid"
    assert watch.at_or_below is not None
    assert abs(watch.at_or_below - D("103.8159")) < D("0.001")
    desk.move("103.81")
    assert desk.placed(2) == [("BUY", "0.9632", "102.77")]


def test_an_order_out_of_the_activation_bounds_is_cancelled_and_may_come_back() -> None:
    desk = GridDesk(config(activation_bounds="0.01", max_open_orders=1)).start()
    desk.move("100.5")
    assert desk.cancelled == [1]
    assert states(desk) == {"NOT_ACTIVE": 10}
    desk.look()
    assert desk.placed(1) == [("BUY", "0.9950", "100.48")]


def test_a_short_opens_above_and_closes_below() -> None:
    desk = GridDesk(config(side="SELL", limit_price="110", max_open_orders=2)).start()
    # 99.44 would cross the ask of 100: just behind it.
    assert desk.placed() == [("SELL", "1.0000", "100.01"), ("SELL", "1.0000", "100.55")]
    desk.run("100.6")
    assert desk.placed(2)[-2:] == [("BUY", "1.0000", "98.45"), ("BUY", "1.0000", "99.55")]
    desk.run("98.4")
    assert desk.report.custom_info["realized_buy_size_quote"] == D("98.45") + D("99.55")
    assert desk.report.custom_info["realized_pnl_quote"] > 0


def test_an_opening_that_the_venue_would_refuse_is_not_sent() -> None:
    rules = TradingRules(
        min_price_increment=D("0.01"), min_base_increment=D("0.0001"), min_notional=D(10), min_order_size=D("0.2")
    )
    desk = GridDesk(config(total_amount_quote="105"), rules=rules).start()
    assert desk.sent == []
    assert desk.report.status is RUNNING


def test_without_a_price_it_waits_for_one() -> None:
    parsed = MACHINE.parse(config())
    state = MACHINE.begin(parsed, MACHINE.legs(parsed), at_us=0, prices={}, max_retries=10)
    assert MACHINE.report(state, {}).status is RunnableStatus.NOT_STARTED
    desk = GridDesk(config())
    desk.state = state
    desk.tell(Moved(at_us=0, prices={}))
    desk.state = state
    desk.start()
    assert len(desk.sent) == 10


# -- closing, and again


def test_a_filled_level_is_closed_at_its_profit_and_opened_again() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.run("99.4")
    assert desk.placed()[-1] == ("SELL", "1.0000", "100.43")
    assert desk.sent[-1].action is PositionAction.CLOSE
    level = next(level for level in desk.state.levels if level.state is LevelState.CLOSE_ORDER_PLACED)
    desk.run("100.5")
    info = desk.report.custom_info
    assert desk.state.levels[level.index].state is LevelState.NOT_ACTIVE
    assert info["realized_buy_size_quote"] == D("99.44")
    assert info["realized_sell_size_quote"] == D("100.43")
    fees = (D("99.44") + D("100.43")) * D("0.0002")
    assert info["realized_pnl_quote"] == D("0.99") - fees
    assert info["realized_pnl_pct"] == (D("0.99") - fees) / D("99.44")
    assert info["realized_imbalance_quote"] == D("99.44") - D("100.43")
    assert desk.report.net_pnl_pct == (D("0.99") - fees) / (D("99.44") + D("100.43"))


def test_a_profit_that_is_passed_already_is_placed_just_behind_the_ask() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.fill(1)
    desk.move("101")
    assert ("SELL", "1.0000", "101.01") in desk.placed(1)


def test_closings_keep_to_the_activation_bounds() -> None:
    desk = GridDesk(config(activation_bounds="0.005", max_open_orders=1, barrier={"take_profit": "0.02"})).start()
    desk.run("99.9")
    assert [order.side for order in desk.sent if order.side is Trade.SELL] == []
    assert states(desk)["OPEN_ORDER_FILLED"] == 1
    # Level 100.56, profit at 102.57: it is placed once the mid is less than half a percent away.
    assert any(
        watch.at_or_above is not None and watch.at_or_above > D("99.9") for watch in MACHINE.watches(desk.state).prices
    )
    desk.move("102.2")
    assert [order.price for order in desk.sent if order.side is Trade.SELL] == [D("102.56")]


def test_a_profit_by_market_order_waits_for_its_price() -> None:
    desk = GridDesk(config(max_open_orders=1, barrier={"take_profit_order_type": "MARKET"})).start()
    desk.run("99.4")
    assert [order.side for order in desk.live] == [Trade.BUY]
    assert any(watch.of == "bid" and watch.at_or_above is not None for watch in MACHINE.watches(desk.state).prices)
    desk.move("100.44")
    assert (desk.sent[-1].kind, desk.sent[-1].amount) == (OrderKind.MARKET, D(1))
    assert desk.report.custom_info["realized_sell_size_quote"] == D("100.44")


def test_fees_in_base_are_taken_off_what_is_closed_if_asked() -> None:
    rules = TradingRules(min_price_increment=D("0.01"), min_base_increment=D("0.0001"))
    asked = config(max_open_orders=1, deduct_base_fees=True)
    desk = GridDesk(asked, rules=rules, fees_in_base=True).start()
    desk.run("99.4")
    assert desk.placed()[-1] == ("SELL", "0.9998", "100.43")
    info = desk.report.custom_info
    assert info["position_size_quote"] == D("0.9998") * D("99.44")
    desk.run("100.5")
    info = desk.report.custom_info
    buy, sell = D("99.44"), D("0.9998") * D("100.43")
    # The fee is in the amount that was sold, and not once more in what it cost.
    assert info["realized_buy_size_quote"] == buy - buy * D("0.0002")
    assert info["realized_pnl_quote"] == sell - buy - sell * D("0.0002")
    assert GridDesk(config(), fees_in_base=True).start().state.config.deduct_base_fees is False


# -- the barriers


def test_the_position_is_worth_what_its_fills_cost() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.fill(1, price=D("99"))
    info = desk.report.custom_info
    assert info["current_position_average_price"] == D(99)
    assert info["position_pnl_quote"] == (D(100) - D(99)) / D(99) * D(99) - D(99) * D("0.0002")
    assert desk.report.is_trading


def test_the_stop_loss_closes_everything_by_one_market_order() -> None:
    desk = GridDesk(config(barrier={"stop_loss": "0.02"}, max_open_orders=3)).start()
    desk.run("98.3")
    desk.look()
    (watch,) = MACHINE.watches(desk.state).prices
    assert watch.at_or_below is not None
    price = watch.at_or_below.quantize(D("0.01"))
    while desk.report.status is RUNNING:
        price -= D("0.01")
        desk.move(str(price))
    assert ended(desk) == (TERMINATED, CloseType.STOP_LOSS)
    assert (desk.sent[-1].side, desk.sent[-1].kind, desk.sent[-1].amount) == (Trade.SELL, OrderKind.MARKET, D(3))
    assert desk.live == []
    buys = sum(order.executed_quote for order in desk.orders.values() if order.side is Trade.BUY)
    sells = sum(order.executed_quote for order in desk.orders.values() if order.side is Trade.SELL)
    fees = sum(order.fees_quote for order in desk.orders.values())
    assert desk.report.net_pnl_quote == sells - buys - fees
    assert desk.report.cum_fees_quote == fees
    assert desk.report.filled_amount_quote == buys + sells
    assert desk.report.held == ()


def test_a_stop_loss_protects_what_is_filled_of_an_order() -> None:
    desk = GridDesk(config(barrier={"stop_loss": "0.02"}, max_open_orders=1)).start()
    desk.fill(1, "0.4")
    desk.move("97")
    assert ended(desk) == (TERMINATED, CloseType.STOP_LOSS)
    assert desk.cancelled == [1]
    assert desk.sent[-1].amount == D("0.4")
    assert desk.report.filled_amount_quote == D("0.4") * (D("99.44") + D(97))


def test_the_limit_price_stops() -> None:
    desk = GridDesk(config()).start()
    desk.run("94")
    desk.move("90")
    assert ended(desk) == (TERMINATED, CloseType.STOP_LOSS)


def test_the_limit_price_holds_what_is_to_be_kept() -> None:
    desk = GridDesk(config(keep_position=True)).start()
    desk.run("94")
    desk.move("90")
    assert ended(desk) == (TERMINATED, CloseType.POSITION_HOLD)
    assert len(desk.report.held) == 10
    assert desk.report.net_pnl_quote == 0
    assert desk.report.custom_info["held_position_value"] == sum(o.executed_quote for o in desk.report.held)


@pytest.mark.parametrize(("filled", "close_type"), [(True, CloseType.POSITION_HOLD), (False, CloseType.TIME_LIMIT)])
def test_a_grid_that_keeps_its_position_never_sells_it_at_its_end(filled: bool, close_type: CloseType) -> None:
    desk = GridDesk(config(keep_position=True, barrier={"time_limit": 60})).start()
    if filled:
        desk.run("99")
    desk.move(seconds=60)
    assert ended(desk) == (TERMINATED, close_type)
    assert not any(order.kind is OrderKind.MARKET for order in desk.sent)
    assert bool(desk.report.held) is filled


def test_the_time_limit_ends_also_a_grid_without_a_position() -> None:
    desk = GridDesk(config(barrier={"time_limit": 60})).start()
    assert MACHINE.watches(desk.state).at_us == 60 * SECOND
    desk.move(seconds=60)
    assert ended(desk) == (TERMINATED, CloseType.TIME_LIMIT)
    assert len(desk.cancelled) == 10


def test_the_time_limit_counts_from_the_configs_timestamp() -> None:
    desk = GridDesk(config(timestamp=30, barrier={"time_limit": 60})).start()
    assert MACHINE.watches(desk.state).at_us == 90 * SECOND


def test_the_trailing_stop_follows_the_position() -> None:
    trailing = {"trailing_stop": {"activation_price": "0.02", "trailing_delta": "0.01"}, "take_profit": "0.5"}
    desk = GridDesk(config(max_open_orders=1, barrier=trailing)).start()
    desk.run("99.4")
    desk.move("102.5")
    assert desk.state.trailing_trigger is not None
    trigger = desk.state.trailing_trigger
    desk.move("103.5")
    assert desk.state.trailing_trigger > trigger
    (watch,) = MACHINE.watches(desk.state).prices
    assert watch.at_or_below is not None
    desk.move("103")
    assert desk.report.status is RUNNING
    desk.move("102")
    assert ended(desk) == (TERMINATED, CloseType.TRAILING_STOP)


def test_the_trailing_stop_ends_with_its_position() -> None:
    trailing = {"trailing_stop": {"activation_price": "0.005", "trailing_delta": "0.002"}, "take_profit": "0.02"}
    desk = GridDesk(config(max_open_orders=1, barrier=trailing)).start()
    desk.run("99.4")
    desk.run("100.3")
    assert desk.state.trailing_trigger is not None
    desk.run("101.6")
    assert desk.state.trailing_trigger is None
    assert desk.report.status is RUNNING


def test_beyond_the_end_price_the_grid_is_done() -> None:
    desk = GridDesk(config()).start()
    desk.run("99.5")
    desk.move("105")
    assert desk.report.status is RUNNING
    desk.move("105.01")
    assert ended(desk) == (TERMINATED, CloseType.TAKE_PROFIT)
    assert desk.report.net_pnl_quote > 0


def test_a_barrier_that_is_crossed_at_the_start_ends_it_at_once() -> None:
    desk = GridDesk(config(), "106").start()
    assert ended(desk) == (TERMINATED, CloseType.TAKE_PROFIT)
    assert desk.sent == []


def test_too_little_balance() -> None:
    desk = GridDesk(config()).start(affordable=False)
    assert ended(desk) == (TERMINATED, CloseType.INSUFFICIENT_BALANCE)
    assert [log.level for log in desk.logs] == ["ERROR"]


# -- stopping


def test_an_early_stop_cancels_and_closes() -> None:
    desk = GridDesk(config(max_open_orders=2)).start()
    desk.run("99.4")
    desk.stop()
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)
    assert desk.live == []
    assert desk.sent[-1].kind is OrderKind.MARKET
    assert desk.report.custom_info["position_size_quote"] == 0


def test_an_early_stop_that_keeps_holds_the_openings_and_closes_nothing() -> None:
    desk = GridDesk(config(max_open_orders=2)).start()
    desk.run("99.4")
    filled = [order.tag for order in desk.orders.values() if order.executed_base]
    desk.stop(keep_position=True)
    assert ended(desk) == (TERMINATED, CloseType.POSITION_HOLD)
    assert [order.tag for order in desk.report.held] == sorted(filled, key=lambda tag: desk.orders[tag].price or 0)
    assert desk.report.filled_amount_quote == sum(order.executed_quote for order in desk.report.held) > 0
    assert desk.report.net_pnl_quote == 0


def test_a_hold_has_the_openings_of_levels_whose_closing_was_live() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.run("99.4")
    desk.fill(desk.sent[-1].tag, "0.25") if desk.sent[-1].side is Trade.SELL else desk.fill(desk.sent[-2].tag, "0.25")
    desk.stop(keep_position=True)
    assert [(order.side, order.executed_base) for order in desk.report.held] == [
        (Trade.BUY, D(1)),
        (Trade.SELL, D("0.25")),
    ]


def test_a_stop_without_anything_to_keep_is_an_early_stop() -> None:
    desk = GridDesk(config()).start()
    desk.stop(keep_position=True)
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)


def test_a_stop_before_the_start() -> None:
    desk = GridDesk(config())
    desk.stop()
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)


def test_the_end_waits_for_its_cancels_and_counts_the_fill_that_came_first() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.unanswered_cancels = True
    desk.stop()
    assert desk.report.status is SHUTTING_DOWN
    desk.fill(1)
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)
    assert desk.sent[-1].amount == D(1)


def test_a_cancel_that_nobody_answers_is_sent_again() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.unanswered_cancels = True
    desk.stop()
    assert MACHINE.watches(desk.state).at_us == 5 * SECOND
    desk.move(seconds=4)
    assert desk.cancelled == [1]
    desk.move(seconds=1)
    assert desk.cancelled == [1, 1]


def test_what_is_too_small_to_be_closed_is_held_and_said() -> None:
    rules = TradingRules(min_price_increment=D("0.01"), min_base_increment=D("0.0001"), min_order_size=D("0.5"))
    desk = GridDesk(config(max_open_orders=1), rules=rules).start()
    desk.fill(1, "0.2")
    desk.stop()
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)
    assert [order.executed_base for order in desk.report.held] == [D("0.2")]
    assert desk.logs[-1].level == "WARNING"


# -- partial fills


def test_a_part_of_a_cancelled_opening_is_closed_at_its_profit() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.fill(1, "0.4")
    desk.answer(1, status=OrderStatus.CANCELLED)
    desk.look()
    assert ("SELL", "0.4000", "100.43") in [
        (side, str(D(amount).quantize(D("0.0001"))), price) for side, amount, price in desk.placed(1)
    ]


def test_a_closing_that_was_filled_in_part_is_closed_for_the_rest_only() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.run("99.4")
    closing = next(order for order in desk.sent if order.side is Trade.SELL)
    desk.fill(closing.tag, "0.3")
    desk.answer(closing.tag, status=OrderStatus.CANCELLED)
    desk.look()
    sells = [order.amount for order in desk.sent if order.side is Trade.SELL]
    assert sells == [D(1), D("0.7")]
    realized = desk.report.custom_info["realized_sell_size_quote"]
    assert realized == D("0.3") * D("100.43")


def test_dust_of_a_cancelled_opening_is_closed_with_the_next() -> None:
    rules = TradingRules(min_price_increment=D("0.01"), min_base_increment=D("0.0001"), min_order_size=D("0.5"))
    desk = GridDesk(config(max_open_orders=1), rules=rules).start()
    desk.fill(1, "0.2")
    desk.answer(1, status=OrderStatus.CANCELLED)
    assert states(desk) == {"NOT_ACTIVE": 10}
    assert desk.report.custom_info["position_size_quote"] == D("0.2") * D("99.44")
    desk.look()
    desk.fill(2)
    desk.look()
    assert [order.amount for order in desk.sent if order.side is Trade.SELL] == [D("1.2")]


def test_a_fill_after_the_cancel_is_not_lost() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.answer(1, status=OrderStatus.CANCELLED)
    desk.look()
    desk.fill(1, "1")
    assert desk.report.custom_info["position_size_quote"] == D("99.44")
    desk.stop()
    assert desk.sent[-1].amount == D(1)


# -- failures


def test_a_refused_order_is_sent_again_a_second_later() -> None:
    desk = GridDesk(config(max_open_orders=1))
    desk.refused = {1}
    desk.start()
    assert desk.logs[-1].level == "ERROR"
    assert "refused" in desk.logs[-1].message
    desk.look()
    # The level that was refused waits; the next one does not.
    assert [order.price for order in desk.sent] == [D("99.44"), D("99.99")]


def test_a_venue_that_refuses_for_ever_ends_the_grid() -> None:
    desk = GridDesk(config(max_open_orders=3), max_retries=3)
    desk.refused = set(range(1, 100))
    desk.start()
    for _ in range(10):
        desk.move()
    assert ended(desk) == (TERMINATED, CloseType.FAILED)
    assert desk.report.custom_info["current_retries"] == 4
    # Orders that were sent together failed as one.
    assert len(desk.sent) == 12


def test_refusals_are_forgotten_once_an_order_fills() -> None:
    desk = GridDesk(config(max_open_orders=1), max_retries=3)
    desk.refused = {1, 2}
    desk.start()
    desk.look()
    desk.move()
    assert desk.report.custom_info["current_retries"] == 1
    desk.fill(3)
    assert desk.report.custom_info["current_retries"] == 0


def test_a_grid_that_fails_holds_what_it_has() -> None:
    desk = GridDesk(config(max_open_orders=1), max_retries=1).start()
    desk.fill(1)
    desk.refused = set(range(2, 100))
    for _ in range(5):
        desk.move()
    assert ended(desk) == (TERMINATED, CloseType.FAILED)
    assert [order.executed_base for order in desk.report.held] == [D(1)]


def test_an_exit_that_is_refused_is_tried_again_and_then_held() -> None:
    desk = GridDesk(config(max_open_orders=1), max_retries=2).start()
    desk.fill(1)
    desk.refused = set(range(2, 100))
    desk.stop()
    assert desk.report.status is SHUTTING_DOWN
    assert MACHINE.watches(desk.state).at_us == SECOND
    desk.look()
    assert len(desk.sent) == 2
    desk.move()
    desk.move()
    assert ended(desk) == (TERMINATED, CloseType.FAILED)
    assert len(desk.sent) == 4
    assert [order.executed_base for order in desk.report.held] == [D(1)]


def test_an_exit_that_comes_through_late_ends_as_it_was_asked() -> None:
    desk = GridDesk(config(max_open_orders=1), max_retries=2).start()
    desk.fill(1)
    desk.refused = {2}
    desk.stop()
    desk.move()
    assert ended(desk) == (TERMINATED, CloseType.EARLY_STOP)
    assert desk.report.held == ()


def test_a_position_that_cannot_be_sold_may_be_kept() -> None:
    desk = GridDesk(config(max_open_orders=1), max_retries=9).start()
    desk.fill(1)
    desk.refused = set(range(2, 100))
    desk.stop()
    desk.stop(keep_position=True)
    assert ended(desk) == (TERMINATED, CloseType.POSITION_HOLD)
    assert len(desk.report.held) == 1


# -- what changes nothing


def test_nothing_follows_the_end() -> None:
    desk = GridDesk(config()).start()
    desk.stop()
    state = desk.state
    late = Tracked(tag=1, side=Trade.BUY, kind=OrderKind.LIMIT, amount=D(1), status=OrderStatus.FILLED)
    for event in (OrderUpdated(at_us=0, prices={}, order=late), Moved(at_us=0, prices={})):
        assert MACHINE.step(state, event) == (state, ())


def test_an_unknown_order_and_an_update_told_twice_change_nothing() -> None:
    desk = GridDesk(config(max_open_orders=1)).start()
    desk.fill(1, "0.5")
    state = desk.state
    prices = {0: Price(bid=D(1), ask=D(2))}
    for order in (desk.orders[1], Tracked(tag=77, side=Trade.BUY, kind=OrderKind.LIMIT, amount=D(1))):
        assert MACHINE.step(state, OrderUpdated(at_us=9, prices=prices, order=order)) == (state, ())


def test_the_report_has_what_a_grid_is_asked_for() -> None:
    desk = GridDesk(config(max_open_orders=2, level_id="a", rules=None)).start()
    desk.fill(1)
    info = desk.report.custom_info
    assert info["level_id"] == "a"
    assert info["grid_level_prices"][0] == D(95)
    assert info["grid_tp_prices"][0] == D("95.95")
    assert (info["grid_side"], info["grid_limit_price"]) == (Trade.BUY, D(90))
    assert info["open_liquidity_placed"] == D(100)
    assert info["close_liquidity_placed"] == 0
    assert states(desk) == {"NOT_ACTIVE": 8, "OPEN_ORDER_PLACED": 1, "OPEN_ORDER_FILLED": 1}
    assert info["fill_events"][0]["amount_base"] == D(1)
    assert desk.state.leg.rules == RULES

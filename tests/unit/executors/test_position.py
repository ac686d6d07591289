"""The position executor (protocols/hummingbot.md §2): its golden values, each of its rules, each defect not copied."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Leg,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    PositionAction,
    Price,
    RunnableStatus,
    Trade,
    TradingRules,
    Trail,
)
from gesta.executors.machines.position import MACHINE
from gesta.testing.oracle import machine_of
from tests.unit.executors.machine_bench import RULES, SECOND, START_US, Bench

BASE: dict[str, Any] = {
    "connector_name": "binance",
    "trading_pair": "BTC-USDT",
    "side": 1,
    "amount": "1",
    "entry_price": "100",
}


def bench(barrier: dict[str, Any] | None = None, *, price: str | None = "100", **changes: Any) -> Bench:
    """A running executor; by default it enters by market order."""
    options = {key: changes.pop(key) for key in ("rules", "max_retries", "affordable", "start") if key in changes}
    triple = {"open_order_type": "MARKET", **(barrier or {})}
    return Bench(MACHINE, {**BASE, "triple_barrier_config": triple, **changes}, price, **options)


def limited(barrier: dict[str, Any] | None = None, **changes: Any) -> Bench:
    return bench({"open_order_type": "LIMIT", **(barrier or {})}, **changes)


def entered(barrier: dict[str, Any] | None = None, **changes: Any) -> Bench:
    """A running executor whose entry is filled at its first price."""
    house = bench(barrier, **changes)
    house.fill(1, price="100")
    return house


def ended(house: Bench) -> tuple[CloseType | None, str, str]:
    report = house.report
    assert report.status is RunnableStatus.TERMINATED
    assert report.close_at_us == house.at_us
    assert not report.is_active
    return report.close_type, f"{report.net_pnl_quote.normalize():f}", f"{report.net_pnl_pct.normalize():f}"


def test_it_is_found_by_its_type() -> None:
    assert machine_of("position_executor") is MACHINE
    assert MACHINE.type == "position_executor"


# -- golden values (§2.5): entry 100, one coin, taker 0.05 %, maker 0.02 %


@pytest.mark.parametrize(
    ("side", "barrier", "path", "close_type", "pnl", "pct", "fees", "filled"),
    [
        ("BUY", {"take_profit": "0.02"}, ["101", "103"], "TAKE_PROFIT", "2.8985", "0.028985", "0.1015", "203"),
        ("SELL", {"take_profit": "0.02"}, ["99", "97"], "TAKE_PROFIT", "2.9015", "0.029015", "0.0985", "197"),
        ("BUY", {"stop_loss": "0.02"}, ["99", "97"], "STOP_LOSS", "-3.0985", "-0.030985", "0.0985", "197"),
        ("SELL", {"stop_loss": "0.02"}, ["101", "103"], "STOP_LOSS", "-3.1015", "-0.031015", "0.1015", "203"),
        (
            "BUY",
            {"trailing_stop": {"activation_price": "0.02", "trailing_delta": "0.01"}},
            ["101", "103", "106", "104"],
            "TRAILING_STOP",
            "3.898",
            "0.03898",
            "0.102",
            "204",
        ),
    ],
)
def test_golden_values_of_market_exits(
    side: str, barrier: dict[str, Any], path: list[str], close_type: str, pnl: str, pct: str, fees: str, filled: str
) -> None:
    house = entered(barrier, side=side)
    for second, price in enumerate(path, start=1):
        assert len(house.sent) == 1
        house.at(second, price)
    house.fill(2)
    assert ended(house) == (CloseType(close_type), pnl, pct)
    assert (house.report.cum_fees_quote, house.report.filled_amount_quote) == (Decimal(fees), Decimal(filled))
    assert house.report.held == ()


def test_golden_values_of_a_resting_take_profit() -> None:
    house = entered({"take_profit": "0.02", "take_profit_order_type": "LIMIT"})
    house.at(1)
    assert (house.last.kind, house.last.side, house.last.price) == (OrderKind.LIMIT, Trade.SELL, Decimal(102))
    maker_fee = Decimal("102") * Decimal("0.0002")
    house.answer(2, OrderStatus.FILLED, executed_base=1, executed_quote=Decimal(102), fees_quote=maker_fee)
    assert ended(house)[:2] == (CloseType.TAKE_PROFIT, "1.9296")
    assert house.report.cum_fees_quote == Decimal("0.0704")
    assert house.report.filled_amount_quote == 202


# -- beginning


def test_it_enters_at_the_start() -> None:
    house = bench()
    assert house.report.status is RunnableStatus.RUNNING
    assert (house.last.kind, house.last.side, house.last.amount) == (OrderKind.MARKET, Trade.BUY, 1)
    assert house.last.action is PositionAction.OPEN
    assert house.report.is_active
    assert not house.report.is_trading


def test_what_cannot_be_paid_for_ends_at_once() -> None:
    house = bench(affordable=False)
    assert ended(house)[0] is CloseType.INSUFFICIENT_BALANCE
    assert house.sent == []
    assert house.logs[-1].level == "ERROR"


def test_what_is_late_expires_without_an_order() -> None:
    house = bench({"time_limit": 10}, timestamp=START_US // SECOND - 10)
    assert ended(house)[0] is CloseType.EXPIRED
    assert house.sent == []


def test_a_stop_before_the_start_ends_it() -> None:
    house = bench(start=False)
    house.stop()
    assert ended(house)[0] is CloseType.EARLY_STOP


@pytest.mark.parametrize(("side", "price"), [("BUY", "99.9"), ("SELL", "100.1")])
def test_the_default_entry_is_the_best_price_of_its_own_side(side: str, price: str) -> None:
    house = Bench(MACHINE, {**BASE, "entry_price": None, "side": side}, None)
    assert (house.sent, MACHINE.watches(house.state).every) == ([], True)
    house.prices = {0: Price(bid=Decimal("99.9"), ask=Decimal("100.1"))}
    house.at(1)
    assert house.last.price == Decimal(price)


@pytest.mark.parametrize(
    ("side", "entry", "price"),
    [("BUY", "105", "100"), ("BUY", "95", "95"), ("SELL", "95", "100"), ("SELL", "105", "105")],
)
def test_a_maker_entry_does_not_cross(side: str, entry: str, price: str) -> None:
    house = bench({"open_order_type": "LIMIT_MAKER"}, side=side, entry_price=entry)
    assert (house.last.kind, house.last.price) == (OrderKind.LIMIT_MAKER, Decimal(price))


def test_orders_are_quantized_down() -> None:
    house = limited(amount="1.00009", entry_price="99.999")
    assert (house.last.amount, house.last.price) == (Decimal("1.0000"), Decimal("99.99"))


def test_an_entry_that_no_venue_would_take_fails_with_a_word() -> None:
    house = bench(amount="0.02", rules=TradingRules(min_notional=Decimal("2.01")))
    assert ended(house) == (CloseType.FAILED, "0", "0")
    assert house.sent == []
    assert "minimum" in house.logs[-1].message


# -- activation bounds


@pytest.mark.parametrize(
    ("side", "kind", "outside", "inside"),
    [
        ("BUY", "LIMIT", ["104"], "102"),  # 100 ≥ mid·0.98
        ("SELL", "LIMIT", ["96"], "99"),  # 100 ≤ mid·1.02
        ("BUY", "MARKET", ["97.9", "104"], "103"),  # 98 … 104 with bounds 0.02, 0.03
        ("SELL", "MARKET", ["96.9", "103"], "97"),  # 97 … 102
    ],
)
def test_the_entry_waits_for_its_bounds(side: str, kind: str, outside: list[str], inside: str) -> None:
    for price in outside:
        house = bench({"open_order_type": kind}, side=side, activation_bounds=["0.02", "0.03"], price=price)
        assert house.sent == []
        (watch,) = MACHINE.watches(house.state).prices
        assert watch.of == "mid"
        assert not MACHINE.watches(house.state).every
        level, value = watch.at_or_below or watch.at_or_above, Decimal(inside)
        assert level is not None
        assert value <= level if watch.at_or_below is not None else value >= level
        house.at(1, inside)
        assert len(house.sent) == 1


def test_an_entry_that_leaves_its_bounds_is_cancelled_and_placed_again_inside() -> None:
    house = limited(activation_bounds=["0.02"])
    house.accept(1)
    assert house.at(1, "103") == (Cancel(tag=1),)
    assert house.at(2, "104") == ()
    house.cancel(1)
    house.at(3, "104")
    assert len(house.sent) == 1
    house.at(4, "101")
    assert house.last.tag == 2


def test_an_entry_cancelled_half_filled_buys_only_the_rest_and_forgets_nothing() -> None:
    house = limited({"stop_loss": "0.05"}, activation_bounds=["0.02"])
    house.accept(1)
    house.fill(1, "0.4")
    house.at(1, "103")
    house.cancel(1)
    house.at(2, "101")
    assert (house.last.tag, house.last.amount) == (2, Decimal("0.6"))
    house.fill(2, price="99")
    assert house.report.custom_info["current_position_average_price"] == Decimal("99.4")
    house.at(3, "90")
    assert house.last.amount == 1
    house.fill(3)
    assert ended(house)[0] is CloseType.STOP_LOSS


# -- barriers


def test_fees_alone_trip_a_tight_stop_loss() -> None:
    house = entered({"stop_loss": "0.0004"})
    assert MACHINE.watches(house.state).at_us == house.at_us
    house.at(1)
    assert house.last.side is Trade.SELL
    house.fill(2)
    assert ended(house) == (CloseType.STOP_LOSS, "-0.1", "-0.001")


def test_the_stop_loss_guards_what_is_filled_so_far() -> None:
    house = limited({"stop_loss": "0.02"})
    house.accept(1)
    house.fill(1, "0.3")
    commands = house.at(1, "97")
    assert commands[0] == Cancel(tag=1)
    assert (house.last.kind, house.last.amount) == (OrderKind.MARKET, Decimal("0.3"))
    # A fill that came before the cancel is closed too.
    house.fill(1, "0.1")
    assert house.last.amount == Decimal("0.1")
    house.cancel(1)
    house.fill(2)
    house.fill(3)
    assert ended(house)[0] is CloseType.STOP_LOSS
    assert house.report.filled_amount_quote == Decimal("78.8")
    assert house.report.held == ()


def test_dust_is_not_guarded_before_it_can_be_closed() -> None:
    rules = TradingRules(
        min_order_size=Decimal("0.1"), min_base_increment=Decimal("0.01"), min_price_increment=Decimal("0.01")
    )
    house = limited({"stop_loss": "0.02"}, rules=rules)
    house.accept(1)
    house.fill(1, "0.05")
    house.at(1, "90")
    assert len(house.sent) == 1
    house.fill(1, "0.05")
    house.at(2, "90")
    assert house.last.amount == Decimal("0.1")


def test_the_trailing_stop_ratchets_and_trails_the_best_price() -> None:
    house = entered({"trailing_stop": {"activation_price": "0.02", "trailing_delta": "0.01"}})
    house.at(1)
    (watch,) = MACHINE.watches(house.state).prices
    assert watch.at_or_below is None
    assert round(watch.at_or_above or 0, 6) == Decimal("102.05")
    house.at(2, "103")
    assert house.state.trailing_trigger == Decimal("0.0195")
    watches = MACHINE.watches(house.state)
    (below,) = watches.prices
    assert (below.of, round(below.at_or_below or 0, 6)) == ("bid", Decimal("102"))
    assert watches.trail == Trail(of="bid", is_rising=True, distance=Decimal("1.00"), since_us=START_US + 2 * SECOND)
    house.at(3, "102.5")
    assert house.state.trailing_trigger == Decimal("0.0195")
    house.at(4, "101.99")
    assert house.report.close_type is CloseType.TRAILING_STOP


@pytest.mark.parametrize(("side", "path"), [("BUY", ("103", "105", "103.9")), ("SELL", ("97", "95", "96.1"))])
def test_what_it_was_not_woken_for_raises_the_trigger(side: str, path: tuple[str, ...]) -> None:
    at, best, now = (Decimal(price) for price in path)
    house = entered({"trailing_stop": {"activation_price": "0.02", "trailing_delta": "0.01"}}, side=side)
    house.at(2, str(at))
    before = house.state.trailing_trigger
    prices = {0: Price(now, now, best)}
    shown = MACHINE.report(house.state, prices)
    state, _ = MACHINE.step(house.state, OrderUpdated(at_us=house.at_us + 1, prices=prices, order=house.sent[0]))
    assert before is not None
    assert round((state.trailing_trigger or 0) - before, 6) == Decimal("0.02")
    assert state.trailing_since_us == house.at_us + 1
    state, _ = MACHINE.step(house.state, Moved(at_us=house.at_us + 1, prices=prices))
    assert state.close_type is CloseType.TRAILING_STOP
    assert shown.close_type is None


def test_a_trailing_trigger_of_nothing_is_a_trigger() -> None:
    house = entered({"trailing_stop": {"activation_price": "0.01", "trailing_delta": "0.0195"}})
    house.at(1, "102")
    assert house.state.trailing_trigger == 0
    house.at(2, "100")
    assert house.report.close_type is CloseType.TRAILING_STOP


def test_the_time_limit_counts_even_unfilled_and_wakes_it() -> None:
    house = limited({"time_limit": 60})
    house.accept(1)
    assert MACHINE.watches(house.state).at_us == START_US
    house.at(0)
    assert MACHINE.watches(house.state).at_us == START_US + 60 * SECOND
    house.at(59.999)
    assert house.report.status is RunnableStatus.RUNNING
    assert house.at(60) == (Cancel(tag=1),)
    assert house.report.status is RunnableStatus.SHUTTING_DOWN
    house.cancel(1)
    assert ended(house) == (CloseType.TIME_LIMIT, "0", "0")


def test_the_levels_that_it_watches_are_where_its_barriers_are() -> None:
    house = entered({"stop_loss": "0.02", "take_profit": "0.03"}, side="SELL")
    house.at(1)
    above, below = MACHINE.watches(house.state).prices
    assert (above.of, below.of) == ("ask", "ask")
    stop, target = above.at_or_above, below.at_or_below
    assert stop is not None
    assert target is not None
    assert (round(stop, 6), round(target, 6)) == (Decimal("101.95"), Decimal("96.95"))
    house.at(2, "101.94")
    house.at(3, "96.96")
    assert len(house.sent) == 1
    house.at(4, "101.95")
    assert house.report.close_type is CloseType.STOP_LOSS


# -- the resting take-profit


def test_a_resting_target_that_the_venue_refuses_is_tried_again_without_end() -> None:
    house = entered({"take_profit": "0.02", "take_profit_order_type": 3, "stop_loss": "0.05"}, max_retries=2)
    house.at(1)
    for second in range(2, 8):
        house.fail(len(house.sent))
        house.at(second - 0.5)
        assert len(house.sent) == second
        assert MACHINE.watches(house.state).at_us == START_US + second * SECOND
        house.at(second)
    assert house.report.status is RunnableStatus.RUNNING
    assert house.report.custom_info["current_retries"] == 0


def test_a_resting_target_is_cancelled_before_the_market_close_and_only_the_rest_is_closed() -> None:
    house = entered({"take_profit": "0.02", "take_profit_order_type": "LIMIT", "stop_loss": "0.05"})
    house.at(1)
    house.accept(2)
    house.fill(2, "0.25")
    assert house.at(2, "90") == (Cancel(tag=2),)
    assert len(house.sent) == 2
    house.cancel(2)
    assert (house.last.kind, house.last.amount) == (OrderKind.MARKET, Decimal("0.75"))
    house.fill(3)
    assert ended(house)[0] is CloseType.STOP_LOSS
    traded = Decimal("0.25") * 102 + Decimal("0.75") * 90
    assert house.report.net_pnl_quote == traded - 100 - house.report.cum_fees_quote


def test_a_target_that_fills_while_it_is_cancelled_took_the_profit() -> None:
    house = entered({"take_profit": "0.02", "take_profit_order_type": "LIMIT"})
    house.at(1)
    house.accept(2)
    house.stop()
    house.fill(2)
    assert ended(house)[0] is CloseType.TAKE_PROFIT
    assert len(house.sent) == 2


def test_a_target_reached_before_the_entry_is_whole_ends_the_entry() -> None:
    house = limited({"take_profit": "0.02", "take_profit_order_type": "LIMIT"})
    house.accept(1)
    house.fill(1, "0.5")
    house.at(1, "101")
    assert MACHINE.watches(house.state).prices[0].of == "bid"
    assert house.at(2, "102") == (Cancel(tag=1),)
    house.cancel(1)
    house.at(3, "102")
    assert (house.last.kind, house.last.amount) == (OrderKind.LIMIT, Decimal("0.5"))
    house.fill(2)
    assert ended(house)[0] is CloseType.TAKE_PROFIT


def test_a_target_keeps_to_the_bounds_of_its_side() -> None:
    house = entered({"take_profit": "0.05", "take_profit_order_type": "LIMIT"}, activation_bounds=["0.02", "0.02"])
    house.at(1)
    assert len(house.sent) == 1
    house.at(2, "103")
    assert house.last.price == 105
    house.accept(2)
    assert house.at(3, "102") == (Cancel(tag=2),)
    house.cancel(2)
    house.at(4, "104")
    assert (house.last.tag, house.last.price) == (3, 105)


# -- ending


def test_an_early_stop_closes_what_is_filled() -> None:
    house = entered({"take_profit": "0.5"})
    house.at(8, "101")
    house.stop()
    assert (house.last.kind, house.last.action) == (OrderKind.MARKET, PositionAction.CLOSE)
    house.fill(2)
    assert ended(house) == (CloseType.EARLY_STOP, "0.8995", "0.008995")


def test_a_kept_position_is_held_with_its_volume() -> None:
    house = entered()
    house.at(1, "110")
    house.stop(keep_position=True)
    assert ended(house) == (CloseType.POSITION_HOLD, "-0.05", "-0.0005")
    assert [order.tag for order in house.report.held] == [1]
    assert house.report.filled_amount_quote == 100
    (held,) = house.report.custom_info["held_position_orders"]
    assert (held["trade_type"], held["executed_amount_base"]) == ("BUY", "1.0000")


def test_a_partial_fill_that_is_kept_is_held() -> None:
    house = limited()
    house.accept(1)
    house.fill(1, "0.12")
    assert house.stop(keep_position=True) == (Cancel(tag=1),)
    house.cancel(1)
    assert ended(house)[0] is CloseType.POSITION_HOLD
    assert house.report.held[0].executed_base == Decimal("0.12")


def test_nothing_filled_is_nothing_kept() -> None:
    house = limited()
    house.accept(1)
    house.stop(keep_position=True)
    house.cancel(1)
    assert ended(house)[0] is CloseType.EARLY_STOP


def test_a_stop_while_it_closes_changes_nothing_and_after_a_failed_close_is_the_last_word() -> None:
    house = entered({"stop_loss": "0.02"})
    house.at(1, "97")
    assert house.stop(keep_position=True) == ()
    house.fail(2)
    house.stop(keep_position=True)
    assert ended(house)[0] is CloseType.POSITION_HOLD
    assert len(house.report.held) == 1


def test_an_entry_that_fails_is_placed_again_a_second_after_and_not_for_ever() -> None:
    house = bench(max_retries=2)
    house.fail(1)
    house.at(0.5)
    assert len(house.sent) == 1
    assert MACHINE.watches(house.state).at_us == START_US + SECOND
    house.at(1)
    house.fail(2)
    house.at(2)
    house.fail(3)
    assert ended(house)[0] is CloseType.FAILED
    assert len(house.sent) == 3
    assert house.report.held == ()
    assert "rejected" in house.logs[0].message


def test_a_close_that_fails_for_ever_leaves_its_exposure_on_the_report() -> None:
    house = entered({"take_profit": "0.02"}, max_retries=3)
    house.at(10, "103")
    for second in (11, 12, 13):
        house.fail(len(house.sent))
        house.at(second)
    assert ended_after_failures(house) == (CloseType.FAILED, Decimal("-0.05"), Decimal(100))
    assert [order.tag for order in house.report.held] == [1]
    assert len(house.sent) == 4


def ended_after_failures(house: Bench) -> tuple[CloseType | None, Decimal, Decimal]:
    report = house.report
    assert report.status is RunnableStatus.TERMINATED
    return report.close_type, report.net_pnl_quote, report.filled_amount_quote


def test_what_is_too_small_to_close_is_reported_as_held() -> None:
    rules = TradingRules(
        min_order_size=Decimal("0.1"), min_base_increment=Decimal("0.01"), min_price_increment=Decimal("0.01")
    )
    house = limited({"time_limit": 5}, rules=rules)
    house.accept(1)
    house.fill(1, "0.05")
    house.at(5)
    house.cancel(1)
    assert ended(house)[0] is CloseType.TIME_LIMIT
    assert len(house.report.held) == 1
    assert "held" in house.logs[-1].message


@pytest.mark.parametrize(
    ("connector", "is_one_way", "action"),
    [
        ("binance", True, PositionAction.CLOSE),
        ("binance_perpetual", False, PositionAction.CLOSE),
        ("binance_perpetual", True, PositionAction.OPEN),
    ],
)
def test_the_closing_order_says_open_only_on_a_one_way_perpetual(
    connector: str, is_one_way: bool, action: PositionAction
) -> None:
    config = MACHINE.parse({**BASE, "connector_name": connector, "triple_barrier_config": {"open_order_type": 1}})
    assert MACHINE.legs(config)[0].is_perpetual is (connector != "binance")
    house = entered(connector_name=connector)
    leg = Leg(
        connector_name=connector,
        trading_pair="BTC-USDT",
        rules=RULES,
        is_perpetual=connector != "binance",
        is_one_way=is_one_way,
    )
    house.state = type(house.state)(
        config=house.state.config,
        leg=leg,
        begun_at_us=START_US,
        max_retries=1,
        status=house.state.status,
        entry_price=Decimal(100),
        book=house.state.book,
    )
    house.stop()
    assert house.last.action is action


def test_fees_in_base_reduce_what_can_be_closed() -> None:
    house = bench({"take_profit": "0.02"})
    house.fill(1, price="100", in_base=True)
    house.at(1, "103")
    assert house.last.amount == Decimal("0.9995")
    house.fill(2)
    assert house.report.net_pnl_quote == Decimal("2.89702575")
    assert house.report.net_pnl_pct == Decimal("2.89702575") / Decimal("99.95")


# -- updates


def test_an_update_that_is_told_twice_or_of_an_unknown_order_changes_nothing() -> None:
    house = entered({"take_profit": "0.02"})
    state = house.state
    house.answer(1, OrderStatus.FILLED)
    assert house.state.book == state.book
    house.orders[9] = house.orders[1].__class__(tag=9, side=Trade.BUY, kind=OrderKind.MARKET, amount=Decimal(1))
    assert house.answer(9, OrderStatus.FILLED, executed_base=Decimal(1)) == ()
    assert house.state.book == state.book


def test_a_terminated_executor_is_left_alone() -> None:
    house = entered()
    house.stop(keep_position=True)
    for commands in (house.at(5, "1"), house.stop(), house.answer(1, OrderStatus.CANCELLED)):
        assert commands == ()
    assert MACHINE.watches(house.state).prices == ()


def test_its_report_without_a_price_marks_at_the_entry() -> None:
    house = entered()
    house.price(None)
    assert house.report.net_pnl_quote == Decimal("-0.05")
    info = house.report.custom_info
    assert set(info) == {
        *("level_id", "current_position_average_price", "side", "current_retries", "max_retries", "close_price"),
        *("open_order_last_update", "order_ids", "held_position_orders"),
    }
    assert (info["order_ids"], info["side"]) == (["v1"], Trade.BUY)
    assert info["open_order_last_update"] == START_US / SECOND


def test_a_running_position_is_trading_and_marked_at_the_price_it_would_close_at() -> None:
    house = entered()
    house.prices = {0: Price(bid=Decimal(101), ask=Decimal(105))}
    assert house.report.is_trading
    assert house.report.net_pnl_quote == Decimal("0.95")
    assert house.report.custom_info["close_price"] == 101
    assert MACHINE.watches(house.state).prices == ()

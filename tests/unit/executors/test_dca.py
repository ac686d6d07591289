"""The DCA executor by the rules of protocols/hummingbot.md §4, and what it does better."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.dca import MACHINE, TRANSITIONS
from gesta.executors.machines.dca_config import Mode, parse
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
from gesta.kernel.errors import InvalidInput
from tests.unit.executors.machine_bench import SECOND, START_US, Bench

CONFIG: dict[str, Any] = {
    "type": "dca_executor",
    "connector_name": "binance",
    "trading_pair": "BTC-USDT",
    "side": 1,
    "amounts_quote": ["100", "200"],
    "prices": ["100", "97"],
}


def bench(price: str | None = "100", **changes: Any) -> Bench:
    kwargs = {name: changes.pop(name) for name in ("rules", "max_retries", "affordable", "start") if name in changes}
    return Bench(MACHINE, {**CONFIG, **changes}, price, **kwargs)


def filled(price: str = "100", **changes: Any) -> Bench:
    """Both levels open and filled at their prices."""
    desk = bench(price, **changes)
    desk.at(1)
    for tag in (1, 2):
        desk.fill(tag)
    return desk


# -- config


def test_defaults() -> None:
    config = parse(CONFIG)
    assert (config.mode, config.leverage, config.controller_id) == (Mode.MAKER, 1, "main")
    assert (config.stop_loss, config.take_profit, config.trailing_stop, config.time_limit_s) == (None,) * 4
    assert config.activation_bounds is None


@pytest.mark.parametrize("side", [1, "1", "BUY", "buy"])
def test_the_side_is_read_by_value_and_by_name(side: Any) -> None:
    assert parse({**CONFIG, "side": side}).side is Trade.BUY


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"connector_name": " "}, "connector_name"),
        ({"trading_pair": "BTCUSDT"}, "trading_pair"),
        ({"side": 3}, "side"),
        ({"side": None}, "side"),
        ({"leverage": 0}, "leverage"),
        ({"amounts_quote": []}, "amounts_quote"),
        ({"amounts_quote": "100"}, "amounts_quote"),
        ({"amounts_quote": ["100", "0"]}, "amounts_quote[1]"),
        ({"prices": ["100", "NaN"]}, "prices[1]"),
        ({"prices": ["Infinity", "97"]}, "prices[0]"),
        ({"prices": ["100"]}, "prices"),
        ({"prices": ["100", "97", "95"]}, "prices"),
        ({"stop_loss": 0}, "stop_loss"),
        ({"take_profit": "-0.1"}, "take_profit"),
        ({"time_limit": 0}, "time_limit"),
        ({"trailing_stop": {"activation_price": "0.01"}}, "trailing_stop.trailing_delta"),
        ({"mode": "BOTH"}, "mode"),
        ({"activation_bounds": ["0"]}, "activation_bounds[0]"),
        ({"stop_los": "0.1"}, "stop_los"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse({**CONFIG, **changes})
    assert refusal.value.field == field
    assert " must " in refusal.value.message


# -- beginning


def test_every_status_has_its_row() -> None:
    assert set(TRANSITIONS) == set(RunnableStatus)
    assert not TRANSITIONS[RunnableStatus.TERMINATED]


@pytest.mark.parametrize(
    "rules", [TradingRules(min_notional=Decimal(150)), TradingRules(min_order_size=Decimal("1.5"))]
)
def test_a_level_that_the_market_would_never_take_fails_before_an_order(rules: TradingRules) -> None:
    desk = bench(rules=rules)
    assert desk.report.close_type is CloseType.FAILED
    assert desk.report.status is RunnableStatus.TERMINATED
    assert not desk.sent
    assert desk.logs[-1].level == "ERROR"


def test_without_balance_it_never_begins() -> None:
    assert bench(affordable=False).report.close_type is CloseType.INSUFFICIENT_BALANCE


def test_what_is_late_at_the_start_is_expired() -> None:
    desk = bench(timestamp=START_US // SECOND - 100, time_limit=60)
    assert desk.report.close_type is CloseType.EXPIRED
    assert not desk.sent


def test_stopped_before_the_start() -> None:
    desk = bench(start=False)
    desk.stop(keep_position=True)
    assert desk.report.close_type is CloseType.EARLY_STOP


# -- opening


def test_maker_levels_open_one_after_the_other_as_limit_orders() -> None:
    desk = bench()
    assert desk.machine.watches(desk.state).at_us == START_US + SECOND
    desk.at(0.5)
    assert len(desk.sent) == 1
    desk.at(1)
    desk.at(2)
    assert [(o.kind, o.side, o.amount, o.price, o.action) for o in desk.sent] == [
        (OrderKind.LIMIT, Trade.BUY, Decimal(1), Decimal(100), PositionAction.OPEN),
        (OrderKind.LIMIT, Trade.BUY, Decimal("2.0618"), Decimal(97), PositionAction.OPEN),
    ]
    assert desk.machine.watches(desk.state).at_us is None


def test_a_maker_level_waits_for_its_bounds() -> None:
    desk = bench("105", activation_bounds=["0.01"])
    assert not desk.sent
    (watch,) = desk.machine.watches(desk.state).prices
    assert watch.of == "mid"
    assert watch.at_or_below is not None
    assert abs(watch.at_or_below - Decimal(100) / Decimal("0.99")) < Decimal("1e-15")
    desk.at(3, "101")
    assert len(desk.sent) == 1


@pytest.mark.parametrize(("side", "inside", "outside"), [(1, "100.4", "99.98"), (2, "99.6", "100.02")])
def test_a_taker_buys_at_the_market_near_its_level(side: int, inside: str, outside: str) -> None:
    desk = bench(outside, mode="TAKER", side=side)
    assert not desk.sent
    (watch,) = desk.machine.watches(desk.state).prices
    assert (watch.at_or_above is not None) is (side == 1)
    desk.at(1, inside)
    assert [(o.kind, o.price) for o in desk.sent] == [(OrderKind.MARKET, None)]


def test_a_bound_is_not_inside() -> None:
    desk = bench("100.5", mode="TAKER")
    assert not desk.sent
    desk.at(1, "100.49")
    assert desk.sent


def test_without_a_price_a_bounded_level_waits_for_any() -> None:
    desk = bench(None, mode="TAKER")
    assert desk.machine.watches(desk.state).every
    desk.at(1, "100")
    assert len(desk.sent) == 1
    assert not desk.machine.watches(desk.state).every


def test_a_rejected_level_is_placed_again_and_not_the_next_in_its_stead() -> None:
    desk = bench()
    desk.at(1)
    desk.fail(1)
    assert desk.report.custom_info["current_retries"] == 1
    assert len(desk.sent) == 2
    desk.at(2)
    assert (desk.last.price, desk.last.tag) == (Decimal(100), 3)


def test_a_level_that_is_rejected_for_ever_fails_and_what_is_filled_is_held() -> None:
    desk = bench(max_retries=2)
    desk.fill(1)
    for second in range(1, 4):
        desk.at(second)
        desk.fail(desk.last.tag)
    assert desk.report.close_type is CloseType.FAILED
    assert [order.tag for order in desk.report.held] == [1]
    assert desk.report.custom_info["held_position_orders"][0]["client_order_id"] == "v1"


def test_levels_that_the_venue_cancelled_leave_nothing_to_wait_for() -> None:
    desk = bench()
    desk.at(1)
    desk.cancel(1)
    assert desk.report.status is RunnableStatus.RUNNING
    desk.cancel(2)
    assert desk.report.close_type is CloseType.FAILED


# -- barriers


def test_the_stop_loss_of_a_maker_is_of_the_whole_plan() -> None:
    desk = bench(stop_loss="0.02")
    desk.at(1)
    desk.fill(1)
    desk.at(2, "97.5")
    assert len(desk.sent) == 2, "the second level is still to average the price down"
    desk.fill(2)
    desk.at(3, "94")
    assert desk.report.custom_info["close_type"] is CloseType.STOP_LOSS
    assert (desk.last.side, desk.last.kind, desk.last.amount) == (Trade.SELL, OrderKind.MARKET, Decimal("3.0618"))
    assert desk.last.action is PositionAction.CLOSE
    desk.fill(desk.last.tag)
    assert desk.report.close_type is CloseType.STOP_LOSS
    assert desk.report.status is RunnableStatus.TERMINATED
    assert not desk.report.held


def test_the_stop_loss_of_a_maker_protects_a_last_level_that_filled_in_part() -> None:
    desk = bench(stop_loss="0.02")
    desk.at(1)
    desk.fill(1)
    desk.fill(2, "0.5")
    desk.at(2, "90")
    assert desk.cancelled == [2]
    assert desk.last.amount == Decimal("1.5")


def test_the_stop_loss_of_a_taker_is_a_loss_in_quote() -> None:
    desk = bench(mode="TAKER", stop_loss="0.02")
    desk.fill(1)
    desk.at(1, "94.1")
    assert len(desk.sent) == 1
    # 2 % of 300 is 6: the fee is 0.05 of it.
    desk.at(2, "94.05")
    assert desk.last.side is Trade.SELL


def test_take_profit_is_beyond_its_fraction_after_fees() -> None:
    desk = bench(prices=["100"], amounts_quote=["100"], take_profit="0.0095")
    desk.fill(1)
    desk.at(1, "101")
    assert len(desk.sent) == 1, "0.01 gross is 0.0095 net, which is not more than it"
    desk.at(2, "101.01")
    assert desk.report.close_type is CloseType.TAKE_PROFIT


@pytest.mark.parametrize(("side", "path"), [(1, ("102", "104", "103.4", "102.9")), (2, ("98", "96", "96.6", "97.1"))])
def test_the_trailing_stop_follows_the_best_price(side: int, path: tuple[str, ...]) -> None:
    trailing = {"activation_price": "0.01", "trailing_delta": "0.01"}
    desk = bench(prices=["100"], amounts_quote=["100"], side=side, trailing_stop=trailing)
    desk.fill(1)
    for second, price in enumerate(path, start=1):
        assert len(desk.sent) == 1
        desk.at(second, price)
    assert desk.report.close_type is CloseType.TRAILING_STOP


def test_time_is_over_even_with_nothing_filled() -> None:
    desk = bench(time_limit=10)
    assert desk.machine.watches(desk.state).at_us == START_US + SECOND
    desk.at(1)
    assert desk.machine.watches(desk.state).at_us == START_US + 10 * SECOND
    desk.at(10)
    assert desk.cancelled == [1, 2]
    desk.cancel(1)
    desk.cancel(2)
    assert (desk.report.close_type, len(desk.sent)) == (CloseType.TIME_LIMIT, 2)


def test_a_barrier_comes_before_a_level() -> None:
    desk = bench(mode="TAKER", stop_loss="0.0001")
    desk.fill(1)
    desk.at(1, "97")
    assert [order.side for order in desk.sent] == [Trade.BUY, Trade.SELL]


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        (1, {"stop_loss": "0.02"}),
        (2, {"stop_loss": "0.02"}),
        (1, {"take_profit": "0.02"}),
        (2, {"take_profit": "0.02"}),
        (1, {"mode": "TAKER", "stop_loss": "0.01"}),
        (2, {"mode": "TAKER", "stop_loss": "0.01"}),
        (1, {"trailing_stop": {"activation_price": "0.013", "trailing_delta": "0.004"}}),
    ],
)
def test_it_is_woken_where_it_acts_and_not_before(side: int, changes: dict[str, Any]) -> None:
    def begun() -> Bench:
        desk = bench(prices=["100"], amounts_quote=["100"], side=side, **changes)
        desk.fill(1)
        desk.at(1)
        return desk

    (watch,) = begun().machine.watches(begun().state).prices
    level = watch.at_or_below or watch.at_or_above
    assert level is not None
    beyond = Decimal("0.0001") * (-1 if watch.at_or_below else 1)
    near, far = begun(), begun()
    near.at(2, level - beyond)
    assert near.state == begun().state
    far.at(2, level + beyond)
    assert far.state != begun().state


def test_a_fill_is_looked_at_at_once() -> None:
    desk = filled()
    assert desk.machine.watches(desk.state).at_us == desk.at_us
    desk.at(2)
    assert desk.machine.watches(desk.state).at_us is None


# -- closing


def test_a_stop_closes_what_is_filled_and_cancels_the_rest() -> None:
    desk = bench()
    desk.at(1)
    desk.fill(1, "0.4")
    desk.stop()
    assert desk.cancelled == [1, 2]
    assert desk.last.amount == Decimal("0.4")
    assert desk.report.status is RunnableStatus.SHUTTING_DOWN
    for tag in (1, 2):
        desk.cancel(tag)
    desk.fill(3)
    assert (desk.report.status, desk.report.close_type) == (RunnableStatus.TERMINATED, CloseType.EARLY_STOP)
    assert not desk.report.held


def test_a_fill_that_is_told_after_its_cancel_is_closed_too() -> None:
    desk = bench()
    desk.fill(1, "0.4")
    desk.stop()
    desk.fill(1)
    assert len(desk.sent) == 2
    desk.fill(2)
    assert (desk.last.tag, desk.last.amount) == (3, Decimal("0.6"))
    desk.fill(3)
    assert desk.report.status is RunnableStatus.TERMINATED
    assert not desk.report.held


def test_a_stop_while_closing_sends_no_second_close() -> None:
    desk = filled()
    desk.stop()
    desk.stop()
    desk.stop(keep_position=True)
    desk.at(5)
    assert len(desk.sent) == 3


def test_a_rejected_close_is_sent_again_a_second_later() -> None:
    desk = filled()
    desk.stop()
    desk.fail(3)
    assert desk.machine.watches(desk.state).at_us == START_US + 2 * SECOND
    assert len(desk.sent) == 3
    desk.at(2)
    assert desk.last.amount == Decimal("3.0618")
    desk.fill(4)
    assert desk.report.close_type is CloseType.EARLY_STOP


def test_a_close_that_is_rejected_for_ever_fails_and_says_what_is_open() -> None:
    desk = filled(max_retries=3)
    desk.at(2, "99")
    desk.stop()
    for second in range(3, 20):
        if desk.report.status is RunnableStatus.TERMINATED:
            break
        desk.fail(desk.last.tag)
        desk.at(second)
    assert desk.report.close_type is CloseType.FAILED
    assert [order.tag for order in desk.report.held] == [1, 2]
    assert desk.report.net_pnl_quote != 0
    assert any(log.level == "WARNING" and "3.0618" in log.message for log in desk.logs)


def test_a_close_that_the_venue_cuts_short_is_finished() -> None:
    desk = filled()
    desk.stop()
    desk.fill(3, "1")
    desk.cancel(3)
    desk.at(2)
    assert desk.last.amount == Decimal("2.0618")
    desk.fill(4, price="90")
    assert desk.report.close_type is CloseType.EARLY_STOP
    # PnL is that of both closes: 1 at 100, the rest at 90.
    opened = Decimal(100) + Decimal("2.0618") * 97
    closed = Decimal(100) + Decimal("2.0618") * 90
    gross = desk.report.net_pnl_quote + desk.report.cum_fees_quote
    assert abs(gross - (closed - opened)) < Decimal("1e-20")
    assert abs(desk.report.filled_amount_quote - (closed + opened)) < Decimal("1e-20")


def test_fees_taken_in_base_are_not_sold() -> None:
    desk = bench(prices=["100"], amounts_quote=["1000"])
    desk.fill(1, in_base=True)
    desk.stop()
    assert desk.last.amount == Decimal("9.995")
    desk.fill(2)
    assert not desk.report.held


def test_what_is_too_little_to_close_is_told_and_held() -> None:
    rules = TradingRules(min_base_increment=Decimal("0.0001"), min_order_size=Decimal("0.01"))
    desk = bench(rules=rules)
    desk.fill(1, "0.005")
    desk.stop()
    desk.cancel(1)
    assert desk.report.close_type is CloseType.EARLY_STOP
    assert len(desk.sent) == 1
    assert [order.executed_base for order in desk.report.held] == [Decimal("0.005")]


# -- keeping


def test_a_kept_position_is_held_order_by_order() -> None:
    desk = bench()
    desk.at(1)
    desk.fill(1)
    desk.fill(2, "0.5")
    desk.stop(keep_position=True)
    assert desk.cancelled == [2]
    assert desk.report.status is RunnableStatus.SHUTTING_DOWN
    desk.fill(2, "0.25")
    desk.cancel(2)
    assert desk.report.close_type is CloseType.POSITION_HOLD
    assert [(order.tag, order.executed_base) for order in desk.report.held] == [
        (1, Decimal(1)),
        (2, Decimal("0.75")),
    ]
    assert len(desk.report.custom_info["held_position_orders"]) == 2
    before = desk.report
    desk.price("50")
    assert desk.report == before, "an executor that ended has the PnL of its end"


def test_a_hold_of_nothing_is_an_early_stop() -> None:
    desk = bench()
    desk.stop(keep_position=True)
    desk.cancel(1)
    assert desk.report.close_type is CloseType.EARLY_STOP
    assert not desk.report.held


def test_keeping_ends_the_tries_to_close() -> None:
    desk = filled()
    desk.stop()
    desk.fail(3)
    desk.stop(keep_position=True)
    assert desk.report.close_type is CloseType.POSITION_HOLD
    assert [order.tag for order in desk.report.held] == [1, 2]


# -- reporting


def test_the_figures_while_it_runs() -> None:
    desk = filled(stop_loss="0.1", level_id="a")
    desk.price("99")
    report = desk.report
    quote = Decimal(100) + Decimal("2.0618") * 97
    assert abs(report.net_pnl_quote - (Decimal("3.0618") * 99 - quote - quote * Decimal("0.0005"))) < Decimal("1e-20")
    assert report.net_pnl_pct == report.net_pnl_quote / report.filled_amount_quote
    assert (report.is_active, report.is_trading, report.close_type, report.close_at_us) == (True, True, None, None)
    info = report.custom_info
    assert info["target_position_average_price"] == Decimal(98)
    assert (info["max_loss_quote"], info["n_levels"], info["level_id"]) == (Decimal(30), 2, "a")
    assert (info["min_price"], info["max_price"], info["order_ids"]) == (Decimal(97), Decimal(100), ["v1", "v2"])
    assert info["filled_amount"] == Decimal("3.0618")


def test_a_report_without_a_price_has_the_fees_only() -> None:
    desk = filled()
    desk.price(None)
    assert desk.report.net_pnl_quote == -desk.report.cum_fees_quote


def test_an_unknown_or_repeated_update_changes_nothing() -> None:
    desk = filled()
    before = desk.state
    known = desk.orders[1]
    unknown = Tracked(tag=99, side=Trade.BUY, kind=OrderKind.LIMIT, amount=Decimal(1), executed_base=Decimal(1))
    for order in (known, unknown):
        assert desk.step(OrderUpdated(at_us=desk.at_us, prices=desk.prices, order=order)) == ()
        assert desk.state == before


def test_there_is_nothing_to_watch_at_the_end() -> None:
    desk = filled()
    desk.stop()
    desk.fill(3)
    watches = desk.machine.watches(desk.state)
    assert (watches.prices, watches.at_us, watches.every) == ((), None, False)

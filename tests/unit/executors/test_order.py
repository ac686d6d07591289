"""The order executor (protocols/hummingbot.md §3): its strategies, its ways to end, and that no fill is lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    OrderKind,
    OrderStatus,
    PositionAction,
    Price,
    RunnableStatus,
    TradingRules,
)
from gesta.executors.machines.order import MACHINE
from gesta.testing.oracle import machine_of
from tests.unit.executors.machine_bench import SECOND, START_US, Bench

BASE: dict[str, Any] = {"connector_name": "binance", "trading_pair": "BTC-USDT", "side": "BUY", "amount": "1"}
CHASER = {"execution_strategy": "LIMIT_CHASER", "chaser_config": {"distance": "0.01", "refresh_threshold": "0.02"}}


def bench(strategy: str = "MARKET", market: str | None = "100", **changes: Any) -> Bench:
    options = {key: changes.pop(key) for key in ("rules", "max_retries", "affordable", "start") if key in changes}
    return Bench(MACHINE, {**BASE, "execution_strategy": strategy, **changes}, market, **options)


def ended(house: Bench) -> CloseType | None:
    report = house.report
    assert report.status is RunnableStatus.TERMINATED
    assert report.close_at_us == house.at_us
    assert (report.net_pnl_quote, report.net_pnl_pct, report.is_trading, report.is_active) == (0, 0, False, False)
    return report.close_type


def test_it_is_found_by_its_type() -> None:
    assert machine_of("order_executor") is MACHINE
    assert MACHINE.type == "order_executor"
    (leg,) = MACHINE.legs(MACHINE.parse({**BASE, "execution_strategy": "MARKET", "connector_name": "x_perpetual"}))
    assert leg.is_perpetual


@pytest.mark.parametrize(
    ("strategy", "side", "price", "kind", "limit"),
    [
        ("MARKET", "BUY", None, OrderKind.MARKET, None),
        ("LIMIT", "BUY", "105", OrderKind.LIMIT, "105"),
        ("LIMIT_MAKER", "BUY", "105", OrderKind.LIMIT_MAKER, "99.95"),
        ("LIMIT_MAKER", "BUY", "95", OrderKind.LIMIT_MAKER, "95"),
        ("LIMIT_MAKER", "SELL", "95", OrderKind.LIMIT_MAKER, "100.05"),
        ("LIMIT_MAKER", "SELL", "105", OrderKind.LIMIT_MAKER, "105"),
        ("LIMIT_CHASER", "BUY", None, OrderKind.LIMIT_MAKER, "98.95"),
        ("LIMIT_CHASER", "SELL", None, OrderKind.LIMIT_MAKER, "101.05"),
    ],
)
def test_each_strategy_has_its_order(
    strategy: str, side: str, price: str | None, kind: OrderKind, limit: str | None
) -> None:
    house = bench(strategy, None, side=side, **({"price": price} if price else {}), **_chaser(strategy))
    house.prices = {0: Price(bid=Decimal("99.95"), ask=Decimal("100.05"))}
    house.at(0)
    if strategy in ("MARKET", "LIMIT"):
        # Neither needs a price to be sent.
        assert house.last.created_at_us == START_US
    assert (house.last.kind, house.last.price) == (kind, None if limit is None else Decimal(limit))
    assert (house.last.amount, house.last.action) == (1, PositionAction.OPEN)


def _chaser(strategy: str) -> dict[str, Any]:
    return {"chaser_config": CHASER["chaser_config"]} if strategy == "LIMIT_CHASER" else {}


def test_what_is_filled_is_held() -> None:
    house = bench(position_action="CLOSE")
    assert house.last.action is PositionAction.CLOSE
    house.fill(1)
    assert ended(house) is CloseType.POSITION_HOLD
    assert (house.report.cum_fees_quote, house.report.filled_amount_quote) == (Decimal("0.05"), 100)
    assert [order.tag for order in house.report.held] == [1]


def test_what_cannot_be_paid_for_ends_at_once() -> None:
    house = bench(affordable=False)
    assert ended(house) is CloseType.INSUFFICIENT_BALANCE
    assert house.sent == []


def test_what_no_venue_would_take_fails_with_a_word() -> None:
    house = bench("LIMIT", amount="0.02", rules=TradingRules(min_notional=Decimal(3)), price="100")
    assert ended(house) is CloseType.FAILED
    assert house.sent == []
    assert "minimum" in house.logs[0].message


def test_an_order_that_fails_is_placed_again_a_second_later_and_not_for_ever() -> None:
    house = bench(max_retries=1)
    house.fail(1)
    assert MACHINE.watches(house.state).at_us == house.at_us
    house.at(0.5)
    assert len(house.sent) == 1
    assert MACHINE.watches(house.state).at_us == START_US + SECOND
    house.at(1)
    house.fail(2)
    assert ended(house) is CloseType.FAILED
    assert len(house.sent) == 2
    assert [log.level for log in house.logs] == ["ERROR", "ERROR"]


def test_what_was_filled_before_too_many_failures_is_held() -> None:
    house = bench("LIMIT", max_retries=0, price="99")
    house.accept(1)
    house.fill(1, "0.3")
    house.cancel(1)
    house.at(1)
    assert house.last.amount == Decimal("0.7")
    house.fail(2)
    assert ended(house) is CloseType.POSITION_HOLD
    assert house.report.held[0].executed_base == Decimal("0.3")


def test_a_stop_cancels_and_ends_when_that_is_known() -> None:
    house = bench("LIMIT", price="50")
    house.accept(1)
    assert house.stop() == (Cancel(tag=1),)
    assert house.report.status is RunnableStatus.SHUTTING_DOWN
    assert house.stop() == ()
    house.cancel(1)
    assert ended(house) is CloseType.EARLY_STOP
    assert house.report.held == ()


@pytest.mark.parametrize("keep", [True, False])
def test_a_stop_with_fills_is_a_hold_whether_asked_for_or_not(keep: bool) -> None:
    house = bench("LIMIT", price="98")
    house.accept(1)
    house.fill(1, "0.08")
    house.stop(keep_position=keep)
    house.fill(1, "0.02")
    house.cancel(1)
    assert ended(house) is CloseType.POSITION_HOLD
    assert house.report.held[0].executed_base == Decimal("0.10")
    assert house.report.filled_amount_quote == Decimal("9.8")


def test_a_stop_before_the_start_or_between_two_orders_ends_at_once() -> None:
    house = bench(start=False)
    house.stop()
    assert ended(house) is CloseType.EARLY_STOP
    house = bench()
    house.fail(1)
    house.stop()
    assert ended(house) is CloseType.EARLY_STOP


def test_a_chaser_follows_the_price_and_loses_no_fill() -> None:
    house = bench(**CHASER)
    assert house.last.price == 99
    house.accept(1)
    (watch,) = MACHINE.watches(house.state).prices
    level = watch.at_or_above
    assert level is not None
    assert (watch.of, round(level, 4)) == ("bid", Decimal("101.0204"))
    # Exactly at the threshold is not beyond it.
    house.at(1, "101.02")
    assert house.cancelled == []
    assert house.at(2, "101.03") == (Cancel(tag=1),)
    house.at(3, "104")
    assert len(house.sent) == 1
    house.fill(1, "0.25")
    house.cancel(1)
    house.at(4, "104")
    assert (house.last.amount, house.last.price) == (Decimal("0.75"), Decimal("102.96"))
    house.fill(2)
    assert ended(house) is CloseType.POSITION_HOLD
    assert [order.tag for order in house.report.held] == [1, 2]
    assert house.report.custom_info["executed_amount_base"] == 1


def test_a_chaser_that_sells_follows_downwards() -> None:
    house = bench(side="SELL", **CHASER)
    assert house.last.price == 101
    house.accept(1)
    (watch,) = MACHINE.watches(house.state).prices
    assert (watch.of, round(watch.at_or_below or 0, 4)) == ("ask", Decimal("99.0196"))
    house.at(1, "99.02")
    assert house.cancelled == []
    house.at(2, "99.01")
    assert house.cancelled == [1]
    assert MACHINE.watches(house.state).prices == ()


def test_a_long_chase_does_not_grow_without_end() -> None:
    house = bench(**CHASER)
    price = Decimal(100)
    for second in range(1, 60):
        house.accept(second)
        price *= Decimal("1.05")
        house.at(second, price)
        house.cancel(second)
        house.at(second + 0.5, price)
    assert house.last.tag == 60
    assert len(house.state.book.orders) < 12


def test_without_a_price_it_waits_for_one() -> None:
    house = bench("LIMIT_MAKER", None, price="100")
    assert house.sent == []
    assert MACHINE.watches(house.state).every
    house.prices = {0: Price(bid=Decimal(0), ask=Decimal(101))}
    house.at(1)
    assert house.report.status is RunnableStatus.RUNNING
    assert house.sent == []
    house.at(2, "99")
    assert house.last.price == 99


def test_an_update_of_an_unknown_order_or_after_the_end_changes_nothing() -> None:
    house = bench()
    house.fill(1)
    assert house.answer(1, OrderStatus.CANCELLED) == ()
    assert house.stop() == ()
    assert ended(house) is CloseType.POSITION_HOLD


def test_its_custom_info_is_that_of_hummingbot() -> None:
    house = bench(level_id="one")
    info = house.report.custom_info
    assert set(info) == {
        *("side", "level_id", "current_retries", "max_retries", "order_id", "order_last_update"),
        *("held_position_orders", "executed_amount_base", "average_executed_price", "slippage_pct"),
        *("max_slippage_pct", "transaction_hash", "swap_provider", "wallet_address"),
    }
    assert (info["level_id"], info["order_id"], info["average_executed_price"]) == ("one", "1", 0)
    house.fill(1, price="101")
    info = house.report.custom_info
    assert (info["order_id"], info["average_executed_price"]) == ("v1", 101)
    assert info["held_position_orders"][0]["executed_amount_quote"] == "101.0000"

"""The kit that compares machines with the real executors: its venue, and that a difference is found."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gesta.executors.machines.face import (
    CloseType,
    Leg,
    OrderKind,
    OrderStatus,
    Price,
    Report,
    RunnableStatus,
    Tracked,
    Trade,
    Watch,
    Watches,
)
from gesta.testing.oracle import Case, Difference, compare, read_divergences
from gesta.testing.oracle_drive import Outcome, wakes
from gesta.testing.oracle_venue import Sent, SimulatedVenue, leg_of

LEG = Leg(connector_name="binance", trading_pair="BTC-USDT")
S = 1_000_000


def venue(**scenario: Any) -> SimulatedVenue:
    scenario = {"prices": [[0, 100], [10, 90]], "spread": "0.02", **scenario}
    return SimulatedVenue(scenario, [leg_of(LEG, scenario)])


def order(kind: OrderKind, price: str | None = None, side: Trade = Trade.BUY, amount: str = "1") -> Tracked:
    return Tracked(tag=1, side=side, kind=kind, amount=Decimal(amount), price=None if price is None else Decimal(price))


def test_prices_are_steps_with_the_spread_around_them() -> None:
    assert venue().prices(0) == {0: Price(bid=Decimal("99"), ask=Decimal("101"))}
    assert venue().prices(10 * S - 1)[0].mid == 100
    assert venue().prices(10 * S)[0].mid == 90
    assert venue(prices=[[0, 1, 2]]).prices(99 * S)[0] == Price(bid=Decimal(1), ask=Decimal(2))


@pytest.mark.parametrize(("side", "touch"), [(Trade.BUY, 101), (Trade.SELL, 99)])
@pytest.mark.parametrize("kind", [OrderKind.MARKET, OrderKind.LIMIT])
def test_what_is_marketable_at_entry_fills_at_the_touch_as_taker(side: Trade, touch: int, kind: OrderKind) -> None:
    it = venue()
    price = None if kind is OrderKind.MARKET else ("105" if side is Trade.BUY else "95")
    it.place(order(kind, price, side), 0)
    filled = it.orders[1]
    assert (filled.status, filled.executed_quote) == (OrderStatus.FILLED, touch)
    assert filled.fees_quote == touch * Decimal("0.0005")


def test_what_rests_is_matched_between_the_seconds_at_its_own_price_as_maker() -> None:
    it = venue()
    it.place(order(OrderKind.LIMIT, "95"), 0)
    assert it.next_match_us(0) == 100_000
    assert it.next_match_us(100_000) == 350_000
    it.match(9_850_000)
    assert it.orders[1].status is OrderStatus.OPEN
    it.match(10_100_000)
    assert (it.orders[1].status, it.orders[1].executed_quote) == (OrderStatus.FILLED, 95)
    assert it.orders[1].fees_quote == Decimal("0.019")
    assert it.next_match_us(11 * S) is None


def test_a_slice_is_the_most_of_one_match() -> None:
    it = venue(slice_base="0.4")
    it.place(order(OrderKind.MARKET), 0)
    it.match(100_000)
    assert (it.orders[1].status, it.orders[1].executed_base) == (OrderStatus.OPEN, Decimal("0.8"))
    it.cancel(1, 200_000)
    assert (it.orders[1].status, it.orders[1].executed_base) == (OrderStatus.CANCELLED, Decimal("0.8"))
    it.match(350_000)
    assert it.orders[1].executed_base == Decimal("0.8")


def test_a_market_order_may_be_late() -> None:
    it = venue(market_latency=10)
    it.place(order(OrderKind.MARKET), 0)
    it.match(100_000)
    assert it.orders[1].status is OrderStatus.OPEN
    it.match(10 * S)
    assert it.orders[1].executed_quote == Decimal("90.9")


@pytest.mark.parametrize(
    ("scenario", "asked", "sent"),
    [
        ({}, order(OrderKind.LIMIT_MAKER, "101"), 1),
        ({"fail_orders": [1]}, order(OrderKind.MARKET), 1),
        ({"rules": {"min_notional_size": "200"}}, order(OrderKind.MARKET), 0),
        ({"rules": {"min_order_size": "2"}}, order(OrderKind.LIMIT, "90"), 0),
    ],
)
def test_what_is_rejected_is_a_submission_unless_it_is_too_small(
    scenario: dict[str, Any], asked: Tracked, sent: int
) -> None:
    it = venue(**scenario)
    it.place(asked, 0)
    assert it.orders[1].status is OrderStatus.FAILED
    assert len(it.sent) == sent


@pytest.mark.parametrize(("side", "in_base"), [(Trade.BUY, "0.0005"), (Trade.SELL, "0")])
def test_fees_in_base_are_of_buys(side: Trade, in_base: str) -> None:
    it = venue(fee_mode="base_on_buy", spread="0")
    it.place(order(OrderKind.MARKET, side=side), 0)
    assert (it.orders[1].fees_base, it.orders[1].fees_quote) == (Decimal(in_base), Decimal("0.05"))


@pytest.mark.parametrize(
    ("watches", "woken"),
    [
        (Watches(), False),
        (Watches(every=True), True),
        (Watches(at_us=5), True),
        (Watches(at_us=6), False),
        (Watches(prices=(Watch(at_or_below=Decimal(99)),)), True),
        (Watches(prices=(Watch(at_or_below=Decimal(98)), Watch(of="ask", at_or_above=Decimal(101)))), True),
        (Watches(prices=(Watch(of="mid", at_or_above=Decimal("100.1")),)), False),
        (Watches(prices=(Watch(leg=1, at_or_above=Decimal(0)),)), False),
    ],
)
def test_a_runner_wakes_for_what_is_watched(watches: Watches, woken: bool) -> None:
    assert wakes(watches, {0: Price(bid=Decimal(99), ask=Decimal(101))}, 5) is woken


REPORT = Report(
    status=RunnableStatus.TERMINATED,
    close_type=CloseType.STOP_LOSS,
    net_pnl_quote=Decimal("-1.5"),
    net_pnl_pct=Decimal("-0.015"),
    cum_fees_quote=Decimal("0.1"),
    filled_amount_quote=Decimal("198.5"),
    is_active=False,
    is_trading=False,
    close_at_us=1,
    custom_info={},
)
SENT = (Sent("binance", Trade.BUY, OrderKind.LIMIT, Decimal("1"), Decimal("100")),)
EXPECTED: dict[str, Any] = {
    "status": "TERMINATED",
    "close_type": "STOP_LOSS",
    "net_pnl_quote": "-1.500",
    "net_pnl_pct": "-0.0150000000000000000001",
    "cum_fees_quote": "0.1",
    "filled_amount_quote": "198.5",
    "held_orders": 0,
    "orders": [{"connector": "binance", "side": "BUY", "type": "LIMIT", "amount": "1.0", "price": "100.00"}],
}


def found(**expected: Any) -> list[tuple[str, str, str]]:
    case = Case("one", "position_executor", {}, {**EXPECTED, **expected})
    return [(d.value, d.hummingbot, d.gesta) for d in compare(case, Outcome(report=REPORT, sent=SENT))]


def test_what_is_equal_in_value_is_equal() -> None:
    assert found() == []


def test_every_owed_value_is_compared() -> None:
    assert found(status="RUNNING", close_type=None) == [
        ("close_type", "none", "STOP_LOSS"),
        ("status", "RUNNING", "TERMINATED"),
    ]
    assert found(net_pnl_quote="-1.49") == [("net_pnl_quote", "-1.49", "-1.5")]
    assert found(cum_fees_quote="0.100000000001") == [("cum_fees_quote", "0.100000000001", "0.1")]
    assert found(held_orders=1) == [("held_orders", "1", "0")]
    assert found(orders=[]) == [("orders", "0 to binance", "1 to binance")]
    other = {**EXPECTED["orders"][0], "price": "101"}
    assert found(orders=[other]) == [("orders", "#1 binance BUY LIMIT 1 @ 101", "#1 binance BUY LIMIT 1 @ 100")]


def test_a_refused_config_is_compared_by_its_field() -> None:
    case = Case("one", "position_executor", {}, {"config_error": ["Value error, amount (0) must be more"]})
    assert compare(case, Outcome(refused="amount")) == []
    assert compare(case, Outcome(refused="side")) == [Difference("one", "config", "amount", "side")]
    assert compare(case, Outcome(report=REPORT)) == [Difference("one", "config", "amount", "accepted")]
    accepted = Case("one", "position_executor", {}, EXPECTED)
    assert compare(accepted, Outcome(refused="amount")) == [Difference("one", "config", "accepted", "amount")]


def test_the_list_is_the_table_of_five_columns() -> None:
    head = "text\n\n| scenario | value | hummingbot | Gesta | rule |\n|---|---|---|---|---|\n"
    page = head + "| `a` | status | x | y | why |\n"
    assert read_divergences(page) == {Difference("a", "status", "x", "y"): "why"}
    with pytest.raises(ValueError, match="listed twice"):
        read_divergences(page + "| `a` | status | x | y | another |\n")

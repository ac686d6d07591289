"""DCA and TWAP under any sequence of prices, answers, stops and waits: what a venue does to them is not up to them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.executors.machines import dca, twap
from gesta.executors.machines.face import CloseType, OrderStatus, RunnableStatus, Trade
from gesta.testing.oracle_drive import wakes
from tests.unit.executors.machine_bench import Bench

PRICES = st.integers(900, 1100).map(lambda tenths: Decimal(tenths) / 10)
MARKET = {"connector_name": "binance", "trading_pair": "BTC-USDT"}
PERCENT = st.none() | st.integers(1, 50).map(lambda thousandths: f"{thousandths / 1000}")

LEVELS = st.lists(st.tuples(st.integers(10, 300), st.integers(90, 110)), min_size=1, max_size=4)
TRAILING = st.none() | st.just({"activation_price": "0.01", "trailing_delta": "0.005"})

DCA = st.builds(
    lambda levels, **rest: {
        **MARKET,
        "amounts_quote": [amount for amount, _ in levels],
        "prices": [price for _, price in levels],
        **rest,
    },
    LEVELS,
    side=st.sampled_from([1, 2]),
    mode=st.sampled_from(["MAKER", "TAKER"]),
    stop_loss=PERCENT,
    take_profit=PERCENT,
    trailing_stop=TRAILING,
    time_limit=st.none() | st.integers(1, 30),
    activation_bounds=st.none() | st.just(["0.01", "0.02"]),
)
TWAP = st.builds(
    lambda **fields: {**MARKET, **fields},
    side=st.sampled_from([1, 2]),
    mode=st.sampled_from(["MAKER", "TAKER"]),
    limit_order_buffer=st.just("0.001"),
    order_resubmission_time=st.none() | st.integers(1, 6),
    total_amount_quote=st.integers(10, 2000),
    total_duration=st.integers(1, 30),
    order_interval=st.integers(1, 15),
)

# What happens: to which order it happens is the number, counted from the newest.
ACTIONS = st.one_of(
    st.tuples(st.just("move"), PRICES),
    st.tuples(st.just("wait"), st.integers(1, 8)),
    st.tuples(st.sampled_from(["accept", "fill", "part", "fail", "cancel", "again"]), st.integers(0, 3)),
    st.tuples(st.just("obey"), st.just(0)),
    st.tuples(st.just("stop"), st.sampled_from([False, False, True])),
    st.tuples(st.just("blind"), st.just(0)),
)
SEQUENCES = st.lists(ACTIONS, max_size=40)


def answer(desk: Bench, what: str, back: int) -> None:
    """An answer of the venue about one of the orders, also one that is late or told twice."""
    tags = sorted(desk.orders, reverse=True)
    if back >= len(tags):
        return
    tag = tags[back]
    order = desk.orders[tag]
    if what == "again" or order.is_done:
        desk.answer(tag, order.status)
    elif what == "accept":
        desk.accept(tag)
    elif what == "fail":
        desk.fail(tag)
    elif what == "cancel":
        desk.cancel(tag)
    else:
        price = order.price or (desk.prices[0].bid if desk.prices else Decimal(100))
        base = order.amount if what == "fill" else (order.amount / 3).quantize(Decimal("0.0001"))
        desk.fill(tag, min(base, order.amount - order.executed_base) or None, price)


def play(desk: Bench, actions: list[tuple[str, Any]], seconds: float = 0) -> None:
    for what, value in actions:
        ended = desk.report.status is RunnableStatus.TERMINATED
        if what == "move":
            seconds += 1
            desk.at(seconds, value)
            check_rest(desk)
        elif what == "wait":
            seconds += value
            desk.at(seconds)
            check_rest(desk)
        elif what == "blind":
            desk.price(None)
        elif what == "stop":
            desk.stop(keep_position=value)
        elif what == "obey":
            for tag in desk.cancelled:
                if not desk.orders[tag].is_done:
                    desk.cancel(tag)
        else:
            answer(desk, what, value)
        check(desk)
        assert not ended or desk.report.status is RunnableStatus.TERMINATED


def check(desk: Bench) -> None:
    """`Bench` checks each step: tags count up, amounts are more than nothing, the state can be written and read."""
    report = desk.report
    assert report.cum_fees_quote >= 0
    assert report.filled_amount_quote >= 0
    assert len(desk.cancelled) == len(set(desk.cancelled)), "a cancel is asked for once"
    assert (report.close_type is not None) == (
        report.status in (RunnableStatus.SHUTTING_DOWN, RunnableStatus.TERMINATED)
    )
    desk.machine.watches(desk.state)
    if report.status is RunnableStatus.TERMINATED:
        assert all(order.is_done for order in desk.state.book.orders)


def check_rest(desk: Bench) -> None:
    """Having looked, it does not ask to look again at the same price and moment."""
    watches = desk.machine.watches(desk.state)
    if watches.every:
        assert not desk.prices, "only without a price does any price concern it"
        return
    assert not wakes(watches, desk.prices, desk.at_us), watches


def wind_up(desk: Bench) -> None:
    """A venue that from now on does as it is told: the executor ends."""
    desk.price("100")
    desk.stop()
    for second in range(1000, 1100):
        for tag, order in list(desk.orders.items()):
            if order.is_done:
                continue
            if tag in desk.cancelled:
                desk.cancel(tag)
            else:
                desk.fill(tag)
        desk.at(second)
        if desk.report.status is RunnableStatus.TERMINATED:
            return
    pytest.fail(f"it does not end: {desk.state}")


@settings(max_examples=300, deadline=None)
@given(DCA, SEQUENCES, st.integers(0, 4))
def test_dca_never_loses_a_position(config: dict[str, Any], actions: list[tuple[str, Any]], retries: int) -> None:
    desk = Bench(dca.MACHINE, config, max_retries=retries)
    play(desk, actions)
    wind_up(desk)
    side = Trade.BUY if config["side"] == 1 else Trade.SELL
    orders = desk.state.book.orders
    opened = sum(order.executed_base for order in orders if order.side is side)
    closed = sum(order.executed_base for order in orders if order.side is not side)
    assert closed <= opened, "never more is closed than was filled"
    report = desk.report
    net = sum(order.side.sign * order.executed_base for order in report.held)
    assert net == side.sign * (opened - closed), "what is open is held, and what is held is open"
    if report.close_type not in (CloseType.POSITION_HOLD, CloseType.FAILED):
        assert opened == closed
    assert opened == sum(o.executed_base for o in desk.orders.values() if o.side is side)


@settings(max_examples=300, deadline=None)
@given(TWAP, SEQUENCES, st.integers(0, 4))
def test_twap_never_trades_more_than_its_amount(
    config: dict[str, Any], actions: list[tuple[str, Any]], retries: int
) -> None:
    desk = Bench(twap.MACHINE, config, max_retries=retries)
    play(desk, actions)
    wind_up(desk)
    report = desk.report
    told = sum(order.executed_quote for order in desk.orders.values())
    assert abs(report.filled_amount_quote - told) < Decimal("1e-15"), "every fill counts"
    # Orders are sized at the mid price. A market order fills at that of then, here up to 11/9 of it; a seller's limit
    # is above it by the buffer.
    room = Decimal("1.25") if config["mode"] == "TAKER" else Decimal("1.0011")
    assert told <= config["total_amount_quote"] * room
    if report.close_type in (CloseType.POSITION_HOLD, CloseType.FAILED):
        assert sum(order.executed_quote for order in report.held) == told
    if report.close_type is CloseType.POSITION_HOLD:
        assert report.held


@settings(max_examples=150, deadline=None)
@given(TWAP, st.lists(PRICES, min_size=1, max_size=20))
def test_twap_completes_at_a_venue_that_fills(config: dict[str, Any], prices: list[Decimal]) -> None:
    desk = Bench(twap.MACHINE, config)
    for second in range(60):
        for tag, order in list(desk.orders.items()):
            if order.status is OrderStatus.SENT:
                desk.fill(tag)
        desk.at(second, prices[second % len(prices)])
    assert desk.report.status is RunnableStatus.TERMINATED
    assert desk.report.close_type in (CloseType.COMPLETED, CloseType.FAILED)
    assert desk.report.close_type is CloseType.COMPLETED or not desk.orders

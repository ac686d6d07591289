"""arbitrage_executor: when both legs are sent, and that none of them is ever lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.executors.machines.arbitrage import MACHINE, State
from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Command,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    Place,
    PositionAction,
    Price,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.kernel.errors import InvalidInput

CONFIG: dict[str, Any] = {
    "type": "arbitrage_executor",
    "buying_market": {"connector_name": "binance", "trading_pair": "BTC-USDT"},
    "selling_market": {"connector_name": "kucoin", "trading_pair": "BTC-USDT"},
    "order_amount": "2",
    "min_profitability": "0.005",
}
FEE = Decimal("0.0005")


def price(bid: str, ask: str) -> Price:
    return Price(bid=Decimal(bid), ask=Decimal(ask))


FLAT = {0: price("99.9", "100"), 1: price("99.95", "100.05")}
APART = {0: price("99.9", "100"), 1: price("101", "101.1")}


class Run:
    """A machine, its state, and what it asked for."""

    def __init__(self, *, max_retries: int = 3, rules: TradingRules | None = None, **config: Any) -> None:
        parsed = MACHINE.parse({**CONFIG, **config})
        legs = tuple(
            msgspec.structs.replace(leg, taker_fee=FEE, rules=rules or TradingRules()) for leg in MACHINE.legs(parsed)
        )
        self.state = MACHINE.begin(parsed, legs, at_us=1, prices=FLAT, max_retries=max_retries)
        self.placed: list[Tracked] = []
        self.cancelled: list[int] = []

    def step(self, event: Any) -> tuple[Command, ...]:
        self.state, commands = MACHINE.step(self.state, event)
        self.placed += [command.order for command in commands if isinstance(command, Place)]
        self.cancelled += [command.tag for command in commands if isinstance(command, Cancel)]
        return commands

    def start(self, prices: dict[int, Price] = FLAT) -> Run:
        self.step(Started(at_us=1, prices=prices))
        return self

    def move(self, prices: dict[int, Price]) -> None:
        self.step(Moved(at_us=2, prices=prices))

    def stop(self, *, keep: bool = False) -> None:
        self.step(StopAsked(at_us=4, prices=FLAT, keep_position=keep))

    def answer(self, tag: int, status: OrderStatus, executed: str = "0", at: str = "100") -> None:
        base = Decimal(executed)
        order = msgspec.structs.replace(
            self.placed[tag - 1],
            status=status,
            executed_base=base,
            executed_quote=base * Decimal(at),
            fees_quote=base * Decimal(at) * FEE,
        )
        self.step(OrderUpdated(at_us=3, prices=APART, order=order))

    @property
    def report(self) -> Any:
        return MACHINE.report(self.state, APART)


def test_it_waits_while_the_difference_does_not_pay() -> None:
    run = Run().start()
    # 0.6 % apart, of which the takers' fees take 0.1 %: exactly the minimum is not above it.
    run.move({0: price("99.9", "100"), 1: price("100.6", "100.7")})
    assert run.placed == []
    assert run.report.status is RunnableStatus.RUNNING
    assert MACHINE.watches(run.state).every


def test_both_legs_are_sent_at_once() -> None:
    run = Run().start(APART)
    assert [(o.leg, o.side, o.kind, o.amount, o.price, o.action) for o in run.placed] == [
        (0, Trade.BUY, OrderKind.MARKET, Decimal(2), None, PositionAction.NIL),
        (1, Trade.SELL, OrderKind.MARKET, Decimal(2), None, PositionAction.NIL),
    ]
    assert run.report.status is RunnableStatus.SHUTTING_DOWN
    assert not run.report.is_active


def test_the_percentage_is_of_the_cost() -> None:
    run = Run().start(APART)
    run.answer(1, OrderStatus.FILLED, "2", "100")
    run.answer(2, OrderStatus.FILLED, "2", "101")
    report = run.report
    assert (report.status, report.close_type) == (RunnableStatus.TERMINATED, CloseType.COMPLETED)
    assert report.net_pnl_quote == Decimal("1.799")
    assert report.net_pnl_pct == Decimal("0.008995")
    assert report.cum_fees_quote == Decimal("0.201")
    assert report.filled_amount_quote == Decimal(402)
    assert report.held == ()


def test_a_failed_leg_is_sent_again_for_what_is_missing() -> None:
    run = Run().start(APART)
    run.answer(1, OrderStatus.FAILED, "0.5")
    assert [(o.tag, o.leg, o.amount) for o in run.placed[2:]] == [(3, 0, Decimal("1.5"))]
    assert run.report.custom_info["failures"] == 1
    # The same answer again changes nothing.
    run.answer(1, OrderStatus.FAILED, "0.5")
    assert len(run.placed) == 3


def test_a_market_order_that_the_venue_cancels_is_sent_again() -> None:
    run = Run().start(APART)
    run.answer(2, OrderStatus.CANCELLED, "1.25", "101")
    assert [(o.leg, o.amount) for o in run.placed[2:]] == [(1, Decimal("0.75"))]


def test_after_too_many_failures_the_other_leg_is_called_off_and_what_is_open_is_held() -> None:
    run = Run(max_retries=0).start(APART)
    run.answer(2, OrderStatus.OPEN, "0.5", "101")
    run.answer(1, OrderStatus.FAILED)
    assert run.cancelled == [2]
    assert run.report.status is RunnableStatus.SHUTTING_DOWN
    run.answer(2, OrderStatus.CANCELLED, "0.75", "101")
    report = run.report
    assert (report.status, report.close_type) == (RunnableStatus.TERMINATED, CloseType.FAILED)
    assert [(o.tag, o.executed_base) for o in report.held] == [(2, Decimal("0.75"))]
    # Nothing was both bought and sold: the result is the fees.
    assert report.net_pnl_quote == -Decimal("0.75") * 101 * FEE
    assert len(report.custom_info["held_position_orders"]) == 1


def test_a_stop_before_the_legs_ends_it() -> None:
    run = Run().start()
    run.stop(keep=True)
    assert (run.report.status, run.report.close_type) == (RunnableStatus.TERMINATED, CloseType.EARLY_STOP)


def test_a_stop_with_both_legs_out_completes_them() -> None:
    run = Run().start(APART)
    run.stop()
    assert run.cancelled == []
    run.answer(1, OrderStatus.FAILED)
    run.answer(3, OrderStatus.FILLED, "2")
    run.answer(2, OrderStatus.FILLED, "2", "101")
    assert run.report.close_type is CloseType.COMPLETED
    assert run.report.held == ()


def test_a_stop_that_keeps_calls_off_what_is_out_and_holds_what_is_open() -> None:
    run = Run().start(APART)
    run.answer(1, OrderStatus.FILLED, "2")
    run.stop(keep=True)
    assert run.cancelled == [2]
    run.answer(2, OrderStatus.CANCELLED, "1", "101")
    report = run.report
    assert report.close_type is CloseType.POSITION_HOLD
    assert [o.tag for o in report.held] == [1, 2]
    # One of two was sold on: its part of the cost counts, and all fees.
    assert report.net_pnl_quote == 101 - 100 - (200 + 101) * FEE


def test_a_stop_that_keeps_with_nothing_filled_is_an_early_stop() -> None:
    run = Run().start(APART)
    run.stop(keep=True)
    run.answer(1, OrderStatus.CANCELLED)
    run.answer(2, OrderStatus.CANCELLED)
    assert run.report.close_type is CloseType.EARLY_STOP
    assert run.report.custom_info["failures"] == 0


def test_what_is_not_affordable_is_not_started() -> None:
    run = Run()
    run.step(Started(at_us=1, prices=APART, affordable=False))
    assert run.report.close_type is CloseType.INSUFFICIENT_BALANCE
    assert run.placed == []


def test_an_amount_that_no_venue_takes_fails_before_a_leg_is_sent() -> None:
    run = Run(rules=TradingRules(min_notional=Decimal(1000))).start(APART)
    assert (run.report.close_type, run.placed) == (CloseType.FAILED, [])


def test_without_a_price_or_a_rate_nothing_is_sent() -> None:
    run = Run().start({0: APART[0]})
    assert run.placed == []
    selling = {"connector_name": "kucoin", "trading_pair": "BTC-USDC"}
    run = Run(selling_market=selling).start(APART)
    assert [leg.trading_pair for leg in run.state.legs] == ["BTC-USDT", "BTC-USDC", "USDC-USDT"]
    assert run.placed == []
    run.move({**APART, 2: price("0.99", "0.99")})
    assert run.placed == []
    run.move({**APART, 2: price("1", "1")})
    assert len(run.placed) == 2


def test_the_selling_quote_is_converted() -> None:
    selling = {"connector_name": "kucoin", "trading_pair": "BTC-USDC"}
    run = Run(selling_market=selling, min_profitability="-1").start({**APART, 2: price("0.5", "0.5")})
    run.answer(1, OrderStatus.FILLED, "2", "100")
    run.answer(2, OrderStatus.FILLED, "2", "202")
    assert run.report.net_pnl_quote == 202 - 200 - (200 + 202) * FEE


def test_what_has_ended_hears_nothing_more() -> None:
    run = Run().start()
    run.stop()
    before = run.state
    run.move(APART)
    assert run.state is before


@pytest.mark.parametrize(
    ("change", "field", "must"),
    [
        ({"order_amount": 0}, "order_amount", "must be a number greater than 0"),
        ({"order_amount": "NaN"}, "order_amount", "must be a number"),
        ({"min_profitability": None}, "min_profitability", "must be a number"),
        ({"selling_market": CONFIG["buying_market"]}, "selling_market", "must be another market than buying_market"),
        (
            {"selling_market": {"connector_name": "kucoin", "trading_pair": "ETH-USDT"}},
            "selling_market",
            "must trade BTC",
        ),
        ({"buying_market": {"connector_name": " ", "trading_pair": "A-B"}}, "buying_market.connector_name", "must be"),
        ({"buying_market": None}, "buying_market", "must be an object"),
        ({"gas_conversion_price": -1}, "gas_conversion_price", "must be a number greater than 0"),
        ({"gas_conversion_prise": 1}, "gas_conversion_prise", "must be spelled gas_conversion_price"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict[str, Any], field: str, must: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        MACHINE.parse({**CONFIG, **change})
    assert refused.value.field == field
    assert must in refused.value.message


@pytest.mark.parametrize(("one", "other"), [("BTC", "WBTC"), ("UBTC", "BTC"), ("USDC", "USDC.E"), ("USDT", "USDC")])
def test_tokens_that_stand_for_one_another_can_be_traded(one: str, other: str) -> None:
    config = MACHINE.parse(
        {
            **CONFIG,
            "buying_market": {"connector_name": "binance", "trading_pair": f"{one}-EUR"},
            "selling_market": {"connector_name": "kucoin", "trading_pair": f"{other}-EUR"},
        }
    )
    assert len(MACHINE.legs(config)) == 2


def test_a_fill_that_comes_after_the_failure_is_counted_and_what_is_too_much_is_held() -> None:
    run = Run().start(APART)
    run.answer(1, OrderStatus.FAILED)
    run.answer(1, OrderStatus.FILLED, "2")
    run.answer(3, OrderStatus.FILLED, "2")
    run.answer(2, OrderStatus.FILLED, "2", "101")
    assert run.report.close_type is CloseType.POSITION_HOLD
    assert sum(o.side.sign * o.executed_base for o in run.report.held) == 2


answers = st.tuples(
    st.integers(1, 8),
    st.sampled_from([s for s in OrderStatus if s not in (OrderStatus.SENT, OrderStatus.CANCELLING)]),
    st.sampled_from(["0", "0.5", "1.5", "2"]),
)


@given(st.lists(st.one_of(answers, st.sampled_from(["move", "stop", "keep"])), max_size=30), st.integers(0, 3))
def test_whatever_happens_no_leg_is_doubled_and_none_is_lost(events: list[Any], max_retries: int) -> None:
    run = Run(max_retries=max_retries).start(APART)
    for event in events:
        ended = run.state.status is RunnableStatus.TERMINATED
        before: State = run.state
        if event == "move":
            run.move(APART)
        elif isinstance(event, str):
            run.stop(keep=event == "keep")
        elif event[0] <= len(run.placed) and not before.book.orders[event[0] - 1].is_done:
            tag, status, executed = event
            amount = run.placed[tag - 1].amount
            whole = status is OrderStatus.FILLED
            run.answer(tag, status, str(amount if whole else min(Decimal(executed), amount)))
        if ended:
            assert run.state is before
    tags = [order.tag for order in run.placed]
    assert tags == list(range(1, len(tags) + 1))
    for leg in (0, 1):
        orders = [order for order in run.state.book.orders if order.leg == leg]
        assert sum(order.executed_base for order in orders) <= 2
        assert len([order for order in orders if not order.is_done]) <= 1
    report = run.report
    if report.status is RunnableStatus.TERMINATED:
        assert not run.state.book.live
        bought, sold = (
            sum(o.executed_base for o in run.state.book.orders if o.side is side) for side in (Trade.BUY, Trade.SELL)
        )
        assert bool(report.held) == (bought != sold)
        assert (report.close_type is CloseType.COMPLETED) == (bought == sold == 2)

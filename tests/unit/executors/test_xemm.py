"""xemm_executor: where the maker order rests, when it is moved, and that whatever it makes is hedged or held."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    Place,
    Price,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
    Trade,
    TradingRules,
)
from gesta.executors.machines.xemm import MACHINE
from gesta.kernel.errors import InvalidInput

CONFIG: dict[str, Any] = {
    "type": "xemm_executor",
    "buying_market": {"connector_name": "binance", "trading_pair": "BTC-USDT"},
    "selling_market": {"connector_name": "kucoin", "trading_pair": "BTC-USDT"},
    "order_amount": "2",
    "maker_side": "BUY",
    "min_profitability": "0.001",
    "target_profitability": "0.004",
    "max_profitability": "0.012",
}
MAKER_FEE, TAKER_FEE = Decimal("0.0002"), Decimal("0.0005")
RULES = TradingRules(min_price_increment=Decimal("0.01"))


def price(bid: str, ask: str) -> Price:
    return Price(bid=Decimal(bid), ask=Decimal(ask))


def at(bid: str, ask: str) -> dict[int, Price]:
    """The same prices in both markets."""
    return {0: price(bid, ask), 1: price(bid, ask)}


STILL = at("99.95", "100.05")


class Run:
    def __init__(self, *, max_retries: int = 3, rules: TradingRules = RULES, **config: Any) -> None:
        parsed = MACHINE.parse({**CONFIG, **config})
        legs = tuple(
            msgspec.structs.replace(leg, maker_fee=MAKER_FEE, taker_fee=TAKER_FEE, rules=rules)
            for leg in MACHINE.legs(parsed)
        )
        self.state = MACHINE.begin(parsed, legs, at_us=1, prices=STILL, max_retries=max_retries)
        self.placed: list[Tracked] = []
        self.cancelled: list[int] = []
        self.prices = STILL

    def step(self, event: Any) -> None:
        self.state, commands = MACHINE.step(self.state, event)
        self.placed += [command.order for command in commands if isinstance(command, Place)]
        self.cancelled += [command.tag for command in commands if isinstance(command, Cancel)]

    def start(self) -> Run:
        self.step(Started(at_us=1, prices=self.prices))
        return self

    def move(self, prices: dict[int, Price]) -> None:
        self.prices = prices
        self.step(Moved(at_us=2, prices=prices))

    def stop(self, *, keep: bool = False) -> None:
        self.step(StopAsked(at_us=4, prices=self.prices, keep_position=keep))

    def answer(self, tag: int, status: OrderStatus, executed: str = "0", at_price: str | None = None) -> None:
        order, base = self.placed[tag - 1], Decimal(executed)
        paid = base * Decimal(at_price or order.price or 100)
        fee = MAKER_FEE if order.kind is OrderKind.LIMIT else TAKER_FEE
        update = msgspec.structs.replace(
            order, status=status, executed_base=base, executed_quote=paid, fees_quote=paid * fee
        )
        self.step(OrderUpdated(at_us=3, prices=self.prices, order=update))

    @property
    def report(self) -> Any:
        return MACHINE.report(self.state, self.prices)


def test_a_buying_maker_rests_below_what_the_hedge_would_get() -> None:
    run = Run().start()
    # 99.95 / (1 + 0.004 + 0.0007), down to the increment.
    [order] = run.placed
    assert (order.leg, order.side, order.kind, order.price) == (0, Trade.BUY, OrderKind.LIMIT, Decimal("99.48"))
    assert order.amount == 2


def test_a_selling_maker_rests_above_what_the_hedge_would_pay() -> None:
    run = Run(maker_side=2).start()
    # 100.05 / (1 - 0.004 - 0.0007)
    [order] = run.placed
    assert (order.leg, order.side, order.price) == (1, Trade.SELL, Decimal("100.52"))


def test_a_filled_maker_is_hedged_at_once_and_completion_has_a_close_type() -> None:
    run = Run().start()
    run.answer(1, OrderStatus.FILLED, "2")
    hedge = run.placed[1]
    assert (hedge.leg, hedge.side, hedge.kind, hedge.amount) == (1, Trade.SELL, OrderKind.MARKET, Decimal(2))
    assert run.report.status is RunnableStatus.SHUTTING_DOWN
    run.answer(2, OrderStatus.FILLED, "2", "99.95")
    report = run.report
    assert (report.status, report.close_type) == (RunnableStatus.TERMINATED, CloseType.COMPLETED)
    fees = Decimal("198.96") * MAKER_FEE + Decimal("199.9") * TAKER_FEE
    assert report.cum_fees_quote == fees
    assert report.net_pnl_quote == Decimal("199.9") - Decimal("198.96") - fees
    assert report.net_pnl_pct == report.net_pnl_quote / Decimal("198.96")
    assert report.filled_amount_quote == Decimal("398.86")


def test_a_selling_maker_earns_what_it_sold_for_more() -> None:
    run = Run(maker_side="SELL").start()
    run.answer(1, OrderStatus.FILLED, "2", "100.52")
    run.answer(2, OrderStatus.FILLED, "2", "100.05")
    fees = Decimal("201.04") * MAKER_FEE + Decimal("200.1") * TAKER_FEE
    assert run.report.net_pnl_quote == Decimal("0.94") - fees > 0
    assert run.report.net_pnl_pct == run.report.net_pnl_quote / Decimal("200.1")


@pytest.mark.parametrize(
    ("maker_side", "inside", "outside", "far"), [("BUY", "99.7", "99.6", "101"), ("SELL", "100.3", "100.4", "99")]
)
def test_a_maker_whose_profit_leaves_its_bounds_is_put_anew(
    maker_side: str, inside: str, outside: str, far: str
) -> None:
    run = Run(maker_side=maker_side).start()
    run.move(at(inside, inside))
    assert run.cancelled == []
    run.move(at(outside, outside))
    run.move(at(outside, outside))
    assert run.cancelled == [1]
    run.answer(1, OrderStatus.CANCELLED)
    assert [order.tag for order in run.placed] == [1, 2]
    assert run.report.custom_info["failures"] == 0
    # More profit than asked for is not waited for either: the order rests too far off.
    run.move(at(far, far))
    assert run.cancelled == [1, 2]


@pytest.mark.parametrize("maker_side", ["BUY", "SELL"])
def test_it_watches_the_bounds_of_a_resting_maker(maker_side: str) -> None:
    run = Run(maker_side=maker_side)
    run.start()
    [watch] = MACHINE.watches(run.state).prices
    assert (watch.leg, watch.of) == ((1, "bid") if maker_side == "BUY" else (0, "ask"))
    assert watch.at_or_below is not None
    assert watch.at_or_above is not None
    small = Decimal("0.0001")
    for inner, outer in ((watch.at_or_below, -small), (watch.at_or_above, small)):
        other = Run(maker_side=maker_side).start()
        other.move({0: Price(bid=inner, ask=inner), 1: Price(bid=inner, ask=inner)})
        # Exactly at the bound nothing is wrong; computed with 28 digits it may already be.
        other.move({0: Price(bid=inner + outer, ask=inner + outer), 1: Price(bid=inner + outer, ask=inner + outer)})
        assert other.cancelled == [1]


def test_a_partial_fill_is_hedged_when_the_maker_is_moved_and_the_rest_quoted_on() -> None:
    run = Run().start()
    run.answer(1, OrderStatus.OPEN, "0.5")
    assert len(run.placed) == 1
    run.move(at("99.6", "99.7"))
    run.answer(1, OrderStatus.CANCELLED, "0.5")
    made, hedge = sorted(run.placed[1:], key=lambda order: order.leg)
    assert (made.leg, made.amount, made.kind) == (0, Decimal("1.5"), OrderKind.LIMIT)
    assert (hedge.leg, hedge.amount, hedge.kind) == (1, Decimal("0.5"), OrderKind.MARKET)
    assert run.report.status is RunnableStatus.RUNNING


def test_a_rejected_maker_waits_for_the_next_look() -> None:
    run = Run(max_retries=1).start()
    run.answer(1, OrderStatus.FAILED)
    assert len(run.placed) == 1
    assert MACHINE.watches(run.state).every
    run.move(STILL)
    assert len(run.placed) == 2
    run.answer(2, OrderStatus.FAILED)
    assert (run.report.status, run.report.close_type) == (RunnableStatus.TERMINATED, CloseType.FAILED)
    assert run.report.held == ()


def test_a_rejected_hedge_is_sent_again_until_the_retries_are_used_up_and_then_held() -> None:
    run = Run(max_retries=1).start()
    run.answer(1, OrderStatus.FILLED, "2")
    run.answer(2, OrderStatus.FAILED)
    assert len(run.placed) == 3
    run.answer(3, OrderStatus.FAILED)
    report = run.report
    assert (report.status, report.close_type) == (RunnableStatus.TERMINATED, CloseType.FAILED)
    assert [(order.tag, order.executed_base) for order in report.held] == [(1, Decimal(2))]
    assert len(report.custom_info["held_position_orders"]) == 1


def test_the_failures_of_the_maker_do_not_use_up_the_retries_of_the_hedge() -> None:
    run = Run(max_retries=0).start()
    run.answer(1, OrderStatus.FAILED, "1")
    assert [(order.leg, order.amount) for order in run.placed[1:]] == [(1, Decimal(1))]
    run.answer(2, OrderStatus.FILLED, "1")
    assert run.report.close_type is CloseType.FAILED
    assert run.report.held == ()


def test_a_stop_hedges_what_is_made() -> None:
    run = Run().start()
    run.answer(1, OrderStatus.OPEN, "0.5")
    run.stop()
    assert run.cancelled == [1]
    assert run.report.status is RunnableStatus.SHUTTING_DOWN
    # It filled further before the cancel arrived.
    run.answer(1, OrderStatus.CANCELLED, "0.75")
    assert run.placed[1].amount == Decimal("0.75")
    run.answer(2, OrderStatus.FILLED, "0.75")
    assert (run.report.close_type, run.report.held) == (CloseType.EARLY_STOP, ())


def test_a_stop_that_keeps_holds_what_is_made() -> None:
    run = Run().start()
    run.answer(1, OrderStatus.OPEN, "0.5")
    run.stop(keep=True)
    run.answer(1, OrderStatus.CANCELLED, "0.5")
    assert run.report.close_type is CloseType.POSITION_HOLD
    assert [order.tag for order in run.report.held] == [1]
    assert len(run.placed) == 1


def test_a_stop_with_nothing_made_ends_when_the_cancel_is_answered() -> None:
    run = Run().start()
    run.stop(keep=True)
    run.answer(1, OrderStatus.CANCELLED)
    assert (run.report.close_type, run.report.held) == (CloseType.EARLY_STOP, ())


def test_what_is_not_affordable_or_too_small_is_not_tried() -> None:
    run = Run()
    run.step(Started(at_us=1, prices=STILL, affordable=False))
    assert run.report.close_type is CloseType.INSUFFICIENT_BALANCE
    run = Run(rules=TradingRules(min_notional=Decimal(1000))).start()
    assert (run.report.close_type, run.placed) == (CloseType.FAILED, [])


def test_without_the_other_market_nothing_rests() -> None:
    run = Run()
    run.prices = {0: STILL[0]}
    run.start()
    assert run.placed == []
    assert MACHINE.watches(run.state).every


@pytest.mark.parametrize("maker_side", ["BUY", "SELL"])
def test_quotes_that_differ_are_converted(maker_side: str) -> None:
    selling = {"connector_name": "kucoin", "trading_pair": "BTC-EUR"}
    run = Run(maker_side=maker_side, selling_market=selling)
    run.prices = {0: price("99.95", "100.05"), 1: price("49.975", "50.025"), 2: price("2", "2")}
    run.start()
    assert run.state.legs[2].trading_pair == "EUR-USDT"
    # In the maker's quote: the same price as above, or half of it.
    assert run.placed[0].price == (Decimal("99.48") if maker_side == "BUY" else Decimal("50.26"))
    assert MACHINE.watches(run.state).every


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"min_profitability": "0.012"}, "min_profitability"),
        ({"target_profitability": "0.02"}, "target_profitability"),
        ({"target_profitability": "0.0001"}, "target_profitability"),
        ({"maker_side": 3}, "maker_side"),
        ({"order_amount": "-1"}, "order_amount"),
        ({"selling_market": CONFIG["buying_market"]}, "selling_market"),
        ({"max_profitability": "Infinity"}, "max_profitability"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        MACHINE.parse({**CONFIG, **change})
    assert refused.value.field == field


def test_a_hedge_that_fills_after_its_failure_is_counted_and_what_is_too_much_is_held() -> None:
    run = Run().start()
    run.answer(1, OrderStatus.FILLED, "2")
    run.answer(2, OrderStatus.FAILED)
    run.answer(2, OrderStatus.FILLED, "2")
    assert run.report.status is RunnableStatus.SHUTTING_DOWN
    run.answer(3, OrderStatus.FILLED, "2")
    assert run.report.close_type is CloseType.POSITION_HOLD
    assert sum(order.side.sign * order.executed_base for order in run.report.held) == -2


answers = st.tuples(
    st.integers(1, 12),
    st.sampled_from([s for s in OrderStatus if s not in (OrderStatus.SENT, OrderStatus.CANCELLING)]),
    st.sampled_from(["0", "0.5", "1.5", "2"]),
)
moves = st.sampled_from(["99", "99.6", "100", "100.5", "102"])


@given(st.lists(st.one_of(answers, moves, st.sampled_from(["stop", "keep"])), max_size=40), st.sampled_from([1, 2]))
def test_whatever_happens_nothing_made_is_lost(events: list[Any], maker_side: int) -> None:
    run = Run(maker_side=maker_side, max_retries=2).start()
    for event in events:
        before = run.state
        if event in ("stop", "keep"):
            run.stop(keep=event == "keep")
        elif isinstance(event, str):
            run.move(at(event, event))
        elif event[0] <= len(run.placed) and not before.book.orders[event[0] - 1].is_done:
            tag, status, executed = event
            amount = run.placed[tag - 1].amount
            run.answer(tag, status, str(amount if status is OrderStatus.FILLED else min(Decimal(executed), amount)))
        if before.status is RunnableStatus.TERMINATED:
            assert run.state is before
    assert [order.tag for order in run.placed] == list(range(1, len(run.placed) + 1))
    state, report = run.state, run.report
    assert state.executed(state.maker) <= 2
    for leg in (0, 1):
        assert len([order for order in state.book.live if order.leg == leg]) <= 1
    if report.status is RunnableStatus.TERMINATED:
        assert not state.book.live
        assert report.close_type is not None
        assert bool(report.held) == (state.executed(0) != state.executed(1))
        if report.close_type is CloseType.COMPLETED:
            assert state.executed(state.maker) == 2

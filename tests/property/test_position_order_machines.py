"""Any sequence of prices, times, answers of the venue and stops, in any order, twice or too late, to the position and
the order executor. The bench checks each step: tags are used once, amounts are positive, a terminated executor stays as
it is, a state survives the journal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.executors.machines.face import CloseType, OrderStatus, RunnableStatus, Trade
from gesta.executors.machines.order import MACHINE as ORDER
from gesta.executors.machines.position import MACHINE as POSITION
from gesta.testing.oracle_drive import wakes
from tests.unit.executors.machine_bench import Bench

KINDS = st.sampled_from(["MARKET", "LIMIT", "LIMIT_MAKER"])
FRACTIONS = st.sampled_from(["0.001", "0.01", "0.02", "0.05", "0.5"])
PRICES = st.integers(9_000, 11_000).map(lambda cents: str(Decimal(cents) / 100))

BASE = {"connector_name": "binance_perpetual", "trading_pair": "BTC-USDT", "amount": "1"}
BARRIERS = st.fixed_dictionaries(
    {"open_order_type": KINDS, "take_profit_order_type": KINDS},
    optional={
        "stop_loss": FRACTIONS,
        "take_profit": FRACTIONS,
        "time_limit": st.integers(1, 30),
        "trailing_stop": st.fixed_dictionaries({"activation_price": FRACTIONS, "trailing_delta": FRACTIONS}),
    },
)
POSITIONS = st.fixed_dictionaries(
    {"side": st.sampled_from([1, 2]), "triple_barrier_config": BARRIERS},
    optional={"entry_price": PRICES, "activation_bounds": st.lists(FRACTIONS, min_size=1, max_size=2)},
)
ORDERS = st.fixed_dictionaries(
    {
        "side": st.sampled_from([1, 2]),
        "price": PRICES,
        "execution_strategy": st.sampled_from(["LIMIT", "LIMIT_MAKER", "MARKET", "LIMIT_CHASER"]),
        "chaser_config": st.fixed_dictionaries({"distance": FRACTIONS, "refresh_threshold": FRACTIONS}),
    }
)
WHICH = st.sampled_from([0, 0, 0, 1, 2, 3])
#: A stop ends most of what could be seen: it is as rare as it is in life, and fills and prices are as frequent.
WHAT = st.sampled_from([*("price", "fill") * 6, *("wait", "accept") * 2, "fail", "cancel", "again", "dark", "stop"])


def event_of(what: str) -> st.SearchStrategy[tuple[Any, ...]]:
    values: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
        "price": (PRICES,),
        "wait": (st.sampled_from([0.1, 1, 5]),),
        "fill": (WHICH, st.sampled_from(["0.0001", "0.3", None])),
        "stop": (st.booleans(),),
        "dark": (st.none(),),
    }
    return st.tuples(st.just(what), *values.get(what, (WHICH,)))


EVENTS = st.lists(WHAT.flatmap(event_of), min_size=8, max_size=40)


class World(Bench):
    """The bench, with a venue that does one thing at a time: what has ended stays so, no more is filled than sent."""

    def play(self, event: tuple[Any, ...]) -> None:
        seconds = (self.at_us - self.started_at_us) / 1_000_000
        match event:
            case ("price", price):
                self.at(seconds, price)
                self.check_rest()
            case ("wait", more):
                self.at(seconds + more)
                self.check_rest()
            case ("dark", _):
                self.price(None)
                self.at(seconds)
            case ("stop", keep):
                self.stop(keep_position=keep)
            case (what, back, *size):
                self.venue(what, back, size)

    def check_rest(self) -> None:
        """Having looked, it does not ask to look again at the same price and moment."""
        watches = self.machine.watches(self.state)
        assert not (watches.every and self.prices), "only without a price does any price concern it"
        assert watches.every or not wakes(watches, self.prices, self.at_us), watches

    @property
    def started_at_us(self) -> int:
        return min((order.created_at_us for order in self.orders.values()), default=self.at_us)

    def venue(self, what: str, back: int, size: list[Any]) -> None:
        if back >= len(self.sent):
            return
        tag = self.sent[-1 - back].tag
        order = self.orders[tag]
        if what == "again" or order.is_done:
            self.answer(tag, order.status)
        elif what == "fill":
            left = order.amount - order.executed_base
            self.fill(tag, min(left, Decimal(size[0])) if size[0] else left, order.price or Decimal(100))
        elif what == "accept":
            self.accept(tag)
        elif what == "fail" and not order.executed_base:
            self.fail(tag)
        else:
            self.cancel(tag)

    def settle(self) -> None:
        """Stop it, and answer whatever it asks for."""
        self.price("100")
        self.stop()
        for _ in range(200):
            if self.state.status is RunnableStatus.TERMINATED:
                return
            live = [tag for tag, order in self.orders.items() if not order.is_done]
            for tag in live:
                if tag in self.cancelled:
                    self.cancel(tag)
                else:
                    self.fill(tag, price="100")
            self.at_us += 1_000_000
            self.at((self.at_us - self.started_at_us) / 1_000_000)
        raise AssertionError(f"it does not end: {self.state}")


@settings(max_examples=150, deadline=None)
@given(config=POSITIONS, events=EVENTS)
def test_a_position_closes_no_more_than_it_opened_and_hides_nothing(
    config: dict[str, Any], events: list[tuple[Any, ...]]
) -> None:
    world = World(POSITION, {**BASE, **config}, max_retries=3)
    side = Trade.BUY if config["side"] == 1 else Trade.SELL
    for event in events:
        world.play(event)
        check_position(world, side)
    world.settle()
    check_position(world, side)
    assert all(order.is_done for order in world.orders.values())
    opened = sum((o.executed_base for o in world.orders.values() if o.side is side), Decimal(0))
    closed = sum((o.executed_base for o in world.orders.values() if o.side is not side), Decimal(0))
    assert closed <= opened <= 1
    held = sum((order.side.sign * order.executed_base for order in world.report.held), Decimal(0))
    assert held == side.sign * (opened - closed)
    if closed < opened:
        assert world.report.close_type in (CloseType.FAILED, CloseType.POSITION_HOLD)


def check_position(world: World, side: Trade) -> None:
    POSITION.watches(world.state)
    report = world.report
    assert report.net_pnl_quote.is_finite()
    opened = sum((o.executed_base for o in world.orders.values() if o.side is side), Decimal(0))
    closing = [o for o in world.orders.values() if o.side is not side]
    # What is closed and what is out to be closed, together.
    out = sum((o.executed_base if o.is_done else o.amount for o in closing), Decimal(0))
    assert out <= opened
    assert report.cum_fees_quote == sum((o.fees_quote for o in world.orders.values()), Decimal(0))
    if report.status is not RunnableStatus.TERMINATED:
        assert report.close_type is None or report.status is RunnableStatus.SHUTTING_DOWN
        assert report.held == ()


@settings(max_examples=150, deadline=None)
@given(config=ORDERS, events=EVENTS)
def test_an_order_executor_buys_no_more_than_asked_and_holds_all_of_it(
    config: dict[str, Any], events: list[tuple[Any, ...]]
) -> None:
    world = World(ORDER, {**BASE, **config}, max_retries=3)
    for event in events:
        world.play(event)
        ORDER.watches(world.state)
        out = sum((o.executed_base if o.is_done else o.amount for o in world.orders.values()), Decimal(0))
        assert out <= 1
        assert sum(not order.is_done for order in world.orders.values()) <= 1
    world.settle()
    filled = [order for order in world.orders.values() if order.executed_base]
    assert [order.tag for order in world.report.held] == [order.tag for order in filled]
    assert (world.report.close_type is CloseType.POSITION_HOLD) is bool(filled)
    assert all(order.status is not OrderStatus.OPEN for order in world.orders.values())

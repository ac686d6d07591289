"""The grid executor under any order of events: no raise, no order too many, no exposure out of sight, no price at which
it would act and of which its watches do not know."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Moved,
    OrderKind,
    OrderStatus,
    Place,
    Price,
    RunnableStatus,
    Trade,
)
from gesta.executors.machines.grid import MACHINE, TRANSITIONS, State
from gesta.executors.machines.grid_levels import LevelState
from tests.unit.executors.grid_desk import SECOND, GridDesk, config

D = Decimal
NEAR = D("1e-12")

CONFIGS = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["BUY", "SELL"]),
        "limit_price": st.just("0"),
        "max_open_orders": st.integers(1, 5),
        "max_orders_per_batch": st.sampled_from([None, 1, 2]),
        "order_frequency": st.sampled_from([0, 3]),
        "activation_bounds": st.sampled_from([None, "0.01", "0.03"]),
        "keep_position": st.booleans(),
        "min_spread_between_orders": st.sampled_from(["0.01", "0.04"]),
        "barrier": st.fixed_dictionaries(
            {
                "take_profit": st.sampled_from(["0.005", "0.02"]),
                "take_profit_order_type": st.sampled_from(["LIMIT", "LIMIT_MAKER", "MARKET"]),
                "open_order_type": st.sampled_from(["LIMIT", "MARKET"]),
                "stop_loss": st.sampled_from([None, "0.03"]),
                "time_limit": st.sampled_from([None, 40]),
                "trailing_stop": st.sampled_from([None, {"activation_price": "0.01", "trailing_delta": "0.004"}]),
            }
        ),
    }
)

PRICES = st.integers(9_400, 10_600).map(lambda cents: str(D(cents) / 100))
PICK = st.integers(0, 40)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), PRICES),
        st.tuples(st.just("wait"), st.integers(0, 8)),
        st.tuples(st.just("look"), st.none()),
        st.tuples(st.just("accept"), PICK),
        st.tuples(st.just("fill"), PICK),
        st.tuples(st.just("fill"), PICK),
        st.tuples(st.just("part"), PICK),
        st.tuples(st.just("cancel"), PICK),
        st.tuples(st.just("fail"), PICK),
        st.tuples(st.just("late"), PICK),
        st.tuples(st.just("again"), PICK),
        st.tuples(st.sampled_from(["stop", "keep"]), st.integers(0, 9)),
    ),
    max_size=60,
)


def act(desk: GridDesk, what: str, value: Any) -> None:
    live = desk.live
    ended = [o for o in desk.orders.values() if o.status is OrderStatus.CANCELLED and o.executed_base < o.amount]
    if what == "move":
        desk.move(value)
    elif what == "wait":
        desk.move(seconds=value)
    elif what == "look":
        desk.look()
    elif what in ("stop", "keep"):
        # Rarely, or no run would get far.
        if value == 0:
            desk.stop(keep_position=what == "keep")
    elif what == "again" and desk.orders:
        desk.answer(list(desk.orders)[value % len(desk.orders)])
    elif what == "late":
        if ended and desk.report.status is not RunnableStatus.TERMINATED:
            order = ended[value % len(ended)]
            base = ((order.amount - order.executed_base) / 2).quantize(D("0.0001"))
            quote = base * (order.price or desk.price.mid)
            desk.answer(
                order.tag, executed_base=order.executed_base + base, executed_quote=order.executed_quote + quote
            )
    elif live:
        order = live[value % len(live)]
        at = order.price if order.kind is not OrderKind.MARKET else desk.price.mid
        if what == "accept":
            desk.answer(order.tag, status=OrderStatus.OPEN)
        elif what == "fill":
            desk.fill(order.tag, price=at)
        elif what == "part":
            desk.fill(order.tag, str(((order.amount - order.executed_base) / 3).quantize(D("0.0001"))), price=at)
        elif what == "cancel":
            desk.answer(order.tag, status=OrderStatus.CANCELLED)
        elif what == "fail":
            desk.answer(order.tag, status=OrderStatus.FAILED, reason="refused")


def net_base(orders: Any) -> Decimal:
    return sum((order.side.sign * order.executed_base for order in orders), D(0))


def check_sums(desk: GridDesk) -> None:
    """PnL is what the fills brought, less what they cost, and what is open at the price; whatever is open is known."""
    orders, report = desk.orders.values(), desk.report
    sign = 1 if desk.state.config.side is Trade.BUY else -1
    if report.status is RunnableStatus.TERMINATED:
        assert abs(net_base(report.held) - net_base(orders)) < NEAR
    else:
        assert report.held == ()
        assert abs(desk.state.left_base - sign * net_base(orders)) < NEAR
    if report.close_type is CloseType.POSITION_HOLD:
        return
    mid = desk.state.mid if report.status is RunnableStatus.TERMINATED else desk.price.mid
    assert mid is not None
    money = -sum((order.side.sign * order.executed_quote + order.fees_quote for order in orders), D(0))
    assert abs(report.net_pnl_quote - (money + net_base(orders) * mid)) < NEAR
    assert abs(report.cum_fees_quote - sum((order.fees_quote for order in orders), D(0))) < NEAR


def check_orders(desk: GridDesk, late: bool) -> None:
    state = desk.state
    opening = [order for order in desk.live if order.side is state.config.side]
    if state.status is RunnableStatus.RUNNING:
        assert len(opening) <= state.config.max_open_orders
    assert all(level.state is not LevelState.COMPLETE for level in state.levels)
    if not late:
        closing = [order for order in desk.orders.values() if order.side is not state.config.side]
        closed = sum((o.executed_base if o.is_done else o.amount for o in closing), D(0))
        opened = sum((o.executed_base for o in desk.orders.values() if o.side is state.config.side), D(0))
        assert closed <= opened


def check_watches(state: State, desk: GridDesk, probe: Decimal) -> None:
    """At a price and a moment of which the watches say nothing, nothing is done."""
    watches = MACHINE.watches(state)
    if watches.every or (watches.at_us is not None and watches.at_us <= desk.at_us):
        return
    if any(
        (watch.at_or_below is not None and probe <= watch.at_or_below)
        or (watch.at_or_above is not None and probe >= watch.at_or_above)
        for watch in watches.prices
    ):
        return
    after, commands = MACHINE.step(state, Moved(at_us=desk.at_us, prices={0: Price(bid=probe, ask=probe)}))
    assert not [command for command in commands if isinstance(command, (Place, Cancel))]
    assert after.status is state.status


@settings(max_examples=250, deadline=None)
@given(changes=CONFIGS, steps=STEPS, probe=st.integers(9_400, 10_600))
def test_any_order_of_events(changes: dict[str, Any], steps: list[tuple[str, Any]], probe: int) -> None:
    desk = GridDesk(config(**changes), automatic=False, max_retries=3).start()
    late = False
    for what, value in steps:
        before = desk.state
        late = late or what == "late"
        act(desk, what, value)
        if before.status is RunnableStatus.TERMINATED:
            assert desk.state == before
            continue
        if desk.state.status is not before.status and desk.state.status is not RunnableStatus.TERMINATED:
            assert desk.state.status in TRANSITIONS[before.status]
        check_sums(desk)
        check_orders(desk, late)
        check_watches(desk.state, desk, D(probe) / 100)
    restored = msgspec.json.decode(msgspec.json.encode(desk.state), type=State)
    assert restored == desk.state


@settings(max_examples=100, deadline=None)
@given(changes=CONFIGS, prices=st.lists(PRICES, min_size=1, max_size=25))
def test_a_grid_that_is_stopped_has_sold_all_that_it_bought(changes: dict[str, Any], prices: list[str]) -> None:
    desk = GridDesk(config(**{**changes, "keep_position": False})).start()
    for price in prices:
        desk.run(price)
    desk.stop()
    assert desk.report.status is RunnableStatus.TERMINATED
    assert desk.at_us <= 26 * SECOND
    assert net_base(desk.orders.values()) == 0
    assert desk.report.held == ()
    check_sums(desk)

"""The accounting of position holds (protocols/hummingbot.md §10)."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gesta.executors.holds import MOST_NAMED, Hold
from gesta.executors.machines.face import OrderKind, Tracked, Trade

D = Decimal


def order(side: Trade, base: str, price: str, *, fees: str = "0", fees_base: str = "0") -> Tracked:
    return Tracked(
        tag=1,
        side=side,
        kind=OrderKind.MARKET,
        amount=D(base),
        executed_base=D(base),
        executed_quote=D(base) * D(price),
        fees_quote=D(fees),
        fees_base=D(fees_base),
    )


def test_one_side_is_averaged_and_marked() -> None:
    hold = Hold().filled(Trade.BUY, D(1), D(100)).filled(Trade.BUY, D(3), D(330))
    assert (hold.net_base, hold.side, hold.buy_breakeven, hold.sell_breakeven) == (D(4), "LONG", D("107.5"), None)
    assert hold.unrealized(D(110)) == D(10)
    short = Hold().filled(Trade.SELL, D(2), D(200))
    assert (short.net_base, short.side, short.sell_breakeven) == (D(-2), "SHORT", D(100))
    assert short.unrealized(D(90)) == D(20)
    assert (Hold().side, Hold().unrealized(D(5)), Hold().buy_breakeven) == ("FLAT", D(0), None)


def test_what_stands_on_both_sides_is_realised_and_taken_off() -> None:
    hold = Hold().filled(Trade.BUY, D(3), D(300)).filled(Trade.SELL, D(1), D(110))
    assert (hold.realized_quote, hold.matched_base, hold.net_base) == (D(10), D(0), D(2))
    assert (hold.buy_quote, hold.sell_base, hold.sell_quote) == (D(200), D(0), D(0))
    flipped = hold.filled(Trade.SELL, D(5), D(600))
    assert (flipped.realized_quote, flipped.side, flipped.sell_breakeven) == (D(50), "SHORT", D(120))
    assert (flipped.buy_base, flipped.buy_quote) == (D(0), D(0))


def test_an_executor_adds_its_orders_once_with_all_their_fees() -> None:
    left = [order(Trade.BUY, "1", "100", fees="0.5"), order(Trade.BUY, "1", "200", fees_base="0.01")]
    hold = Hold().ended("a", left, at_us=7)
    assert (hold.fees_quote, hold.buy_breakeven, hold.executor_ids) == (D("2.5"), D(150), ("a",))
    assert (hold.executor_count, hold.updated_at_us) == (1, 7)


def test_a_hold_names_the_newest_and_counts_all() -> None:
    hold = Hold()
    for number in range(MOST_NAMED + 5):
        hold = hold.ended(str(number), [], at_us=number)
    assert (hold.executor_count, len(hold.executor_ids)) == (MOST_NAMED + 5, MOST_NAMED)
    assert hold.executor_ids[-1] == str(MOST_NAMED + 4)


fills = st.lists(
    st.tuples(st.sampled_from(Trade), st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=30
)


@given(fills)
def test_nothing_is_lost_whatever_the_order_of_fills(made: list[tuple[Trade, int, int]]) -> None:
    hold = Hold()
    for side, base, price in made:
        hold = hold.filled(side, D(base), D(base) * D(price))
        assert not hold.matched_base
        assert min(hold.buy_base, hold.sell_base, hold.buy_quote, hold.sell_quote) >= 0
    net = sum(side.sign * base for side, base, _ in made)
    paid = sum(side.sign * base * price for side, base, price in made)
    assert hold.net_base == net
    # At any price, realised and unrealised are together what the fills have made.
    mark = D(777)
    assert abs(hold.realized_quote + hold.unrealized(mark) - (net * mark - paid)) < D("0.000001")

"""One cancels the other, and orders that may only reduce a position."""

from __future__ import annotations

from gesta.trading.venue import OpenPosition
from tests.unit.venues.paper.floor import BTC, ES, HOUR_US, NQ, Floor, order, told


def held(lots: int, **settings: int) -> Floor:
    """A floor with a quote and a position."""
    floor = Floor(**settings)
    floor.quote(100, 101)
    floor.matcher.accounts.set_position(1, ES.name, OpenPosition(lots=lots, cost=0))
    return floor


def pair(floor: Floor, lots: int, **terms: object) -> None:
    floor.submit(order("stop", "sell", "stop_market", lots, stop=95, oco="p", **terms))
    floor.submit(order("target", "sell", "limit", lots, limit=105, oco="p", **terms))


# -- groups


def test_a_fill_reduces_the_other_order_and_a_whole_one_cancels_it() -> None:
    floor = held(5)
    pair(floor, 5)
    assert told(floor.quote(105, 106, 2, 5)) == ["filled target 2@105 maker", "changed stop 3 None 95"]
    assert told(floor.quote(106, 107, 9, 5)) == ["filled target 3@105 maker", "cancelled stop"]


def test_the_smaller_order_of_a_group_leaves_the_rest_of_the_larger() -> None:
    floor = held(5)
    floor.submit(order("small", "sell", "stop_market", 2, stop=95, oco="p"))
    floor.submit(order("large", "sell", "limit", 5, limit=105, oco="p"))
    assert told(floor.quote(94, 95)) == ["triggered small", "filled small 2@94", "changed large 3 105 None"]
    assert told(floor.quote(105, 106)) == ["filled large 3@105 maker"]


def test_a_cancel_takes_the_others_along() -> None:
    floor = held(5)
    pair(floor, 5)
    assert told(floor.cancel("target")) == ["cancelled target", "cancelled stop"]
    assert told(floor.cancel("stop")) == ["cancel refused stop"]


def test_a_refused_order_takes_the_others_along() -> None:
    floor = held(5)
    floor.submit(order("stop", "sell", "stop_market", 5, stop=95, oco="p"))
    events = told(floor.submit(order("target", "sell", "limit", 5, oco="p")))
    assert events == ["rejected target", "cancelled stop"]


def test_an_expiry_takes_along_what_does_not_expire_itself() -> None:
    floor = held(5)
    floor.submit(order("day", "sell", "limit", 5, limit=105, oco="p", tif="day"))
    floor.submit(order("also day", "sell", "limit", 5, limit=106, oco="p", tif="day"))
    floor.submit(order("gtc", "sell", "stop_market", 5, stop=95, oco="p"))
    assert told(floor.quote(100, 101, after_us=HOUR_US)) == ["expired day", "cancelled gtc", "expired also day"]


def test_a_market_that_meets_both_fills_only_one() -> None:
    floor = held(5)
    floor.submit(order("low", "sell", "stop_market", 5, stop=98, oco="p"))
    floor.submit(order("lower", "sell", "stop_market", 5, stop=97, oco="p"))
    assert told(floor.quote(90, 91)) == ["triggered low", "filled low 5@90", "cancelled lower"]


def test_groups_are_of_an_account_and_span_instruments() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.quote(200, 201, instrument=NQ.name)
    floor.submit(order("es", "buy", "limit", limit=99, oco="p"))
    floor.submit(order("nq", "buy", "limit", limit=199, oco="p", instrument=NQ.name))
    floor.submit(order("theirs", "buy", "limit", limit=99, oco="p", account=2))
    assert told(floor.quote(198, 199, instrument=NQ.name)) == ["filled nq 1@199 maker", "cancelled es"]
    assert told(floor.quote(98, 99)) == ["filled theirs 1@99 maker"]


def test_an_order_that_comes_after_its_group_has_ended_is_not_taken() -> None:
    floor = held(5)
    floor.submit(order("stop", "sell", "stop_market", 5, stop=100, oco="p"))
    (rejected,) = floor.submit(order("target", "sell", "limit", 5, limit=105, oco="p"))
    assert getattr(rejected, "reason", "") == "The OCO group `p` has ended; a new one needs a new name."


def test_an_order_that_comes_after_a_partial_fill_does_without_what_was_filled() -> None:
    floor = held(5, slip_ticks=0)
    floor.quote(100, 101, 2, 5)
    floor.submit(order("stop", "sell", "stop_market", 5, stop=100, oco="p"))
    assert told(floor.submit(order("target", "sell", "limit", 5, limit=105, oco="p"))) == [
        "working target",
        "changed target 3 105 None",
    ]
    assert told(floor.submit(order("small", "sell", "limit", 2, limit=105, oco="p"))) == [
        "rejected small",
        "cancelled stop",
        "cancelled target",
    ]


# -- reduce-only


def test_reduce_only_needs_a_position_to_reduce() -> None:
    floor = held(2)
    (rejected,) = floor.submit(order("a", "buy", "limit", limit=99, reduce_only=True))
    assert getattr(rejected, "reason", "") == "Reduce-only: there is no short position in ES 12-26 to reduce."
    assert told(floor.submit(order("b", "sell", "limit", limit=105, reduce_only=True))) == ["working b"]


def test_reduce_only_fills_no_more_than_the_position() -> None:
    floor = held(2)
    assert told(floor.submit(order("a", "sell", "market", 5, reduce_only=True))) == [
        "working a",
        "filled a 2@100",
        "cancelled a",
    ]


def test_reduce_only_orders_share_what_is_left() -> None:
    floor = held(3)
    floor.submit(order("a", "sell", "limit", 2, limit=105, reduce_only=True))
    floor.submit(order("b", "sell", "limit", 2, limit=105, reduce_only=True))
    assert told(floor.quote(105, 106)) == ["filled a 2@105 maker", "filled b 1@105 maker", "cancelled b"]


def test_reduce_only_that_has_nothing_left_goes_when_its_turn_comes_and_takes_its_pair_along() -> None:
    floor = held(2)
    pair(floor, 2, reduce_only=True)
    floor.submit(order("close", "sell", "market", 2))
    assert told(floor.quote(94, 95)) == ["triggered stop", "cancelled stop", "cancelled target"]


def test_reduce_only_fill_or_kill_must_fit_the_position() -> None:
    floor = held(2)
    killed = ["working a", "cancelled a"]
    assert told(floor.submit(order("a", "sell", "market", 3, reduce_only=True, tif="fok"))) == killed
    assert told(floor.submit(order("b", "sell", "market", 2, reduce_only=True, tif="fok")))[-1] == "filled b 2@100"


def test_a_position_set_from_outside_counts() -> None:
    floor = held(2)
    floor.submit(order("a", "sell", "limit", 2, limit=105, reduce_only=True))
    floor.matcher.accounts.set_position(1, ES.name, OpenPosition(lots=1, cost=0))
    assert told(floor.quote(105, 106)) == ["filled a 1@105 maker", "cancelled a"]


# -- spot


def test_spot_is_not_sold_short() -> None:
    floor = Floor()
    floor.quote(100, 101, instrument=BTC.name)
    (rejected,) = floor.submit(order("a", "sell", "limit", 5, limit=105, instrument=BTC.name))
    assert getattr(rejected, "reason", "") == "BTC-USDT cannot be sold short: 0.05 to sell, 0.00 held."
    floor.submit(order("b", "buy", "market", 5, instrument=BTC.name))
    floor.submit(order("c", "sell", "limit", 5, limit=105, instrument=BTC.name))
    floor.submit(order("d", "sell", "limit", 3, limit=106, instrument=BTC.name))
    assert told(floor.quote(106, 107, 6, 6, instrument=BTC.name)) == ["filled c 5@105 maker", "cancelled d"]


def test_spot_may_be_sold_short_where_the_settings_say_so() -> None:
    floor = Floor(spot_short=True)
    floor.quote(100, 101, instrument=BTC.name)
    assert told(floor.submit(order("a", "sell", "market", 5, instrument=BTC.name))) == ["working a", "filled a 5@100"]

"""Market, limit, stop, stop-limit and touch orders against quotes and trades."""

from __future__ import annotations

import pytest

from gesta.trading.market import Flag, Quote
from gesta.trading.orders import OrderType
from gesta.trading.venue import Ack, OrderFilled
from tests.unit.venues.paper.floor import BTC, ES, NOW_US, NQ, Floor, order, told

# -- market orders


def test_a_market_order_takes_what_is_displayed_and_slips_with_the_rest() -> None:
    floor = Floor(slip_ticks=2)
    floor.quote(100, 101, 5, 3)
    assert told(floor.submit(order("a", "buy", "market", 5))) == ["working a", "filled a 3@101", "filled a 2@103"]


def test_what_a_quote_gave_is_not_given_again() -> None:
    floor = Floor()
    floor.quote(100, 101, 5, 3)
    floor.submit(order("a", "buy", "market", 2))
    assert told(floor.submit(order("b", "buy", "market", 2))) == ["working b", "filled b 1@101", "filled b 1@102"]
    assert told(floor.submit(order("c", "sell", "market", 2))) == ["working c", "filled c 2@100"]
    assert told(floor.submit(order("d", "buy", "market"))) == ["working d", "filled d 1@102"]
    floor.quote(100, 101, 5, 3)
    assert told(floor.submit(order("e", "buy", "market"))) == ["working e", "filled e 1@101"]


@pytest.mark.parametrize("settings", [{"slip_ticks": 0}, {"slip_ticks": 3, "displayed_only": True}])
def test_without_slipping_the_rest_waits_for_the_next_quote(settings: dict[str, int]) -> None:
    floor = Floor(**settings)
    floor.quote(100, 101, 5, 3)
    assert told(floor.submit(order("a", "buy", "market", 5))) == ["working a", "filled a 3@101"]
    assert floor.trade(101, 10) == []
    assert told(floor.quote(101, 102, 5, 1)) == ["filled a 1@102"]
    assert told(floor.quote(101, 103, 5, 9)) == ["filled a 1@103"]


def test_waiting_market_orders_are_served_by_age() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101, 5, 0)
    floor.submit(order("a", "buy", "market", 2))
    floor.submit(order("b", "buy", "market", 2))
    assert told(floor.quote(100, 101, 5, 3)) == ["filled a 2@101", "filled b 1@101"]


def test_a_market_order_waits_for_a_side_that_is_empty() -> None:
    floor = Floor()
    floor.quote(100, 999, 5, 0)
    assert told(floor.submit(order("a", "buy", "market", 2))) == ["working a"]
    assert floor.quote(100, 999, 5, 0) == []
    assert told(floor.quote(100, 101, 5, 1)) == ["filled a 1@101", "filled a 1@102"]


def test_a_market_order_needs_market_data() -> None:
    floor = Floor()
    floor.quote(100, 101, instrument=NQ.name)
    (rejected,) = floor.submit(order("a", "buy", "market"))
    assert getattr(rejected, "reason", "") == "No market data for ES 12-26."
    assert floor.ack(order("b", "buy", "market")) is Ack.REJECTED


def test_a_market_order_of_before_the_start_waits_for_the_first_quote() -> None:
    """It was journaled, and perhaps sent, when the process ended: it is not refused for what it cannot know."""
    floor = Floor()
    assert told(floor.submit(order("a", "buy", "market", created_at_us=NOW_US - 1))) == ["working a"]
    assert told(floor.quote(100, 101)) == ["filled a 1@101 gap"]


def test_a_sale_never_slips_to_nothing() -> None:
    floor = Floor(slip_ticks=5)
    floor.quote(2, 3, 1, 1)
    assert told(floor.submit(order("a", "sell", "market", 2))) == ["working a", "filled a 1@2", "filled a 1@1"]
    floor.quote(-2, 3, 1, 1)
    assert told(floor.submit(order("b", "sell", "market", 2))) == ["working b", "filled b 1@-2", "filled b 1@-7"]


# -- immediate-or-cancel, fill-or-kill


def test_immediate_or_cancel_takes_what_it_can() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101, 5, 3)
    assert told(floor.submit(order("a", "buy", "market", 5, tif="ioc"))) == [
        "working a",
        "filled a 3@101",
        "cancelled a",
    ]
    assert told(floor.submit(order("b", "buy", "limit", 5, limit=101, tif="ioc"))) == ["working b", "cancelled b"]
    assert told(floor.submit(order("c", "sell", "limit", 7, limit=99, tif="ioc"))) == [
        "working c",
        "filled c 5@100",
        "cancelled c",
    ]


def test_fill_or_kill_is_all_or_nothing() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101, 5, 3)
    assert told(floor.submit(order("a", "buy", "market", 4, tif="fok"))) == ["working a", "cancelled a"]
    assert told(floor.submit(order("b", "buy", "limit", 4, limit=105, tif="fok"))) == ["working b", "cancelled b"]
    assert told(floor.submit(order("c", "buy", "limit", 3, limit=100, tif="fok"))) == ["working c", "cancelled c"]
    assert told(floor.submit(order("d", "buy", "limit", 3, limit=101, tif="fok"))) == ["working d", "filled d 3@101"]


def test_fill_or_kill_may_slip() -> None:
    floor = Floor(slip_ticks=1)
    floor.quote(100, 101, 5, 3)
    filled = ["working a", "filled a 3@101", "filled a 1@102"]
    assert told(floor.submit(order("a", "buy", "market", 4, tif="fok"))) == filled


def test_immediate_without_a_market_ends_at_once() -> None:
    floor = Floor()
    assert told(floor.submit(order("a", "buy", "limit", limit=100, tif="ioc"))) == ["working a", "cancelled a"]
    assert told(floor.submit(order("b", "buy", "limit", limit=100, tif="fok"))) == ["working b", "cancelled b"]


# -- limits


def test_a_marketable_limit_takes_at_the_best_and_rests_with_what_is_left() -> None:
    floor = Floor(slip_ticks=5)
    floor.quote(100, 101, 5, 3)
    events = floor.submit(order("a", "buy", "limit", 5, limit=103))
    assert told(events) == ["working a", "filled a 3@101"]
    assert floor.trade(103, 9) == []
    assert told(floor.quote(102, 103, 5, 1)) == ["filled a 1@103 maker"]


def test_a_resting_limit_fills_at_its_price_when_the_opposite_best_comes_through() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "limit", 4, limit=99))
    assert floor.quote(99, 100) == []
    assert told(floor.quote(97, 98, 5, 3)) == ["filled a 3@99 maker"]
    assert told(floor.quote(97, 99, 5, 3)) == ["filled a 1@99 maker"]


def test_resting_limits_fill_by_price_then_age_up_to_what_is_displayed() -> None:
    floor = Floor()
    floor.quote(100, 101)
    for id, limit in (("worse", 98), ("old", 99), ("young", 99), ("far", 90)):
        floor.submit(order(id, "buy", "limit", 2, limit=limit))
    assert told(floor.quote(95, 98, 5, 5)) == [
        "filled old 2@99 maker",
        "filled young 2@99 maker",
        "filled worse 1@98 maker",
    ]


def test_a_trade_through_fills_up_to_its_size_a_trade_at_the_price_does_not() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "limit", 2, limit=99))
    floor.submit(order("b", "buy", "limit", 2, limit=98))
    floor.submit(order("c", "sell", "limit", 2, limit=103))
    assert floor.trade(99, 10, -1) == []
    assert told(floor.trade(97, 3, -1)) == ["filled a 2@99 maker", "filled b 1@98 maker"]
    assert told(floor.trade(104, 1, 1)) == ["filled c 1@103 maker"]


def test_a_limit_rests_without_data() -> None:
    floor = Floor()
    assert told(floor.submit(order("a", "buy", "limit", limit=99))) == ["working a"]
    assert told(floor.submit(order("b", "sell", "stop_market", stop=98))) == ["accepted b"]
    assert told(floor.quote(100, 101)) == []
    assert told(floor.quote(98, 99)) == ["filled a 1@99 maker", "triggered b", "filled b 1@98"]


def test_a_limit_of_another_instrument_is_not_touched() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "limit", limit=99))
    assert floor.quote(10, 11, instrument=NQ.name) == []


# -- triggers


@pytest.mark.parametrize(
    ("side", "type_", "stop", "quiet", "reached"),
    [
        ("buy", "stop_market", 103, (101, 102), (102, 103)),
        ("sell", "stop_market", 98, (99, 100), (98, 99)),
        ("buy", "market_if_touched", 98, (98, 99), (97, 98)),
        ("sell", "market_if_touched", 103, (102, 103), (103, 104)),
    ],
)
def test_a_trigger_fires_by_the_opposite_best(
    side: str, type_: str, stop: int, quiet: tuple[int, int], reached: tuple[int, int]
) -> None:
    floor = Floor()
    floor.quote(100, 101)
    assert told(floor.submit(order("a", side, type_, stop=stop))) == ["accepted a"]
    assert floor.quote(*quiet) == []
    price = reached[1] if side == "buy" else reached[0]
    assert told(floor.quote(*reached)) == ["triggered a", f"filled a 1@{price}"]


@pytest.mark.parametrize(
    ("side", "type_", "stop", "quiet"),
    [
        ("buy", "stop_market", 103, 102),
        ("sell", "stop_market", 98, 99),
        ("buy", "market_if_touched", 98, 99),
        ("sell", "market_if_touched", 103, 102),
    ],
)
def test_a_trigger_fires_by_a_trade_and_fills_at_the_quote(side: str, type_: str, stop: int, quiet: int) -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", side, type_, stop=stop))
    assert floor.trade(quiet) == []
    events = floor.trade(stop)
    assert told(events) == ["triggered a", f"filled a 1@{101 if side == 'buy' else 100}"]
    assert isinstance(events[1], OrderFilled)
    assert events[1].reference_ticks == stop


def test_a_stop_that_is_reached_already_fires_at_once() -> None:
    floor = Floor()
    floor.quote(100, 101)
    assert told(floor.submit(order("a", "sell", "stop_market", stop=100))) == [
        "accepted a",
        "triggered a",
        "filled a 1@100",
    ]


def test_a_stop_limit_becomes_a_limit() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "stop_limit", 4, stop=103, limit=104))
    floor.submit(order("b", "buy", "stop_limit", 1, stop=103, limit=102))
    assert told(floor.quote(102, 103, 5, 3)) == ["triggered a", "filled a 3@103", "triggered b"]
    assert told(floor.quote(101, 102, 5, 2)) == ["filled a 1@104 maker", "filled b 1@102 maker"]


def test_stops_fire_in_the_order_in_which_the_market_met_them() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101)
    for id, stop in (("far", 95), ("near", 99), ("near too", 99)):
        floor.submit(order(id, "sell", "stop_market", 2, stop=stop))
    assert told(floor.quote(94, 95, 3, 3)) == [
        "triggered near",
        "filled near 2@94",
        "triggered near too",
        "filled near too 1@94",
        "triggered far",
    ]


def test_resting_orders_are_served_before_stops_of_the_same_quote() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101)
    floor.submit(order("stop", "buy", "market_if_touched", 2, stop=99))
    floor.submit(order("limit", "buy", "limit", 2, limit=99))
    assert told(floor.quote(98, 99, 5, 3)) == ["filled limit 2@99 maker", "triggered stop", "filled stop 1@99"]


# -- references, keys, times


def test_slippage_counts_from_the_last_trade_and_only_for_what_took_the_market() -> None:
    floor = Floor()
    floor.quote(100, 101, 5, 1)
    (_, before) = floor.submit(order("a", "buy", "market"))
    floor.trade(100)
    floor.quote(100, 101, 5, 1)
    (_, first, rest) = floor.submit(order("b", "buy", "market", 2))
    floor.quote(100, 101)
    (_, limit) = floor.submit(order("c", "buy", "limit", limit=101))
    references = [each.reference_ticks for each in (before, first, rest, limit) if isinstance(each, OrderFilled)]
    assert references == [None, 100, 100, None]


def test_fills_are_numbered_and_timed_by_both_clocks() -> None:
    floor = Floor()
    floor.quote(100, 101, 5, 1)
    _, first, second = floor.submit(order("a", "buy", "market", 2))
    assert isinstance(first, OrderFilled)
    assert isinstance(second, OrderFilled)
    assert (first.key, second.key) == ("a:1", "a:2")
    assert (first.at_us, first.venue_time_us) == (NOW_US, floor.at_us)
    assert (first.commission, second.commission) == (2, 2)


def test_an_order_that_was_filled_in_part_goes_on_counting() -> None:
    floor = Floor()
    floor.quote(100, 101)
    (_, filled) = floor.submit(order("a", "buy", "market", 5, filled=3, fills=2))
    assert isinstance(filled, OrderFilled)
    assert (filled.key, filled.lots) == ("a:3", 2)


# -- flags


def test_a_crossed_quote_is_not_matched_and_nothing_is_until_the_next() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("limit", "buy", "limit", limit=99))
    floor.submit(order("stop", "sell", "stop_market", stop=98))
    assert floor.quote(97, 96, flags=Flag.CROSSED) == []
    assert told(floor.submit(order("market", "buy", "market"))) == ["working market"]
    assert floor.quote(97, 96) == []  # crossed, though nobody flagged it
    assert told(floor.quote(100, 101)) == ["filled market 1@101"]


def test_stale_data_is_ignored() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("limit", "buy", "limit", limit=99))
    assert floor.quote(97, 98, flags=Flag.STALE) == []
    assert floor.trade(90, 9, flags=Flag.STALE) == []
    assert told(floor.submit(order("market", "sell", "market"))) == ["working market", "filled market 1@100"]


def test_what_fires_and_fills_after_a_gap_says_so() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("limit", "buy", "limit", limit=99))
    floor.submit(order("stop", "sell", "stop_market", stop=98))
    assert told(floor.quote(90, 91, flags=Flag.GAP)) == [
        "filled limit 1@99 maker gap",
        "triggered stop gap",
        "filled stop 1@90 gap",
    ]
    assert told(floor.submit(order("later", "buy", "market"))) == ["working later", "filled later 1@91"]


def test_a_simulated_market_is_matched() -> None:
    floor = Floor()
    floor.quote(100, 101, flags=Flag.SIMULATED)
    assert told(floor.submit(order("a", "buy", "market"))) == ["working a", "filled a 1@101"]


# -- a quote that concerns nobody


@pytest.mark.parametrize("type_", list(OrderType)[1:])
def test_a_quote_that_touches_nothing_is_not_matched(type_: OrderType) -> None:
    floor = Floor()
    floor.quote(100, 101)
    for side, limit, stop in (("buy", 90, 110), ("sell", 110, 90)):
        if type_ is OrderType.MARKET_IF_TOUCHED:
            stop = limit
        terms = {"limit": limit if type_.has_limit else None, "stop": stop if type_.has_stop else None}
        floor.submit(order(side, side, type_, tif="day", oco="pair", **terms))
    floor.at_us += 1
    quote = _quote(floor, 99, 102)
    assert floor.matcher.passes(quote)
    assert floor.matcher.match(quote, NOW_US) == []
    assert not floor.matcher.passes(_quote(floor, 90, 90))
    assert not floor.matcher.passes(_quote(floor, 110, 110))


def _quote(floor: Floor, bid: int, ask: int) -> Quote:
    return Quote(ES.name, bid, ask, 5, 5, floor.at_us, NOW_US)


# -- ids, cancels


def test_a_known_id_is_not_taken_twice_working_or_ended() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "limit", limit=99))
    assert floor.submit(order("a", "buy", "limit", limit=99)) == []
    floor.cancel("a")
    assert floor.ack(order("a", "buy", "limit", limit=99)) is Ack.ACCEPTED
    assert floor.submit(order("a", "buy", "market")) == []


def test_a_cancel_takes_the_order_from_wherever_it_is() -> None:
    floor = Floor(slip_ticks=0)
    floor.quote(100, 101, 5, 0)
    floor.submit(order("limit", "buy", "limit", limit=99))
    floor.submit(order("stop", "buy", "stop_market", stop=105))
    floor.submit(order("market", "buy", "market"))
    for id in ("limit", "stop", "market"):
        assert told(floor.cancel(id)) == [f"cancelled {id}"]
        assert told(floor.cancel(id)) == [f"cancel refused {id}"]
    assert floor.quote(90, 91) == []
    assert floor.quote(110, 111) == []


def test_a_smaller_lot_size_makes_no_difference() -> None:
    floor = Floor()
    floor.quote(50_000, 50_001, 300, 300, instrument=BTC.name)
    assert told(floor.submit(order("a", "buy", "market", 250, instrument=BTC.name))) == [
        "working a",
        "filled a 250@50001",
    ]

"""Latency, the end of sessions and contracts, queues: what depends on the market's time and on who was there first."""

from __future__ import annotations

import pytest

from gesta.trading.market import Flag
from gesta.trading.orders import OrderState
from tests.unit.venues.paper.floor import HOUR_US, NQ, START_US, Floor, order, told

DAY_US = 24 * HOUR_US


# -- latency


def test_an_order_meets_the_data_that_comes_after_its_latency() -> None:
    floor = Floor(latency_us=10)
    floor.quote(100, 101)
    assert floor.submit(order("a", "buy", "market")) == []
    report = floor.matcher.query("a")
    assert report is not None
    assert report.state is OrderState.SUBMITTED
    assert floor.quote(100, 101, after_us=9) == []
    assert told(floor.quote(105, 106, after_us=1)) == ["working a", "filled a 1@106"]


def test_orders_arrive_as_they_were_sent_and_after_those_that_were_there() -> None:
    floor = Floor(latency_us=10, slip_ticks=0)
    floor.quote(100, 101)
    floor.submit(order("resting", "buy", "limit", 2, limit=99))
    floor.quote(100, 101, after_us=10)
    floor.submit(order("first", "buy", "limit", 2, limit=99))
    floor.submit(order("second", "buy", "market", 2))
    assert told(floor.quote(98, 99, 5, 5, after_us=10)) == [
        "filled resting 2@99 maker",
        "working first",
        "filled first 2@99",
        "working second",
        "filled second 1@99",
    ]


def test_an_order_on_its_way_can_be_cancelled_and_not_changed() -> None:
    floor = Floor(latency_us=10)
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "limit", limit=99))
    assert told(floor.change("a", quantity=2)) == ["change refused a"]
    assert told(floor.cancel("a")) == ["cancelled a"]
    assert floor.quote(90, 91, after_us=20) == []


def test_a_trade_also_lets_orders_arrive_and_they_take_from_the_quote_in_force() -> None:
    floor = Floor(latency_us=10)
    floor.quote(100, 101)
    floor.submit(order("a", "buy", "market"))
    assert told(floor.trade(100, after_us=10)) == ["working a", "filled a 1@101"]


def test_without_a_market_time_there_is_nothing_to_wait_for() -> None:
    floor = Floor(latency_us=10)
    assert told(floor.submit(order("a", "buy", "limit", limit=99))) == ["working a"]


def test_a_pair_on_its_way_is_reduced_in_silence() -> None:
    floor = Floor(latency_us=10, slip_ticks=0)
    floor.quote(100, 101, 5, 2)
    floor.submit(order("a", "buy", "market", 3, oco="p"))
    floor.quote(100, 101, 5, 0, after_us=9)
    floor.submit(order("b", "buy", "limit", 3, limit=90, oco="p"))
    assert told(floor.quote(100, 101, 5, 2, after_us=5)) == ["working a", "filled a 2@101"]
    assert told(floor.quote(100, 101, 5, 0, after_us=5)) == ["working b", "changed b 1 90 None"]


# -- sessions


def test_day_orders_end_with_the_session_before_anything_is_matched() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("day", "buy", "limit", limit=99, tif="day"))
    floor.submit(order("stop", "sell", "stop_market", stop=95, tif="day"))
    floor.submit(order("gtc", "buy", "limit", limit=98))
    assert floor.quote(100, 101, after_us=HOUR_US - START_US % HOUR_US - 2) == []
    assert told(floor.quote(90, 91)) == ["expired day", "expired stop", "filled gtc 1@98 maker"]


def test_a_trade_ends_a_session_as_well() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("day", "buy", "limit", limit=99, tif="day"))
    assert told(floor.trade(90, after_us=HOUR_US)) == ["expired day"]


def test_a_day_order_without_data_belongs_to_the_session_of_the_first_data() -> None:
    floor = Floor()
    floor.submit(order("day", "buy", "limit", limit=99, tif="day"))
    assert floor.quote(100, 101, after_us=5 * DAY_US) == []
    assert told(floor.quote(100, 101, after_us=HOUR_US)) == ["expired day"]


def test_another_recording_of_an_earlier_day_begins_time_anew() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("day", "buy", "limit", limit=90, tif="day"))
    assert floor.quote(100, 101, flags=Flag.GAP, after_us=-700 * DAY_US) == []
    assert told(floor.quote(100, 101, after_us=HOUR_US)) == ["expired day"]


def test_one_instrument_s_session_says_nothing_of_another_s() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("day", "buy", "limit", limit=99, tif="day"))
    assert floor.quote(100, 101, instrument=NQ.name, after_us=HOUR_US) == []


def test_everything_ends_with_the_contract() -> None:
    floor = Floor()
    floor.quote(100, 101)
    floor.submit(order("gtc", "buy", "limit", limit=99))
    floor.submit(order("stop", "sell", "stop_market", stop=90))
    events = floor.quote(80, 81, after_us=200 * DAY_US)
    assert told(events) == ["expired gtc", "expired stop"]
    assert {getattr(each, "reason", "") for each in events} == {"The contract expired."}
    (rejected,) = floor.submit(order("late", "buy", "market"))
    assert getattr(rejected, "reason", "") == "ES 12-26 expired on 2026-12-18."


def test_an_expired_contract_without_data_is_known_by_the_time_of_others() -> None:
    floor = Floor()
    floor.quote(100, 101, instrument=NQ.name, after_us=200 * DAY_US)
    assert told(floor.submit(order("late", "buy", "limit", limit=99))) == ["rejected late"]


# -- queues


@pytest.fixture
def queued() -> Floor:
    floor = Floor(queue_ahead=True)
    floor.quote(100, 101, 8, 8)
    return floor


def test_a_limit_at_the_touch_waits_behind_what_was_displayed(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 3, limit=100))
    assert queued.trade(100, 6, -1) == []
    assert told(queued.trade(100, 3, -1)) == ["filled a 1@100 maker"]
    assert told(queued.trade(100, 9, -1)) == ["filled a 2@100 maker"]


def test_trades_of_the_own_side_s_aggressor_do_not_move_the_queue(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 3, limit=100))
    assert queued.trade(100, 20, 1) == []


def test_a_limit_inside_the_spread_is_the_first_there() -> None:
    floor = Floor(queue_ahead=True)
    floor.quote(100, 103, 8, 8)
    floor.submit(order("a", "sell", "limit", 3, limit=102))
    assert told(floor.trade(102, 2, 1)) == ["filled a 2@102 maker"]


def test_a_limit_behind_the_touch_learns_its_place_when_the_market_comes_there(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 3, limit=98))
    assert queued.trade(98, 50, -1) == []  # the quote does not show who stands there
    queued.quote(98, 99, 4, 4)
    assert told(queued.trade(98, 5, -1)) == ["filled a 1@98 maker"]


def test_own_orders_stand_in_one_queue(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 2, limit=100))
    queued.submit(order("b", "buy", "limit", 2, limit=100))
    assert told(queued.trade(100, 11, -1)) == ["filled a 2@100 maker", "filled b 1@100 maker"]


def test_a_quote_or_a_trade_through_the_price_needs_no_queue(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 3, limit=100))
    assert told(queued.trade(99, 1, -1)) == ["filled a 1@100 maker"]
    assert told(queued.quote(99, 100, 8, 9)) == ["filled a 2@100 maker"]


def test_who_asks_for_less_keeps_his_place_who_asks_for_more_does_not(queued: Floor) -> None:
    queued.submit(order("a", "buy", "limit", 4, limit=100))
    queued.trade(100, 8, -1)
    queued.change("a", quantity=2)
    assert told(queued.trade(100, 1, -1)) == ["filled a 1@100 maker"]
    queued.change("a", quantity=6)
    assert queued.trade(100, 8, -1) == []

"""Market data: any bytes are read or counted, bars equal those of a plain loop, a replay changes nothing."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.desk.market.bars import BarSeries
from gesta.desk.market.desk import MarketDesk
from gesta.desk.market.face import Bar
from gesta.testing.fakes import ManualClock
from gesta.trading.catalog import Catalog
from gesta.trading.market import Flag, MarketData, Quote, Trade
from gesta.venues.market_data import binance_capture, csv_tape
from gesta.venues.market_data.noise import walk
from gesta.venues.market_data.tally import Tally
from tests.unit.venues.market_data.samples import (
    LOCAL_NS,
    PERPETUAL_QUOTE,
    PERPETUAL_TRADE,
    SPOT_QUOTE,
    SPOT_TRADE,
    line,
    resolve,
)

BTC = "BTC-USDT"
START = 1_700_000_000_000_000
CATALOG = Catalog()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good line in which some bytes are others."""
    good = bytearray(line(draw(st.sampled_from([PERPETUAL_QUOTE, PERPETUAL_TRADE, SPOT_QUOTE, SPOT_TRADE]))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(good) - 2))
        good[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(good)


@given(st.lists(damaged() | st.binary(max_size=200) | st.binary(max_size=80).map(lambda b: b"%d " % LOCAL_NS + b)))
def test_every_line_of_a_capture_is_taken_ignored_or_refused(lines: list[bytes]) -> None:
    tally = Tally()
    found = list(binance_capture.read(lines, resolve, tally))
    assert tally.read == len(lines) == tally.taken + tally.ignored + tally.refused
    assert len(found) == tally.taken
    for data in found:
        prices = (data.price, data.size) if isinstance(data, Trade) else (data.bid_size, data.ask_size)
        assert min(prices) >= 0


fields = st.text('0123456789.,-+eENaInf"\x00 ', max_size=12) | st.sampled_from(["1703545200000000000", "4800.25", "4"])


@given(st.lists(st.lists(fields, min_size=3, max_size=6).map(",".join)))
def test_every_row_of_a_tape_is_taken_ignored_or_refused(rows: list[str]) -> None:
    header = "ts_event_ns,bid,ask,bid_qty,ask_qty"
    lines = [text.encode() + b"\n" for text in (header, *rows)]
    tally = Tally()
    found = list(csv_tape.read(lines, "ESH4", resolve, tally))
    assert tally.read == len(lines) == tally.taken + tally.ignored + tally.refused
    assert len(found) == tally.taken


prints = st.lists(st.tuples(st.integers(0, 90_000_000), st.integers(1, 50), st.integers(1, 9)), min_size=1, max_size=40)


@given(prints, st.sampled_from([60, 120, 300, 3600]), st.integers(1, 10))
def test_bars_are_those_of_a_plain_loop(steps: list[tuple[int, int, int]], period_s: int, limit: int) -> None:
    series = BarSeries(10_000)
    buckets: dict[int, list[tuple[int, int]]] = defaultdict(list)
    at_us = START
    for step_us, price, size in steps:
        at_us += step_us
        series.add(price, size, at_us)
        buckets[at_us - at_us % (period_s * 1_000_000)].append((price, size))
    expected = [
        Bar(
            start,
            inside[0][0],
            max(price for price, _ in inside),
            min(price for price, _ in inside),
            inside[-1][0],
            sum(size for _, size in inside),
        )
        for start, inside in sorted(buckets.items())
    ]
    assert series.read(period_s=period_s, from_us=None, to_us=None, limit=1000) == expected
    assert series.read(period_s=period_s, from_us=None, to_us=None, limit=limit) == expected[-limit:]
    middle_us = expected[len(expected) // 2].start_us
    assert series.read(period_s=period_s, from_us=middle_us, to_us=None, limit=1000) == [
        bar for bar in expected if bar.start_us >= middle_us
    ]
    assert series.read(period_s=period_s, from_us=None, to_us=middle_us, limit=1000) == [
        bar for bar in expected if bar.start_us < middle_us
    ]


@st.composite
def markets(draw: st.DrawFn) -> list[MarketData]:
    at_us, found = START, list[MarketData]()
    for _ in range(draw(st.integers(1, 30))):
        at_us += draw(st.sampled_from([0, 1, 999_999, 300_000_000, 300_000_001, -1_000_000, -1_000_001, -5_000_000]))
        if draw(st.booleans()):
            bid, ask = draw(st.integers(1, 20)), draw(st.integers(1, 20))
            found.append(Quote(BTC, bid, ask, draw(st.integers(0, 2)), draw(st.integers(0, 2)), at_us, at_us))
        else:
            found.append(Trade(BTC, draw(st.integers(1, 20)), draw(st.integers(1, 5)), 1, at_us, at_us))
    return found


@given(markets())
def test_flags_are_those_of_the_rules(data: list[MarketData]) -> None:
    desk, heard = MarketDesk(CATALOG, ManualClock()), list[MarketData]()
    desk.listen(heard.append)
    newest: int | None = None
    expected = []
    for each in data:
        desk.on_market(each)
        flags = 0
        if newest is None or each.venue_time_us - newest > 300_000_000:
            flags |= Flag.GAP
        elif each.venue_time_us - newest < -1_000_000:
            flags |= Flag.STALE
        if isinstance(each, Quote) and each.bid > each.ask and each.bid_size and each.ask_size:
            flags |= Flag.CROSSED
        if not flags & Flag.STALE:
            newest = max(newest or 0, each.venue_time_us)
        expected.append(flags)
    assert [each.flags for each in heard] == expected
    assert desk.now_us() == newest
    said = desk.snapshot(BTC)
    assert said.gaps == sum(bool(flags & Flag.GAP) for flags in expected)
    if said.high is not None and said.low is not None and said.open is not None:
        assert said.low <= said.open <= said.high
    traded = [each.size for each in heard if isinstance(each, Trade) and not each.flags & Flag.STALE]
    assert said.volume <= sum(traded)


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(1_600_000_000, 2_000_000_000))
def test_a_walk_has_no_jumps(seed: int, at_s: int) -> None:
    values = [walk(seed, "a", at_s + second, deviation=1000) for second in range(20)]
    assert max(abs(after - before) for before, after in pairwise(values)) < 8000
    assert walk(seed, "a", at_s + 7, deviation=1000) == values[7]

"""The market desk: what is flagged, what is remembered, who is told, and which feed drives what."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gesta.desk.market.desk import MarketDesk
from gesta.desk.market.face import Bar, PushedQuote, PushedTrade
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.testing.fakes import ManualClock
from gesta.trading.catalog import Catalog
from gesta.trading.market import Flag, Listener, MarketData, Quote, Trade

SECOND = 1_000_000
MINUTE = 60 * SECOND
BTC, ES = "BTC-USDT", "ES 03-24"
# 15:00 UTC of a Tuesday: the futures' session is open.
START = int(datetime(2024, 1, 9, 15, tzinfo=UTC).timestamp()) * SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk(clock: ManualClock) -> MarketDesk:
    return MarketDesk(Catalog(), clock)


class Tape:
    """A feed whose data the test gives."""

    is_simulated = False

    def __init__(self, *names: str, name: str = "replay:tape", simulated: bool = False) -> None:
        self.name = name
        self.is_simulated = simulated
        self.is_over = False
        self.failed: Exception | None = None
        self.listener: Listener | None = None
        self.stops = 0
        self._names = names

    def instruments(self) -> tuple[str, ...]:
        return self._names

    async def start(self, listener: Listener) -> None:
        self.listener = listener

    async def stop(self) -> None:
        self.is_over = True
        self.stops += 1

    def give(self, *data: MarketData) -> None:
        assert self.listener is not None
        for each in data:
            self.listener(each)


def quote(
    at_us: int = START, bid: int = 100, ask: int = 101, name: str = BTC, sizes: tuple[int, int] = (5, 5)
) -> Quote:
    return Quote(name, bid, ask, *sizes, at_us, at_us)


def trade(price: int, at_us: int = START, size: int = 1, name: str = BTC) -> Trade:
    return Trade(name, price, size, 1, at_us, at_us)


def flags(desk: MarketDesk, *data: MarketData) -> list[int]:
    heard: list[MarketData] = []
    end = desk.listen(heard.append)
    for each in data:
        desk.on_market(each)
    end()
    return [each.flags for each in heard]


# -- judging


def test_the_first_and_the_first_after_a_hole_are_gaps(desk: MarketDesk) -> None:
    assert flags(desk, quote(), quote(START + 300 * SECOND), quote(START + 601 * SECOND)) == [Flag.GAP, 0, Flag.GAP]
    assert desk.snapshot(BTC).gaps == 2


def test_the_bound_of_a_gap_is_by_root(clock: ManualClock) -> None:
    desk = MarketDesk(Catalog(), clock, gap_s_of={"BTC-USDT": 10})
    assert flags(desk, quote(), quote(START + 11 * SECOND)) == [Flag.GAP, Flag.GAP]
    assert flags(desk, quote(name=ES), quote(START + 11 * SECOND, name=ES)) == [Flag.GAP, 0]


def test_a_crossed_book_is_flagged_and_makes_no_price(desk: MarketDesk) -> None:
    crossed, locked, one_sided = quote(bid=102), quote(bid=101), quote(bid=102, sizes=(5, 0))
    assert flags(desk, quote(), crossed, locked, one_sided) == [Flag.GAP, Flag.CROSSED, 0, 0]
    desk.on_market(crossed)
    said = desk.snapshot(BTC)
    assert said.is_stale
    assert said.high == 101


def test_data_from_before_is_stale_and_changes_nothing(desk: MarketDesk) -> None:
    late = quote(START - 2 * SECOND, bid=1, ask=2)
    assert flags(desk, quote(), quote(START - SECOND, bid=99), late) == [Flag.GAP, 0, Flag.STALE]
    said = desk.snapshot(BTC)
    assert said.quote is not None
    assert said.quote.bid == 99
    assert desk.now_us() == START
    assert said.low == 100


def test_what_is_in_order_is_passed_on_as_it_is(desk: MarketDesk) -> None:
    heard: list[MarketData] = []
    desk.on_market(quote())
    desk.listen(heard.append)
    given = quote(START + 1)
    desk.on_market(given)
    assert heard == [given]
    assert heard[0] is given


def test_flags_of_the_feed_stay(desk: MarketDesk) -> None:
    data = Quote(BTC, 100, 101, 5, 5, START, START, Flag.SIMULATED)
    assert flags(desk, data) == [Flag.SIMULATED | Flag.GAP]
    assert desk.snapshot(BTC).is_simulated


def test_an_unknown_instrument_is_refused(desk: MarketDesk) -> None:
    with pytest.raises(NotFound):
        desk.on_market(quote(name="NOPE"))
    with pytest.raises(NotFound):
        desk.snapshot("NOPE")


# -- remembering


def test_a_session_is_summed_up_from_trades_once_there_is_one(desk: MarketDesk) -> None:
    desk.on_market(quote(bid=90, ask=92))
    assert (desk.snapshot(BTC).open, desk.snapshot(BTC).volume) == (91, 0)
    for price, size in ((100, 2), (105, 1), (98, 4), (101, 3)):
        desk.on_market(trade(price, START + 1, size))
    desk.on_market(quote(START + 2, bid=200, ask=202))
    said = desk.snapshot(BTC)
    assert (said.open, said.high, said.low, said.volume, said.previous_close) == (100, 105, 98, 10, None)
    assert said.last == Decimal("1.01")


def test_a_new_session_begins_anew_and_knows_the_close(desk: MarketDesk) -> None:
    desk.on_market(trade(19200, name=ES, size=3))
    desk.on_market(trade(19210, START + 3600 * SECOND, name=ES))
    next_day = START + 12 * 3600 * SECOND
    desk.on_market(quote(next_day, 19300, 19301, name=ES))
    said = desk.snapshot(ES)
    assert (said.previous_close, said.open, said.high, said.volume) == (19210, None, None, 0)
    desk.on_market(trade(19305, next_day + 1, name=ES, size=2))
    said = desk.snapshot(ES)
    assert (said.previous_close, said.open, said.low, said.volume) == (19210, 19305, 19305, 2)


def test_minutes_are_kept_and_joined(desk: MarketDesk) -> None:
    for minute, prices in enumerate([(10, 12), (11, 9), (20, 21), (7, 8)]):
        for second, price in enumerate(prices):
            desk.on_market(trade(price, START + minute * MINUTE + second * SECOND, size=2))
    instrument = desk.instrument(BTC)

    def bars(period_s: int, from_us: int | None = None, to_us: int | None = None, limit: int = 10) -> list[Bar]:
        return desk.bars(instrument, period_s=period_s, from_us=from_us, to_us=to_us, limit=limit)

    minutes = bars(60)
    assert minutes[0] == Bar(START, 10, 12, 10, 12, 4)
    assert [bar.close for bar in minutes] == [12, 9, 21, 8]
    assert bars(120) == [Bar(START, 10, 12, 9, 9, 8), Bar(START + 2 * MINUTE, 20, 21, 7, 8, 8)]
    assert bars(60, limit=2) == minutes[2:]
    assert bars(60, from_us=START + MINUTE, to_us=START + 3 * MINUTE) == minutes[1:3]
    assert bars(120, from_us=START + 1) == bars(120)[1:]
    for wrong in (0, 59, 90, -60, 10**9):
        with pytest.raises(InvalidInput):
            bars(wrong)
    with pytest.raises(NotFound):
        desk.bars(desk.instrument("ETH-USDT"), period_s=60, from_us=None, to_us=None, limit=1)


def test_bars_of_middles_give_way_to_trades(desk: MarketDesk) -> None:
    desk.on_market(quote(START, 10, 20))
    desk.on_market(quote(START + MINUTE, 30, 40))
    desk.on_market(trade(50, START + MINUTE + SECOND, size=3))
    desk.on_market(quote(START + 2 * MINUTE, 1, 2))
    found = desk.bars(desk.instrument(BTC), period_s=60, from_us=None, to_us=None, limit=9)
    assert found == [Bar(START, 15, 15, 15, 15, 0), Bar(START + MINUTE, 50, 50, 50, 50, 3)]


def test_only_so_many_bars_are_kept(clock: ManualClock) -> None:
    desk = MarketDesk(Catalog(), clock, bars_kept=3)
    for minute in range(10):
        desk.on_market(trade(100 + minute, START + minute * MINUTE))
    found = desk.bars(desk.instrument(BTC), period_s=60, from_us=None, to_us=None, limit=99)
    assert [bar.close for bar in found] == [106, 107, 108, 109]


# -- names and times


def test_names_mean_what_the_market_says(desk: MarketDesk, clock: ManualClock) -> None:
    now = desk.resolve("ES").name
    assert now != ES
    desk.on_market(quote(name=ES))
    assert desk.resolve("ES").name == desk.resolve("ESH4").name == ES
    assert desk.resolve("NQ").name == "NQ 03-24"
    assert desk.is_open(desk.instrument(ES))
    desk.on_market(quote(clock.now_us()))
    # A root that is driven goes by its own time, another by the newest.
    assert desk.resolve("ES").name == ES
    assert desk.resolve("NQ").name == now.replace("ES", "NQ")
    assert desk.now_us() == clock.now_us()
    assert desk.now_us(desk.instrument(ES)) == desk.now_us(desk.instrument("ES 06-24")) == START
    with pytest.raises(InvalidInput):
        desk.resolve("NOPE")


def test_without_data_the_clock_counts(desk: MarketDesk, clock: ManualClock) -> None:
    assert desk.now_us() == clock.now_us()
    said = desk.snapshot(ES)
    assert (said.quote, said.is_stale, said.source, said.last) == (None, False, "", None)
    assert desk.instruments() == []


# -- who is told


def test_a_listener_that_raises_is_told_of_and_stops_nobody(desk: MarketDesk, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[MarketData] = []

    def deaf(data: MarketData) -> None:
        raise ValueError("cannot hear")

    desk.listen(deaf)
    desk.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        desk.on_market(quote())
        desk.on_market(quote(START + 1))
    assert len(heard) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert isinstance(desk.failure, ValueError)


async def test_the_supervisor_hears_of_a_listener_that_raised(desk: MarketDesk) -> None:
    await desk.check()

    def deaf(data: MarketData) -> None:
        raise ValueError("cannot hear")

    desk.listen(deaf)
    desk.on_market(quote())
    with pytest.raises(ValueError, match="cannot hear"):
        await desk.check()


def test_listeners_are_called_in_order_until_they_end(desk: MarketDesk) -> None:
    calls: list[str] = []
    end = desk.listen(lambda data: calls.append("first"))
    desk.listen(lambda data: calls.append("second"))
    desk.on_market(quote())
    end()
    end()
    desk.on_market(quote(START + 1))
    assert calls == ["first", "second", "second"]


# -- feeds


async def test_a_feed_drives_its_instruments_until_another_does(desk: MarketDesk) -> None:
    heard: list[MarketData] = []
    desk.listen(heard.append)
    old, new = Tape(BTC, "ETH-USDT", name="simulated", simulated=True), Tape(BTC)
    await desk.start_feed(old)
    await desk.start_feed(old)
    old.give(quote(START + 10), quote(START + 10, name="ETH-USDT"))
    assert desk.snapshot(BTC).source == "simulated"
    assert desk.is_open(desk.instrument(BTC))
    await desk.start_feed(new)
    # What the old one says of what it lost is not heard, and the past of another market is no past.
    old.give(quote(START + 20, bid=1), quote(START + 20, name="ETH-USDT"))
    new.give(quote(START - 3600 * SECOND, bid=70, ask=71))
    assert [(data.instrument, data.flags) for data in heard] == [
        (BTC, Flag.GAP),
        ("ETH-USDT", Flag.GAP),
        ("ETH-USDT", 0),
        (BTC, Flag.GAP),
    ]
    assert desk.snapshot(BTC).source == "replay:tape"
    assert old.stops == 0
    await desk.start_feed(Tape("ETH-USDT", name="other"))
    assert old.stops == 1
    await desk.stop()
    assert desk.feeds() == ()
    assert new.stops == 1


async def test_a_feed_may_bring_what_it_did_not_announce(desk: MarketDesk) -> None:
    first, second = Tape(BTC), Tape("ETH-USDT", name="second")
    await desk.start_feed(first)
    await desk.start_feed(second)
    first.give(quote(name="SOL-USDT"), quote(name="ETH-USDT"))
    assert [each.name for each in desk.instruments()] == ["SOL-USDT"]


async def test_a_feed_that_ended_or_is_silent_is_stale(desk: MarketDesk, clock: ManualClock) -> None:
    tape = Tape(BTC)
    await desk.start_feed(tape)
    assert not desk.snapshot(BTC).is_stale
    tape.give(Quote(BTC, 100, 101, 5, 5, START, clock.now_us()))
    assert not desk.snapshot(BTC).is_stale
    clock.advance_us(61 * SECOND)
    assert desk.snapshot(BTC).is_stale
    tape.give(Quote(BTC, 100, 101, 5, 5, START + 1, clock.now_us()))
    assert not desk.snapshot(BTC).is_stale
    tape.is_over = True
    assert desk.snapshot(BTC).is_stale


async def test_a_feed_that_cannot_start_drives_nothing(desk: MarketDesk) -> None:
    class Broken(Tape):
        async def start(self, listener: Listener) -> None:
            raise OSError("no line")

    with pytest.raises(OSError, match="no line"):
        await desk.start_feed(Broken(BTC))
    assert desk.feeds() == ()
    assert desk.snapshot(BTC).source == ""


# -- pushed


def pushed(
    name: str = BTC, bid: str = "100.01", ask: str = "100.02", size: str = "1", time_us: int = START
) -> PushedQuote:
    return PushedQuote(
        instrument=name,
        bid=Decimal(bid),
        ask=Decimal(ask),
        bid_size=Decimal(size),
        ask_size=Decimal(size),
        time_us=time_us,
    )


async def test_pushed_rows_have_an_outcome_each(desk: MarketDesk, clock: ManualClock) -> None:
    rows = [
        pushed(),
        pushed("ESH4", "4800.25", "4800.50"),
        PushedTrade(instrument="ES", price=Decimal(4801), size=Decimal(2), aggressor=-1, time_us=START + 1),
        pushed("ES", "4800.30"),
        pushed("NOPE"),
        pushed(size="-1"),
        pushed(bid="-0.01"),
        pushed(bid="NaN"),
        pushed(size="sNaN"),
        pushed(bid="1e30"),
        pushed(time_us=clock.now_us() + 2 * 86_400 * SECOND),
        PushedQuote(instrument=BTC, bid=None, ask=Decimal(1), bid_size=Decimal(1), ask_size=Decimal(1)),
        PushedTrade(instrument=BTC, price=Decimal(1), size=Decimal(0), time_us=START),
    ]
    outcomes = await desk.push(rows)
    assert outcomes[:3] == [None] * 3
    assert [getattr(each, "field", None) for each in outcomes[3:]] == [
        *("bid", "instrument", "bid_size", "bid", "bid", "bid_size", "bid", "time", "bid", "size")
    ]
    said = desk.snapshot(ES)
    assert (said.source, said.last, said.is_simulated) == ("push", Decimal(4801), False)
    assert said.bid == Decimal("4800.25")
    empty = PushedQuote(instrument=BTC, bid=None, ask=None, bid_size=Decimal(0), ask_size=Decimal(0))
    assert await desk.push([empty]) == [None]
    said = desk.snapshot(BTC)
    assert (said.bid, said.ask) == (None, None)
    assert said.quote is not None
    assert said.quote.venue_time_us == clock.now_us()


async def test_what_is_pushed_takes_over_from_a_simulation_only(desk: MarketDesk) -> None:
    simulated, tape = Tape(BTC, name="simulated", simulated=True), Tape("ETH-USDT")
    await desk.start_feed(simulated)
    await desk.start_feed(tape)
    taken, refused = await desk.push([pushed(), pushed("ETH-USDT")])
    assert taken is None
    assert isinstance(refused, Conflict)
    assert simulated.stops == 1
    assert desk.snapshot(BTC).source == "push"
    tape.is_over = True
    assert await desk.push([pushed("ETH-USDT")]) == [None]
    await desk.stop()
    assert await desk.push([pushed(time_us=START + 5)]) == [None]
    assert desk.now_us(desk.instrument(BTC)) == START + 5


async def test_a_recording_is_pushed_again(desk: MarketDesk) -> None:
    heard: list[MarketData] = []
    desk.listen(heard.append)
    later = START + 60 * SECOND
    await desk.push([pushed(), pushed(time_us=later)], restart=frozenset({BTC}))
    await desk.push([pushed()])
    await desk.push([pushed(), pushed(time_us=later)], restart=frozenset({BTC}))
    assert [data.flags for data in heard] == [Flag.GAP, 0, Flag.STALE, Flag.GAP, 0]

"""The simulated market: the same seed tells the same, and what it tells is a market."""

from __future__ import annotations

import asyncio
from itertools import islice, pairwise

import pytest

from gesta.testing.fakes import ManualClock
from gesta.trading.catalog import Catalog
from gesta.trading.market import Flag, MarketData, Quote, Trade
from gesta.venues.market_data.noise import Chance
from gesta.venues.market_data.simulated import NAMES, SimulatedFeed, simulate

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
CATALOG = Catalog()


def told(name: str, seed: int = 1, start_us: int = NOW, count: int = 5000) -> list[MarketData]:
    return list(islice(simulate(CATALOG.resolve(name, NOW), seed, start_us=start_us), count))


@pytest.mark.parametrize("name", [*NAMES, "CL", "SOL-USDT-PERP"])
def test_a_plausible_market(name: str) -> None:
    data = told(name)
    quotes = [each for each in data if isinstance(each, Quote)]
    trades = [each for each in data if isinstance(each, Trade)]
    times = [each.venue_time_us for each in data]
    assert times == sorted(times)
    assert times[0] == NOW
    assert {each.flags for each in data} == {Flag.SIMULATED}
    assert all(quote.bid < quote.ask and min(quote.bid, quote.bid_size, quote.ask_size) > 0 for quote in quotes)
    narrow = sum(quote.ask - quote.bid == 1 for quote in quotes)
    assert narrow / len(quotes) > 0.85
    rate = len(quotes) / ((times[-1] - times[0]) / 1e6)
    assert 9 < rate < 11
    assert len(trades) > len(quotes) / 5
    # The market moves, both ways, and by less than a twentieth within minutes.
    moves = [after.bid - before.bid for before, after in pairwise(quotes)]
    assert min(moves) < 0 < max(moves)
    assert max(quote.bid for quote in quotes) < 1.05 * min(quote.bid for quote in quotes)


def test_trades_print_at_what_was_quoted_and_no_more_than_that() -> None:
    book: Quote | None = None
    for each in told("ES"):
        if isinstance(each, Quote):
            book = each
        else:
            assert book is not None
            price, size = (book.ask, book.ask_size) if each.aggressor > 0 else (book.bid, book.bid_size)
            assert each.price == price
            assert 0 < each.size <= max(size, 1)


def test_the_same_seed_tells_the_same() -> None:
    assert told("ES", seed=5) == told("ES", seed=5)
    assert told("ES", seed=5) != told("ES", seed=6)
    assert told("ES", seed=5) != told("NQ", seed=5)


def test_a_market_started_again_goes_on_where_it_is() -> None:
    earlier = [each for each in told("ES", count=60_000) if isinstance(each, Quote)]
    later = told("ES", start_us=earlier[-1].venue_time_us)[0]
    assert isinstance(later, Quote)
    assert abs(later.bid - earlier[-1].bid) <= 4


@pytest.mark.parametrize("pair", ["BTC-USDT", "ETH-USDT"])
def test_a_perpetual_is_near_its_spot_pair_now_above_and_now_below(pair: str) -> None:
    """Over six hours: by more than 0.02 percent to either side, and never by as much as 0.2 percent."""
    parts = []
    for minute in range(360):
        at_us = NOW + minute * 60_000_000
        prices = []
        for name in (pair, f"{pair}-PERP"):
            (quote,) = told(name, start_us=at_us, count=1)
            assert isinstance(quote, Quote)
            prices.append(CATALOG.resolve(name, NOW).price(quote.bid))
        parts.append(float(prices[1] / prices[0] - 1))
    assert min(parts) < -0.0002 < 0.0002 < max(parts)
    assert max(map(abs, parts)) < 0.002
    assert told(f"{pair}-PERP", seed=4, count=100) == told(f"{pair}-PERP", seed=4, count=100)


def test_chance_is_even_and_bounded() -> None:
    chance = Chance(1, "a")
    drawn = [chance.below(10) for _ in range(20_000)]
    assert all(1800 < drawn.count(value) < 2200 for value in range(10))
    normal = [chance.gauss(1000) for _ in range(20_000)]
    assert abs(sum(normal) / len(normal)) < 30
    assert 900 < (sum(value * value for value in normal) / len(normal)) ** 0.5 < 1100
    assert Chance(1, "a").word() == Chance(1, "a").word() != Chance(1, "b").word()


class Ear:
    def __init__(self) -> None:
        self.heard: list[MarketData] = []
        self.came = asyncio.Event()

    def __call__(self, data: MarketData) -> None:
        self.heard.append(data)
        self.came.set()


async def next_heard(ear: Ear) -> None:
    ear.came.clear()
    async with asyncio.timeout(5):
        await ear.came.wait()


async def test_the_feed_keeps_pace_with_the_clock() -> None:
    clock, ear = ManualClock(NOW), Ear()
    feed = SimulatedFeed(CATALOG, clock, seed=1, quotes_per_s=10)
    pairs = {"BTC-USDT", "ETH-USDT", "BTC-USDT-PERP", "ETH-USDT-PERP"}
    assert set(feed.instruments()) == {"ES 12-26", "NQ 12-26"} | pairs
    await feed.start(ear)
    await feed.start(ear)
    await next_heard(ear)
    assert len(ear.heard) == 6
    clock.advance_us(2_000_000)
    await next_heard(ear)
    assert len(ear.heard) > 90
    assert all(each.venue_time_us <= clock.now_us() == each.received_at_us for each in ear.heard[6:])
    # After an hour's sleep it goes on now, and does not catch up.
    before = len(ear.heard)
    clock.advance_us(HOUR)
    await next_heard(ear)
    assert [each.venue_time_us for each in ear.heard[before:]] == [clock.now_us()] * 6
    await feed.stop()
    await feed.stop()
    assert feed.is_over
    assert feed.failed is None


async def test_contracts_roll_and_expire() -> None:
    clock = ManualClock(NOW)
    feed = SimulatedFeed(CATALOG, clock, seed=1, names=("ES",))
    assert feed.instruments() == ("ES 12-26",)
    december_11th = 1_796_947_200_000_000
    clock.advance_us(december_11th - NOW)
    assert feed.instruments() == ("ES 12-26", "ES 03-27")
    clock.advance_us(14 * 24 * HOUR)
    assert feed.instruments() == ("ES 03-27",)


async def test_a_listener_that_raises_ends_the_feed_and_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    raised = asyncio.Event()

    def deaf(data: MarketData) -> None:
        raised.set()
        raise ValueError("cannot hear")

    feed = SimulatedFeed(CATALOG, ManualClock(NOW), seed=1, names=("ES",))
    await feed.start(deaf)
    async with asyncio.timeout(5):
        await raised.wait()
    assert isinstance(feed.failed, ValueError)
    assert feed.is_over
    assert caplog.records[-1].levelname == "ERROR"
    await feed.stop()

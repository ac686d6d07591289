"""Replaying: order, pace, politeness to the event loop, and how it ends."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from gesta.kernel.clock import SystemClock
from gesta.trading.market import MarketData, Quote
from gesta.venues.market_data.push import PushFeed
from gesta.venues.market_data.replay import Progress, ReplayFeed
from gesta.venues.market_data.tapes import Tapes
from tests.unit.venues.market_data.samples import (
    PERPETUAL_QUOTE,
    QUOTES_CSV,
    TRADES_CSV,
    capture,
    resolve,
    write,
)


def spread_out(count: int) -> bytes:
    """A perpetual's quotes, ten milliseconds apart."""
    return capture(
        PERPETUAL_QUOTE.replace(b'"T":1723161256313', b'"T":%d' % (1_723_161_256_313 + 10 * place))
        for place in range(count)
    )


def feed_of(path: str, speed: float | None, **more: object) -> ReplayFeed:
    return ReplayFeed(Tapes([path], resolve), SystemClock(), speed=speed, **more)  # type: ignore[arg-type]


async def over(feed: ReplayFeed) -> None:
    async with asyncio.timeout(20):
        await feed.wait()


async def test_at_full_speed_everything_comes_in_order_received_now(tmp_path: Path) -> None:
    tapes = Tapes(
        [write(tmp_path, "ESH4_q.csv", QUOTES_CSV), write(tmp_path, "ESH4_t.csv", TRADES_CSV)],
        resolve,
    )
    clock, heard, told = SystemClock(), list[MarketData](), list[Progress]()
    begun_us = clock.now_us()
    feed = ReplayFeed(tapes, clock, speed=None, progress=told.append)
    assert feed.instruments() == ("ES 03-24",)
    assert feed.name == "replay:ESH4_q.csv and 1 more"
    await feed.start(heard.append)
    await over(feed)
    assert [data.venue_time_us for data in heard] == sorted(data.venue_time_us for data in heard)
    # The last one says that nobody bids or offers any more.
    assert len(heard) == 7
    assert isinstance(heard[-1], Quote)
    assert (heard[-1].bid_size, heard[-1].ask_size) == (0, 0)
    assert all(begun_us <= data.received_at_us <= clock.now_us() for data in heard)
    last = told[-1]
    assert (last.taken, last.refused, last.is_over) == (6, 0, True)
    assert last.position == last.size_bytes
    assert last.times_real > 1
    assert feed.failed is None
    await feed.stop()


async def test_it_gives_the_loop_back_and_waits_for_the_pause(tmp_path: Path) -> None:
    gate, reached, pauses = asyncio.Event(), asyncio.Event(), 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            reached.set()
            await gate.wait()
        await asyncio.sleep(0)

    heard: list[MarketData] = []
    feed = feed_of(write(tmp_path, "a.gz", spread_out(30_000)), None, pause=pause)
    await feed.start(heard.append)
    async with asyncio.timeout(20):
        await reached.wait()
    held = len(heard)
    assert 0 < held < 30_000
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(heard) == held
    gate.set()
    await over(feed)
    assert len(heard) == 30_001
    assert pauses > 10


async def test_a_pace_is_kept(tmp_path: Path) -> None:
    heard: list[MarketData] = []
    clock = SystemClock()
    # 0.99 seconds of market at ten times real time.
    feed = feed_of(write(tmp_path, "a", spread_out(100)), 10.0)
    begun_s = clock.monotonic_s()
    await feed.start(heard.append)
    await over(feed)
    assert clock.monotonic_s() - begun_s >= 0.095
    assert len(heard) == 101
    assert heard[-1].received_at_us - heard[0].received_at_us >= 90_000
    assert feed.progress().times_real <= 10.5


async def test_stopping_ends_it_at_once_and_for_good(tmp_path: Path) -> None:
    heard: list[MarketData] = []
    begun = asyncio.Event()

    def hear(data: MarketData) -> None:
        heard.append(data)
        begun.set()

    feed = feed_of(write(tmp_path, "a", spread_out(100)), 0.001)
    await feed.start(hear)
    await feed.start(hear)
    async with asyncio.timeout(20):
        await begun.wait()
    await feed.stop()
    await feed.stop()
    assert feed.is_over
    count = len(heard)
    await feed.start(heard.append)
    await asyncio.sleep(0)
    assert len(heard) == count < 100
    unstarted = feed_of(write(tmp_path, "b", spread_out(2)), None)
    await unstarted.stop()
    assert unstarted.is_over


async def test_a_recording_that_breaks_off_ends_with_what_broke(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = gzip.compress(spread_out(5000))
    path = tmp_path / "broken.gz"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    heard: list[MarketData] = []
    feed = feed_of(str(path), None)
    await feed.start(heard.append)
    await over(feed)
    assert "cannot be read to its end" in str(feed.failed)
    assert len(heard) > 500
    assert any(record.levelname == "ERROR" for record in caplog.records)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), 1e9])
def test_speeds_that_mean_nothing(tmp_path: Path, speed: float) -> None:
    path = write(tmp_path, "a", spread_out(1))
    with pytest.raises(ValueError, match="speed"):
        feed_of(path, speed)


async def test_what_is_pushed_is_passed_on_between_start_and_stop(tmp_path: Path) -> None:
    heard: list[MarketData] = []
    tapes = Tapes([write(tmp_path, "a", spread_out(2))], resolve)
    first, second = tapes.read()
    feed = PushFeed()
    assert feed.is_over
    await feed.start(heard.append)
    feed.push(first)
    assert feed.instruments() == ("BTC-USDT-PERP",)
    await feed.stop()
    feed.push(second)
    assert heard == [first]
    assert feed.is_over

"""Recorded market data, replayed: at its own pace, at a multiple of it, or as fast as it is taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from gesta.kernel.clock import Clock
from gesta.trading.market import Listener, MarketData, Quote
from gesta.venues.market_data.tally import Problem
from gesta.venues.market_data.tapes import Tapes

log = logging.getLogger("gesta.market")

# At full speed the event loop is given back after this long; the clock is looked at every few pieces of data.
_TURN_S = 0.002
_LOOK_EVERY = 16
# A paced replay gathers what falls due within this long, and never sleeps longer than the other.
_GATHER_S = 0.005
_LONGEST_SLEEP_S = 1.0
_PROGRESS_S = 0.2
MAX_SPEED = 1_000_000.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay is. Bytes are of the files on disk; `times_real` is venue time passed over time taken."""

    position: int
    size_bytes: int
    taken: int
    refused: int
    venue_time_us: int
    elapsed_s: float
    times_real: float
    is_over: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def rate_per_s(self) -> float:
        return self.taken / self.elapsed_s if self.elapsed_s > 0 else 0.0


async def turn() -> None:
    """Let the event loop turn once: the pause of a consumer that needs none."""
    await asyncio.sleep(0)


class ReplayFeed:
    """Implements `trading.market.Feed`. `speed` is a multiple of real time, None is as fast as it goes.

    Data keeps its venue time and is received now. `pause` is awaited between batches, so that a consumer can slow the
    replay down. When the recording ends, the feed is over: its data goes stale. A recording that breaks off ends it
    too, with `failed` set; `wait` returns when it is over.
    """

    is_simulated = False

    def __init__(
        self,
        tapes: Tapes,
        clock: Clock,
        *,
        speed: float | None = 1.0,
        progress: Callable[[Progress], None] | None = None,
        pause: Callable[[], Awaitable[None]] = turn,
    ) -> None:
        if speed is not None and not 0 < speed <= MAX_SPEED:
            raise ValueError(f"speed must be above 0 and at most {MAX_SPEED:.0f}, or None")
        self.name = f"replay:{tapes.name}"
        self.begins_at_us = tapes.begins_at_us
        self._names = tapes.instruments
        self._tapes = tapes
        self._clock = clock
        self._speed = speed
        self._progress = progress
        self._pause = pause
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._started_s = self._told_s = clock.monotonic_s()
        self._given = 0
        self._at_us = self.begins_at_us
        self.failed: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def instruments(self) -> tuple[str, ...]:
        return self._names

    async def start(self, listener: Listener) -> None:
        if self._task is None and not self.is_over:
            self._started_s = self._told_s = self._clock.monotonic_s()
            self._task = asyncio.create_task(self._run(listener), name=self.name)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tapes.close()
        self._over.set()

    async def wait(self) -> None:
        """Until the feed is over."""
        await self._over.wait()

    def progress(self) -> Progress:
        tally, tapes = self._tapes.tally, self._tapes
        elapsed_s = self._clock.monotonic_s() - self._started_s
        passed_s = (self._at_us - self.begins_at_us) / 1_000_000
        return Progress(
            position=tapes.position,
            size_bytes=tapes.size_bytes,
            taken=self._given,
            refused=tally.refused,
            venue_time_us=self._at_us,
            elapsed_s=elapsed_s,
            times_real=passed_s / elapsed_s if elapsed_s > 0 else 0.0,
            is_over=self.is_over,
            problems=tuple(tally.problems),
        )

    async def _run(self, listener: Listener) -> None:
        try:
            await (self._at_full_speed(listener) if self._speed is None else self._paced(listener, self._speed))
        except Exception as error:
            self.failed = error
            log.error("%s broke off", self.name, exc_info=error)
        finally:
            self._tapes.close()
            self._over.set()
        self._empty(listener)
        told = self.progress()
        log.info(
            "%s is over: %d quotes and trades, %d lines refused, %.0f times real time; its data is stale from now on",
            self.name,
            told.taken,
            told.refused,
            told.times_real,
        )
        self._tell(told)

    def _empty(self, listener: Listener) -> None:
        """Nobody bids or offers any more: nothing may be filled at the last price of a recording that has ended."""
        now_us = self._clock.now_us()
        for name in self.instruments():
            listener(Quote(name, 0, 0, 0, 0, self._at_us, now_us))

    def _tell(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress)

    async def _breathe(self) -> None:
        await self._pause()
        now_s = self._clock.monotonic_s()
        if self._progress is not None and now_s - self._told_s >= _PROGRESS_S:
            self._told_s = now_s
            self._tell(self.progress())
        self._tapes.tally.received_at_us = self._clock.now_us()

    async def _at_full_speed(self, listener: Listener) -> None:
        clock = self._clock
        await self._breathe()
        ends_s = clock.monotonic_s() + _TURN_S
        left = _LOOK_EVERY
        received_at_us = clock.now_us()
        for data in self._tapes.read():
            if data.received_at_us < received_at_us:
                # Decoded before its turn came, because another file was first.
                data = received(data, received_at_us)
            listener(data)
            self._given += 1
            self._at_us = data.venue_time_us
            left -= 1
            if not left:
                left = _LOOK_EVERY
                if clock.monotonic_s() >= ends_s:
                    await self._breathe()
                    received_at_us = self._tapes.tally.received_at_us
                    ends_s = clock.monotonic_s() + _TURN_S

    async def _paced(self, listener: Listener, speed: float) -> None:
        clock, begins_us = self._clock, self.begins_at_us
        started_s = ends_s = clock.monotonic_s()
        left = _LOOK_EVERY
        due_us = begins_us
        for data in self._tapes.read():
            if data.venue_time_us > due_us:
                while True:
                    wait_s = (data.venue_time_us - begins_us) / 1e6 / speed - (clock.monotonic_s() - started_s)
                    if wait_s <= 0:
                        break
                    await asyncio.sleep(min(max(wait_s, _GATHER_S), _LONGEST_SLEEP_S))
                    await self._breathe()
                now_s = clock.monotonic_s()
                due_us = begins_us + round((now_s - started_s) * speed * 1e6)
            left -= 1
            if not left:
                left = _LOOK_EVERY
                if clock.monotonic_s() >= ends_s:
                    await self._breathe()
                    ends_s = clock.monotonic_s() + _TURN_S
            listener(received(data, clock.now_us()))
            self._given += 1
            self._at_us = data.venue_time_us


def received(data: MarketData, at_us: int) -> MarketData:
    """The same data, received now."""
    return data if data.received_at_us == at_us else msgspec.structs.replace(data, received_at_us=at_us)

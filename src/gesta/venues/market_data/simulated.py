"""A market that is made up: seeded, plausible, and named simulated wherever it is shown.

Prices follow a random walk that is a function of the seed and of time, so that a server started again goes on where
the market is, and two servers of one seed see the same one. Around it stands a book of one level each side: mostly one
tick wide, sizes that come and go, prints at the bid and the ask that eat into it and move it. A perpetual follows its
coin's walk with a small basis, which comes and goes within minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import isqrt

import msgspec

from gesta.kernel.clock import Clock
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Flag, Listener, MarketData, Quote, Trade
from gesta.venues.market_data.noise import Chance, walk

log = logging.getLogger("gesta.market")

NAMES = ("ES", "NQ", "BTC-USDT", "ETH-USDT", "BTC-USDT-PERP", "ETH-USDT-PERP")
QUOTES_PER_S = 10.0
_SECOND_US = 1_000_000
# Latent prices are kept in thousandths of a tick.
_FRACTION = 1000
_SIMULATED = Flag.SIMULATED.value
# The basis of a perpetual: its standard deviation, a part of the price; drawn anew so often, and gliding in between.
_BASIS_PART = Decimal("0.00025")
_BASIS_S = 20
_PERPETUAL = frozenset({InstrumentKind.LINEAR_PERPETUAL, InstrumentKind.INVERSE_PERPETUAL})
# How often the feed wakes, and how late it may be before it leaves out what it missed.
_TURN_S = 0.05
_LATE_US = 5 * _SECOND_US
_ROLL_CHECK_US = 60 * _SECOND_US


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """How one root moves: `deviation` is of one second's step, in points of price; `typical` the size at the best."""

    walk_name: str
    base: Decimal
    deviation: Decimal
    typical: Decimal


_ES = Model(walk_name="s&p", base=Decimal(6900), deviation=Decimal("0.25"), typical=Decimal(12))
_NQ = Model(walk_name="nasdaq", base=Decimal(25_000), deviation=Decimal("1.125"), typical=Decimal(3))
_BTC = Model(walk_name="btc", base=Decimal(95_000), deviation=Decimal(8), typical=Decimal("0.8"))
_ETH = Model(walk_name="eth", base=Decimal(3_500), deviation=Decimal("0.38"), typical=Decimal(6))
MODELS = {
    "ES": _ES,
    "MES": msgspec.structs.replace(_ES, typical=Decimal(25)),
    "NQ": _NQ,
    "MNQ": msgspec.structs.replace(_NQ, typical=Decimal(10)),
    "BTC": _BTC,
    "ETH": _ETH,
}


def model_of(instrument: Instrument) -> Model:
    """The model of its root, or of its coin; a plain one of a thousand ticks where there is none."""
    for name in (instrument.root, instrument.root.partition("-")[0]):
        if name in MODELS:
            return MODELS[name]
    return Model(
        walk_name=instrument.root.casefold(),
        base=10_000 * instrument.tick_size,
        deviation=instrument.tick_size,
        typical=10 * instrument.lot_size,
    )


class _Path:
    """The latent price, in thousandths of a tick, at any microsecond."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        model = model_of(instrument)
        self._seed = seed
        self._name = model.walk_name
        self._base = round(model.base / instrument.tick_size) * _FRACTION
        self.deviation = max(1, round(model.deviation / instrument.tick_size * _FRACTION))
        self._basis = round(self._base * _BASIS_PART) if instrument.kind in _PERPETUAL else 0
        self._second = -1
        self._from = self._to = 0

    def _pin(self, second: int) -> int:
        spot = self._base + walk(self._seed, self._name, second, deviation=self.deviation)
        return max(_FRACTION, spot + self._basis_at(second))

    def _basis_at(self, second: int) -> int:
        if not self._basis:
            return 0
        knot, rest = divmod(second, _BASIS_S)
        low, high = (Chance(self._seed, self._name, "basis", at).gauss(self._basis) for at in (knot, knot + 1))
        return low + (high - low) * rest // _BASIS_S

    def at(self, at_us: int) -> int:
        second, rest = divmod(at_us, _SECOND_US)
        if second != self._second:
            self._from = self._to if second == self._second + 1 else self._pin(second)
            self._to = self._pin(second + 1)
            self._second = second
        return self._from + (self._to - self._from) * rest // _SECOND_US


def simulate(
    instrument: Instrument, seed: int, *, start_us: int, quotes_per_s: float = QUOTES_PER_S
) -> Iterator[MarketData]:
    """Quotes and trades of one instrument from a moment on, without end, in order of venue time. Pure: the same
    arguments give the same data. Received when they happen."""
    path = _Path(instrument, seed)
    chance = Chance(seed, instrument.name, start_us)
    typical = max(1, int(model_of(instrument).typical / instrument.lot_size))
    interval_us = max(1000, round(_SECOND_US / quotes_per_s))
    name, at_us = instrument.name, start_us
    bid = max(1, path.at(at_us) // _FRACTION)
    ask, bid_size, ask_size = bid + 1, chance.size(typical), chance.size(typical)
    yield Quote(name, bid, ask, bid_size, ask_size, at_us, at_us, _SIMULATED)
    while True:
        step_us = interval_us // 5 + chance.below(interval_us * 8 // 5)
        at_us += step_us
        latent = path.at(at_us) + chance.gauss(path.deviation * isqrt(step_us) // 2000)
        if latent >= ask * _FRACTION or latent < bid * _FRACTION:
            # The market moves: what stood at the best is taken, then the book stands around the new price.
            aggressor = 1 if latent >= ask * _FRACTION else -1
            price, size = (ask, ask_size) if aggressor > 0 else (bid, bid_size)
            yield Trade(name, price, size, aggressor, at_us, at_us, _SIMULATED)
            bid = max(1, latent // _FRACTION)
            ask = bid + (2 if chance.below(12) == 0 else 1)
            bid_size, ask_size = chance.size(typical), chance.size(typical)
        elif chance.below(10) < 3:
            # A print that the book bears; its side is that to which the price leans.
            leans_up = latent - bid * _FRACTION > (ask - bid) * _FRACTION // 2
            aggressor = 1 if leans_up == (chance.below(4) > 0) else -1
            displayed = ask_size if aggressor > 0 else bid_size
            size = 1 + chance.below(max(1, displayed // 2))
            yield Trade(name, ask if aggressor > 0 else bid, size, aggressor, at_us, at_us, _SIMULATED)
            if aggressor > 0:
                ask_size = max(1, ask_size - size)
            else:
                bid_size = max(1, bid_size - size)
        elif ask - bid > 1:
            # A gap of two ticks closes from one side or the other.
            if chance.below(2):
                bid, bid_size = ask - 1, chance.size(typical)
            else:
                ask, ask_size = bid + 1, chance.size(typical)
        elif chance.below(2):
            bid_size = chance.size(typical)
        else:
            ask_size = chance.size(typical)
        yield Quote(name, bid, ask, bid_size, ask_size, at_us, at_us, _SIMULATED)


class _Stream:
    """One instrument's simulation, one step ahead."""

    def __init__(self, instrument: Instrument, seed: int, start_us: int, quotes_per_s: float) -> None:
        self.instrument = instrument
        self._data = simulate(instrument, seed, start_us=start_us, quotes_per_s=quotes_per_s)
        self._next = next(self._data)

    @property
    def due_us(self) -> int:
        return self._next.venue_time_us

    def until(self, now_us: int) -> Iterator[MarketData]:
        while self._next.venue_time_us <= now_us:
            data, self._next = self._next, next(self._data)
            yield data


class SimulatedFeed:
    """The simulated market in real time. Implements `trading.market.Feed`; `names` are resolved by the clock.

    A future's next contract is added when its root rolls to it, and an expired one ends. After a pause of the process
    of more than five seconds, what would have happened meanwhile is left out.
    """

    name = "simulated"
    is_simulated = True

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        *,
        seed: int,
        names: Sequence[str] = NAMES,
        quotes_per_s: float = QUOTES_PER_S,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._seed = seed
        self._names = tuple(names)
        self._quotes_per_s = quotes_per_s
        self._streams: dict[str, _Stream] = {}
        self._rolled_at_us = 0
        self._task: asyncio.Task[None] | None = None
        self.failed: Exception | None = None
        self.is_over = False

    def instruments(self) -> tuple[str, ...]:
        self._roll(self._clock.now_us())
        return tuple(self._streams)

    def _roll(self, now_us: int) -> None:
        """Simulate what the names mean now, and what they meant until it expires."""
        if now_us < self._rolled_at_us + _ROLL_CHECK_US and self._streams:
            return
        self._rolled_at_us = now_us
        for name in self._names:
            instrument = self._catalog.resolve(name, now_us)
            if instrument.name not in self._streams:
                self._begin(instrument, now_us)
        for stream in list(self._streams.values()):
            expiry = stream.instrument.expiry
            if expiry is not None and now_us // (86_400 * _SECOND_US) > _epoch_day(expiry.toordinal()):
                del self._streams[stream.instrument.name]

    def _begin(self, instrument: Instrument, now_us: int) -> None:
        self._streams[instrument.name] = _Stream(instrument, self._seed, now_us, self._quotes_per_s)

    async def start(self, listener: Listener) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(listener), name="simulated market")

    async def stop(self) -> None:
        task, self._task = self._task, None
        self.is_over = True
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, listener: Listener) -> None:
        try:
            while True:
                self._turn(listener)
                await asyncio.sleep(_TURN_S)
        except Exception as error:
            self.failed, self.is_over = error, True
            log.error("the simulated market ends", exc_info=error)

    def _turn(self, listener: Listener) -> None:
        """Give everything that is due."""
        now_us = self._clock.now_us()
        self._roll(now_us)
        for stream in list(self._streams.values()):
            if now_us - stream.due_us > _LATE_US:
                self._begin(stream.instrument, now_us)
                stream = self._streams[stream.instrument.name]
            for data in stream.until(now_us):
                listener(msgspec.structs.replace(data, received_at_us=now_us))


def _epoch_day(ordinal: int) -> int:
    return ordinal - 719_163

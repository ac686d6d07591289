"""Who must be woken: price levels by instrument, trails of the best price, any change, and moments. A price that
reaches no level costs a few comparisons, however many executors wait, and so does a new best price, however many trail
it."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from gesta.executors.machines.face import Trail, Watch, Watches
from gesta.executors.trails import Trails
from gesta.trading.instruments import Instrument
from gesta.trading.market import Quote
from gesta.trading.trigger_book import NEVER, Crossing, TriggerBook

# A level is a level of the bid, of the ask, or of their sum: twice the middle.
_SIDES = ("bid", "ask", "mid")
# (executor, which of its levels)
Key = tuple[str, int]


class Path(msgspec.Struct, frozen=True):
    """Which price a trail follows, and which way."""

    instrument: str
    of: str
    is_rising: bool

    @property
    def sign(self) -> int:
        return 1 if self.is_rising else -1


class BestPrice(msgspec.Struct, frozen=True):
    """A mark of a path, to be journaled: the best price that reaches to a moment, in ticks times the path's direction.
    None: it is gone."""

    path: Path
    until_us: int
    best: int | None


class _Levels:
    """One instrument's. `trails` by their paths; `last` is its newest quote."""

    __slots__ = ("ask", "bid", "every", "last", "mid", "trails")

    def __init__(self) -> None:
        self.trails: dict[Path, Trails] = {}
        self.last: Quote | None = None
        self.bid: TriggerBook[Key] = TriggerBook()
        self.ask: TriggerBook[Key] = TriggerBook()
        self.mid: TriggerBook[Key] = TriggerBook()
        self.every: dict[str, None] = {}


class Watching:
    def __init__(self) -> None:
        self._levels: defaultdict[str, _Levels] = defaultdict(_Levels)
        self._where: dict[str, list[tuple[TriggerBook[Key], Key]]] = {}
        self._everywhere: dict[str, list[_Levels]] = {}
        self._moments: list[tuple[int, int, str]] = []
        self._moment_of: dict[str, tuple[int, int]] = {}
        self._count = 0
        # Whose trail is on which path.
        self._trailing: dict[str, tuple[Path, Instrument, int]] = {}
        # Paths with marks to journal.
        self._changed: dict[Path, Trails] = {}

    def put(self, id: str, watches: Watches, legs: Sequence[Instrument]) -> None:
        """What `id` waits for from now on, instead of what it waited for."""
        self._drop_levels(id)
        # Not dropped before it is put again: the best price so far may be known for this one alone.
        self._put_trail(id, watches.trail, legs)
        if watches.every:
            self._everywhere[id] = [self._levels[instrument.name] for instrument in legs]
            for levels in self._everywhere[id]:
                levels.every[id] = None
        where: list[tuple[TriggerBook[Key], Key]] = []
        for watch in watches.prices:
            self._put_level(id, watch, legs[watch.leg], where)
        if where:
            self._where[id] = where
        if watches.at_us is not None:
            self._count += 1
            self._moment_of[id] = (watches.at_us, self._count)
            heapq.heappush(self._moments, (watches.at_us, self._count, id))

    def _put_level(
        self, id: str, watch: Watch, instrument: Instrument, where: list[tuple[TriggerBook[Key], Key]]
    ) -> None:
        book: TriggerBook[Key] = getattr(self._levels[instrument.name], watch.of)
        parts = 2 if watch.of == "mid" else 1
        for price, crossing in (
            (watch.at_or_below, Crossing.AT_OR_BELOW),
            (watch.at_or_above, Crossing.AT_OR_ABOVE),
        ):
            if price is None:
                continue
            exact = price * parts / instrument.tick_size
            ticks = math.floor(exact) if crossing is Crossing.AT_OR_BELOW else math.ceil(exact)
            key = (id, len(where))
            book.add(key, ticks, crossing)
            where.append((book, key))

    def _put_trail(self, id: str, trail: Trail | None, legs: Sequence[Instrument]) -> None:
        before = self._trailing.get(id)
        path = None if trail is None else Path(legs[trail.leg].name, trail.of, trail.is_rising)
        if before is not None and before[0] != path:
            self._drop_trail(id)
        if trail is None or path is None:
            return
        instrument, levels = legs[trail.leg], self._levels[path.instrument]
        exact = trail.distance * (2 if trail.of == "mid" else 1) / instrument.tick_size
        price = -NEVER if levels.last is None else path.sign * _ticks(levels.last, path.of)
        trails = levels.trails.setdefault(path, Trails())
        # Rather woken a tick too soon: the machine looks, and then says its exact level.
        trails.put(id, max(1, math.floor(exact)), trail.since_us, price)
        self._trailing[id] = (path, instrument, trail.leg)
        self._note(path, trails)

    def _drop_trail(self, id: str) -> None:
        path, *_ = self._trailing.pop(id)
        trails = self._levels[path.instrument].trails[path]
        trails.drop(id)
        self._note(path, trails)

    def _note(self, path: Path, trails: Trails) -> None:
        if trails.changed:
            self._changed[path] = trails

    def best(self, id: str) -> tuple[int, Decimal] | None:
        """The leg of its trail, and the best price there since it was set. None without a trail, or a price."""
        trailing = self._trailing.get(id)
        if trailing is None:
            return None
        path, instrument, leg = trailing
        best = self._levels[path.instrument].trails[path].best(id)
        if best is None or best == -NEVER:
            return None
        price = instrument.price(path.sign * best)
        return leg, price / 2 if path.of == "mid" else price

    @property
    def has_changed_marks(self) -> bool:
        return bool(self._changed)

    def changed_marks(self) -> list[BestPrice]:
        """What is to be journaled since this was asked last."""
        found = []
        for path, trails in self._changed.items():
            found += [BestPrice(path, until_us, best) for until_us, best in trails.changed.items()]
            trails.changed = {}
        self._changed = {}
        return found

    def load_mark(self, path: Path, until_us: int, best: int) -> None:
        """A mark of before the start; those of a path in the order of their moments."""
        self._levels[path.instrument].trails.setdefault(path, Trails()).load(until_us, best)

    def prune_marks(self) -> None:
        """After a start: let go of marks that nobody trails any more."""
        for levels in self._levels.values():
            for path, trails in levels.trails.items():
                trails.prune()
                self._note(path, trails)

    def drop(self, id: str) -> None:
        self._drop_levels(id)
        if id in self._trailing:
            self._drop_trail(id)

    def _drop_levels(self, id: str) -> None:
        for book, key in self._where.pop(id, ()):
            book.remove(key)
        for levels in self._everywhere.pop(id, ()):
            levels.every.pop(id, None)
        self._moment_of.pop(id, None)

    def reached(self, quote: Quote) -> list[str]:
        """Who is concerned by a quote, each once, in the order in which the levels were reached."""
        levels = self._levels.get(quote.instrument)
        if levels is None or not quote.bid_size or not quote.ask_size:
            return []
        fired: dict[str, None] = {}
        for book, ticks in ((levels.bid, quote.bid), (levels.ask, quote.ask), (levels.mid, quote.bid + quote.ask)):
            if not book.highest_below < ticks < book.lowest_above:
                fired.update(dict.fromkeys(id for id, _ in book.fire(ticks)))
        levels.last = quote
        if levels.trails:
            self._observe(levels.trails, quote, fired)
        if levels.every:
            fired.update(levels.every)
        return list(fired)

    def _observe(self, followed: dict[Path, Trails], quote: Quote, fired: dict[str, None]) -> None:
        for path, trails in followed.items():
            price = path.sign * _ticks(quote, path.of)
            if trails.fires_at < price <= trails.lowest:
                continue
            fired.update(dict.fromkeys(trails.observe(price)))
            self._note(path, trails)

    def due(self, now_us: int) -> list[str]:
        """Whose moment has come; each has to say anew when the next one is."""
        ids = []
        while self._moments and self._moments[0][0] <= now_us:
            at_us, count, id = heapq.heappop(self._moments)
            if self._moment_of.get(id) == (at_us, count):
                del self._moment_of[id]
                ids.append(id)
        return ids

    def next_us(self) -> int | None:
        """The next moment that anybody waits for."""
        while self._moments and self._moment_of.get(self._moments[0][2]) != self._moments[0][:2]:
            heapq.heappop(self._moments)
        return self._moments[0][0] if self._moments else None


def _ticks(quote: Quote, of: str) -> int:
    """A price of a quote, in ticks; twice the middle for the middle."""
    return quote.bid if of == "bid" else quote.ask if of == "ask" else quote.bid + quote.ask

"""Who must be woken: price levels by instrument, any change, and moments. A price that reaches no level costs a few
comparisons, however many executors wait."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence

from gesta.executors.machines.face import Watch, Watches
from gesta.trading.instruments import Instrument
from gesta.trading.market import Quote
from gesta.trading.trigger_book import Crossing, TriggerBook

# A level is a level of the bid, of the ask, or of their sum: twice the middle.
_SIDES = ("bid", "ask", "mid")
# (executor, which of its levels)
Key = tuple[str, int]


class _Levels:
    """One instrument's."""

    __slots__ = ("ask", "bid", "every", "mid")

    def __init__(self) -> None:
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

    def put(self, id: str, watches: Watches, legs: Sequence[Instrument]) -> None:
        """What `id` waits for from now on, instead of what it waited for."""
        self.drop(id)
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

    def drop(self, id: str) -> None:
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
        if levels.every:
            fired.update(levels.every)
        return list(fired)

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

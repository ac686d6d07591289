"""Trailing stops, in groups that share the best price since they were set: a new best price moves a group as a whole,
and wakes nobody, however many trail it.

What is kept is the market's path, thinned to what somebody needs: marks, newest last, each the best price since the
one before it was made. A better price takes in every mark below it, so that marks only fall from the oldest to the
newest. The best price since any moment is the first mark that reaches to it. Marks are journaled: an executor whose
trail was set at a moment finds its best price again at a start.

Prices are ticks times the direction, so that "better" is always "greater" here.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from operator import attrgetter
from typing import Final

from gesta.trading.trigger_book import NEVER

# Entries of a heap that are nobody's any more are dropped when they are more than the others, and these.
_SLACK: Final = 64


class Mark:
    """A best price, and who trails it. It reaches from the mark before it to `until_us`, when the newest of its trails
    was set."""

    __slots__ = ("best", "fires_at", "heap", "into", "live", "until_us")

    def __init__(self, until_us: int, best: int) -> None:
        self.until_us = until_us
        self.best = best
        # (distance, count, executor): the nearest first.
        self.heap: list[tuple[int, int, str]] = []
        self.live = 0
        # The mark that took this one in.
        self.into: Mark | None = None
        # The highest price at which this mark or an older one lets go.
        self.fires_at = -NEVER


def _newest(mark: Mark) -> Mark:
    """The mark that this one has become part of."""
    while mark.into is not None:
        if mark.into.into is not None:
            mark.into = mark.into.into
        mark = mark.into
    return mark


class Trails:
    """Of one price of one instrument, in one direction. `lowest` and `fires_at` are the two integers to compare a price
    with: nothing changes while `fires_at < price <= lowest`."""

    __slots__ = ("_alive", "_count", "_marks", "_where", "changed", "fires_at", "lowest")

    def __init__(self) -> None:
        self._marks: list[Mark] = []
        self._where: dict[str, Mark] = {}
        self._alive: dict[str, int] = {}
        self._count = 0
        self.lowest = NEVER
        self.fires_at = -NEVER
        # Marks to be journaled, by the moment that they reach to: their best price, None for one that is gone.
        self.changed: dict[int, int | None] = {}

    def __len__(self) -> int:
        """How many marks there are: never more than there are trails."""
        return len(self._marks)

    def load(self, until_us: int, best: int) -> None:
        """A mark of before the start; in the order of their moments. One that a later one has outdone is gone."""
        while self._marks and self._marks[-1].best <= best:
            self.changed[self._marks.pop().until_us] = None
        self._marks.append(Mark(until_us, best))
        self._settle(len(self._marks) - 1)

    def prune(self) -> None:
        """Let go of marks that nobody trails."""
        for mark in [mark for mark in self._marks if not mark.live]:
            self._remove(mark)

    def put(self, id: str, distance: int, since_us: int, price: int) -> None:
        """Trail the best price since a moment, at a distance. `price` is that of now, which the path begins with if
        nothing is known of it since then."""
        at = bisect_left(self._marks, since_us, key=attrgetter("until_us"))
        if at == len(self._marks):
            at = self._push(since_us, price)
        mark = self._marks[at]
        mark.live += 1
        self._count += 1
        before, self._where[id], self._alive[id] = self._where.get(id), mark, self._count
        if len(mark.heap) > 2 * mark.live + _SLACK:
            mark.heap = [item for item in mark.heap if self._alive.get(item[2]) == item[1]]
            heapq.heapify(mark.heap)
        heapq.heappush(mark.heap, (distance, self._count, id))
        self._settle(at)
        if before is not None:
            self._leave(_newest(before))

    def drop(self, id: str) -> None:
        mark = self._where.pop(id, None)
        if mark is not None:
            del self._alive[id]
            self._leave(_newest(mark))

    def best(self, id: str) -> int | None:
        """The best price since its trail was set."""
        mark = self._where.get(id)
        return None if mark is None else _newest(mark).best

    def observe(self, price: int) -> list[str]:
        """A price. Gives those that it has fallen back for as far as they trail, nearest first within a mark."""
        if price > self.lowest:
            self._raise(price)
        if price > self.fires_at:
            return []
        fired: list[str] = []
        first = len(self._marks)
        while first and self._marks[first - 1].fires_at >= price:
            first -= 1
            mark = self._marks[first]
            while mark.heap and mark.best - mark.heap[0][0] >= price:
                _, count, id = heapq.heappop(mark.heap)
                if self._alive.get(id) == count:
                    fired.append(id)
        self._settle(first)
        return fired

    # -- marks

    def _push(self, until_us: int, price: int) -> int:
        """The newest mark; it takes in those that are no better."""
        mark = Mark(until_us, price)
        self.changed[until_us] = price
        while self._marks and self._marks[-1].best <= price:
            mark = self._merged(self._marks.pop(), mark)
        mark.best = price
        self._marks.append(mark)
        self._settle(len(self._marks) - 1)
        return len(self._marks) - 1

    def _raise(self, price: int) -> None:
        mark = self._marks.pop()
        while self._marks and self._marks[-1].best <= price:
            mark = self._merged(self._marks.pop(), mark)
        mark.best = price
        self.changed[mark.until_us] = price
        self._marks.append(mark)
        self._settle(len(self._marks) - 1)

    def _merged(self, older: Mark, newer: Mark) -> Mark:
        """One of two: the one with more trails goes on, so that each of them is moved seldom."""
        self.changed[older.until_us] = None
        kept, taken = (older, newer) if len(older.heap) > len(newer.heap) else (newer, older)
        kept.until_us = newer.until_us
        kept.live += taken.live
        for item in taken.heap:
            if self._alive.get(item[2]) == item[1]:
                heapq.heappush(kept.heap, item)
        taken.heap = []
        taken.into = kept
        return kept

    def _leave(self, mark: Mark) -> None:
        mark.live -= 1
        if not mark.live:
            self._remove(mark)

    def _remove(self, mark: Mark) -> None:
        at = bisect_left(self._marks, mark.until_us, key=attrgetter("until_us"))
        del self._marks[at]
        self.changed[mark.until_us] = None
        self._settle(at)

    def _settle(self, first: int) -> None:
        """The two integers again, after a change of the marks from `first` on."""
        fires_at = self._marks[first - 1].fires_at if first else -NEVER
        for mark in self._marks[first:]:
            if mark.heap:
                fires_at = max(fires_at, mark.best - mark.heap[0][0])
            mark.fires_at = fires_at
        self.fires_at = fires_at
        self.lowest = self._marks[-1].best if self._marks else NEVER

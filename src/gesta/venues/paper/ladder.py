"""Resting orders by price, then time. The best one is at hand; adding and removing cost O(log n)."""

from __future__ import annotations

import heapq
from typing import Final

from gesta.trading.trigger_book import NEVER
from gesta.venues.paper.working import Working

# What was removed leaves its entry behind in a heap until such entries outnumber the living ones by this.
_SLACK: Final = 64


class Level:
    """The orders at one price, the oldest first. An entry counts while its order is here with the same stamp."""

    __slots__ = ("heap", "key", "live")

    def __init__(self, key: int) -> None:
        self.key = key
        self.heap: list[tuple[int, int, Working]] = []
        self.live = 0


class Ladder:
    """One side of one instrument. `sign` is 1 where the lowest price is the best (sellers), -1 where the highest is."""

    __slots__ = ("_heap", "_levels", "_sign", "_stamp", "head")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._levels: dict[int, Level] = {}
        self._heap: list[int] = []
        self._stamp = 0
        self.head = NEVER

    def __bool__(self) -> bool:
        return bool(self._levels)

    @property
    def best(self) -> int:
        """The best price; beyond any price where nothing rests."""
        return self._sign * self.head

    def add(self, order: Working, ticks: int) -> None:
        key = self._sign * ticks
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(key)
            heapq.heappush(self._heap, key)
            self.head = min(self.head, key)
        self._stamp += 1
        order.level, order.stamp = level, self._stamp
        heapq.heappush(level.heap, (order.serial, self._stamp, order))
        level.live += 1

    def remove(self, order: Working) -> None:
        level = order.level
        assert level is not None
        order.level, order.stamp = None, 0
        level.live -= 1
        if level.live:
            if len(level.heap) > 2 * level.live + _SLACK:
                level.heap = sorted(entry for entry in level.heap if _lives(entry, level))
            return
        del self._levels[level.key]
        if level.key == self.head:
            while self._heap and self._heap[0] not in self._levels:
                heapq.heappop(self._heap)
            self.head = self._heap[0] if self._heap else NEVER
        elif len(self._heap) > 2 * len(self._levels) + _SLACK:
            self._heap = sorted(self._levels)

    def first(self) -> Working | None:
        """The oldest order at the best price."""
        if not self._levels:
            return None
        level = self._levels[self.head]
        while not _lives(level.heap[0], level):
            heapq.heappop(level.heap)
        return level.heap[0][2]

    def at(self, ticks: int) -> list[Working]:
        """The orders at one price, oldest first."""
        level = self._levels.get(self._sign * ticks)
        if level is None:
            return []
        return [entry[2] for entry in sorted(level.heap) if _lives(entry, level)]


def _lives(entry: tuple[int, int, Working], level: Level) -> bool:
    return entry[2].level is level and entry[2].stamp == entry[1]

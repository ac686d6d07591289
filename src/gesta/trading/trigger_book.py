"""Prices that wait for the market, so arranged that a price which reaches none of them costs one comparison or two,
however many wait: the nearest level above and the nearest below are two plain integers.

The paper venue keeps its stops here; anything else that waits for prices may.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Beyond any price in ticks: the head of a side on which nothing waits.
NEVER: Final = 1 << 62

# Prices whose entries are gone are dropped from the heap when they are more than what is left, and these.
_SLACK: Final = 64


class Crossing(enum.StrEnum):
    """Which way the price has to be reached."""

    AT_OR_ABOVE = "at_or_above"
    AT_OR_BELOW = "at_or_below"


class _Levels(Generic[K]):
    """Ids by key, the smallest key at hand. A heap may hold keys that have no ids any more; its first never is one."""

    __slots__ = ("buckets", "head", "heap")

    def __init__(self) -> None:
        self.buckets: dict[int, dict[K, None]] = {}
        self.heap: list[int] = []
        self.head = NEVER

    def add(self, id: K, key: int) -> None:
        bucket = self.buckets.get(key)
        if bucket is None:
            self.buckets[key] = {id: None}
            heapq.heappush(self.heap, key)
            self.head = min(self.head, key)
        else:
            bucket[id] = None

    def remove(self, id: K, key: int) -> None:
        bucket = self.buckets[key]
        del bucket[id]
        if not bucket:
            del self.buckets[key]
            if key == self.head:
                self._find_head()
            elif len(self.heap) > 2 * len(self.buckets) + _SLACK:
                self.heap = sorted(self.buckets)

    def take(self, limit: int) -> list[K]:
        """Everything with a key up to the limit, smallest key first, then as it came; it is no longer here."""
        taken: list[K] = []
        while self.head <= limit:
            taken += self.buckets.pop(self.head)
            self._find_head()
        return taken

    def _find_head(self) -> None:
        while self.heap and self.heap[0] not in self.buckets:
            heapq.heappop(self.heap)
        self.head = self.heap[0] if self.heap else NEVER


class TriggerBook(Generic[K]):
    """Ids waiting for a price of one instrument, in integer ticks.

    `lowest_above` and `highest_below` are the two integers to compare a price with: nothing fires while
    `highest_below < price < lowest_above`. They are `NEVER` and `-NEVER` where nothing waits. Adding, removing and
    moving cost O(log n).
    """

    __slots__ = ("_above", "_below", "_where", "highest_below", "lowest_above")

    def __init__(self) -> None:
        self._above: _Levels[K] = _Levels()
        self._below: _Levels[K] = _Levels()
        self._where: dict[K, tuple[Crossing, int]] = {}
        self.lowest_above = NEVER
        self.highest_below = -NEVER

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, id: K) -> bool:
        return id in self._where

    def __iter__(self) -> Iterator[K]:
        """Every id, as it was added or last moved."""
        return iter(self._where)

    def price_of(self, id: K) -> int:
        """Raises KeyError for an id that is not here."""
        return self._where[id][1]

    def add(self, id: K, price: int, crossing: Crossing) -> None:
        """Wait for the price. Raises ValueError for an id that waits already."""
        if id in self._where:
            raise ValueError(f"{id!r} waits already")
        self._where[id] = (crossing, price)
        if crossing is Crossing.AT_OR_ABOVE:
            self._above.add(id, price)
            self.lowest_above = self._above.head
        else:
            self._below.add(id, -price)
            self.highest_below = -self._below.head

    def remove(self, id: K) -> bool:
        """Wait no more. False for an id that is not here."""
        found = self._where.pop(id, None)
        if found is None:
            return False
        crossing, price = found
        if crossing is Crossing.AT_OR_ABOVE:
            self._above.remove(id, price)
            self.lowest_above = self._above.head
        else:
            self._below.remove(id, -price)
            self.highest_below = -self._below.head
        return True

    def move(self, id: K, price: int) -> None:
        """Wait for another price instead, behind those that wait for it already. Raises KeyError for an unknown id."""
        crossing, _ = self._where[id]
        self.remove(id)
        self.add(id, price, crossing)

    def crosses(self, price: int) -> bool:
        """Whether `fire` would give anything."""
        return price >= self.lowest_above or price <= self.highest_below

    def fire(self, price: int) -> list[K]:
        """Take out everything that the price reaches. First what waits above, the lowest price first, then what waits
        below, the highest first; at one price in the order in which it was added."""
        fired: list[K] = []
        if price >= self.lowest_above:
            fired += self._above.take(price)
            self.lowest_above = self._above.head
        if price <= self.highest_below:
            fired += self._below.take(-price)
            self.highest_below = -self._below.head
        for id in fired:
            del self._where[id]
        return fired

"""What was used lately, bounded by weight: two generations, of which the older is forgotten as a whole."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A memory for values that never change under their key (a version is part of it), so nothing is ever stale.

    It holds up to twice `weight`; a value heavier than an eighth of it is not kept. Safe to use from several threads:
    each step is one dictionary operation, and a lost race only forgets something early.
    """

    def __init__(self, weight: int) -> None:
        self._most = weight
        self._weight = 0
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._new.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._new[key] = found
        return found

    def put(self, key: K, value: V, weight: int) -> None:
        if weight * 8 > self._most:
            return
        self._weight += weight
        if self._weight > self._most:
            self._old, self._new, self._weight = self._new, {}, weight
        self._new[key] = value

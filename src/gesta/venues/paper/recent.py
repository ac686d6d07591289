"""What happened lately, bounded."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEPT: Final = 1 << 16


class Recent(Generic[K, V]):
    """Remembers at least the last `kept` keys and at most twice as many, at a constant cost."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        self._new[key] = value
        if len(self._new) >= self._kept:
            self._old, self._new = self._new, {}

    def get(self, key: K) -> V | None:
        found = self._new.get(key)
        return found if found is not None else self._old.get(key)

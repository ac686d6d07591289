"""A small cache with a time limit on each entry and a bound on their number. Time comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class ExpiringCache(Generic[V]):
    """Keys are digests. An absent and an expired entry are the same: None."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[bytes, tuple[float, V]] = {}

    def get(self, key: bytes, now_s: float) -> V | None:
        entry = self._entries.get(key)
        return entry[1] if entry is not None and now_s < entry[0] else None

    def put(self, key: bytes, value: V, *, now_s: float, ttl_s: float) -> None:
        entries = self._entries
        if ttl_s <= 0:
            return
        entries.pop(key, None)
        if len(entries) >= self._limit:
            for old in [old for old, (until_s, _) in entries.items() if until_s <= now_s]:
                del entries[old]
            # Still full of live entries: the oldest half goes at once, so that a flood does not sweep at every call.
            for old in list(entries)[: len(entries) // 2 + 1] if len(entries) >= self._limit else ():
                del entries[old]
        entries[key] = (now_s + ttl_s, value)

    def remove(self, key: bytes) -> None:
        self._entries.pop(key, None)

    def remove_where(self, unwanted: Callable[[V], bool]) -> None:
        for key in [key for key, (_, value) in self._entries.items() if unwanted(value)]:
            del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

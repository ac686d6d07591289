"""Deterministic stand-ins for the clock and for randomness."""

from __future__ import annotations

import hashlib


class ManualClock:
    """A clock that moves only when told."""

    def __init__(self, now_us: int = 1_760_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._now_us / 1_000_000

    def advance_us(self, by_us: int) -> None:
        self._now_us += by_us


class SeededIds:
    """Reproducible bytes: SHA-256 of seed and counter."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = 0

    def random_bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            self._count += 1
            data += hashlib.sha256(f"{self._seed}:{self._count}".encode()).digest()
        return data[:count]

"""The clock that is injected everywhere. UTC microseconds since 1970 are the only time inside Gesta."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_us(self) -> int:
        """UTC microseconds since 1970-01-01."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go backwards, for intervals."""
        ...


class SystemClock:
    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()

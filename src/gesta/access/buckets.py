"""Token buckets as pure arithmetic: time comes in, a decision goes out.

A bucket is kept as one integer, the moment at which it will be full again (the "theoretical arrival time" of GCRA).
That is the same admission rule as counting tokens, and time is counted in such fractions of a nanosecond that nothing
is rounded: three a second are exactly three a second.
"""

from __future__ import annotations

import math
from fractions import Fraction

import msgspec

NANOSECONDS = 1_000_000_000
_DENOMINATOR_LIMIT = 1_000_000


class Bucket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`burst` tokens when full, refilled at `rate_per_s` tokens a second. Each request takes one."""

    rate_per_s: float
    burst: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_per_s) and 1e-6 <= self.rate_per_s <= 1e9):
            raise ValueError("rate_per_s must be between 0.000001 and 1000000000")
        if not 1 <= self.burst <= 1_000_000_000:
            raise ValueError("burst must be between 1 and 1000000000")

    @property
    def ticks(self) -> tuple[int, int]:
        """(ticks in a nanosecond, ticks that one token takes), both whole numbers: 20 / 60 a second is one in 3 s."""
        rate = Fraction(self.rate_per_s).limit_denominator(_DENOMINATOR_LIMIT)
        return rate.numerator, rate.denominator * NANOSECONDS


def take(full_at: int, now: int, interval: int, burst: int) -> tuple[int, int]:
    """One token, if there is one: (the new `full_at`, 0), else (the old one, how long until there is one). All times
    in one unit."""
    after = max(full_at, now) + interval
    wait = after - now - burst * interval
    return (full_at, wait) if wait > 0 else (after, 0)


class Limiter:
    """The buckets of many keys. A bucket that is full again is the same as one never seen, so it is forgotten;
    at most `limit` are kept, and past that the ones seen first go."""

    def __init__(self, bucket: Bucket, *, limit: int = 10_000) -> None:
        self._ticks_in_ns, self._interval = bucket.ticks
        self._burst = bucket.burst
        self._limit = limit
        self._full_at: dict[int, int] = {}

    def take(self, key: int, now_ns: int) -> int:
        """0 if the key's request is admitted, else nanoseconds until the next one would be, rounded up."""
        now = now_ns * self._ticks_in_ns
        full_at, wait = take(self._full_at.get(key, 0), now, self._interval, self._burst)
        if wait:
            return -(-wait // self._ticks_in_ns)
        self._full_at[key] = full_at
        if len(self._full_at) > self._limit:
            self._forget(now)
        return 0

    def __len__(self) -> int:
        return len(self._full_at)

    def _forget(self, now: int) -> None:
        kept = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        for key in list(kept)[: max(0, len(kept) - self._limit // 2)]:
            del kept[key]
        self._full_at = kept

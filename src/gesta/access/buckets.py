"""Token buckets as pure arithmetic: time comes in, a decision goes out.

A bucket is kept as one integer, the moment at which it will be full again (the "theoretical arrival time" of GCRA), in
nanoseconds. That is the same admission rule as counting tokens, without a fraction to round.
"""

from __future__ import annotations

import math

import msgspec

NANOSECONDS = 1_000_000_000


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
    def interval_ns(self) -> int:
        """How long one token takes, rounded up: the rate is never exceeded."""
        return math.ceil(NANOSECONDS / self.rate_per_s)


def take(full_at_ns: int, now_ns: int, interval_ns: int, burst: int) -> tuple[int, int]:
    """One token, if there is one: (the new `full_at_ns`, 0), else (the old one, nanoseconds until there is one)."""
    after_ns = max(full_at_ns, now_ns) + interval_ns
    wait_ns = after_ns - now_ns - burst * interval_ns
    return (full_at_ns, wait_ns) if wait_ns > 0 else (after_ns, 0)


class Limiter:
    """The buckets of many keys. A bucket that is full again is the same as one never seen, so it is forgotten;
    at most `limit` are kept, and past that the ones seen first go."""

    def __init__(self, bucket: Bucket, *, limit: int = 10_000) -> None:
        self._interval_ns = bucket.interval_ns
        self._burst = bucket.burst
        self._limit = limit
        self._full_at_ns: dict[int, int] = {}

    def take(self, key: int, now_ns: int) -> int:
        """0 if the key's request is admitted, else nanoseconds until the next one would be."""
        full_at_ns, wait_ns = take(self._full_at_ns.get(key, 0), now_ns, self._interval_ns, self._burst)
        if wait_ns == 0:
            self._full_at_ns[key] = full_at_ns
            if len(self._full_at_ns) > self._limit:
                self._forget(now_ns)
        return wait_ns

    def __len__(self) -> int:
        return len(self._full_at_ns)

    def _forget(self, now_ns: int) -> None:
        kept = {key: full_at_ns for key, full_at_ns in self._full_at_ns.items() if full_at_ns > now_ns}
        for key in list(kept)[: max(0, len(kept) - self._limit // 2)]:
            del kept[key]
        self._full_at_ns = kept

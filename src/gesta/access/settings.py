"""The settings of access: lifetimes, rate buckets, caches."""

from __future__ import annotations

import math

import msgspec

from gesta.access.buckets import Bucket

# A bucket that the settings do not name keeps its default.
DEFAULT_BUCKETS = {
    # Published: 3 requests a second, a burst of 20 (protocols/crosstrade.md §4).
    "crosstrade": Bucket(rate_per_s=3, burst=20),
    "crosstrade_subscribe": Bucket(rate_per_s=20 / 60, burst=5),
    "hummingbot": Bucket(rate_per_s=1000, burst=2000),
    "b3os": Bucket(rate_per_s=1000, burst=2000),
    # Executions that anybody may create, for each address and workflow.
    "b3os_public": Bucket(rate_per_s=1, burst=20),
    "refold": Bucket(rate_per_s=1000, burst=2000),
    "native": Bucket(rate_per_s=1000, burst=2000),
}


class AccessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations are seconds. `credential_cache_s` bounds how long another process still accepts what was revoked."""

    session_ttl_s: int = 7 * 86_400
    refresh_ttl_s: int = 30 * 86_400
    sessions_per_account: int = 1000
    credential_cache_s: float = 5
    password_cache_s: float = 300
    last_used_flush_s: float = 60
    buckets: dict[str, Bucket] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.session_ttl_s <= self.refresh_ttl_s:
            raise ValueError("session_ttl_s must be at least 1 and at most refresh_ttl_s")
        if self.sessions_per_account < 1:
            raise ValueError("sessions_per_account must be at least 1")
        for name, least in (("credential_cache_s", 0), ("password_cache_s", 0), ("last_used_flush_s", 1)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{name} must be a number of seconds, {least} or more")

    def bucket(self, name: str) -> Bucket:
        """The settings' bucket of this name, else the default. Raises LookupError for a name that nobody defines."""
        found = self.buckets.get(name) or DEFAULT_BUCKETS.get(name)
        if found is None:
            raise LookupError(f"no rate bucket is called {name!r}")
        return found

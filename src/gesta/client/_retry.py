"""When to try again, and after how long. Pure but for the jitter, whose source is a parameter."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

import msgspec

from gesta.client._errors import ApiError, ClientError, RateLimited, Unavailable, Unreachable

_REQUEST_TIMEOUT = 408


def fresh_id() -> str:
    """A new client id, 32 hex digits: with it a request that is repeated is still the same order."""
    return secrets.token_hex(16)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a request that may be repeated is repeated, and how long to wait before each.

    The wait doubles from `first_wait_s` to `longest_wait_s`, with up to half of it taken off at random so that many
    clients do not come back together. A `Retry-After` of the server is obeyed up to `longest_retry_after_s`.
    """

    attempts: int = 6
    first_wait_s: float = 0.25
    longest_wait_s: float = 8.0
    longest_retry_after_s: float = 60.0
    jitter: Callable[[], float] = random.random

    def wait_s(self, attempt: int, error: ClientError) -> float | None:
        """Seconds to wait after the `attempt`-th failure, counted from 1; None when it is final."""
        if attempt >= self.attempts or not is_passing(error):
            return None
        return self.pause_s(attempt, error)

    def pause_s(self, attempt: int, error: ClientError | None = None) -> float:
        """The wait itself, whatever the number of attempts: for a stream, which resumes for ever."""
        if isinstance(error, ApiError) and error.retry_after_s is not None:
            return min(error.retry_after_s, self.longest_retry_after_s)
        longest: float = min(self.first_wait_s * 2 ** min(attempt - 1, 30), self.longest_wait_s)
        return longest * (1 - self.jitter() / 2)


def is_passing(error: ClientError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ApiError) and error.status == _REQUEST_TIMEOUT:
        return True
    return isinstance(error, (Unreachable, RateLimited, Unavailable))

"""The token bucket: exact in both directions, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.access.buckets import NANOSECONDS, Bucket, Limiter, take
from gesta.access.settings import DEFAULT_BUCKETS, AccessSettings

START = 10**18


def drain(limiter: Limiter, now_ns: int) -> int:
    """How many requests at one moment are admitted."""
    count = 0
    while limiter.take(1, now_ns) == 0:
        count += 1
    return count


def test_crosstrade_is_three_a_second_with_a_burst_of_twenty() -> None:
    limiter = Limiter(DEFAULT_BUCKETS["crosstrade"])
    assert drain(limiter, START) == 20
    wait_ns = limiter.take(1, START)
    assert wait_ns == pytest.approx(NANOSECONDS / 3, abs=2)
    assert limiter.take(1, START + wait_ns - 1) > 0
    assert limiter.take(1, START + wait_ns) == 0
    assert drain(limiter, START + wait_ns + NANOSECONDS) in (2, 3)
    assert drain(limiter, START + 60 * NANOSECONDS) == 20


def test_subscriptions_are_twenty_a_minute_with_a_burst_of_five() -> None:
    limiter = Limiter(DEFAULT_BUCKETS["crosstrade_subscribe"])
    assert drain(limiter, START) == 5
    assert limiter.take(1, START) == pytest.approx(3 * NANOSECONDS, rel=1e-6)


def test_keys_do_not_share_a_bucket() -> None:
    limiter = Limiter(Bucket(rate_per_s=1, burst=1))
    assert limiter.take(1, START) == 0
    assert limiter.take(2, START) == 0
    assert limiter.take(1, START) > 0


def test_full_buckets_are_forgotten_and_no_more_than_the_limit_are_kept() -> None:
    limiter = Limiter(Bucket(rate_per_s=1, burst=2), limit=100)
    for key in range(101):
        limiter.take(key, START + 5 * NANOSECONDS * key)
    assert len(limiter) < 10
    for key in range(10_000):
        limiter.take(key, START + 10**12)
    assert len(limiter) <= 101


@given(
    rate=st.floats(0.01, 10_000),
    burst=st.integers(1, 50),
    gaps_ns=st.lists(st.integers(0, 3 * NANOSECONDS), min_size=1, max_size=200),
)
def test_no_window_admits_more_than_burst_and_rate_allow_and_a_refusal_is_never_idle(
    rate: float, burst: int, gaps_ns: list[int]
) -> None:
    interval_ns = Bucket(rate_per_s=rate, burst=burst).interval_ns
    full_at_ns, now_ns = 0, START
    admitted: list[int] = []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        before_ns = full_at_ns
        full_at_ns, wait_ns = take(full_at_ns, now_ns, interval_ns, burst)
        if wait_ns == 0:
            admitted.append(now_ns)
            continue
        assert full_at_ns == before_ns
        assert take(full_at_ns, now_ns + wait_ns, interval_ns, burst)[1] == 0
        assert take(full_at_ns, now_ns + wait_ns - 1, interval_ns, burst)[1] == 1
    for first, since_ns in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert (last - first + 1 - burst) * interval_ns <= admitted[last] - since_ns


@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 50), count=st.integers(1, 100))
def test_a_caller_that_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    interval_ns = Bucket(rate_per_s=rate, burst=burst).interval_ns
    full_at_ns = 0
    for step in range(count):
        full_at_ns, wait_ns = take(full_at_ns, START + step * interval_ns, interval_ns, burst)
        assert wait_ns == 0


@pytest.mark.parametrize(
    "wrong", [{"rate_per_s": 0, "burst": 1}, {"rate_per_s": float("inf"), "burst": 1}, {"rate_per_s": 1, "burst": 0}]
)
def test_a_bucket_that_admits_nothing_or_everything_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be between"):
        Bucket(**wrong)  # type: ignore[arg-type]


def test_settings_name_buckets_over_the_defaults() -> None:
    settings = AccessSettings(buckets={"crosstrade": Bucket(rate_per_s=100, burst=7)})
    assert settings.bucket("crosstrade").burst == 7
    assert settings.bucket("refold") == DEFAULT_BUCKETS["refold"]
    with pytest.raises(LookupError, match="crosstrad'"):
        settings.bucket("crosstrad")


@pytest.mark.parametrize(
    "wrong",
    [
        {"session_ttl_s": 0},
        {"session_ttl_s": 10, "refresh_ttl_s": 9},
        {"credential_cache_s": -1},
        {"password_cache_s": float("nan")},
        {"sessions_per_account": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        AccessSettings(**wrong)  # type: ignore[arg-type]

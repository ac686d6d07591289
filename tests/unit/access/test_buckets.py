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
    assert wait_ns == 333_333_334
    assert limiter.take(1, START + wait_ns - 1) > 0
    assert limiter.take(1, START + wait_ns) == 0
    assert drain(limiter, START + NANOSECONDS) == 2
    assert drain(limiter, START + 60 * NANOSECONDS) == 20


def test_subscriptions_are_twenty_a_minute_with_a_burst_of_five() -> None:
    limiter = Limiter(DEFAULT_BUCKETS["crosstrade_subscribe"])
    assert drain(limiter, START) == 5
    assert limiter.take(1, START) == 3 * NANOSECONDS


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
def test_no_window_admits_more_than_burst_and_rate_allow_and_a_refusal_says_how_long(
    rate: float, burst: int, gaps_ns: list[int]
) -> None:
    scale, interval = Bucket(rate_per_s=rate, burst=burst).ticks
    full_at, now = 0, START * scale
    admitted: list[int] = []
    for gap_ns in gaps_ns:
        now += gap_ns * scale
        before = full_at
        full_at, wait = take(full_at, now, interval, burst)
        if wait == 0:
            admitted.append(now)
            continue
        assert full_at == before
        assert take(full_at, now + wait, interval, burst)[1] == 0
        assert take(full_at, now + wait - 1, interval, burst)[1] == 1
    for first, since in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert (last - first + 1 - burst) * interval <= admitted[last] - since


@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 50), count=st.integers(1, 100))
def test_a_caller_that_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    scale, interval = Bucket(rate_per_s=rate, burst=burst).ticks
    full_at = 0
    for step in range(count):
        full_at, wait = take(full_at, START * scale + step * interval, interval, burst)
        assert wait == 0


@given(rate=st.integers(1, 1000), burst=st.integers(1, 30), seconds=st.integers(1, 1000))
def test_after_a_burst_each_second_admits_exactly_the_rate(rate: int, burst: int, seconds: int) -> None:
    limiter = Limiter(Bucket(rate_per_s=rate, burst=burst))
    assert drain(limiter, START) == burst
    assert drain(limiter, START + seconds * NANOSECONDS) == min(burst, rate * seconds)


@pytest.mark.parametrize("rate", [1e-6, 0.1, 1 / 3, 20 / 60, 3, 2.5, 1e9])
def test_ticks_are_exact_for_the_rates_that_people_write(rate: float) -> None:
    scale, interval = Bucket(rate_per_s=rate, burst=1).ticks
    assert scale * NANOSECONDS / interval == rate


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

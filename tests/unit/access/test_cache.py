"""The cache forgets in time, and never grows past its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesta.access.cache import ExpiringCache


def test_an_entry_lives_until_its_time() -> None:
    cache: ExpiringCache[str] = ExpiringCache(10)
    cache.put(b"k", "v", now_s=100, ttl_s=5)
    assert cache.get(b"k", 104.9) == "v"
    assert cache.get(b"k", 105) is None
    assert cache.get(b"other", 100) is None


def test_no_time_to_live_is_not_kept() -> None:
    cache: ExpiringCache[str] = ExpiringCache(10)
    cache.put(b"k", "v", now_s=100, ttl_s=0)
    assert len(cache) == 0


def test_entries_are_removed_by_key_and_by_what_they_hold() -> None:
    cache: ExpiringCache[int] = ExpiringCache(10)
    for number in range(4):
        cache.put(bytes([number]), number, now_s=0, ttl_s=9)
    cache.remove(b"\x00")
    cache.remove(b"unknown")
    cache.remove_where(lambda value: value > 1)
    assert [cache.get(bytes([number]), 1) for number in range(4)] == [None, 1, None, None]


@given(st.lists(st.tuples(st.binary(max_size=2), st.floats(0, 10), st.floats(0, 3)), max_size=200), st.integers(1, 8))
def test_it_is_bounded_and_the_newest_is_always_there(puts: list[tuple[bytes, float, float]], limit: int) -> None:
    cache: ExpiringCache[int] = ExpiringCache(limit)
    now_s = 0.0
    for number, (key, ttl_s, gap_s) in enumerate(puts):
        now_s += gap_s
        cache.put(key, number, now_s=now_s, ttl_s=ttl_s + 0.001)
        assert len(cache) <= limit
        assert cache.get(key, now_s) == number

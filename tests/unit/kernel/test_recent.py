from __future__ import annotations

from gesta.kernel.recent import Recent


def test_what_was_put_is_found_until_newer_things_push_it_out() -> None:
    recent: Recent[int, str] = Recent(100)
    for number in range(1000):
        recent.put(number, str(number), 10)
    assert recent.get(999) == "999"
    assert recent.get(0) is None
    assert sum(recent.get(number) is not None for number in range(1000)) <= 20


def test_what_is_used_stays() -> None:
    recent: Recent[int, str] = Recent(100)
    recent.put(-1, "used", 1)
    for number in range(1000):
        assert recent.get(-1) == "used"
        recent.put(number, str(number), 10)


def test_what_is_too_heavy_is_not_kept() -> None:
    recent: Recent[int, str] = Recent(100)
    recent.put(1, "light", 12)
    recent.put(2, "heavy", 13)
    assert recent.get(1) == "light"
    assert recent.get(2) is None

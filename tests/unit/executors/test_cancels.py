"""When a refused cancel is asked again."""

from __future__ import annotations

from gesta.executors.cancels import FIRST_US, LONGEST_US, Cancels


def test_later_each_time_and_never_later_than_a_minute() -> None:
    cancels, now_us, waits = Cancels(), 0, []
    for _ in range(9):
        waits.append(cancels.refused("a", now_us) - now_us)
        now_us += waits[-1]
        assert cancels.due(now_us - 1) == []
        assert cancels.is_waiting("a")
        assert cancels.next_us() == now_us
        assert cancels.due(now_us) == ["a"]
        assert not cancels.is_waiting("a")
        assert cancels.next_us() is None
    assert waits == [FIRST_US << times for times in range(6)] + [LONGEST_US] * 3


def test_one_that_is_over_is_not_asked_again() -> None:
    cancels = Cancels()
    cancels.refused("a", 0)
    cancels.refused("b", 0)
    cancels.forget("a")
    cancels.forget("unknown")
    assert cancels.due(LONGEST_US) == ["b"]

"""What waits for a price: what fires, in which order, and what a price that reaches nothing costs."""

from __future__ import annotations

import pytest

from gesta.trading.trigger_book import NEVER, Crossing, TriggerBook

ABOVE, BELOW = Crossing.AT_OR_ABOVE, Crossing.AT_OR_BELOW


def book(*entries: tuple[str, int, Crossing]) -> TriggerBook[str]:
    made: TriggerBook[str] = TriggerBook()
    for id, price, crossing in entries:
        made.add(id, price, crossing)
    return made


def test_an_empty_book_has_heads_that_no_price_reaches() -> None:
    empty = book()
    assert (empty.lowest_above, empty.highest_below) == (NEVER, -NEVER)
    assert not empty.crosses(10**12)
    assert empty.fire(-(10**12)) == []
    assert len(empty) == 0


def test_the_heads_are_the_nearest_prices_of_both_directions() -> None:
    waiting = book(("a", 105, ABOVE), ("b", 103, ABOVE), ("c", 95, BELOW), ("d", 97, BELOW))
    assert (waiting.lowest_above, waiting.highest_below) == (103, 97)
    assert not waiting.crosses(98)
    assert not waiting.crosses(102)
    assert waiting.crosses(97)
    assert waiting.crosses(103)
    waiting.remove("b")
    waiting.remove("d")
    assert (waiting.lowest_above, waiting.highest_below) == (105, 95)


def test_what_fires_is_gone_and_comes_by_price_then_as_it_was_added() -> None:
    waiting = book(("late", 104, ABOVE), ("b", 102, ABOVE), ("a", 102, ABOVE), ("far", 110, ABOVE))
    assert waiting.fire(105) == ["b", "a", "late"]
    assert waiting.fire(105) == []
    assert list(waiting) == ["far"]
    assert waiting.lowest_above == 110


def test_what_waits_below_fires_from_the_highest_down() -> None:
    waiting = book(("low", 90, BELOW), ("high", 98, BELOW), ("middle", 95, BELOW))
    assert waiting.fire(95) == ["high", "middle"]
    assert waiting.highest_below == 90


def test_a_price_may_reach_both_directions() -> None:
    waiting = book(("touch", 101, BELOW), ("stop", 99, ABOVE))
    assert waiting.fire(100) == ["stop", "touch"]
    assert len(waiting) == 0


def test_a_moved_entry_stands_behind_those_that_were_there() -> None:
    waiting = book(("a", 102, ABOVE), ("b", 103, ABOVE))
    waiting.move("a", 103)
    assert waiting.price_of("a") == 103
    assert waiting.lowest_above == 103
    assert waiting.fire(103) == ["b", "a"]


def test_an_id_waits_once() -> None:
    waiting = book(("a", 102, ABOVE))
    with pytest.raises(ValueError, match="waits already"):
        waiting.add("a", 90, BELOW)
    assert waiting.fire(102) == ["a"]
    waiting.add("a", 90, BELOW)
    assert "a" in waiting


def test_what_is_not_there_can_be_removed_but_not_moved() -> None:
    waiting = book()
    assert not waiting.remove("a")
    with pytest.raises(KeyError):
        waiting.move("a", 1)
    with pytest.raises(KeyError):
        waiting.price_of("a")


def test_prices_may_be_negative() -> None:
    waiting = book(("a", -3, BELOW), ("b", -1, ABOVE))
    assert waiting.fire(-2) == []
    assert waiting.fire(-3) == ["a"]
    assert waiting.fire(0) == ["b"]


def test_an_entry_that_moves_all_day_leaves_nothing_behind() -> None:
    waiting = book(("rest", 10**6, ABOVE))
    waiting.add("trailing", 0, ABOVE)
    for price in range(1, 10_000):
        waiting.move("trailing", price)
    for price in range(10_000, 1, -1):
        waiting.move("trailing", price * 7 % 100_003 + 10**6 + 1)
    assert len(waiting._above.heap) < 200
    assert waiting.fire(10**9) == ["rest", "trailing"]

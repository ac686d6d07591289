"""The trigger book gives what looking at every entry would give, in the same order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.trading.trigger_book import NEVER, Crossing, TriggerBook

IDS = st.integers(0, 12)
PRICES = st.integers(-6, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, PRICES, st.sampled_from(list(Crossing))),
        st.tuples(st.just("remove"), IDS),
        st.tuples(st.just("move"), IDS, PRICES),
        st.tuples(st.just("fire"), PRICES),
    ),
    max_size=80,
)
# (id, price, crossing) in the order of waiting.
Entries = list[tuple[int, int, Crossing]]


def fired(entries: Entries, price: int) -> list[int]:
    above = [entry for entry in entries if entry[2] is Crossing.AT_OR_ABOVE and price >= entry[1]]
    below = [entry for entry in entries if entry[2] is Crossing.AT_OR_BELOW and price <= entry[1]]
    ordered = [*sorted(above, key=lambda entry: entry[1]), *sorted(below, key=lambda entry: -entry[1])]
    return [entry[0] for entry in ordered]


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_it_fires_what_a_walk_over_all_entries_would(steps: list[tuple[Any, ...]]) -> None:
    book: TriggerBook[int] = TriggerBook()
    entries: Entries = []
    for step in steps:
        known = {entry[0]: entry for entry in entries}
        if step[0] == "fire":
            expected = fired(entries, step[1])
            assert book.crosses(step[1]) is bool(expected)
            assert book.fire(step[1]) == expected
            entries = [entry for entry in entries if entry[0] not in expected]
        elif step[0] == "add" and step[1] not in known:
            book.add(*step[1:])
            entries.append((step[1], step[2], step[3]))
        elif step[0] == "remove":
            assert book.remove(step[1]) is (step[1] in known)
            entries = [entry for entry in entries if entry[0] != step[1]]
        elif step[0] == "move" and step[1] in known:
            book.move(step[1], step[2])
            entries = [entry for entry in entries if entry[0] != step[1]]
            entries.append((step[1], step[2], known[step[1]][2]))
        assert list(book) == [entry[0] for entry in entries]
        above = [entry[1] for entry in entries if entry[2] is Crossing.AT_OR_ABOVE]
        below = [entry[1] for entry in entries if entry[2] is Crossing.AT_OR_BELOW]
        assert book.lowest_above == min(above, default=NEVER)
        assert book.highest_below == max(below, default=-NEVER)

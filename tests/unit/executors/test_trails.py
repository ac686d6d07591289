"""Groups of trailing stops against the plain rule: fallen by the distance from the best price since each was set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesta.executors.trails import Trails
from gesta.trading.trigger_book import NEVER


class Naive:
    """Everybody remembers everything."""

    def __init__(self) -> None:
        self.path: list[tuple[int, int]] = []
        self.trails: dict[str, tuple[int, int]] = {}

    def best(self, id: str) -> int:
        since, _ = self.trails[id]
        return max(price for at, price in self.path if at >= since)

    def fired(self, price: int) -> set[str]:
        return {id for id, (_, distance) in self.trails.items() if self.best(id) - distance >= price}


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(80, 120)),
        st.tuples(st.just("put"), st.integers(0, 7), st.integers(1, 15)),
        st.tuples(st.just("again"), st.integers(0, 7), st.integers(1, 15)),
        st.tuples(st.just("drop"), st.integers(0, 7)),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


@given(MOVES)
def test_groups_let_go_exactly_when_each_would_alone(moves: list[tuple[object, ...]]) -> None:
    naive, trails = Naive(), Trails()
    journal: dict[int, int] = {}
    price = 100
    naive.path.append((0, price))

    def put(id: str, distance: int, since: int) -> None:
        naive.trails[id] = (since, distance)
        trails.put(id, distance, since, price)

    for now, move in enumerate(moves, start=1):
        if move[0] == "price":
            price = int(str(move[1]))
            naive.path.append((now, price))
            fired = trails.observe(price)
            assert len(fired) == len(set(fired))
            assert set(fired) == naive.fired(price)
            for id in fired:
                # Looked at, and trailing the best price from now on.
                naive.path.append((now, price))
                put(id, naive.trails[id][1], now)
        elif move[0] == "put":
            naive.path.append((now, price))
            put(f"{move[1]}", int(str(move[2])), now)
        elif move[0] == "again":
            # Put again for another reason, its trail set when it was.
            id = f"{move[1]}"
            if id in naive.trails:
                since, _ = naive.trails[id]
                if naive.best(id) - int(str(move[2])) < price:
                    put(id, int(str(move[2])), since)
        elif move[0] == "drop":
            naive.trails.pop(f"{move[1]}", None)
            trails.drop(f"{move[1]}")
        else:
            trails = Trails()
            for until_us, best in sorted(journal.items()):
                trails.load(until_us, best)
            for id, (since, distance) in naive.trails.items():
                trails.put(id, distance, since, -NEVER)
            trails.prune()
        for until_us, kept in trails.changed.items():
            if kept is None:
                journal.pop(until_us, None)
            else:
                journal[until_us] = kept
        trails.changed = {}
        assert len(trails) == len(journal) <= len(naive.trails)
        assert {id: trails.best(id) for id in naive.trails} == {id: naive.best(id) for id in naive.trails}


def test_a_new_best_price_wakes_nobody_and_moves_all() -> None:
    trails = Trails()
    for number in range(1_000):
        trails.put(f"{number}", 1 + number, number, 100)
    for price in range(101, 200):
        assert trails.observe(price) == []
    assert (len(trails), trails.lowest, trails.fires_at) == (1, 199, 198)
    assert trails.observe(189) == [f"{number}" for number in range(10)]


def test_one_that_is_dropped_is_not_let_go() -> None:
    trails = Trails()
    trails.put("a", 1, 0, 100)
    trails.put("b", 2, 0, 100)
    trails.drop("a")
    assert trails.observe(99) == []
    assert trails.observe(98) == ["b"]
    trails.drop("b")
    assert (len(trails), trails.best("b"), trails.lowest) == (0, None, NEVER)

"""The demo's strategy does everything a newcomer should see, within its bounds, and nothing that a venue refuses."""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.app.demo.strategy import MOST, PATIENCE_US, ROOTS, TURN_US, Cancel, Look, Working, decide
from gesta.desk.trading.requests import PlaceOrder
from gesta.trading.orders import OrderType, Side

TICK = Decimal("0.25")
START_US = 1_760_000_000_000_000
TURNS = 2000


class Toy:
    """A market that fills market orders at once and a resting order when chance will have it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.position = 0
        self.working: dict[str, tuple[Working, PlaceOrder]] = {}
        self.seen: Counter[str] = Counter()
        self.filled_turns: list[int] = []

    def look(self, turn: int) -> Look:
        bid = Decimal(6900) + self.chance.randrange(40) * TICK
        return Look(
            root="ES",
            now_us=START_US + turn * TURN_US,
            tick=TICK,
            bid=bid,
            ask=bid + TICK,
            position=self.position,
            working=tuple(working for working, _ in self.working.values()),
        )

    def play(self, seed: int, turn: int) -> None:
        for id_ in [id_ for id_ in self.working if self.chance.random() < 0.2]:
            self.fill(turn, self.working.pop(id_)[1])
        look = self.look(turn)
        for number, request in enumerate(decide(seed, turn, look)):
            if isinstance(request, Cancel):
                self.seen["cancel"] += 1
                del self.working[request.order_id]
                continue
            assert request.instrument == "ES"
            assert 1 <= request.quantity <= 2 * MOST
            if request.type is OrderType.MARKET:
                self.classify(request)
                self.fill(turn, request)
            else:
                assert request.type is OrderType.LIMIT
                assert request.limit_price is not None
                assert request.limit_price % TICK == 0
                better = look.ask - request.limit_price if request.side is Side.BUY else request.limit_price - look.bid
                assert better > 0, "it rests"
                self.seen["resting"] += 1
                id_ = f"{turn}-{number}"
                working = Working(id=id_, quantity=int(request.quantity), is_exit=False, since_us=look.now_us)
                self.working[id_] = (working, request)
        held = abs(self.position) + sum(each.quantity for each, _ in self.working.values())
        assert held <= MOST

    def classify(self, request: PlaceOrder) -> None:
        after = self.position + request.side.sign * int(request.quantity)
        if not self.position:
            self.seen["bracketed entry" if request.bracket else "entry"] += 1
        elif after * self.position < 0:
            self.seen["reversal"] += 1
            assert after == -self.position
            assert not self.working
        elif request.reduce_only:
            self.seen["exit" if not after else "part exit"] += 1
        else:
            self.seen["scale-in"] += 1

    def fill(self, turn: int, request: PlaceOrder) -> None:
        self.position += request.side.sign * int(request.quantity)
        self.filled_turns.append(turn)


@functools.cache
def played(seed: int) -> Toy:
    toy = Toy(seed)
    for turn in range(0, TURNS, len(ROOTS)):
        toy.play(seed, turn)
    return toy


@pytest.mark.parametrize("seed", range(4))
def test_a_newcomer_sees_everything_soon(seed: int) -> None:
    seen = played(seed).seen
    wanted = {"entry", "bracketed entry", "resting", "scale-in", "part exit", "exit", "reversal", "cancel"}
    assert seen.keys() == wanted
    assert min(seen.values()) > 10


@pytest.mark.parametrize("seed", range(4))
def test_something_fills_all_the_time(seed: int) -> None:
    """In every minute, far less than the 320 seconds that are listed when no time is given."""
    turns = played(seed).filled_turns
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(gaps) * TURN_US < 60_000_000


def looks() -> st.SearchStrategy[Look]:
    working = st.builds(
        Working,
        id=st.uuids().map(str),
        quantity=st.integers(1, MOST),
        is_exit=st.booleans(),
        since_us=st.integers(START_US - 2 * PATIENCE_US, START_US),
    )
    return st.builds(
        Look,
        root=st.sampled_from(ROOTS),
        now_us=st.just(START_US),
        tick=st.just(TICK),
        bid=st.just(Decimal("6900.25")),
        ask=st.just(Decimal("6900.75")),
        position=st.integers(-2 * MOST, 2 * MOST),
        working=st.lists(working, max_size=6).map(tuple),
    )


@given(looks(), st.integers(0, 10**9), st.integers(0, 2**53), st.booleans())
def test_whatever_it_finds_it_stays_within_bounds(look: Look, turn: int, seed: int, at_once: bool) -> None:
    requests = decide(seed, turn, look, at_once=at_once)
    assert requests == decide(seed, turn, look, at_once=at_once)
    cancelled = [request.order_id for request in requests if isinstance(request, Cancel)]
    assert len(set(cancelled)) == len(cancelled)
    assert set(cancelled) <= {order.id for order in look.working}
    orders = [request for request in requests if isinstance(request, PlaceOrder)]
    assert len(orders) <= 1
    before = abs(look.position) + sum(order.quantity for order in look.working if not order.is_exit)
    for order in orders:
        assert not (at_once and order.type is not OrderType.MARKET)
        after = look.position + order.side.sign * int(order.quantity)
        if order.reduce_only:
            assert abs(after) < abs(look.position)
            assert after * look.position >= 0
        elif look.position and after * look.position < 0:
            assert abs(after) == abs(look.position) <= MOST
        else:
            assert before + int(order.quantity) <= MOST


@given(looks(), st.integers(0, 10**9))
def test_what_rests_too_long_is_given_up(look: Look, turn: int) -> None:
    cancelled = {request.order_id for request in decide(1, turn, look) if isinstance(request, Cancel)}
    for order in look.working:
        if not order.is_exit and look.now_us - order.since_us >= PATIENCE_US:
            assert order.id in cancelled

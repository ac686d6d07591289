"""The face of the venue: batches of events, the clock, life and questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gesta.kernel.errors import Unavailable
from gesta.trading.market import Quote
from gesta.trading.money import UNITS
from gesta.trading.orders import Change, OrderState
from gesta.trading.venue import AccountFunds, Ack, OpenPosition, Resume, VenueEvent
from gesta.venues.paper.recent import Recent
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.venue import PaperVenue
from tests.unit.venues.paper.floor import ES, INSTRUMENTS, START_US, commission, order, session_end_us, told


class House:
    """A started venue; `batches` is what the sink was called with, `reads` how often the clock was."""

    def __init__(self) -> None:
        self.batches: list[list[VenueEvent]] = []
        self.reads = 0
        self.at_us = START_US
        self.venue = PaperVenue(
            instrument_of=INSTRUMENTS.__getitem__,
            settings=PaperSettings(),
            commission=commission,
            session_end_us=session_end_us,
            now_us=self.now_us,
        )

    def now_us(self) -> int:
        self.reads += 1
        return 1000 + self.reads

    def sink(self, events: Sequence[VenueEvent]) -> None:
        self.batches.append(list(events))

    def quote(self, bid: int, ask: int) -> None:
        self.at_us += 1
        self.venue.on_market(Quote(ES.name, bid, ask, 5, 5, self.at_us, 0))


@pytest.fixture
async def house() -> House:
    house = House()
    await house.venue.start(Resume(), house.sink)
    return house


async def test_the_events_of_a_call_are_one_batch_of_one_moment(house: House) -> None:
    house.quote(100, 101)
    assert await house.venue.submit(order("a", "buy", "market", 7)) is Ack.ACCEPTED
    (batch,) = house.batches
    assert told(batch) == ["working a", "filled a 5@101", "filled a 2@102"]
    assert len({event.at_us for event in batch}) == 1


async def test_a_quote_that_touches_nothing_reads_no_clock(house: House) -> None:
    house.quote(100, 101)
    await house.venue.submit(order("a", "buy", "limit", limit=90))
    reads, batches = house.reads, len(house.batches)
    house.quote(100, 101)
    house.quote(99, 102)
    assert (house.reads, len(house.batches)) == (reads, batches)


async def test_answers_and_refusals(house: House) -> None:
    venue = house.venue
    assert await venue.submit(order("a", "buy", "market", created_at_us=START_US)) is Ack.REJECTED
    assert await venue.submit(order("b", "buy", "limit", limit=90)) is Ack.ACCEPTED
    assert await venue.change("b", Change(quantity=2)) is Ack.ACCEPTED
    assert await venue.change("a", Change(quantity=2)) is Ack.REJECTED
    assert await venue.cancel("b") is Ack.ACCEPTED
    assert await venue.cancel("b") is Ack.REJECTED
    flat = [each for batch in house.batches for each in told(batch)]
    assert flat == [
        "rejected a",
        "working b",
        "changed b 2 90 None",
        "change refused a",
        "cancelled b",
        "cancel refused b",
    ]


async def test_questions_are_answered_for_living_and_ended_orders(house: House) -> None:
    venue = house.venue
    house.quote(100, 101)
    for id, terms in (
        ("rests", {"type_": "limit", "limit": 90}),
        ("waits", {"type_": "stop_market", "stop": 110}),
        ("filled", {"type_": "market"}),
        ("refused", {"type_": "limit"}),
    ):
        await venue.submit(order(id, "buy", **terms))  # type: ignore[arg-type]
    states: dict[str, Any] = {}
    for id in ("rests", "waits", "filled", "refused", "never seen"):
        report = await venue.query(id)
        states[id] = None if report is None else (report.state, report.filled)
    assert states == {
        "rests": (OrderState.WORKING, 0),
        "waits": (OrderState.ACCEPTED, 0),
        "filled": (OrderState.FILLED, 1),
        "refused": (OrderState.REJECTED, 0),
        "never seen": None,
    }


async def test_before_the_start_and_after_the_stop_nothing_is_taken() -> None:
    house = House()
    house.quote(100, 101)
    with pytest.raises(Unavailable):
        await house.venue.submit(order("a", "buy", "limit", limit=99))
    await house.venue.start(Resume(), house.sink)
    await house.venue.submit(order("a", "buy", "limit", limit=99))
    await house.venue.stop()
    await house.venue.stop()
    house.quote(90, 91)
    for refused in (house.venue.cancel("a"), house.venue.change("a", Change())):
        with pytest.raises(Unavailable):
            await refused
    assert [told(batch) for batch in house.batches] == [["working a"]]


async def test_a_second_start_begins_anew(house: House) -> None:
    await house.venue.submit(order("a", "buy", "limit", limit=99))
    again = order("b", "buy", "limit", limit=99, state=OrderState.WORKING)
    await house.venue.start(Resume(orders=[again]), house.sink)
    house.quote(98, 99)
    assert told(house.batches[-1]) == ["filled b 1@99 maker gap"]


async def test_funds_and_positions_may_come_at_any_time(house: House) -> None:
    venue = house.venue
    venue.set_funds(1, AccountFunds(cash=13_200 * UNITS))
    venue.set_position(1, ES.name, OpenPosition(lots=-1, cost=-ES.value(100, 1)))
    house.quote(100, 101)
    await venue.submit(order("a", "buy", "limit", 1, limit=90))
    assert venue.reserve(1) == 0
    await venue.submit(order("b", "buy", "limit", 1, limit=90))
    assert told(house.batches[-1]) == ["rejected b"]
    venue.set_funds(1, AccountFunds(cash=40_000 * UNITS))
    await venue.submit(order("c", "buy", "limit", 1, limit=90))
    assert venue.reserve(1) == 13_200 * UNITS
    venue.set_position(1, ES.name, OpenPosition(lots=0, cost=0))
    assert venue.reserve(1) == 26_400 * UNITS


@pytest.mark.parametrize("name", ["slip_ticks", "latency_us"])
def test_settings_are_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PaperSettings(**{name: -1})  # type: ignore[arg-type]


def test_what_happened_lately_is_bounded() -> None:
    recent: Recent[int, int] = Recent(kept=10)
    for number in range(100):
        recent.put(number, number)
    assert all(recent.get(number) == number for number in range(90, 100))
    assert sum(recent.get(number) is not None for number in range(100)) <= 20

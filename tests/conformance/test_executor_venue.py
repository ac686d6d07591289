"""Executors at a venue that answers late, twice, out of order, "unknown", or no for ever; on each kind of database.

A submit without an answer is asked for by its id and never sent again blindly. What is filled is counted once, whenever
it is told. An executor that the venue refuses for ever fails by its rule and harms no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from gesta.app.build import MIGRATIONS
from gesta.executors.runner import order_id_of
from gesta.ledger.records import Status
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fake_venue import ScriptedVenue
from gesta.testing.fakes import ManualClock
from gesta.trading.orders import Order, OrderState
from gesta.trading.venue import Ack, EventSink, OrderAccepted, OrderCancelled, OrderRejected, OrderReport, Resume
from tests.conformance.test_executors import Bench as PaperBench

PRICE = 6_000_000  # ticks: 60000.00
LOTS = 100_000  # one coin


class Venue(ScriptedVenue):
    """`refuses` names the executor that it wants nothing of."""

    refuses = ""
    is_silent = False

    async def submit(self, order: Order) -> Ack:
        if order.parent_id == self.refuses:
            self.submitted.append(order.id)
            self.tell(OrderRejected(**self._times(order.id), reason="Not from you."))  # type: ignore[arg-type]
            return Ack.REJECTED
        if self.is_silent:
            self.submitted.append(order.id)
            self.orders[order.id] = order
            return Ack.ACCEPTED
        return await super().submit(order)


class Bench(PaperBench):
    """Executors at a venue that does what it is told."""

    def __init__(self, database: Database, clock: ManualClock, seed: int) -> None:
        super().__init__(database, clock, seed)
        self.venue = Venue(clock.now_us)
        self.engine._venue = self.venue

    def order_id(self, executor_id: str, tag: int = 1) -> str:
        return order_id_of(self.principal.organization.id, executor_id, tag)

    def times(self, order_id: str) -> dict[str, Any]:
        return {"order_id": order_id, "at_us": self.clock.now_us(), "venue_time_us": self.clock.now_us()}

    async def bought(self) -> Decimal:
        return sum((fill.detail.quantity for fill in await self.fills()), Decimal(0))  # type: ignore[union-attr]

    def state_of(self, order_id: str) -> OrderState | None:
        order = self.engine.state.orders.get(order_id)
        return None if order is None else order.state


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Callable[[], Awaitable[Bench]]]:
    """Start a process; the next start is the next process, the last one having been killed."""
    await migrate(database, MIGRATIONS)
    clock, opened = ManualClock(), list[Bench]()

    async def start(prepare: Callable[[Bench], None] = lambda _: None) -> Bench:
        bench = Bench(database, clock, len(opened))
        prepare(bench)
        opened.append(bench)
        await bench.open()
        return bench

    yield start
    for bench in opened:
        await bench.runner.stop()
        await bench.engine.stop()


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    made = await start()
    await made.quote("60000")
    return made


async def test_a_lost_answer_is_asked_for_and_the_order_that_is_there_goes_on(bench: Bench) -> None:
    # Its first id is known only once it is made: the venue knows every order that it is asked about.
    async def working(order_id: str) -> OrderReport:
        return OrderReport(order_id=order_id, state=OrderState.WORKING, filled=0)

    bench.venue.query = working  # type: ignore[method-assign]
    bench.venue.acks = [Ack.UNKNOWN]
    made = await bench.create()
    first = bench.order_id(made.id)
    assert bench.venue.submitted == [first]
    assert bench.state_of(first) is OrderState.WORKING
    for _ in range(5):
        await bench.quote("60000")
    bench.venue.fill(first, 1, LOTS, PRICE)
    assert (await bench.detail(made.id)).is_trading
    assert bench.venue.submitted == [first]
    await bench.check()


async def test_a_lost_order_is_placed_anew_under_another_id(bench: Bench) -> None:
    """The venue does not know it: the machine hears of a failure, and its rule sends the next step's order."""
    bench.venue.acks = [Ack.UNKNOWN]
    made = await bench.create()
    await bench.quote("60000")
    await bench.quote("60000")
    first, second = bench.order_id(made.id), bench.order_id(made.id, 2)
    assert bench.venue.submitted == [first, second]
    bench.venue.fill(second, 1, LOTS, PRICE)
    assert await bench.bought() == 1
    assert (await bench.detail(made.id)).error_count == 1
    await bench.check()


async def test_an_order_that_ended_while_nobody_listened_ends_here(bench: Bench) -> None:
    async def cancelled(order_id: str) -> OrderReport:
        return OrderReport(order_id=order_id, state=OrderState.CANCELLED, filled=0)

    bench.venue.query = cancelled  # type: ignore[method-assign]
    bench.venue.acks = [Ack.UNKNOWN]
    made = await bench.create()
    first = bench.order_id(made.id)
    assert bench.state_of(first) is None
    await bench.quote("60000")
    await bench.quote("60000")
    # What it wants is wanted still.
    assert bench.venue.submitted == [first, bench.order_id(made.id, 2)]
    await bench.check()


async def test_a_lost_order_that_was_filled_waits_for_its_fill(bench: Bench) -> None:
    async def filled(order_id: str) -> OrderReport:
        return OrderReport(order_id=order_id, state=OrderState.FILLED, filled=LOTS)

    bench.venue.query = filled  # type: ignore[method-assign]
    bench.venue.acks = [Ack.UNKNOWN]
    made = await bench.create()
    first = bench.order_id(made.id)
    for _ in range(3):
        await bench.quote("60000")
    assert bench.state_of(first) is OrderState.UNKNOWN
    assert bench.venue.submitted == [first]
    bench.venue.fill(first, 1, LOTS, PRICE)
    assert (await bench.detail(made.id)).filled_quote == 60_000
    await bench.check()


async def test_answers_that_come_twice_or_in_the_wrong_order_are_counted_once(bench: Bench) -> None:
    bench.venue.is_silent = True
    made = await bench.create()
    first = bench.order_id(made.id)
    # The fill overtakes the acceptance; both are told again.
    bench.venue.fill(first, 1, LOTS // 4, PRICE)
    bench.venue.tell(OrderAccepted(**bench.times(first), is_working=True))
    bench.venue.fill(first, 1, LOTS // 4, PRICE)
    bench.venue.tell(OrderAccepted(**bench.times(first), is_working=True))
    assert await bench.bought() == Decimal("0.25")
    bench.venue.fill(first, 2, LOTS - LOTS // 4, PRICE)
    bench.venue.fill(first, 2, LOTS - LOTS // 4, PRICE)
    assert await bench.bought() == 1
    detail = await bench.detail(made.id)
    assert (detail.filled_quote, detail.is_trading) == (60_000, True)
    assert bench.venue.submitted == [first]
    await bench.check()


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_restart_asks_before_it_sends(start: Callable[..., Awaitable[Bench]], is_known: bool) -> None:
    """The last process died between sending and hearing: its order is sent again only if it never arrived."""
    first = await start()
    await first.quote("60000")
    first.venue.is_silent = True
    made = await first.create()
    order_id = first.order_id(made.id)
    assert first.state_of(order_id) is OrderState.SUBMITTED

    def prepare(bench: Bench) -> None:
        if is_known:
            bench.venue.knows[order_id] = OrderReport(order_id=order_id, state=OrderState.WORKING, filled=0)

    second = await start(prepare)
    await second.quote("60000")
    assert second.venue.submitted == ([] if is_known else [order_id])
    second.venue.fill(order_id, 1, LOTS, PRICE)
    assert (await second.detail(made.id)).filled_quote == 60_000
    assert await second.bought() == 1
    await second.check()


async def test_one_that_is_refused_for_ever_fails_and_harms_no_other(bench: Bench) -> None:
    good = await bench.create()
    bad = await bench.create(id="refused", activation_bounds=["0.001"], entry_price="60100")
    assert bench.order_id(bad.id) not in bench.venue.submitted
    bench.venue.refuses = bad.id
    bench.venue.fill(bench.order_id(good.id), 1, LOTS, PRICE)
    for _ in range(40):
        await bench.quote("60100")
    detail = await bench.detail(bad.id)
    assert (detail.close_type, (await bench.get(bad.id)).status) == ("FAILED", Status.FAILED)
    assert detail.error_count > 1
    assert "Not from you." in (detail.last_error or "")
    sent = Counter(bench.venue.submitted)
    # Each time with an id of its own, and no more often than the rule says.
    assert set(sent.values()) == {1}
    assert len(sent) <= 12
    assert (await bench.get(good.id)).status is Status.RUNNING
    await bench.quote("61300")
    bench.venue.fill(bench.order_id(good.id, 2), 1, LOTS, 6_130_000)
    assert (await bench.detail(good.id)).close_type == "TAKE_PROFIT"
    await bench.check()


async def test_an_order_that_fills_after_its_cancel_is_the_executors(bench: Bench) -> None:
    """The cancel was confirmed, on disk and forgotten; the fill that it had overtaken is told later."""
    config = {"entry_price": "59000", "triple_barrier_config": {"open_order_type": "LIMIT", "stop_loss": "0.02"}}
    made = await bench.create(**config)
    first = bench.order_id(made.id)
    bench.venue.tell(OrderCancelled(**bench.times(first)))
    await bench.engine.idle()
    assert bench.state_of(first) is None
    bench.venue.fill(first, 1, LOTS, 5_900_000)
    detail = await bench.detail(made.id)
    assert (detail.filled_quote, detail.is_trading) == (59_000, True)
    assert await bench.bought() == 1
    await bench.check()


async def test_a_fill_after_the_end_is_on_the_executors_record(start: Callable[..., Awaitable[Bench]]) -> None:
    """Told while the executor is long over, by the process that ended it or by the next one, as it starts."""
    first = await start()
    await first.quote("60000")
    made = await first.create(entry_price="59000", triple_barrier_config={"open_order_type": "LIMIT"})
    order_id = first.order_id(made.id)
    await first.executors.stop(first.principal, made.id)
    assert (await first.detail(made.id)).close_type == "EARLY_STOP"
    first.venue.fill(order_id, 1, LOTS // 2, 5_900_000)
    assert await first.bought() == Decimal("0.5")

    def prepare(bench: Bench) -> None:
        start_venue = bench.venue.start

        async def telling(resume: Resume, on_events: EventSink) -> None:
            await start_venue(resume, on_events)
            bench.venue.fill(order_id, 1, LOTS // 2, 5_900_000)
            bench.venue.fill(order_id, 2, LOTS // 2, 5_900_000)

        bench.venue.start = telling  # type: ignore[method-assign]

    second = await start(prepare)
    assert await second.bought() == 1
    timeline = await second.ledger.events(second.principal.organization.id, made.id)
    late = [event.message for event in timeline.events if event.type == "executor.filled_late"]
    assert len(late) == 2
    assert "(1.00000 BTC-USDT)" in late[-1]
    await second.check()


async def test_an_order_that_was_given_up_and_arrives_after_all_is_called_back(bench: Bench) -> None:
    bench.venue.acks = [Ack.UNKNOWN]
    made = await bench.create()
    first, second = bench.order_id(made.id), bench.order_id(made.id, 2)
    bench.venue.answers_cancel = False
    bench.venue.tell(OrderAccepted(**bench.times(first), is_working=True))
    await bench.engine.idle()
    assert bench.venue.cancelled == [first]
    # A part of it was quicker.
    bench.venue.fill(first, 1, LOTS // 4, PRICE)
    assert await bench.bought() == Decimal("0.25")
    await bench.quote("60000")
    await bench.quote("60000")
    assert bench.venue.submitted == [first, second]
    assert bench.venue.orders[second].quantity == LOTS - LOTS // 4
    bench.venue.fill(second, 1, LOTS - LOTS // 4, PRICE)
    assert (await bench.detail(made.id)).filled_quote == 60_000
    await bench.check()


async def test_an_order_that_nobody_has_placed_is_quarantined(start: Callable[..., Awaitable[Bench]]) -> None:
    first = await start()
    await first.quote("60000")
    made = await first.create()
    first.venue.fill(first.order_id(made.id), 1, LOTS, PRICE)
    assert await first.bought() == 1
    second = await start()
    stranger = "f" * 32
    second.venue.tell(OrderAccepted(**second.times(stranger), is_working=True))
    second.venue.fill(stranger, 1, LOTS, PRICE)
    await second.engine.idle()
    assert second.engine.quarantined == {stranger: 2}
    # It is nobody's: no order, no fill, no position of ours comes of it, and what is ours goes on.
    assert await second.bought() == 1
    await second.quote("58700")
    second.venue.fill(second.order_id(made.id, 2), 1, LOTS, 5_870_000)
    assert (await second.detail(made.id)).close_type == "STOP_LOSS"
    await second.check()

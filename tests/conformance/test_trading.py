"""The trading engine on each kind of database: what is acknowledged, what is on disk, what a restart finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.desk.reading import Reading
from gesta.desk.trading.desk import TradingDesk
from gesta.desk.trading.engine import RESTARTED, Engine
from gesta.desk.trading.requests import BracketPosition, ChangeOrder, MarketPosition, PlaceOrder
from gesta.desk.trading.verify import verify
from gesta.desk.trading.views import FillUpdate, OrderUpdate, PositionUpdate, Update
from gesta.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from gesta.ledger.query import Filter
from gesta.ledger.records import FillDetail, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify as recount
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fake_venue import ES, HandMarket, ScriptedVenue
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.trading.market import Flag, Quote
from gesta.trading.orders import Bracket, OrderState, OrderType, Side, TimeInForce
from gesta.trading.venue import Ack, OrderAccepted, OrderCancelled, OrderRejected, OrderTriggered

COMPONENTS = (
    ("access", "gesta.access.migrations"),
    ("ledger", "gesta.ledger.migrations"),
    ("trading", "gesta.desk.trading.migrations"),
)


class Bench:
    """One process's trading, over a database that outlives it."""

    def __init__(self, database: Database, clock: ManualClock, seed: int = 0) -> None:
        self.database = database
        self.clock = clock
        self.ids = SeededIds(seed)
        self.ledger = StoredLedger(database, clock)
        self.access = AccessService(database, clock, self.ids, AccessSettings())
        self.market = HandMarket()
        self.venue = ScriptedVenue(clock.now_us)
        self.engine = Engine(
            database=database,
            ledger=self.ledger,
            access=self.access,
            venue=self.venue,
            market=self.market,
            clock=clock,
            session=lambda: 1,
            starting_cash=Decimal(100_000),
        )
        self.desk = TradingDesk(
            self.engine,
            database=database,
            reading=Reading(self.ledger),
            access=self.access,
            market=self.market,
            ids=self.ids,
        )
        self.updates: list[Update] = []

    async def open(self) -> None:
        named = [each for each in await self.access.organizations() if each.name == "Desk"]
        self.organization = named[0] if named else await self.access.create_organization("Desk")
        self.account: Account = await self.access.ensure_account(self.organization.id, "Sim101", AccountType.TRADING)
        self.principal = Principal(
            organization=self.organization,
            identity_id=1,
            identity_name="trader",
            credential_id=1,
            scopes=frozenset({Scope.ADMIN}),
        )
        await self.engine.start()
        self.engine.subscribe(self.organization.id, self._hear)

    def _hear(self, updates: Sequence[Update]) -> None:
        self.updates += updates

    async def place(self, **terms: Any) -> str:
        terms = {"instrument": "ES", "side": Side.BUY, "quantity": Decimal(1), **terms}
        placed = await self.desk.place(self.principal, self.account, PlaceOrder(**terms))
        return placed.order.id

    async def settle(self) -> None:
        await self.engine.idle()

    async def state(self, order_id: str) -> OrderState:
        await self.settle()
        return (await self.desk.order(self.principal, self.account, order_id)).order.state

    async def fills(self) -> list[FillDetail]:
        await self.settle()
        page = await self.ledger.page(
            Filter(organization=self.organization.id), offset=0, limit=1000, newest_first=False
        )
        return [row.detail for row in page.rows if isinstance(row.detail, FillDetail)]

    async def check(self) -> None:
        """What is kept agrees with the fills."""
        await self.settle()
        assert (await verify(self.database, self.market.instrument)).faults == []
        assert (await recount(self.database)).faults == []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(database: Database, clock: ManualClock) -> AsyncIterator[Callable[[], Awaitable[Bench]]]:
    """Start a process's trading; the next start is the next process, the last one having been killed."""
    await migrate(database, COMPONENTS)
    opened: list[Bench] = []

    async def start() -> Bench:
        bench = Bench(database, clock, seed=len(opened))
        opened.append(bench)
        await bench.open()
        return bench

    yield start
    for bench in opened:
        await bench.engine.stop()


@pytest.fixture
async def bench(start: Callable[[], Awaitable[Bench]]) -> Bench:
    return await start()


def of(updates: Sequence[Update], kind: type) -> list[Any]:
    return [update for update in updates if isinstance(update, kind)]


async def test_an_order_is_on_disk_before_the_venue_hears_of_it(bench: Bench) -> None:
    seen: list[OrderState] = []
    submit = bench.venue.submit

    async def look(order: Any) -> Ack:
        stored = await bench.desk.order(bench.principal, bench.account, order.id)
        seen.append(stored.order.state)
        return await submit(order)

    bench.venue.submit = look  # type: ignore[method-assign]
    order_id = await bench.place(type=OrderType.LIMIT, limit_price=Decimal("5800"))
    assert seen == [OrderState.INITIALIZED]
    assert await bench.state(order_id) is OrderState.WORKING


async def test_a_fill_is_an_execution_a_position_and_money_in_one_commit(bench: Bench) -> None:
    order_id = await bench.place(quantity=Decimal(2), name="Signal")
    bench.venue.fill(order_id, 1, 1, 23_200, commission=2_250_000_000_000, reference_ticks=23_199)
    bench.venue.fill(order_id, 2, 1, 23_204, commission=2_250_000_000_000, reference_ticks=23_199)
    first, second = await bench.fills()
    assert (first.price, first.quantity, first.commission) == (Decimal("5800"), 1, Decimal("2.25"))
    assert (first.position_after, first.is_entry, first.is_initial_entry, first.slippage_ticks) == (1, True, True, 1)
    assert (second.position_after, second.is_initial_entry, second.cumulative_quantity) == (2, False, 2)
    view = await bench.desk.order(bench.principal, bench.account, order_id)
    assert (view.order.state, view.average_price) == (OrderState.FILLED, Decimal("5800.5"))
    position = await bench.desk.position(bench.principal, bench.account, "ES")
    assert (position.market_position, position.quantity) == (MarketPosition.LONG, 2)
    account = await bench.desk.account(bench.principal, bench.account)
    assert account.cash == Decimal("99995.5")
    await bench.check()


async def test_who_listens_is_told_after_the_commit_the_fill_before_the_position(bench: Bench) -> None:
    order_id = await bench.place()
    bench.venue.fill(order_id, 1, 1, 23_200)
    await bench.settle()
    kinds = [type(update) for update in bench.updates]
    assert kinds[-3:] == [OrderUpdate, FillUpdate, PositionUpdate]
    (fill,) = of(bench.updates, FillUpdate)
    stored = await bench.ledger.get(bench.organization.id, fill.execution.id)
    assert stored == fill.execution


async def test_a_reversal_realizes_what_it_closed_and_opens_the_rest(bench: Bench) -> None:
    bought = await bench.place()
    bench.venue.fill(bought, 1, 1, 23_200)
    sold = await bench.place(side=Side.SELL, quantity=Decimal(3))
    bench.venue.fill(sold, 1, 3, 23_204)
    _, fill = await bench.fills()
    assert fill.realized_pnl == Decimal(50)
    assert (fill.position_after, fill.is_entry, fill.is_exit) == (-2, True, True)
    assert (fill.is_initial_entry, fill.is_last_exit) == (True, False)
    await bench.check()


async def test_a_fill_told_twice_counts_once(bench: Bench) -> None:
    order_id = await bench.place(quantity=Decimal(2))
    bench.venue.fill(order_id, 1, 1, 23_200)
    bench.venue.fill(order_id, 1, 1, 23_200)
    assert len(await bench.fills()) == 1
    await bench.check()


async def test_a_client_id_makes_a_repeated_placement_the_same_order(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.place(client_id="mine"), bench.place(client_id="mine"))
    assert first == second
    bench.venue.fill(first, 1, 1, 23_200)
    assert await bench.state(first) is OrderState.FILLED
    assert await bench.place(client_id="mine") == first
    with pytest.raises(Conflict, match="other terms"):
        await bench.place(client_id="mine", quantity=Decimal(2))
    found = await bench.desk.order(bench.principal, bench.account, "mine")
    assert found.order.id == first
    assert len(bench.venue.submitted) == 1


async def test_a_fill_that_overtakes_a_cancel_stands(bench: Bench) -> None:
    bench.venue.answers_cancel = False
    order_id = await bench.place(quantity=Decimal(2), type=OrderType.LIMIT, limit_price=Decimal(5800))
    await bench.desk.cancel(bench.principal, bench.account, order_id)
    bench.venue.fill(order_id, 1, 1, 23_200)
    assert await bench.state(order_id) is OrderState.CANCEL_PENDING
    bench.venue.tell(OrderCancelled(order_id=order_id, at_us=1, venue_time_us=1, reason="asked"))
    view = await bench.desk.order(bench.principal, bench.account, order_id)
    await bench.settle()
    view = await bench.desk.order(bench.principal, bench.account, order_id)
    assert (view.order.state, view.order.filled) == (OrderState.CANCELLED, 1)
    with pytest.raises(Conflict):
        await bench.desk.cancel(bench.principal, bench.account, order_id)


async def test_an_event_that_the_life_cycle_does_not_know_changes_nothing(bench: Bench) -> None:
    order_id = await bench.place(type=OrderType.LIMIT, limit_price=Decimal(5800))
    bench.venue.tell(OrderRejected(order_id=order_id, at_us=1, venue_time_us=1, reason="too late"))
    assert await bench.state(order_id) is OrderState.WORKING
    _, notes = await bench.desk.timeline(bench.principal, bench.account, order_id)
    assert notes[-1].event == "Anomaly"


async def test_a_bracket_comes_with_the_fill_and_goes_with_the_position(bench: Bench) -> None:
    entry = await bench.place(quantity=Decimal(2), bracket=Bracket(stop_ticks=8, target_ticks=16))
    bench.venue.fill(entry, 1, 2, 23_200)
    await bench.settle()
    working = (await bench.desk.orders(bench.principal, bench.account, working=True)).rows
    legs = {view.order.name: view.order for view in working}
    assert (legs["Stop1"].stop_ticks, legs["Stop1"].side, legs["Stop1"].quantity) == (23_192, Side.SELL, 2)
    assert (legs["Target1"].limit_ticks, legs["Target1"].time_in_force) == (23_216, TimeInForce.GTC)
    assert legs["Stop1"].oco_id == legs["Target1"].oco_id
    assert all(leg.reduce_only and leg.opened_by == entry for leg in legs.values())
    closing = await bench.desk.close(bench.principal, bench.account, "ES")
    assert closing is not None
    bench.venue.fill(closing.order.id, 1, 2, 23_201)
    await bench.settle()
    assert sorted(bench.venue.cancelled) == sorted(leg.id for leg in legs.values())
    await bench.check()


async def test_after_a_kill_everything_goes_on(start: Callable[[], Awaitable[Bench]]) -> None:
    first = await start()
    resting = await first.place(type=OrderType.LIMIT, limit_price=Decimal(5790), quantity=Decimal(3))
    first.venue.fill(resting, 1, 1, 23_160)
    changing = await first.place(type=OrderType.STOP_MARKET, stop_price=Decimal(5700), side=Side.SELL)
    cancelling = await first.place(type=OrderType.LIMIT, limit_price=Decimal(5780))
    first.venue.answers_cancel = False
    await first.desk.cancel(first.principal, first.account, cancelling)
    await first.settle()
    second = await start()
    assert {order.id for order in second.venue.resume.orders} == {resting, changing, cancelling}
    assert second.venue.resume.positions[second.account.id, ES.name].lots == 1
    assert second.venue.cancelled == [cancelling]
    assert await second.state(cancelling) is OrderState.CANCELLED
    second.venue.fill(resting, 2, 2, 23_160)
    second.venue.tell(OrderTriggered(order_id=changing, at_us=1, venue_time_us=1, gap=True))
    second.venue.fill(changing, 1, 1, 22_700, gap=True)
    assert await second.state(resting) is OrderState.FILLED
    view = await second.desk.order(second.principal, second.account, changing)
    assert view.order.gap
    await second.check()


async def test_a_process_that_was_replaced_can_write_no_more(start: Callable[[], Awaitable[Bench]]) -> None:
    first = await start()
    order_id = await first.place(type=OrderType.LIMIT, limit_price=Decimal(5790))
    second = await start()
    with pytest.raises(Unavailable):
        await first.place()
    with pytest.raises(Unavailable, match="taken over"):
        await first.place()
    second.venue.fill(order_id, 1, 1, 23_160)
    await second.check()
    assert len(await second.fills()) == 1


async def test_what_was_journaled_and_not_sent_is_sent_by_the_next_start(
    start: Callable[[], Awaitable[Bench]],
) -> None:
    first = await start()

    asked = asyncio.Event()

    async def killed(order: Any) -> Ack:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    first.venue.submit = killed  # type: ignore[method-assign]
    placing = asyncio.create_task(first.place(client_id="once"))
    await asked.wait()
    second = await start()
    assert len(second.venue.submitted) == 1
    again = await second.place(client_id="once")
    assert second.venue.submitted == [again]
    placing.cancel()
    with suppress(asyncio.CancelledError, Unavailable):
        await placing


async def test_a_submit_without_an_answer_is_asked_for_and_never_repeated(bench: Bench) -> None:
    bench.venue.acks = [Ack.UNKNOWN]
    lost = await bench.place()
    assert await bench.state(lost) is OrderState.REJECTED
    assert bench.venue.submitted == [lost]


async def test_a_change_under_way_at_a_kill_is_refused_by_the_next_start(
    start: Callable[[], Awaitable[Bench]],
) -> None:
    first = await start()
    order_id = await first.place(type=OrderType.LIMIT, limit_price=Decimal(5790))

    async def silent(order_id: str, change: Any) -> Ack:
        return Ack.ACCEPTED

    first.venue.change = silent  # type: ignore[method-assign]
    await first.desk.change(first.principal, first.account, order_id, ChangeOrder(limit_price=Decimal(5791)))
    assert await first.state(order_id) is OrderState.CHANGE_PENDING
    second = await start()
    assert await second.state(order_id) is OrderState.WORKING
    _, notes = await second.desk.timeline(second.principal, second.account, order_id)
    assert notes[-1].message == RESTARTED


async def test_a_changed_order_keeps_its_id(bench: Bench) -> None:
    order_id = await bench.place(type=OrderType.LIMIT, limit_price=Decimal(5790))
    change = ChangeOrder(limit_price=Decimal("5791.25"), quantity=Decimal(4))
    changed = await bench.desk.change(bench.principal, bench.account, order_id, change)
    assert (changed.order.id, changed.order.limit_ticks, changed.order.quantity) == (order_id, 23_165, 4)
    with pytest.raises(InvalidInput, match=r"5791.25 or 5791.50"):
        await bench.desk.change(bench.principal, bench.account, order_id, ChangeOrder(limit_price=Decimal("5791.3")))


async def test_a_replacement_gives_up_what_was_filled_before_the_cancel(bench: Bench) -> None:
    order_id = await bench.place(type=OrderType.LIMIT, limit_price=Decimal(5790), quantity=Decimal(3))
    cancel = bench.venue.cancel

    async def late(order_id: str) -> Ack:
        bench.venue.fill(order_id, 1, 1, 23_160)
        return await cancel(order_id)

    bench.venue.cancel = late  # type: ignore[method-assign]
    request = PlaceOrder(
        instrument="ES", side=Side.BUY, quantity=Decimal(3), type=OrderType.LIMIT, limit_price=Decimal(5795)
    )
    replaced = await bench.desk.replace(bench.principal, bench.account, order_id, request)
    assert (replaced.order.quantity, replaced.order.replaces) == (2, order_id)


async def test_flatten_cancels_then_closes(bench: Bench) -> None:
    bought = await bench.place(quantity=Decimal(2))
    bench.venue.fill(bought, 1, 2, 23_200)
    resting = await bench.place(type=OrderType.LIMIT, limit_price=Decimal(5700))
    done = await bench.desk.flatten(bench.principal, [bench.account])
    assert done.cancelled == [resting]
    assert [view.quantity for view in done.closed] == [2]
    (closing,) = done.order_ids
    bench.venue.fill(closing, 1, 2, 23_210)
    await bench.settle()
    assert await bench.desk.positions(bench.principal, [bench.account]) == []
    again = await bench.desk.flatten(bench.principal, [bench.account])
    assert (again.order_ids, again.closed, again.cancelled) == ([], [], [])


async def test_reverse_trades_twice_the_position(bench: Bench) -> None:
    assert await bench.desk.reverse(bench.principal, bench.account, "ES") is None
    bought = await bench.place(quantity=Decimal(2))
    bench.venue.fill(bought, 1, 2, 23_200)
    reversing = await bench.desk.reverse(bench.principal, bench.account, "ES")
    assert reversing is not None
    assert (reversing.order.side, reversing.order.quantity) == (Side.SELL, 4)


async def test_a_position_is_bracketed_anew(bench: Bench) -> None:
    request = BracketPosition(instrument="ES", stop_price=Decimal(5790), target_price=Decimal(5820))
    with pytest.raises(Conflict, match="no position"):
        await bench.desk.cancel_and_bracket(bench.principal, bench.account, request)
    bought = await bench.place(quantity=Decimal(2))
    bench.venue.fill(bought, 1, 2, 23_200)
    old = await bench.place(type=OrderType.STOP_MARKET, stop_price=Decimal(5700), side=Side.SELL)
    wrong = msgspec.structs.replace(request, position=Side.SELL)
    with pytest.raises(Conflict, match="is long"):
        await bench.desk.cancel_and_bracket(bench.principal, bench.account, wrong)
    stop, target = await bench.desk.cancel_and_bracket(bench.principal, bench.account, request)
    assert bench.venue.cancelled == [old]
    assert stop.order.oco_id == target.order.oco_id is not None
    assert (stop.order.type, target.order.type) == (OrderType.STOP_MARKET, OrderType.LIMIT)


async def test_conditions_on_the_position_are_kept(bench: Bench) -> None:
    flat = frozenset({MarketPosition.FLAT})
    bought = await bench.place(require_market_position=flat)
    bench.venue.fill(bought, 1, 1, 23_200)
    with pytest.raises(Conflict, match="is long"):
        await bench.place(require_market_position=flat)
    with pytest.raises(Conflict, match="1 open positions"):
        await bench.place(instrument="NQ", max_positions=1)
    assert len(bench.venue.submitted) == 1


async def test_a_bust_gives_the_position_that_the_other_fills_make(bench: Bench) -> None:
    for number, (side, lots, ticks) in enumerate(
        ((Side.BUY, 2, 23_200), (Side.BUY, 1, 23_212), (Side.SELL, 3, 23_220))
    ):
        order_id = await bench.place(side=side, quantity=Decimal(lots), client_id=str(number))
        bench.venue.fill(order_id, 1, lots, ticks, commission=1_000_000_000_000)
    await bench.settle()
    fills = [update.execution for update in of(bench.updates, FillUpdate)]
    busted = await bench.desk.bust(bench.principal, fills[1].id, reason="clearly erroneous")
    assert busted.status is Status.CANCELLED
    position = await bench.desk.position(bench.principal, bench.account, "ES")
    assert (position.market_position, position.quantity) == (MarketPosition.SHORT, 1)
    last = await bench.ledger.get(bench.organization.id, fills[2].id)
    assert last is not None
    assert isinstance(last.detail, FillDetail)
    # Two of the three were closed, at 20 ticks of profit each; the third opened a short.
    assert (last.detail.realized_pnl, last.detail.position_after) == (Decimal(500), -1)
    assert (last.detail.is_entry, last.detail.is_exit, last.detail.is_last_exit) == (True, True, False)
    account = await bench.desk.account(bench.principal, bench.account)
    assert account.cash == 100_000 + 500 - 2
    assert bench.venue.positions[bench.account.id, ES.name].lots == -1
    with pytest.raises(Conflict, match="busted before"):
        await bench.desk.bust(bench.principal, fills[1].id, reason="again")
    await bench.check()


async def test_a_correction_moves_price_quantity_and_what_follows(
    bench: Bench, start: Callable[[], Awaitable[Bench]]
) -> None:
    bought = await bench.place(quantity=Decimal(2))
    bench.venue.fill(bought, 1, 2, 23_200)
    sold = await bench.place(side=Side.SELL)
    bench.venue.fill(sold, 1, 1, 23_240)
    await bench.settle()
    first, _ = [update.execution for update in of(bench.updates, FillUpdate)]
    corrected = await bench.desk.correct(bench.principal, first.id, price=Decimal(5805), reason="typo")
    assert isinstance(corrected.detail, FillDetail)
    assert (corrected.detail.price, corrected.version) == (Decimal(5805), 2)
    account = await bench.desk.account(bench.principal, bench.account)
    assert account.realized == Decimal(250)
    for wrong in ({}, {"price": Decimal("5805.1")}, {"quantity": Decimal(0)}, {"price": Decimal("NaN")}):
        with pytest.raises(InvalidInput):
            await bench.desk.correct(bench.principal, first.id, reason="typo", **wrong)
    with pytest.raises(NotFound):
        await bench.desk.correct(bench.principal, "f" * 32, price=Decimal(5805), reason="typo")
    await bench.check()
    again = await start()
    assert (await again.desk.account(again.principal, again.account)).realized == Decimal(250)
    await again.check()


@pytest.mark.parametrize(
    "terms",
    [
        {"quantity": Decimal(0)},
        {"quantity": Decimal(-1)},
        {"quantity": Decimal("1.5")},
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal("Infinity")},
        {"quantity": Decimal("1e30")},
        {"type": OrderType.LIMIT},
        {"type": OrderType.LIMIT, "limit_price": Decimal("5800.1")},
        {"type": OrderType.LIMIT, "limit_price": Decimal("-Infinity")},
        {"type": OrderType.MARKET, "limit_price": Decimal(5800)},
        {"type": OrderType.STOP_LIMIT, "limit_price": Decimal(5800)},
        {"type": OrderType.STOP_MARKET, "stop_price": Decimal(5800), "time_in_force": TimeInForce.IOC},
        {"instrument": "XX"},
        {"client_id": ""},
        {"client_id": "x" * 65},
        {"name": "a\0b"},
        {"bracket": Bracket()},
        {"bracket": Bracket(stop_ticks=0)},
        {"bracket": Bracket(stop_ticks=4), "reduce_only": True},
    ],
)
async def test_terms_that_cannot_be_leave_nothing_behind(bench: Bench, terms: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await bench.place(**terms)
    await bench.settle()
    assert (await bench.desk.orders(bench.principal, bench.account)).rows == []
    assert bench.venue.submitted == []


async def test_who_may_not_trade_does_not(bench: Bench) -> None:
    reader = msgspec.structs.replace(bench.principal, scopes=frozenset({Scope.READ}))
    request = PlaceOrder(instrument="ES", side=Side.BUY, quantity=Decimal(1))
    with pytest.raises(Forbidden):
        await bench.desk.place(reader, bench.account, request)
    with pytest.raises(Forbidden):
        await bench.desk.flatten(reader, [bench.account])
    with pytest.raises(Forbidden):
        await bench.desk.close(reader, bench.account, "ES")
    stranger = await bench.access.create_organization("Stranger")
    other = msgspec.structs.replace(bench.principal, organization=stranger)
    with pytest.raises(NotFound):
        await bench.desk.place(other, bench.account, request)
    with pytest.raises(NotFound):
        await bench.desk.positions(other, [bench.account])


async def test_pages_of_orders_are_newest_first(bench: Bench) -> None:
    placed = [await bench.place(type=OrderType.LIMIT, limit_price=Decimal(5700 + n)) for n in range(5)]
    await bench.settle()
    first = await bench.desk.orders(bench.principal, bench.account, limit=2)
    second = await bench.desk.orders(bench.principal, bench.account, limit=3, after=first.next)
    assert [view.order.id for view in (*first.rows, *second.rows)] == placed[::-1]
    assert second.next is None


async def test_the_first_quote_after_the_journal_was_out_of_reach_is_a_gap(bench: Bench) -> None:
    quote = Quote(ES.name, 23_200, 23_201, 5, 5, 1, 1)
    bench.engine.pipeline.stalled = True
    with pytest.raises(Unavailable):
        await bench.place()
    bench.market.on_market(quote)
    assert bench.venue.seen == []
    bench.engine.pipeline.stalled = False
    bench.market.on_market(quote)
    bench.market.on_market(quote)
    assert [data.flags for data in bench.venue.seen] == [Flag.GAP, 0]


async def test_an_order_whose_journal_was_out_of_reach_is_not_sent_later(bench: Bench) -> None:
    write = bench.database.write
    failures = 1

    async def failing(program: Any, *, key: int = 0, unbounded: bool = False) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable("The database does not answer.")
        return await write(program, key=key, unbounded=unbounded)

    bench.engine.pipeline._database.write = failing  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await bench.place(client_id="late")
    await bench.settle()
    found = await bench.desk.order(bench.principal, bench.account, "late")
    assert found.order.state is OrderState.CANCELLED
    assert "out of reach" in found.order.reason
    assert bench.venue.submitted == []


async def test_money_and_the_largest_position_are_set_by_an_admin(bench: Bench) -> None:
    view = await bench.desk.configure(
        bench.principal, bench.account, cash=Decimal("250000.50"), max_position=Decimal(10)
    )
    assert (view.cash, view.starting_cash, view.max_position) == (Decimal("250000.5"), Decimal("250000.5"), 10)
    assert bench.venue.funds[bench.account.id].max_position == 10
    trader = msgspec.structs.replace(bench.principal, scopes=frozenset({Scope.TRADE}))
    with pytest.raises(Forbidden):
        await bench.desk.configure(trader, bench.account, cash=Decimal(1))
    for wrong in (Decimal(-1), Decimal("NaN"), Decimal("1e40"), Decimal("0.000000001")):
        with pytest.raises(InvalidInput):
            await bench.desk.configure(bench.principal, bench.account, cash=wrong)


async def test_an_accepted_stop_waits_and_then_works(bench: Bench) -> None:
    stop = await bench.place(type=OrderType.STOP_MARKET, stop_price=Decimal(5850))
    assert await bench.state(stop) is OrderState.ACCEPTED
    bench.venue.tell(OrderAccepted(order_id=stop, at_us=1, venue_time_us=1, is_working=False))
    bench.venue.tell(OrderTriggered(order_id=stop, at_us=1, venue_time_us=1))
    assert await bench.state(stop) is OrderState.WORKING


async def test_nobody_is_told_what_is_still_on_its_way_to_disk(bench: Bench) -> None:
    """A repeated placement, and a cancel of what was just filled, wait for the commit that is under way."""
    order_id = await bench.place(client_id="mine", type=OrderType.LIMIT, limit_price=Decimal(5800))
    await bench.settle()
    write, gate, held = bench.database.write, asyncio.Event(), asyncio.Event()

    async def slow(program: Any, *, key: int = 0, unbounded: bool = False) -> Any:
        held.set()
        await gate.wait()
        return await write(program, key=key, unbounded=unbounded)

    bench.engine.pipeline._database.write = slow  # type: ignore[method-assign]
    bench.venue.fill(order_id, 1, 1, 23_200)
    await held.wait()
    again = asyncio.create_task(
        bench.place(client_id="mine", type=OrderType.LIMIT, limit_price=Decimal(5800)), name="again"
    )
    cancel = asyncio.create_task(bench.desk.cancel(bench.principal, bench.account, order_id))
    refused = asyncio.create_task(bench.place(require_market_position=frozenset({MarketPosition.FLAT})))
    done, _ = await asyncio.wait({again, cancel, refused}, timeout=0.05)
    assert not done
    gate.set()
    assert await again == order_id
    for task in (cancel, refused):
        with pytest.raises(Conflict):
            await task
    bench.engine.pipeline._database.write = write  # type: ignore[method-assign]
    assert await bench.state(order_id) is OrderState.FILLED

"""The real trading stack over a real database, with a clock and a market that are moved by hand; and the recount that
holds whatever happened: orders, positions and money against the fills of the ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import msgspec

from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.app.trading_stack import TradingStack, open_trading
from gesta.desk.trading import journal
from gesta.desk.trading import verify as trading_verify
from gesta.desk.trading.batch import NoteRow
from gesta.desk.trading.requests import PlaceOrder
from gesta.desk.trading.state import Funds
from gesta.desk.trading.views import OrderView, PositionView
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.records import Execution, FillDetail, Kind, Side, Status
from gesta.ledger.store import StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Quote, Trade
from gesta.trading.money import from_units, to_units
from gesta.trading.order_states import TERMINAL, TRANSITIONS, WORKING
from gesta.trading.orders import Bracket, Order, OrderState, OrderType
from gesta.trading.positions import Position, average_ticks

SECOND_US = 1_000_000
# A Friday, an hour into the session of the futures; half a day before they close for the weekend.
START_US = parse_rfc3339("2026-11-20T03:00:00Z")
ES, PERP, INVERSE = "ES 12-26", "BTC-USDT-PERP", "BTC-USD-PERP"
ORGANIZATION, ACCOUNT = "trading tests", "Sim101"


class House:
    """`open`, use, then `close` or `crash`; then `open` again over the same database."""

    def __init__(self, url: str, clock: ManualClock | None = None, **settings: Any) -> None:
        named = {f"trading.{name}": value for name, value in settings.items()}
        self.settings = load_settings(None, {"database.url": url, "trading.market": "none", **named})
        self.clock = clock or ManualClock(START_US)
        self.ids = SeededIds()
        self.failures: list[BaseException] = []
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        self._stack = AsyncExitStack()
        self.core = await self._stack.enter_async_context(open_core(self.settings, clock=self.clock, ids=self.ids))
        access = self.core.access
        named = [each for each in await access.organizations() if each.name == ORGANIZATION]
        organization = named[0] if named else await access.create_organization(ORGANIZATION)
        self.account = await access.ensure_account(organization.id, ACCOUNT, AccountType.TRADING)
        self.principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="tester",
            credential_id=1,
            scopes=frozenset({Scope.ADMIN}),
        )
        self.trading: TradingStack = await self._stack.enter_async_context(
            open_trading(
                self.settings.trading,
                database=self.core.database,
                ledger=self.core.ledger,
                access=access,
                reading=self.core.reading,
                clock=self.clock,
                ids=self.ids,
                on_failure=self.failures.append,
            )
        )
        self.desk = self.trading.desk
        await self.settle()

    async def close(self) -> None:
        await self._stack.aclose()
        assert self.failures == []

    async def crash(self) -> None:
        """What was not on disk is gone, as after a kill between two commits."""
        writers = [task for task in asyncio.all_tasks() if task.get_name() == "trading journal"]
        for task in writers:
            task.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await self.close()

    async def settle(self) -> None:
        """Until everything decided is on disk, the venue has heard of it, and nothing more follows."""
        await self.trading.engine.idle()
        await self.trading.market.check()
        assert self.failures == []

    # -- what happens

    def quote(self, instrument: str, bid: int, ask: int, bid_size: int = 10, ask_size: int = 10) -> None:
        """A moment later than the last one. Prices in ticks, sizes in lots."""
        now_us = self._later()
        self.trading.market.on_market(Quote(instrument, bid, ask, bid_size, ask_size, now_us, now_us))

    def trade(self, instrument: str, price: int, size: int = 1, aggressor: int = 0) -> None:
        now_us = self._later()
        self.trading.market.on_market(Trade(instrument, price, size, aggressor, now_us, now_us))

    def _later(self) -> int:
        self.clock.advance_us(SECOND_US // 10)
        return self.clock.now_us()

    async def place(
        self,
        instrument: str,
        side: Any,
        quantity: int | str,
        type_: OrderType = OrderType.MARKET,
        *,
        limit: int | None = None,
        stop: int | None = None,
        bracket: tuple[int | None, int | None] | None = None,
        **terms: Any,
    ) -> OrderView:
        """Prices in ticks."""
        resolved = self.desk.resolve(instrument)
        request = PlaceOrder(
            instrument=instrument,
            side=side,
            quantity=Decimal(quantity),
            type=type_,
            limit_price=None if limit is None else resolved.price(limit),
            stop_price=None if stop is None else resolved.price(stop),
            bracket=None if bracket is None else Bracket(stop_ticks=bracket[0], target_ticks=bracket[1]),
            **terms,
        )
        return await self.desk.place(self.principal, self.account, request)

    # -- what is on record

    async def orders(self, **conditions: Any) -> list[OrderView]:
        """Oldest first."""
        found: list[OrderView] = []
        after = None
        while True:
            part = await self.desk.orders(self.principal, self.account, after=after, **conditions)
            found += part.rows
            if (after := part.next) is None:
                return found[::-1]

    async def order(self, order_id: str) -> OrderView:
        return await self.desk.order(self.principal, self.account, order_id)

    async def fills(self) -> list[Execution]:
        """Every fill, busted ones too, in the order of recording."""
        return await fills_of(self.core.database, self.account)

    async def positions(self) -> list[PositionView]:
        return await self.desk.positions(self.principal, [self.account], include_flat=True)

    async def picture(self) -> tuple[Any, ...]:
        """All that must be the same after a restart."""
        orders = [view.order for view in await self.orders()]
        positions = [(view.instrument.name, view.position) for view in await self.positions()]
        state = self.trading.engine.state
        funds = {account: dict(held) for account, held in state.funds.items()}
        working = sorted(order.seq for order in state.orders.values() if order.state not in TERMINAL)
        return orders, positions, funds, working, [fill.id for fill in await self.fills()]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has of one account. `fills` in the order of recording, busted ones too."""

    orders: dict[str, Order]
    notes: dict[str, list[NoteRow]]
    fills: list[Execution]
    positions: dict[str, Position]
    funds: list[Funds]


async def record_of(database: Database, account: Account, *, with_notes: bool = True) -> Record:
    orders: list[Order] = []
    before = 2**62
    while part := await database.read(partial(journal.orders, account.id, None, before, 500)):
        orders += part
        before = part[-1].seq
    noted = orders if with_notes else []
    notes = {order.id: await database.read(partial(journal.notes, order.seq, 5000)) for order in noted}
    positions = {row[1]: row[2] for row in await database.read(partial(journal.positions, [account.id]))}
    return Record(
        orders={order.id: order for order in reversed(orders)},
        notes=notes,
        fills=await fills_of(database, account),
        positions=positions,
        funds=await database.read(partial(journal.funds, account.id)),
    )


async def fills_of(database: Database, account: Account) -> list[Execution]:
    ledger = StoredLedger(database, ManualClock())
    found: dict[str, None] = {}
    after = 0
    while items := await ledger.feed(account.organization, after_seq=after, limit=1000):
        after = items[-1].event.seq
        for item in items:
            if item.execution.kind is Kind.FILL and item.execution.account == account.id:
                found[item.execution.id] = None
    current = [await ledger.get(account.organization, id_) for id_ in found]
    return [fill for fill in current if fill is not None]


Resolve = Callable[[str], Instrument]


async def check(house: House, groups: Mapping[str, Sequence[int]] | None = None) -> None:
    """The invariants. `groups`: the quantities that each OCO group was placed with."""
    starting = to_units(Decimal(house.settings.trading.starting_cash))
    # The record is read in parts: nothing may be on its way to disk meanwhile.
    await house.trading.engine.idle()
    record = await check_record(
        house.core.database, house.account, house.trading.market.instrument, starting, groups or {}
    )
    view = await house.desk.account(house.principal, house.account)
    if len(record.funds) == 1:
        assert view.cash == from_units(record.funds[0].cash)


async def check_record(
    database: Database,
    account: Account,
    instrument_of: Resolve,
    starting: int,
    groups: Mapping[str, Sequence[int]],
    *,
    with_notes: bool = True,
) -> Record:
    """The invariants, from what is on disk alone. Returns it."""
    record = await record_of(database, account, with_notes=with_notes)
    of_order: defaultdict[str, list[Execution]] = defaultdict(list)
    for fill in record.fills:
        of_order[_detail(fill).order_id or ""].append(fill)
    assert of_order.keys() <= record.orders.keys(), "a fill without an order"
    for id_, order in record.orders.items():
        _check_order(order, instrument_of(order.instrument), of_order[id_])
        if with_notes:
            check_notes(order, record.notes[id_])
    bracket_groups = _bracket_groups(record.orders, of_order, instrument_of)
    _check_groups(record.orders, {**groups, **bracket_groups})
    _check_brackets(record.orders, of_order)
    _check_money(record, account, instrument_of, starting)
    report = await trading_verify.verify(database, instrument_of)
    assert report.faults == []
    return record


def _detail(fill: Execution) -> FillDetail:
    assert isinstance(fill.detail, FillDetail)
    return fill.detail


def _check_order(order: Order, instrument: Instrument, fills: list[Execution]) -> None:
    """The row is the fold of its fills, and its state says so."""
    assert order.fills == len(fills)
    assert 0 <= order.filled <= order.quantity
    if order.state is OrderState.FILLED:
        assert order.leaves == 0
    if order.state in WORKING:
        assert order.leaves > 0
    if order.state is OrderState.REJECTED:
        assert order.reason
        assert not fills
    if all(fill.version == 1 for fill in fills):
        lots = [instrument.lots(_detail(fill).quantity) for fill in fills]
        ticks = [instrument.ticks(_detail(fill).price) for fill in fills]
        assert order.filled == sum(lots)
        assert order.filled_ticks == sum(a * b for a, b in zip(lots, ticks, strict=True))
        # As they were recorded, when nothing had been taken back before them.
        assert [_detail(fill).cumulative_quantity for fill in fills] == [
            instrument.quantity(total) for total in itertools.accumulate(lots)
        ]
    for fill in fills:
        assert fill.correlation == {"order_id": order.id, "instrument": order.instrument}
        assert (fill.origin, _detail(fill).venue) == ("paper", "paper")


def check_notes(order: Order, notes: list[NoteRow]) -> None:
    """Every step is a row of the table, and the last one is what the order is."""
    assert notes, order
    assert {note.number for note in notes} == {order.seq}
    assert [note.note for note in notes] == sorted({note.note for note in notes})
    assert not [note for note in notes if note.event == "Anomaly"], notes
    assert notes[0].state == OrderState.INITIALIZED
    assert notes[-1].state == order.state
    for before, after in itertools.pairwise(notes):
        reachable = set(TRANSITIONS[OrderState(before.state)].values())
        if OrderState.WORKING in reachable:
            # The same, said more exactly: with a part filled, or before the trigger.
            reachable |= {OrderState.PART_FILLED, OrderState.ACCEPTED}
        assert OrderState(after.state) in reachable, (before, after)


def _bracket_groups(
    orders: dict[str, Order], of_order: dict[str, list[Execution]], instrument_of: Resolve
) -> dict[str, tuple[int, ...]]:
    """Those that the desk made: the stop and the target of one fill, as large as what it opened."""
    groups: dict[str, tuple[int, ...]] = {}
    for order in orders.values():
        if order.opened_by in orders and order.oco_id is not None:
            entry, _, number = order.oco_id.partition(":")
            filled = instrument_of(order.instrument).lots(_detail(of_order[entry][int(number) - 1]).quantity)
            groups[order.oco_id] = (filled, filled)
    return groups


def _check_groups(orders: dict[str, Order], groups: Mapping[str, Sequence[int]]) -> None:
    """A group fills no more than its largest order asked for, and its orders end together."""
    members_of: defaultdict[str, list[Order]] = defaultdict(list)
    for order in orders.values():
        if order.oco_id is not None:
            members_of[order.oco_id].append(order)
    for id_, asked in groups.items():
        members = members_of[id_]
        assert sum(order.filled for order in members) <= max(asked)
        if len(set(asked)) == 1 and len(members) == len(asked):
            ended = {order.state in TERMINAL for order in members}
            assert len(ended) == 1, "one of the group ended and another works on"


def _check_brackets(orders: dict[str, Order], of_order: dict[str, list[Execution]]) -> None:
    """Each fill that opened brought its stop and its target, once."""
    children: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for order in orders.values():
        if order.opened_by is not None and order.opened_by in orders:
            children[order.opened_by][order.name] += 1
            assert order.reduce_only
    for id_, order in orders.items():
        bracket = order.bracket
        if bracket is None:
            assert not children[id_]
            continue
        fills = of_order.get(id_, [])
        if any(fill.version > 1 for fill in fills):
            continue  # what it was when it filled is no more on record
        opening = sum(_detail(fill).is_entry for fill in fills)
        wanted = {}
        if bracket.stop_ticks is not None:
            wanted["Stop1"] = opening
        if bracket.target_ticks is not None:
            wanted["Target1"] = opening
        assert children[id_] == Counter(wanted)


def _check_money(record: Record, account: Account, instrument_of: Resolve, starting: int) -> None:
    """Positions and cash against the standing fills, added up once more here."""
    of_instrument: defaultdict[str, list[FillDetail]] = defaultdict(list)
    for fill in record.fills:
        if fill.status is Status.SUCCEEDED:
            of_instrument[_detail(fill).instrument].append(_detail(fill))
    realized: Counter[str] = Counter()
    commission: Counter[str] = Counter()
    for name, details in of_instrument.items():
        instrument, held = instrument_of(name), record.positions[name]
        lots, cash = _flows(instrument, details)
        assert (held.lots, held.fills) == (lots, len(details))
        assert held.realized - held.cost == cash, "the cash that moved is what was won and what is open"
        assert held.realized == sum(to_units(detail.realized_pnl or Decimal(0)) for detail in details)
        if lots and instrument.kind is not InstrumentKind.INVERSE_PERPETUAL:
            average = Fraction(held.cost, instrument.factor * lots)
            assert abs(average_ticks(held) - average) < Fraction(1, 10**6)
        realized[instrument.currency] += held.realized
        commission[instrument.currency] += sum(to_units(detail.commission) for detail in details)
    for name in record.positions.keys() - of_instrument.keys():
        assert (record.positions[name].lots, record.positions[name].realized) == (0, 0)
    for row in record.funds:
        assert row.realized == realized.pop(row.currency, 0)
        assert row.commission == commission.pop(row.currency, 0)
        assert row.cash == row.starting + row.realized - row.commission
        assert row.starting == (starting if row.currency == account.currency else 0)
    assert not any(realized.values())
    assert not any(commission.values())


def _flows(instrument: Instrument, details: list[FillDetail]) -> tuple[int, int]:
    """The lots that are held after the fills and the cash that moved; each fill's flags say what it did."""
    lots = cash = 0
    for detail in details:
        change = instrument.lots(detail.quantity) * (1 if detail.side is Side.BUY else -1)
        value = instrument.value(instrument.ticks(detail.price), abs(change))
        cash -= value if change > 0 else -value
        before, lots = lots, lots + change
        assert detail.position_after == instrument.quantity(lots)
        assert detail.is_entry == (lots * change > 0)
        assert detail.is_exit == (before * change < 0)
        assert detail.is_initial_entry == (lots * change > 0 and before * change <= 0)
        assert detail.is_last_exit == (before * change < 0 and lots == 0)
        assert (detail.realized_pnl is not None) == detail.is_exit
    return lots, cash


async def check_ledger(house: House) -> None:
    report = await verify(house.core.database)
    assert report.faults == []

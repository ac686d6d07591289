"""The real trading stack over a real database, with a clock and a market that are moved by hand; and the recount that
holds whatever happened: orders, positions and money against the fills of the ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.app.trading_stack import TradingStack, open_trading
from gesta.desk.trading import verify as trading_verify
from gesta.desk.trading.requests import PlaceOrder
from gesta.desk.trading.views import OrderNote, OrderView, PositionView
from gesta.kernel.times import parse_rfc3339
from gesta.ledger.records import Execution, FillDetail, Kind, Side, Status
from gesta.ledger.verify import verify
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.trading.instruments import InstrumentKind
from gesta.trading.market import Quote, Trade
from gesta.trading.money import from_units, to_units
from gesta.trading.order_states import TERMINAL, TRANSITIONS, WORKING
from gesta.trading.orders import Bracket, OrderState, OrderType

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

    async def notes(self, order_id: str) -> list[OrderNote]:
        return (await self.desk.timeline(self.principal, self.account, order_id, limit=2000))[1]

    async def fills(self) -> list[Execution]:
        """Every fill, busted ones too, in the order of recording."""
        found: dict[str, Execution] = {}
        after = 0
        while items := await self.core.ledger.feed(self.account.organization, after_seq=after, limit=1000):
            after = items[-1].event.seq
            for item in items:
                if item.execution.kind is Kind.FILL:
                    found.setdefault(item.execution.id, item.execution)
        current = [await self.core.ledger.get(self.account.organization, id_) for id_ in found]
        return [fill for fill in current if fill is not None]

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


async def check(house: House, groups: Mapping[str, Sequence[int]] | None = None) -> None:
    """The invariants, from what is on record alone. `groups`: the quantities that each OCO group was placed with."""
    orders = {view.order.id: view for view in await house.orders()}
    fills = await house.fills()
    of_order: defaultdict[str, list[Execution]] = defaultdict(list)
    for fill in fills:
        of_order[_detail(fill).order_id or ""].append(fill)
    assert of_order.keys() <= orders.keys(), "a fill without an order"
    for id_, view in orders.items():
        _check_order(view, of_order[id_])
        check_notes(view, await house.notes(id_))
    _check_groups(orders, {**(groups or {}), **_bracket_groups(orders, of_order)})
    _check_brackets(orders, of_order)
    await _check_money(house, [fill for fill in fills if fill.status is Status.SUCCEEDED])
    report = await trading_verify.verify(house.core.database, house.trading.market.instrument)
    assert report.faults == []


def _detail(fill: Execution) -> FillDetail:
    assert isinstance(fill.detail, FillDetail)
    return fill.detail


def _check_order(view: OrderView, fills: list[Execution]) -> None:
    """The row is the fold of its fills, and its state says so."""
    order, instrument = view.order, view.instrument
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


def check_notes(view: OrderView, notes: list[OrderNote]) -> None:
    """Every step is a row of the table, and the last one is what the order is."""
    assert notes, view.order
    assert [note.number for note in notes] == list(dict.fromkeys(note.number for note in notes))
    assert not [note for note in notes if note.event == "Anomaly"], notes
    assert notes[0].state == OrderState.INITIALIZED
    assert notes[-1].state == view.order.state
    for before, after in itertools.pairwise(notes):
        reachable = set(TRANSITIONS[OrderState(before.state)].values())
        if OrderState.WORKING in reachable:
            # The same, said more exactly: with a part filled, or before the trigger.
            reachable |= {OrderState.PART_FILLED, OrderState.ACCEPTED}
        assert OrderState(after.state) in reachable, (before, after)


def _bracket_groups(orders: dict[str, OrderView], of_order: dict[str, list[Execution]]) -> dict[str, tuple[int, ...]]:
    """Those that the desk made: the stop and the target of one fill, as large as what it opened."""
    groups = {}
    for view in orders.values():
        if view.order.opened_by in orders and view.order.oco_id is not None:
            entry, _, number = view.order.oco_id.partition(":")
            filled = view.instrument.lots(_detail(of_order[entry][int(number) - 1]).quantity)
            groups[view.order.oco_id] = (filled, filled)
    return groups


def _check_groups(orders: dict[str, OrderView], groups: Mapping[str, Sequence[int]]) -> None:
    """A group fills no more than its largest order asked for, and its orders end together."""
    views_of: defaultdict[str, list[OrderView]] = defaultdict(list)
    for view in orders.values():
        if view.order.oco_id is not None:
            views_of[view.order.oco_id].append(view)
    for id_, asked in groups.items():
        views = views_of[id_]
        assert sum(view.order.filled for view in views) <= max(asked)
        if len(set(asked)) == 1 and len(views) == len(asked):
            ended = {view.order.state in TERMINAL for view in views}
            assert len(ended) == 1, "one of the group ended and another works on"


def _check_brackets(orders: dict[str, OrderView], of_order: dict[str, list[Execution]]) -> None:
    """Each fill that opened brought its stop and its target, once."""
    children: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for view in orders.values():
        if view.order.opened_by is not None and view.order.opened_by in orders:
            children[view.order.opened_by][view.order.name] += 1
            assert view.order.reduce_only
    for id_, view in orders.items():
        bracket = view.order.bracket
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


async def _check_money(house: House, standing: list[Execution]) -> None:
    """Positions and cash against the standing fills, folded once more here, in fractions."""
    of_instrument: defaultdict[str, list[FillDetail]] = defaultdict(list)
    for fill in standing:
        of_instrument[_detail(fill).instrument].append(_detail(fill))
    realized: Counter[str] = Counter()
    commission: Counter[str] = Counter()
    views = {view.instrument.name: view for view in await house.positions()}
    for name, details in of_instrument.items():
        instrument = house.trading.market.instrument(name)
        lots, cash = 0, 0
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
        held = views[name].position
        assert (held.lots, held.fills) == (lots, len(details))
        assert held.realized - held.cost == cash, "the cash that moved is what was won and what is open"
        assert held.realized == sum(to_units(detail.realized_pnl or Decimal(0)) for detail in details)
        if not lots:
            assert held.realized == cash
        if lots and instrument.kind is not InstrumentKind.INVERSE_PERPETUAL:
            # The average is within a billionth of a tick of the cost.
            average = Fraction(held.cost, instrument.factor * lots)
            assert abs(Fraction(views[name].average_price) - average * Fraction(instrument.tick_size)) < Fraction(
                1, 10**6
            )
        realized[instrument.currency] += held.realized
        commission[instrument.currency] += sum(to_units(detail.commission) for detail in details)
    flat = [view for name, view in views.items() if name not in of_instrument]
    assert all(not view.position.lots and not view.position.realized for view in flat)
    funds = house.trading.engine.state.funds_of(house.account.id)
    for row in funds:
        assert row.realized == realized.pop(row.currency, 0)
        assert row.commission == commission.pop(row.currency, 0)
        assert row.cash == row.starting + row.realized - row.commission
        assert row.starting == (to_units(Decimal(house.settings.trading.starting_cash)) if _is_home(house, row) else 0)
    assert not any(realized.values())
    assert not any(commission.values())
    view = await house.desk.account(house.principal, house.account)
    home = next((row for row in funds if _is_home(house, row)), None)
    if home is not None and len(funds) == 1:
        assert view.cash == from_units(home.cash)


def _is_home(house: House, row: Any) -> bool:
    account: Account = house.account
    return bool(row.currency == account.currency)


async def check_ledger(house: House) -> None:
    report = await verify(house.core.database)
    assert report.faults == []

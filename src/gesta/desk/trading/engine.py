"""The engine: intents to the journal, from there to the venue, its events back into the journal, and then to whoever
listens. Nothing is told or sent before it is on disk (pipeline.py). A start is a recovery.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from gesta.access.face import Access
from gesta.access.model import Account
from gesta.desk.market.face import Market
from gesta.desk.trading import journal
from gesta.desk.trading.batch import Amend, Batch, Cancel, Command, Filled, Submit, Telling
from gesta.desk.trading.bookkeeping import Bookkeeping
from gesta.desk.trading.pipeline import Pipeline
from gesta.desk.trading.state import Funds, State
from gesta.desk.trading.strangers import Strangers
from gesta.desk.trading.valuing import DOLLARS
from gesta.desk.trading.views import FillUpdate, OrderUpdate, OrderView, PositionUpdate, PositionView, Update
from gesta.kernel.clock import Clock
from gesta.kernel.crash import reach
from gesta.kernel.errors import NotFound
from gesta.ledger import appending
from gesta.ledger.records import AppendResult, Execution
from gesta.ledger.store import StoredLedger
from gesta.storage.program import Database
from gesta.trading.instruments import Instrument
from gesta.trading.market import Flag, MarketData, Quote
from gesta.trading.money import from_units, to_units
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order, OrderState
from gesta.trading.positions import Position, unrealized
from gesta.trading.venue import (
    AccountFunds,
    Ack,
    ChangeRefused,
    OpenPosition,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    Resume,
    Venue,
    VenueEvent,
)

NOT_SENT = "The journal was out of reach when this was asked: it was not sent to the venue."
RESTARTED = "The server restarted before the venue answered; ask again."

log = structlog.get_logger("gesta.trading")

Listener = Callable[[Sequence[Update]], None]


class Engine:
    def __init__(
        self,
        *,
        database: Database,
        ledger: StoredLedger,
        access: Access,
        venue: Venue,
        market: Market,
        clock: Clock,
        session: Callable[[], int],
        starting_cash: Decimal,
        on_failure: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        """`on_failure` is told of a defect that ended trading; a process that was superseded goes on serving."""
        self.state = State()
        self.clock = clock
        self._database = database
        self._ledger = ledger
        self._access = access
        self._venue = venue
        self._market = market
        self.session = session
        self._starting = to_units(starting_cash)
        self.pipeline = Pipeline(database, clock, committed=self._committed, on_failure=on_failure)
        self.books = Bookkeeping(
            self.state,
            instrument_of=market.instrument,
            session=session,
            batch_of=self.pipeline.batch,
            view=self.position_view,
        )
        self._strangers = Strangers(
            database,
            self.state,
            know=self._know,
            apply=self.books.apply,
            cancel=lambda order_id: self._venue.cancel(order_id),
            on_failure=on_failure,
        )
        self._unlisten: Callable[[], None] | None = None
        self._listeners: defaultdict[int, list[Listener]] = defaultdict(list)
        self._finals: defaultdict[str, list[asyncio.Future[Order]]] = defaultdict(list)
        self._missed: set[str] = set()
        self._is_started = False

    # -- life

    async def start(self) -> None:
        """Take the lease, load what was going on, give it back to the venue, and go on. Raises Unavailable."""
        if self._is_started:
            return
        self._is_started = True
        loaded = await self._database.write(journal.take)
        state = self.state
        state.numbers, state.notes = loaded.numbers, loaded.notes
        for order in loaded.orders:
            state.put(order)
            await self._know(order.organization, order.account)
        for account, instrument, held in loaded.positions:
            state.positions[account][instrument] = held
        for funds in loaded.funds:
            state.funds[funds.account][funds.currency] = funds
            await self._know(funds.organization, funds.account)
        # The venue may have something to say at once: it is journaled like everything else.
        self.pipeline.start(loaded.epoch, loaded.batches)
        await self._venue.start(self._resume(loaded.orders), self._on_events)
        await self._go_on(loaded.orders)
        self._unlisten = self._market.listen(self._on_market)
        log.info(
            "trading.started",
            epoch=loaded.epoch,
            working_orders=len(loaded.orders),
            positions=sum(1 for _, _, held in loaded.positions if held.lots),
        )

    async def stop(self) -> None:
        """Take no more, write what was decided, then end. Working orders stay on record as they are."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await self._strangers.stop()
        await self.pipeline.stop()
        await self._venue.stop()

    def _resume(self, orders: Sequence[Order]) -> Resume:
        held = {
            (account, instrument): OpenPosition(lots=position.lots, cost=position.cost)
            for account, positions in self.state.positions.items()
            for instrument, position in positions.items()
            if position.lots
        }
        funds = {account: self._account_funds(account) for account in self.state.funds}
        return Resume(orders=[order for order in orders if _is_at_venue(order)], positions=held, funds=funds)

    async def _go_on(self, orders: Sequence[Order]) -> None:
        """What was under way when the last process ended is finished, or said to have failed."""
        now_us = self.clock.now_us()
        for loaded in orders:
            # As it is by now: the cancel of one order of a pair has ended the other.
            order = self.state.orders.get(loaded.id, loaded)
            if order.state in TERMINAL:
                continue
            if order.state is OrderState.UNKNOWN:
                await self._ask(order)
            elif not _is_at_venue(order):
                # It may have been sent just before the end: asked first, and sent only if it never arrived.
                if await self._venue.query(order.id) is None:
                    await self._submit(order)
                else:
                    await self._ask(order)
            elif order.state is OrderState.CANCEL_PENDING:
                await self._venue.cancel(order.id)
            elif order.state is OrderState.CHANGE_PENDING:
                event = ChangeRefused(order_id=order.id, at_us=now_us, venue_time_us=now_us, reason=RESTARTED)
                self._on_events([event])
        await self.pipeline.flush_all()

    async def _know(self, organization: int, account: int) -> None:
        if account not in self.state.accounts:
            found = await self._access.account_by_id(organization, account)
            if found is None:
                raise NotFound(f"Account {account} of trading does not exist.", what="account")
            self.state.accounts[account] = found

    # -- what others may ask

    def check(self) -> None:
        """Raise Unavailable unless intents can be taken now."""
        self.pipeline.check()

    def admit(self, account: Account) -> None:
        """Know the account, and open its money if it has none."""
        self.state.accounts[account.id] = account
        if account.currency not in self.state.funds[account.id]:
            self.fund(self.opening_funds(account))

    def opening_funds(self, account: Account) -> Funds:
        """What a paper account begins with."""
        return Funds(
            account=account.id,
            currency=account.currency,
            organization=account.organization,
            starting=self._starting,
            cash=self._starting,
            session=self.session(),
            session_cash=self._starting,
        )

    def fund(self, funds: Funds) -> None:
        self.books.fund(funds)
        self.tell_funds(funds.account)

    def free(self, account: int) -> int | None:
        """Money units that new orders of the account may tie up; None without a limit."""
        return self._venue.free(account)

    def tell_funds(self, account: int) -> None:
        """The venue checks buying power against what is there now."""
        self._venue.set_funds(account, self._account_funds(account))

    def open_batch(self, organization: int) -> Batch:
        """What the next commit will hold."""
        return self.pipeline.batch(organization)

    def hold(self, account: Account, instrument: Instrument, position: Position) -> None:
        """A position that changed by something else than a fill: a bust, a correction."""
        self.books.hold(account.organization, account.id, instrument, position)
        self._venue.set_position(account.id, instrument.name, OpenPosition(lots=position.lots, cost=position.cost))

    def _account_funds(self, account: int) -> AccountFunds:
        rows = self.state.funds_of(account)
        cash = sum(funds.cash for funds in rows if funds.currency in DOLLARS or len(rows) == 1)
        most = next((funds.max_position for funds in rows if funds.max_position is not None), None)
        return AccountFunds(cash=cash, max_position=most)

    async def committed(self, organization: int) -> None:
        """Return when everything decided so far for the organization is on disk and the venue has been told.

        Raises Unavailable when it cannot be written now; orders that were intended are then not sent.
        """
        await self.pipeline.flush(organization)

    async def final(self, order_id: str, timeout_s: float) -> bool:
        """Wait until the order is final and on disk. False at the timeout."""
        if order_id not in self.state.orders:
            return True
        future: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        self._finals[order_id].append(future)
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return False
        finally:
            waiting = self._finals.get(order_id, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._finals.pop(order_id, None)
        return True

    async def settle(self) -> None:
        """What a feed awaits between its batches: returns at once unless much is on its way to disk."""
        await self.pipeline.room()

    async def idle(self) -> None:
        """Return when everything that was decided is on disk and told, and nothing new has come of it."""
        await self._strangers.idle()
        await self.pipeline.idle()

    @property
    def quarantined(self) -> Mapping[str, int]:
        """Orders of the venue that nobody here has placed, by their ids there, and how often it has spoken of each."""
        return self._strangers.quarantined

    def subscribe(self, organization: int, listener: Listener) -> Callable[[], None]:
        self._listeners[organization].append(listener)

        def end() -> None:
            listeners = self._listeners.get(organization, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(organization, None)

        return end

    def position_view(self, account: int, instrument: Instrument, position: Position) -> PositionView:
        ticks = self.mark_ticks(instrument)
        return PositionView(
            account=self.state.accounts[account],
            instrument=instrument,
            position=position,
            market_price=None if ticks is None else instrument.price(ticks),
            unrealized=None if ticks is None else from_units(unrealized(position, instrument, ticks)),
        )

    def mark_ticks(self, instrument: Instrument) -> int | None:
        """The price that open positions are valued at: the last trade, or the middle of the market without a tape."""
        snapshot = self._market.snapshot(instrument.name)
        if snapshot.trade is not None:
            return snapshot.trade.price
        quote = snapshot.quote
        return (quote.bid + quote.ask) // 2 if quote is not None and quote.bid_size and quote.ask_size else None

    # -- in

    def _on_market(self, data: MarketData) -> None:
        if not self.pipeline.takes_market:
            # Nothing is matched that could not be written. What comes next is the first after a hole.
            self._missed.add(data.instrument)
            return
        if self._missed and data.instrument in self._missed and isinstance(data, Quote):
            self._missed.discard(data.instrument)
            data = Quote(
                data.instrument,
                data.bid,
                data.ask,
                data.bid_size,
                data.ask_size,
                data.venue_time_us,
                data.received_at_us,
                data.flags | Flag.GAP,
            )
        self._venue.on_market(data)

    def _on_events(self, events: Sequence[VenueEvent]) -> None:
        for event in events:
            if self._strangers.concerns(event):
                self._strangers.take(event)
            else:
                self.books.apply(event)

    # -- out

    async def _committed(self, batch: Batch, now_us: int, results: Sequence[AppendResult]) -> None:
        reach("trading.committed")
        self._ledger.passed(batch.organization, batch.seq)
        await self._tell(batch, now_us, results)
        for command in batch.commands:
            await self._send(command, late=batch.is_late)
        for order in batch.orders.values():
            if order.state in TERMINAL:
                self.state.forget(order)
                for future in self._finals.pop(order.id, ()):
                    if not future.done():
                        future.set_result(order)

    async def _send(self, command: Command, *, late: bool) -> None:
        order = self.state.orders.get(command.order_id)
        if order is None or order.state in TERMINAL:
            return
        now_us = self.clock.now_us()
        match command:
            case Submit() if order.state is OrderState.CANCEL_PENDING or (late and order.opened_by is None):
                self.books.withdraw(order, at_us=now_us, reason=NOT_SENT if late else "")
            case Submit():
                await self._submit(order)
            case Cancel():
                await self._venue.cancel(order.id)
            case Amend(change=change):
                if late:
                    event = ChangeRefused(order_id=order.id, at_us=now_us, venue_time_us=now_us, reason=NOT_SENT)
                    self._on_events([event])
                else:
                    await self._venue.change(order.id, change)

    async def _submit(self, order: Order) -> None:
        reach("trading.submit")
        if order.state is OrderState.INITIALIZED:
            self.books.submitted(order, at_us=self.clock.now_us())
        ack = await self._venue.submit(self.state.orders[order.id])
        reach("trading.submitted")
        if ack is Ack.UNKNOWN:
            self.books.lost(self.state.orders[order.id], at_us=self.clock.now_us())
            await self._ask(self.state.orders[order.id])

    async def _ask(self, order: Order) -> None:
        """Resolve a submit that got no answer by the order's id. It is never sent again blindly."""
        report = await self._venue.query(order.id)
        now_us = self.clock.now_us()
        at: dict[str, Any] = {"order_id": order.id, "at_us": now_us, "venue_time_us": now_us}
        if report is None:
            self._on_events([OrderRejected(**at, reason="The venue does not know the order: it never arrived.")])
        elif report.state not in TERMINAL:
            self._on_events([OrderAccepted(**at, is_working=report.state is OrderState.WORKING)])
        elif report.state is not OrderState.FILLED and report.filled == self.state.orders.get(order.id, order).filled:
            self._on_events([_ended(report.state, at)])
        # Otherwise the venue owes its fills: they come as events, and end it.

    async def _tell(self, batch: Batch, now_us: int, results: Sequence[AppendResult]) -> None:
        listeners = self._listeners.get(batch.organization)
        if not listeners:
            return
        made = {
            result.id: appending.as_recorded(batch.organization, row, result, now_us)
            for row, result in zip(batch.fills, results, strict=False)
        }
        updates = [update for telling in batch.tellings if (update := await self._update(batch, telling, made))]
        for listener in list(listeners):
            try:
                listener(updates)
            except Exception:
                # One listener's defect is its own: the others are told, and trading goes on.
                log.exception("trading.listener_failed")

    async def _update(self, batch: Batch, telling: Telling, made: dict[str, Execution]) -> Update | None:
        if isinstance(telling, OrderView):
            return OrderUpdate(order=telling)
        if isinstance(telling, PositionView):
            return PositionUpdate(position=telling)
        assert isinstance(telling, Filled)
        execution = made.get(telling.execution_id)
        if execution is None:
            execution = await self._ledger.get(batch.organization, telling.execution_id)
        if execution is None:
            return None
        return FillUpdate(account=self.state.accounts[execution.account], execution=execution)


def _ended(state: OrderState, at: dict[str, Any]) -> VenueEvent:
    """What a venue that is asked for an order has not told of it."""
    reason = f"The venue says that the order is {state}."
    if state is OrderState.REJECTED:
        return OrderRejected(**at, reason=reason)
    if state is OrderState.EXPIRED:
        return OrderExpired(**at, reason=reason)
    return OrderCancelled(**at, reason=reason)


def _is_at_venue(order: Order) -> bool:
    return order.state not in (OrderState.INITIALIZED, OrderState.SUBMITTED, OrderState.UNKNOWN, *TERMINAL)

"""The runner: wakes a machine for its orders, its prices, its moments and what it is asked, and carries what it decides
into the same batch of the journal: the executor's state, its row in the ledger with the event, and its orders.

It never polls. What is not on disk is not told, and not sent to the venue. A start goes on where the journal stands.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import structlog

from gesta.access.face import Access
from gesta.desk.market.face import Market
from gesta.desk.trading import journal as trading_journal
from gesta.desk.trading.batch import Restated
from gesta.desk.trading.engine import Engine
from gesta.desk.trading.fills import fill_id
from gesta.executors import cancels, holdings, journal, legs, marks
from gesta.executors.cancels import Cancels
from gesta.executors.detail import detail_of, status_of
from gesta.executors.holdings import Holdings
from gesta.executors.journal import SQL, Followed, Stored
from gesta.executors.machines.face import (
    Cancel,
    CloseType,
    Command,
    Event,
    Leg,
    Log,
    Machine,
    Moved,
    OrderKind,
    OrderStatus,
    OrderUpdated,
    Place,
    Price,
    Report,
    RunnableStatus,
    Started,
    StopAsked,
    Tracked,
)
from gesta.executors.registry import machine_of
from gesta.executors.snapshots import INTERVAL_S, Snapshots
from gesta.executors.watching import Watching
from gesta.kernel.crash import reach
from gesta.kernel.errors import GestaError, NotFound, ServerError
from gesta.kernel.events import set_within
from gesta.ledger.records import Execution, ExecutorDetail, NewEvent, Severity, Status, Transition
from gesta.storage.program import Database
from gesta.trading.instruments import Instrument
from gesta.trading.market import Flag, MarketData, Quote
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Order, OrderState, TimeInForce

# A machine that wants to look again at once may do so this often in one wake-up; then it waits for the next moment.
AT_ONCE = 16
AGAIN_US = 1_000_000
CROSSES = "A maker order would have been filled at once."
SOURCE = "executor"

log = structlog.get_logger("gesta.executors")


class Live:
    """One active executor."""

    __slots__ = ("controller", "detail", "instruments", "is_broken", "key", "machine", "orders", "status", "stored")

    def __init__(
        self,
        stored: Stored,
        instruments: tuple[Instrument, ...],
        status: Status,
        detail: ExecutorDetail | None = None,
        controller: str = "",
    ) -> None:
        self.stored = stored
        self.key = key_of(stored.organization, stored.id)
        # Whom its position hold is counted for.
        self.controller = controller
        self.detail = detail
        self.is_broken = False
        self.machine: Machine[Any, Any] = machine_of(stored.type)
        self.instruments = instruments
        self.status = status
        # Of what the machine still follows.
        self.orders: dict[str, Followed] = dict(stored.orders)


class Runner:
    """`snapshot_s`: how often the recorded PnL of one executor follows the market at most; 0 is never."""

    def __init__(
        self,
        *,
        engine: Engine,
        market: Market,
        database: Database,
        access: Access,
        snapshot_s: float = INTERVAL_S,
    ) -> None:
        self._engine = engine
        self._market = market
        self._database = database
        self._access = access
        # By their keys: an id is an organization's own.
        self._live: dict[str, Live] = {}
        # How many of each organization: a creation asks, among however many.
        self._counts: Counter[int] = Counter()
        self._by_order: dict[str, str] = {}
        self._watching = Watching()
        self._cancels = Cancels()
        self.holdings = Holdings()
        self.snapshots = Snapshots(engine=engine, find=self._live.get, prices=self.prices, interval_s=snapshot_s)
        self.numbers = 0
        # What the venue says of ended orders before the executors are loaded.
        self._early: list[Order] | None = []
        engine.books.follower = self._on_order
        self._unlisten: Callable[[], None] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    # -- life

    async def start(self) -> int:
        """Load what was active and go on. Returns how many."""
        loaded = await self._database.read(journal.active)
        self.numbers = loaded.newest
        self.holdings.load(await self._database.read(holdings.stored))
        marks.load(self._watching, await self._database.read(marks.stored))
        for first in range(0, len(loaded.executors), journal.PAGE):
            part = loaded.executors[first : first + journal.PAGE]
            rows = await self._database.read(lambda part=part: journal.shown(part))  # type: ignore[misc]
            for stored in part:
                await self._resume(stored, rows.get(stored.number))
        early, self._early = self._early or [], None
        followed = {id_ for stored in loaded.executors for id_ in stored.orders} if early else set()
        for order in early:
            if order.id not in followed:
                self._on_order(order)
        self._watching.prune_marks()
        self._journal_marks()
        self._unlisten = self._market.listen(self._on_market)
        self._ticker = asyncio.create_task(self._tick_forever(), name="executors' moments")
        self.snapshots.start()
        log.info("executors.started", active=len(self._live))
        return len(self._live)

    async def stop(self) -> int:
        """Executors stay active on record. Returns how many go on at the next start."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await self.snapshots.stop()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            log.info("executors.stopped", active=len(self._live))
        return len(self._live)

    async def _resume(self, stored: Stored, row: Execution | None) -> None:
        account = await self._access.account_by_id(stored.organization, stored.account)
        if account is None:
            raise NotFound(f"Account {stored.account} of executor {stored.id} does not exist.", what="account")
        self._engine.state.accounts.setdefault(account.id, account)
        instruments = self._instruments(stored)
        shown = row.detail if row is not None and isinstance(row.detail, ExecutorDetail) else None
        if shown is not None and shown.config == stored.config:
            # Held once, however many there are.
            shown = msgspec.structs.replace(shown, config=stored.config)
        controller = "" if row is None else row.correlation.get("controller_id", "")
        live = Live(stored, instruments, status_of(stored.state), shown, controller)
        self._live[live.key] = live
        self._counts[stored.organization] += 1
        if shown is not None:
            self.snapshots.recorded(live.key, shown, self._engine.clock.now_us())
        # The best price that it trails comes before everything: what it is told now, it judges by it.
        self._watching.put(live.key, live.machine.watches(stored.state), instruments)
        # What happened to its orders while the machine was not told: their rows are the truth.
        for order_id, followed in list(live.orders.items()):
            self._by_order[order_id] = live.key
            order = await self._order(stored.account, order_id)
            if order is None:
                raise ServerError(f"Order {order_id} of executor {stored.id} is not on record.")
            self._told(live, order, followed)
        self._look(live)

    async def _order(self, account: int, order_id: str) -> Order | None:
        known = self._engine.state.orders.get(order_id)
        if known is not None:
            return known
        return await self._database.read(lambda: trading_journal.order(account, order_id), snapshot=False)

    def _instruments(self, stored: Stored) -> tuple[Instrument, ...]:
        return tuple(legs.instrument_of(leg, self._market.resolve) for leg in _legs_of(stored))

    # -- what others ask

    @property
    def count(self) -> int:
        """How many are active."""
        return len(self._live)

    def count_of(self, organization: int) -> int:
        """How many of one organization are active."""
        return self._counts[organization]

    def find(self, organization: int, executor_id: str) -> Live | None:
        return self._live.get(key_of(organization, executor_id))

    def active(self, organization: int) -> list[Live]:
        return [live for live in self._live.values() if live.stored.organization == organization]

    def add(self, stored: Stored, instruments: tuple[Instrument, ...], event: Event, *, controller: str = "") -> Live:
        """Begin: its row in the ledger is in the open batch already."""
        live = Live(stored, instruments, Status.RUNNING, controller=controller)
        self._live[live.key] = live
        self._counts[stored.organization] += 1
        self._step(live, event)
        self._look(live)
        return live

    def tell(self, live: Live, event: Event) -> None:
        """An intent of a caller."""
        self._step(live, event)
        self._look(live)

    def prices(self, live: Live) -> Mapping[int, Price]:
        """What each leg can be traded at now; a leg without a market is missing."""
        found = {}
        for leg, instrument in enumerate(live.instruments):
            price = legs.price_of(instrument, self._market.snapshot(instrument.name).quote)
            if price is not None:
                found[leg] = price
        best = self._watching.best(live.key)
        if best is not None and best[0] in found:
            found[best[0]] = msgspec.structs.replace(found[best[0]], best=best[1])
        return found

    def report(self, live: Live) -> Report:
        return live.machine.report(live.stored.state, self.prices(live))

    # -- wake-ups

    def _on_market(self, data: MarketData) -> None:
        if type(data) is not Quote or data.flags & (Flag.CROSSED | Flag.STALE):
            return
        for key in self._watching.reached(data):
            live = self._live.get(key)
            if live is not None:
                self._look(live, moved=True)
        if self._watching.has_changed_marks:
            self._journal_marks()

    def _journal_marks(self) -> None:
        """A best price is on record like everything else that a decision will rest on."""
        changed = self._watching.changed_marks()
        organization = next((live.stored.organization for live in self._live.values()), None)
        if changed and organization is not None:
            marks.journal(self._engine.open_batch(organization), changed)

    def _on_order(self, order: Order) -> None:
        """What the venue said of an order of an executor, within the batch that holds it."""
        live = self._live.get(self._by_order.get(order.id, ""))
        if live is not None:
            self._told(live, order, live.orders[order.id])
            self._look(live)
        elif order.filled and order.state in TERMINAL and (tag := _tag_of(order)) is not None:
            if self._early is None:
                self._filled_late(order, tag)
            else:
                self._early.append(order)

    def _filled_late(self, order: Order, tag: int) -> None:
        """A fill of an order that had ended and was followed no more: its executor counts it, or, where that is over,
        its record says that nobody does."""
        live = self._live.get(key_of(order.organization, order.parent_id or ""))
        if live is not None:
            leg = next(leg for leg, each in enumerate(live.instruments) if each.name == order.instrument)
            kind = OrderKind.MARKET if order.limit_ticks is None else OrderKind.LIMIT
            self._told(live, order, Followed(tag, leg, kind))
            self._look(live)
            return
        filled = self._market.instrument(order.instrument).quantity(order.filled)
        log.error("executors.filled_late", executor=order.parent_id, order_id=order.id)
        said = NewEvent(
            type="executor.filled_late",
            level=Severity.ERROR,
            title="Filled late",
            message=f"Order {tag} was filled ({filled} {order.instrument}) after the executor had ended. "
            "The account's position has it; no position hold does.",
            at_us=self._engine.clock.now_us(),
        )
        batch = self._engine.open_batch(order.organization)
        batch.restated.append(Restated(order.parent_id or "", order.account, Transition(event=said)))

    def _told(self, live: Live, order: Order, followed: Followed) -> None:
        if order.state in TERMINAL:
            self._forget(live, order.id)
        elif followed.is_cancelling and order.state in cancels.OPEN and not self._cancels.is_waiting(order.id):
            self._cancel_refused(live, order, followed)
        instrument = live.instruments[followed.leg]
        tracked = legs.tracked_of(order, instrument, followed.tag, followed.leg, followed.kind)
        self._step(live, self._updated(live, tracked))

    def _cancel_refused(self, live: Live, order: Order, followed: Followed) -> None:
        """The machine goes on waiting for the order's end, which it has asked for; the venue is asked again."""
        now_us = self._engine.clock.now_us()
        again_us = self._cancels.refused(order.id, now_us)
        said = NewEvent(
            type="executor.cancel_refused",
            level=Severity.WARNING,
            title="Cancel refused",
            message=f"The venue keeps order {followed.tag} open; asked again in {(again_us - now_us) // 1_000_000} s.",
            at_us=now_us,
        )
        batch = self._engine.open_batch(live.stored.organization)
        batch.restated.append(Restated(live.stored.id, live.stored.account, Transition(event=said)))
        self._wake.set()

    def _cancel_again(self) -> None:
        for order_id in self._cancels.due(self._engine.clock.now_us()):
            order = self._engine.state.orders.get(order_id)
            if order is not None and order.state in cancels.OPEN:
                self._engine.books.request_cancel(order, at_us=self._engine.clock.now_us(), source=SOURCE)

    def _forget(self, live: Live, order_id: str) -> None:
        self._cancels.forget(order_id)
        live.orders.pop(order_id, None)
        self._by_order.pop(order_id, None)

    def tick(self) -> None:
        """Wake those whose moment has come."""
        self._cancel_again()
        for key in self._watching.due(self._engine.clock.now_us()):
            live = self._live.get(key)
            if live is not None:
                self._look(live, moved=True)

    async def _tick_forever(self) -> None:
        while True:
            self.tick()
            moments = (self._watching.next_us(), self._cancels.next_us())
            next_us = min((moment for moment in moments if moment is not None), default=None)
            self._wake.clear()
            wait_s = 3600.0 if next_us is None else max(0.0, (next_us - self._engine.clock.now_us()) / 1_000_000)
            await set_within(self._wake, wait_s)

    def _look(self, live: Live, *, moved: bool = False) -> None:
        """Let the machine look as often as it wants to at once, then say what wakes it next."""
        if moved:
            self._step(live, Moved(at_us=self._engine.clock.now_us(), prices=self.prices(live)))
        for again in range(AT_ONCE + 1):
            if not live.stored.is_active or live.is_broken:
                self._watching.drop(live.key)
                return
            watches = live.machine.watches(live.stored.state)
            now_us = self._engine.clock.now_us()
            if watches.at_us is None or watches.at_us > now_us:
                break
            if again == AT_ONCE:
                watches = msgspec.structs.replace(watches, at_us=now_us + AGAIN_US)
                break
            self._step(live, Moved(at_us=now_us, prices=self.prices(live)))
        self._watching.put(live.key, watches, live.instruments)
        if self._watching.has_changed_marks:
            self._journal_marks()
        self._wake.set()

    def _updated(self, live: Live, tracked: Tracked) -> OrderUpdated:
        return OrderUpdated(at_us=self._engine.clock.now_us(), prices=self.prices(live), order=tracked)

    # -- one step

    def _step(self, live: Live, event: Event) -> None:
        """One decision and everything that follows from it, into the open batch."""
        if not live.stored.is_active or live.is_broken:
            return
        try:
            state, commands = live.machine.step(live.stored.state, event)
            if state == live.stored.state and not commands:
                return
            report = live.machine.report(state, event.prices)
        except Exception as error:  # noqa: BLE001 — logged, and on the executor's record
            # A defect of one machine harms no other executor, nor what else the batch holds.
            self._broke(live, event, error)
            return
        reach("executors.step")
        before = live.stored
        is_active = report.status is not RunnableStatus.TERMINATED
        live.stored = msgspec.structs.replace(before, state=state, is_active=is_active)
        self._record(live, report, event, commands)
        if not is_active and report.held:
            self._hold(live, report, event.at_us)
        for command in commands:
            self._carry_out(live, command)
        # With the orders that it follows by now, whatever a refused one has led to.
        live.stored = msgspec.structs.replace(live.stored, orders=dict(live.orders))
        batch = self._engine.open_batch(before.organization)
        batch.also["executor", before.number] = (SQL["state.put"], journal.row_of(live.stored))
        if not live.stored.is_active and live.key in self._live:
            del self._live[live.key]
            self._counts[before.organization] -= 1
            for order_id in list(live.orders):
                self._forget(live, order_id)
            self._watching.drop(live.key)

    def _hold(self, live: Live, report: Report, at_us: int) -> None:
        """What it leaves open, counted with the end of it or not at all."""
        stored, batch = live.stored, self._engine.open_batch(live.stored.organization)
        counted = report.net_pnl_quote - report.own_pnl_quote
        if report.close_type is CloseType.POSITION_HOLD:
            counted = Decimal(0)  # such an executor is not over, and its profit is in no report
        of_legs, controller = _legs_of(stored), live.controller
        self.holdings.end(batch, stored.id, stored.account, controller, of_legs, report.held, at_us, counted)

    def _broke(self, live: Live, event: Event, error: Exception) -> None:
        """It is not woken again before the next start; its record says so, and its orders are as they are."""
        log.exception("executors.machine_failed", executor=live.stored.id, type=live.stored.type)
        live.is_broken = True
        self._watching.drop(live.key)
        message = f"An internal error stopped this executor ({type(error).__name__}); the server's log has it."
        if live.detail is not None:
            live.detail = msgspec.structs.replace(
                live.detail, error_count=live.detail.error_count + 1, last_error=message
            )
        said = NewEvent(type="executor.broken", level=Severity.ERROR, message=message, at_us=event.at_us)
        batch = self._engine.open_batch(live.stored.organization)
        change = Transition(event=said, detail=live.detail)
        batch.restated.append(Restated(live.stored.id, live.stored.account, change))

    def _record(self, live: Live, report: Report, event: Event, commands: tuple[Command, ...]) -> None:
        batch = self._engine.open_batch(live.stored.organization)
        status = status_of(live.stored.state, report)
        lines = [command for command in commands if isinstance(command, Log)]
        detail = live.detail = detail_of(live.stored, report, lines, live.detail)
        title, severity = _said(event, commands, report, status is not live.status)
        for line in lines:
            said = NewEvent(
                type="executor.log", level=Severity(line.level.lower()), message=line.message, at_us=event.at_us
            )
            batch.restated.append(Restated(live.stored.id, live.stored.account, Transition(event=said)))
        change = Transition(
            event=NewEvent(
                type=f"executor.{title}",
                level=severity,
                title=title.replace("_", " ").capitalize(),
                message="" if report.close_type is None else report.close_type.value,
                at_us=event.at_us,
            ),
            status=status if status is not live.status else None,
            detail=detail,
        )
        live.status = status
        self.snapshots.recorded(live.key, detail, self._engine.clock.now_us())
        batch.restated.append(Restated(live.stored.id, live.stored.account, change))

    def _carry_out(self, live: Live, command: Command) -> None:
        now_us = self._engine.clock.now_us()
        if isinstance(command, Cancel):
            order = self._engine.state.orders.get(order_id_of(live.stored.organization, live.stored.id, command.tag))
            if order is not None and order.id in live.orders:
                live.orders[order.id] = msgspec.structs.replace(live.orders[order.id], is_cancelling=True)
            if order is not None and order.state not in TERMINAL and order.state is not OrderState.CANCEL_PENDING:
                self._engine.books.request_cancel(order, at_us=now_us, source=SOURCE)
        elif isinstance(command, Place):
            self._place(live, command.order, now_us)

    def _place(self, live: Live, tracked: Tracked, now_us: int) -> None:
        instrument = live.instruments[tracked.leg]
        try:
            order = self._order_of(live, tracked, instrument, now_us)
        except GestaError as error:
            self._refused(live, tracked, error.message)
            return
        if tracked.kind is OrderKind.LIMIT_MAKER and self._crosses(order, instrument):
            self._refused(live, tracked, CROSSES)
            return
        live.orders[order.id] = Followed(tracked.tag, tracked.leg, tracked.kind)
        self._by_order[order.id] = live.key
        self._engine.books.place(order, source=SOURCE)

    def _refused(self, live: Live, tracked: Tracked, reason: str) -> None:
        """An order that cannot be sent has failed; the machine hears of it in the same batch."""
        self._step(live, self._updated(live, _failed(tracked, reason)))

    def _order_of(self, live: Live, tracked: Tracked, instrument: Instrument, now_us: int) -> Order:
        self._engine.state.numbers += 1
        stored = live.stored
        return Order(
            id=order_id_of(stored.organization, stored.id, tracked.tag),
            organization=stored.organization,
            account=stored.account,
            instrument=instrument.name,
            side=legs.SIDES[tracked.side],
            type=legs.TYPES[tracked.kind],
            quantity=instrument.lots(tracked.amount),
            time_in_force=TimeInForce.GTC,
            limit_ticks=None if not tracked.kind.is_limit else instrument.ticks(tracked.price or Decimal(0)),
            name=f"{stored.type} {tracked.tag}",
            parent_id=stored.id,
            created_at_us=now_us,
            updated_at_us=now_us,
            seq=self._engine.state.numbers,
        )

    def _crosses(self, order: Order, instrument: Instrument) -> bool:
        quote = self._market.snapshot(instrument.name).quote
        if quote is None or order.limit_ticks is None:
            return False
        if order.side.sign > 0:
            return bool(quote.ask_size) and order.limit_ticks >= quote.ask
        return bool(quote.bid_size) and order.limit_ticks <= quote.bid


def order_id_of(organization: int, executor_id: str, tag: int) -> str:
    """A function of the executor and its step, so that an order that is sent again is the same order. An id that two
    organizations chose is two executors."""
    return fill_id(f"executor:{organization}:{executor_id}:{tag}")


def _tag_of(order: Order) -> int | None:
    """The step that the order is of; None for an order that no executor has placed."""
    last = order.name.rpartition(" ")[2]
    tag = int(last) if last.isdecimal() else 0
    if order.parent_id is None or order.id != order_id_of(order.organization, order.parent_id, tag):
        return None
    return tag


def key_of(organization: int, executor_id: str) -> str:
    """What one executor goes by among those of all organizations."""
    return f"{organization}/{executor_id}"


def _legs_of(stored: Stored) -> tuple[Leg, ...]:
    machine = machine_of(stored.type)
    return machine.legs(machine.parse(stored.config))


def _failed(tracked: Tracked, reason: str) -> Tracked:
    return msgspec.structs.replace(tracked, status=OrderStatus.FAILED, reason=reason)


def _said(event: Event, commands: tuple[Command, ...], report: Report, is_new_status: bool) -> tuple[str, Severity]:
    """What the step is called on the timeline."""
    if is_new_status and report.status is RunnableStatus.TERMINATED:
        failed = report.close_type in (CloseType.FAILED, CloseType.INSUFFICIENT_BALANCE)
        return "terminated", Severity.ERROR if failed else Severity.INFO
    if is_new_status and report.status is RunnableStatus.SHUTTING_DOWN:
        return "closing", Severity.INFO
    if isinstance(event, OrderUpdated):
        failed = event.order.status is OrderStatus.FAILED
        return f"order_{event.order.status}", Severity.WARNING if failed else Severity.INFO
    if isinstance(event, Started):
        return "started", Severity.INFO
    if isinstance(event, StopAsked):
        return "stop_asked", Severity.INFO
    return "placed" if any(isinstance(command, Place) for command in commands) else "changed", Severity.INFO

"""What an intent or a venue's event changes: pure decisions over the state, collected into the batch to commit.

Nothing here waits. An event that the life cycle does not know in this state changes nothing and is noted as an anomaly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from gesta.desk.trading.batch import Amend, Batch, Cancel, Command, Filled, NoteRow, Submit
from gesta.desk.trading.fills import execution_of, fill_id
from gesta.desk.trading.state import Funds, State
from gesta.desk.trading.views import OrderView, PositionView
from gesta.kernel.errors import Conflict
from gesta.trading.instruments import Instrument
from gesta.trading.money import from_units
from gesta.trading.order_states import OrderEvent, next_state
from gesta.trading.orders import Change, Order, OrderState, OrderType, Side, TimeInForce
from gesta.trading.positions import FillEffect, Position, apply_fill
from gesta.trading.venue import (
    CancelRefused,
    ChangeRefused,
    OrderAccepted,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    VenueEvent,
)

STOP_NAME = "Stop1"
TARGET_NAME = "Target1"

log = structlog.get_logger("gesta.trading")


class Bookkeeping:
    """`batch_of` gives the open batch of an organization; `session` the ordinal of the trading day;
    `view` prices a position for those who are told of it."""

    def __init__(
        self,
        state: State,
        *,
        instrument_of: Callable[[str], Instrument],
        session: Callable[[], int],
        batch_of: Callable[[int], Batch],
        view: Callable[[int, Instrument, Position], PositionView],
    ) -> None:
        self._state = state
        self._instrument_of = instrument_of
        self._session = session
        self._batch_of = batch_of
        self._view = view
        # Told of each order that somebody else's work placed, once what happened to it is in the batch.
        self.follower: Callable[[Order], None] = lambda _: None

    # -- intents

    def place(self, order: Order, *, source: str, event: str = "PlaceOrder") -> None:
        """A new order: on disk before the venue hears of it."""
        batch = self._batch_of(order.organization)
        self._put(order, batch, at_us=order.created_at_us, source=source, event=event)
        batch.commands.append(Submit(order.id))

    def request_cancel(self, order: Order, *, at_us: int, source: str, message: str = "") -> Order:
        """Raises Conflict for a final order. Asking twice asks the venue twice, which is harmless."""
        asked = self._moved(order, OrderEvent.REQUEST_CANCEL, at_us=at_us)
        self._note_and_command(asked, source, "CancelOrder", Cancel(order.id), message=message)
        return asked

    def request_change(self, order: Order, change: Change, *, at_us: int, source: str) -> Order:
        """Raises Conflict for an order that cannot be changed now."""
        asked = self._moved(order, OrderEvent.REQUEST_CHANGE, at_us=at_us)
        data = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        self._note_and_command(asked, source, "ChangeOrder", Amend(order.id, change), data=data)
        return asked

    def _note_and_command(
        self,
        order: Order,
        source: str,
        event: str,
        command: Command,
        *,
        message: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        batch = self._batch_of(order.organization)
        self._put(order, batch, at_us=order.updated_at_us, source=source, event=event, message=message, data=data)
        batch.commands.append(command)

    def submitted(self, order: Order, *, at_us: int) -> None:
        """The order is on its way to the venue. Told with what the venue answers."""
        sent = self._moved(order, OrderEvent.SUBMIT, at_us=at_us)
        self._put(
            sent, self._batch_of(order.organization), at_us=at_us, source="desk", event="OrderSubmitted", tell=False
        )

    def withdraw(self, order: Order, *, at_us: int, reason: str) -> None:
        """An order that was not sent will not be."""
        gone = self._moved(order, OrderEvent.CANCEL, at_us=at_us, reason=reason)
        batch = self._batch_of(order.organization)
        self._put(gone, batch, at_us=at_us, source="desk", event="OrderWithdrawn", message=reason)
        self._tell_follower(gone.id)

    def _tell_follower(self, order_id: str) -> None:
        after = self._state.orders.get(order_id)
        if after is not None and after.parent_id is not None:
            self.follower(after)

    def lost(self, order: Order, *, at_us: int) -> None:
        """The venue did not answer: it is asked before anything else happens."""
        unknown = self._moved(order, OrderEvent.LOSE, at_us=at_us)
        self._put(unknown, self._batch_of(order.organization), at_us=at_us, source="desk", event="OrderUnknown")

    # -- the venue's events

    def apply(self, event: VenueEvent) -> None:
        order = self._state.orders.get(event.order_id)
        if order is None:
            log.error("trading.unknown_order", order_id=event.order_id, event_type=type(event).__name__)
            return
        try:
            self._apply(order, event)
            if self._state.orders.get(order.id) is not order:
                self._tell_follower(order.id)
        except Conflict as error:
            # The table has no row for it: said, kept on the order's own record, and nothing else changes.
            log.error("trading.anomaly", order_id=order.id, event_type=type(event).__name__, error=error.message)
            self._note(order, self._batch_of(order.organization), event.at_us, "venue", "Anomaly", error.message, {})

    def _apply(self, order: Order, event: VenueEvent) -> None:
        match event:
            case OrderFilled():
                self._on_fill(order, event)
            case OrderAccepted():
                what = OrderEvent.WORK if event.is_working else OrderEvent.ACCEPT
                self._on(order, event, what, "OrderAccepted")
            case OrderTriggered():
                triggered = msgspec.structs.replace(order, is_triggered=True, gap=order.gap or event.gap)
                gap = {"gap": True} if event.gap else None
                self._on(triggered, event, OrderEvent.TRIGGER, "OrderTriggered", data=gap)
            case OrderRejected():
                self._on(order, event, OrderEvent.REJECT, "OrderRejected", event.reason)
            case OrderCancelled():
                self._on(order, event, OrderEvent.CANCEL, "OrderCancelled", event.reason)
            case OrderExpired():
                self._on(order, event, OrderEvent.EXPIRE, "OrderExpired", event.reason)
            case OrderChanged():
                before = Change(quantity=order.quantity, limit_ticks=order.limit_ticks, stop_ticks=order.stop_ticks)
                changed = msgspec.structs.replace(
                    order,
                    quantity=event.quantity,
                    limit_ticks=event.limit_ticks,
                    stop_ticks=event.stop_ticks,
                    placed=order.placed or before,
                )
                terms = {"quantity": event.quantity, "limit": event.limit_ticks, "stop": event.stop_ticks}
                self._on(changed, event, OrderEvent.CHANGE, "OrderChanged", message=event.reason, data=terms)
            case CancelRefused():
                self._on(order, event, OrderEvent.REFUSE_CANCEL, "CancelRefused", message=event.reason)
            case ChangeRefused():
                self._on(order, event, OrderEvent.REFUSE_CHANGE, "ChangeRefused", message=event.reason)

    def _on(
        self,
        order: Order,
        event: VenueEvent,
        what: OrderEvent,
        name: str,
        reason: str = "",
        *,
        message: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        moved = self._moved(order, what, at_us=event.at_us, reason=reason)
        batch = self._batch_of(order.organization)
        told = {**(data or {}), "marketTime": event.venue_time_us}
        self._put(moved, batch, at_us=event.at_us, source="venue", event=name, message=reason or message, data=told)

    def _on_fill(self, order: Order, event: OrderFilled) -> None:
        if event.key != f"{order.id}:{order.fills + 1}":
            # Told again, by a venue that repeats itself: it is on record.
            log.info("trading.fill_repeated", order_id=order.id, key=event.key)
            return
        instrument = self._instrument_of(order.instrument)
        filled = order.filled + event.lots
        what = OrderEvent.FILL_REST if filled >= order.quantity else OrderEvent.FILL_PART
        after = msgspec.structs.replace(
            self._moved(order, what, at_us=event.at_us),
            filled=filled,
            filled_ticks=order.filled_ticks + event.ticks * event.lots,
            fills=order.fills + 1,
            commission=order.commission + from_units(event.commission),
            gap=order.gap or event.gap,
        )
        batch = self._batch_of(order.organization)
        held = self._state.position(order.account, order.instrument)
        position, effect = apply_fill(held, instrument, order.side.sign * event.lots, event.ticks, event.commission)
        execution = execution_of(after, instrument, self._state.accounts[order.account], event, effect)
        batch.fills.append(execution)
        data = _fill_data(execution.id, instrument, event)
        self._put(after, batch, at_us=event.at_us, source="venue", event="OrderFilled", data=data)
        batch.tellings.append(Filled(execution.id))
        self.hold(order.organization, order.account, instrument, position)
        self.book(order.organization, order.account, instrument, effect.realized or 0, event.commission)
        self._follow(after, instrument, event, effect)

    def hold(self, organization: int, account: int, instrument: Instrument, position: Position) -> None:
        batch = self._batch_of(organization)
        self._state.positions[account][instrument.name] = position
        batch.positions[account, instrument.name] = position
        batch.tellings.append(self._view(account, instrument, position))

    def book(self, organization: int, account: int, instrument: Instrument, realized: int, commission: int) -> None:
        """Profit and commission into the account's money of the instrument's currency."""
        of_account = self._state.funds[account]
        funds = of_account.get(instrument.currency)
        if funds is None:
            funds = Funds(account=account, currency=instrument.currency, organization=organization, starting=0, cash=0)
        self.fund(funds.booked(realized, commission, self._session()))

    def fund(self, funds: Funds) -> None:
        self._state.funds[funds.account][funds.currency] = funds
        self._batch_of(funds.organization).funds[funds.account, funds.currency] = funds

    # -- what a fill brings with it

    def _follow(self, order: Order, instrument: Instrument, event: OrderFilled, effect: FillEffect) -> None:
        if order.bracket is not None and effect.is_entry:
            opened = min(event.lots, abs(effect.after))
            for child in bracket_orders(order, event, opened, self._numbers):
                self.place(child, source="desk", event="PlaceBracket")
        if effect.after == 0:
            # The position is gone: what protected it has nothing left to do.
            for other in self._state.working(order.account, order.instrument):
                if other.opened_by is not None and other.state is not OrderState.CANCEL_PENDING:
                    self.request_cancel(other, at_us=event.at_us, source="desk", message="The position is closed.")

    def _numbers(self) -> int:
        self._state.numbers += 1
        return self._state.numbers

    # -- rows

    def _moved(self, order: Order, what: OrderEvent, *, at_us: int, reason: str = "") -> Order:
        state = next_state(order.state, what, filled=order.filled)
        if state is OrderState.WORKING and order.type.has_stop and not order.is_triggered:
            state = OrderState.ACCEPTED  # it rests, but waits for its trigger
        return msgspec.structs.replace(order, state=state, updated_at_us=at_us, reason=reason or order.reason)

    def _put(
        self,
        order: Order,
        batch: Batch,
        *,
        at_us: int,
        source: str,
        event: str,
        message: str = "",
        data: dict[str, Any] | None = None,
        tell: bool = True,
    ) -> None:
        self._state.put(order)
        batch.orders[order.id] = order
        self._note(order, batch, at_us, source, event, message, data or {})
        if tell:
            account = self._state.accounts[order.account]
            batch.tellings.append(
                OrderView(account=account, instrument=self._instrument_of(order.instrument), order=order)
            )

    def _note(
        self, order: Order, batch: Batch, at_us: int, source: str, event: str, message: str, data: dict[str, Any]
    ) -> None:
        self._state.notes += 1
        batch.notes.append(
            NoteRow(order.seq, self._state.notes, at_us, source, event, order.state.value, message, data)
        )


def _fill_data(execution_id: str, instrument: Instrument, event: OrderFilled) -> dict[str, Any]:
    """What an order's life says of a fill."""
    data: dict[str, Any] = {
        "executionId": execution_id,
        "quantity": str(instrument.quantity(event.lots)),
        "price": str(instrument.price(event.ticks)),
        "maker": event.is_maker,
        "marketTime": event.venue_time_us,
    }
    return {**data, "gap": True} if event.gap else data


def bracket_orders(entry: Order, event: OrderFilled, lots: int, next_number: Callable[[], int]) -> list[Order]:
    """The stop and the target of one fill of an entry. Their ids follow from the fill, so that they exist once."""
    assert entry.bracket is not None
    sign = entry.side.sign
    group = f"{entry.id}:{entry.fills}"
    exit_side = Side.SELL if entry.side is Side.BUY else Side.BUY
    legs: list[tuple[str, OrderType, int | None, int | None]] = []
    if entry.bracket.stop_ticks is not None:
        legs.append((STOP_NAME, OrderType.STOP_MARKET, None, event.ticks - sign * entry.bracket.stop_ticks))
    if entry.bracket.target_ticks is not None:
        legs.append((TARGET_NAME, OrderType.LIMIT, event.ticks + sign * entry.bracket.target_ticks, None))
    return [
        Order(
            id=fill_id(f"{group}:{name}"),
            organization=entry.organization,
            account=entry.account,
            instrument=entry.instrument,
            side=exit_side,
            type=type_,
            quantity=lots,
            time_in_force=TimeInForce.GTC,
            limit_ticks=limit_ticks,
            stop_ticks=stop_ticks,
            oco_id=group if len(legs) > 1 else None,
            reduce_only=True,
            name=name,
            strategy=entry.strategy,
            parent_id=entry.parent_id,
            opened_by=entry.id,
            venue=entry.venue,
            created_at_us=event.at_us,
            updated_at_us=event.at_us,
            seq=next_number(),
        )
        for name, type_, limit_ticks, stop_ticks in legs
    ]

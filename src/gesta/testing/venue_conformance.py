"""What every venue promises (`trading.venue`), as numbered cards that a test runs on each implementation.

A venue is brought along by a `VenueHouse`, which can move its market. Cards that ask for what a venue says that it
cannot do are not for it: `skips` names the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from gesta.trading.order_states import TERMINAL, OrderEvent, next_state
from gesta.trading.orders import Change, Order, OrderState, OrderType, Side, TimeInForce
from gesta.trading.venue import (
    Ack,
    CancelRefused,
    ChangeRefused,
    OrderAccepted,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    Resume,
    Venue,
    VenueEvent,
)

PRICE = 100


class VenueHouse(Protocol):
    """A venue that is not started, on one instrument whose market `quote` moves; `size` lots are displayed.

    `settle` returns when everything that follows from what was done has been told."""

    venue: Venue
    instrument: str

    async def quote(self, bid: int, ask: int, size: int = 10) -> None: ...

    async def settle(self) -> None: ...


class Witness:
    """Folds events into orders by the table of the life cycle: an event that has no row there fails."""

    def __init__(self, house: VenueHouse) -> None:
        self.house = house
        self.events: list[VenueEvent] = []
        self.orders: dict[str, Order] = {}
        self._keys: set[str] = set()
        self._made = 0

    def on_events(self, events: Sequence[VenueEvent]) -> None:
        for event in events:
            self.events.append(event)
            order = self.orders[event.order_id]
            self.orders[order.id] = self._folded(order, event)

    def order(self, side: Side, type_: OrderType, quantity: int = 2, **terms: Any) -> Order:
        self._made += 1
        fields: dict[str, Any] = {"time_in_force": TimeInForce.GTC, "created_at_us": 1, "updated_at_us": 1} | terms
        made = Order(
            id=f"{self._made:032x}",
            organization=1,
            account=1,
            instrument=self.house.instrument,
            side=side,
            type=type_,
            quantity=quantity,
            seq=self._made,
            **fields,
        )
        self.orders[made.id] = msgspec.structs.replace(made, state=OrderState.SUBMITTED)
        return made

    async def submit(self, order: Order) -> Order:
        """Send it, and what the events made of it."""
        await self.house.venue.submit(order)
        await self.house.settle()
        return self.orders[order.id]

    def _folded(self, order: Order, event: VenueEvent) -> Order:
        changes: dict[str, Any] = {}
        if isinstance(event, OrderFilled):
            assert event.key not in self._keys, "a fill was told twice"
            self._keys.add(event.key)
            changes = {"filled": order.filled + event.lots, "fills": order.fills + 1}
            assert changes["filled"] <= order.quantity, "more was filled than was asked for"
            what = OrderEvent.FILL_REST if changes["filled"] == order.quantity else OrderEvent.FILL_PART
        elif isinstance(event, OrderAccepted):
            what = OrderEvent.WORK if event.is_working else OrderEvent.ACCEPT
        elif isinstance(event, OrderChanged):
            changes = {name: getattr(event, name) for name in ("quantity", "limit_ticks", "stop_ticks")}
            what = OrderEvent.CHANGE
        else:
            what = _WHAT[type(event)]
            if isinstance(event, CancelRefused | ChangeRefused | OrderRejected):
                assert event.reason, "a refusal says why"
            if isinstance(event, CancelRefused | ChangeRefused):
                return order  # whoever asked was not waiting for this order to change
            if isinstance(event, OrderTriggered):
                changes = {"is_triggered": True}
        state = next_state(order.state, what, filled=changes.get("filled", order.filled))
        return msgspec.structs.replace(order, state=state, **changes)


_WHAT: dict[type[Any], OrderEvent] = {
    OrderRejected: OrderEvent.REJECT,
    OrderTriggered: OrderEvent.TRIGGER,
    OrderCancelled: OrderEvent.CANCEL,
    OrderExpired: OrderEvent.EXPIRE,
    CancelRefused: OrderEvent.REFUSE_CANCEL,
    ChangeRefused: OrderEvent.REFUSE_CHANGE,
}


async def _opened(house: VenueHouse, resume: Resume | None = None) -> Witness:
    witness = Witness(house)
    await house.venue.start(resume or Resume(), witness.on_events)
    await house.quote(PRICE, PRICE + 1)
    return witness


async def v01_a_market_order_is_accepted_and_filled_by_events(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = await witness.submit(witness.order(Side.BUY, OrderType.MARKET))
    assert order.state is OrderState.FILLED
    assert isinstance(witness.events[0], OrderAccepted)


async def v02_a_limit_rests_until_the_market_comes(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    assert order.state is OrderState.WORKING
    await house.quote(PRICE - 7, PRICE - 6)
    await house.settle()
    assert witness.orders[order.id].state is OrderState.FILLED


async def v03_every_declared_order_type_is_taken(house: VenueHouse) -> None:
    witness = await _opened(house)
    for type_ in OrderType:
        if type_ in house.venue.capabilities.order_types:
            is_touch = type_ is OrderType.MARKET_IF_TOUCHED
            terms = {"limit_ticks": PRICE - 5} if type_.has_limit else {}
            terms |= {"stop_ticks": PRICE - 5 if is_touch else PRICE + 9} if type_.has_stop else {}
            order = await witness.submit(witness.order(Side.BUY, type_, **terms))
            assert order.state not in (OrderState.REJECTED, OrderState.SUBMITTED), type_


async def v04_the_same_id_is_one_order(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5)
    await witness.submit(order)
    told = len(witness.events)
    assert await house.venue.submit(order) is Ack.ACCEPTED
    await house.settle()
    assert len(witness.events) == told


async def v05_a_cancel_is_told_and_a_second_one_refused(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    assert await house.venue.cancel(order.id) is Ack.ACCEPTED
    await house.settle()
    assert witness.orders[order.id].state is OrderState.CANCELLED
    await house.venue.cancel(order.id)
    await house.settle()
    assert isinstance(witness.events[-1], CancelRefused)


async def v06_a_change_is_in_force_when_it_is_told(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    await house.venue.change(order.id, Change(quantity=3, limit_ticks=PRICE - 4))
    await house.settle()
    changed = witness.orders[order.id]
    assert (changed.quantity, changed.limit_ticks) == (3, PRICE - 4)
    await house.quote(PRICE - 5, PRICE - 4)
    await house.settle()
    assert witness.orders[order.id].filled == 3


async def v07_an_order_is_found_by_its_id(house: VenueHouse) -> None:
    witness = await _opened(house)
    order = await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    report = await house.venue.query(order.id)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.WORKING, 0)
    assert await house.venue.query("f" * 32) is None


async def v08_one_of_a_pair_cancels_the_other(house: VenueHouse) -> None:
    witness = await _opened(house)
    low = await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5, oco_id="pair"))
    high = await witness.submit(witness.order(Side.SELL, OrderType.LIMIT, limit_ticks=PRICE + 5, oco_id="pair"))
    await house.quote(PRICE - 7, PRICE - 6)
    await house.settle()
    states = (witness.orders[low.id].state, witness.orders[high.id].state)
    assert states == (OrderState.FILLED, OrderState.CANCELLED)


async def v09_what_worked_before_a_restart_works_after_it(house: VenueHouse) -> None:
    first = await _opened(house)
    order = await first.submit(first.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    await house.venue.stop()
    again = Witness(house)
    again.orders = dict(first.orders)
    await house.venue.start(Resume(orders=list(first.orders.values())), again.on_events)
    await house.settle()
    assert again.events == []
    await house.quote(PRICE - 7, PRICE - 6)
    await house.settle()
    assert again.orders[order.id].state is OrderState.FILLED


async def v10_a_stop_is_final_and_may_be_repeated(house: VenueHouse) -> None:
    witness = await _opened(house)
    await witness.submit(witness.order(Side.BUY, OrderType.LIMIT, limit_ticks=PRICE - 5))
    told = len(witness.events)
    await house.venue.stop()
    await house.venue.stop()
    await house.quote(PRICE - 7, PRICE - 6)
    assert len(witness.events) == told
    assert not any(order.state in TERMINAL for order in witness.orders.values())


Card = Callable[[VenueHouse], Awaitable[None]]
CARDS: tuple[Card, ...] = (
    v01_a_market_order_is_accepted_and_filled_by_events,
    v02_a_limit_rests_until_the_market_comes,
    v03_every_declared_order_type_is_taken,
    v04_the_same_id_is_one_order,
    v05_a_cancel_is_told_and_a_second_one_refused,
    v06_a_change_is_in_force_when_it_is_told,
    v07_an_order_is_found_by_its_id,
    v08_one_of_a_pair_cancels_the_other,
    v09_what_worked_before_a_restart_works_after_it,
    v10_a_stop_is_final_and_may_be_repeated,
)


def skips(card: Card, venue: Venue) -> str | None:
    """Why the card is not for this venue; None if it is."""
    can = venue.capabilities
    if card is v06_a_change_is_in_force_when_it_is_told and not can.change:
        return f"{venue.name} cannot change orders"
    if card is v07_an_order_is_found_by_its_id and not can.finds_by_id:
        return f"{venue.name} does not find orders by id"
    if card is v08_one_of_a_pair_cancels_the_other and not can.native_oco:
        return f"{venue.name} has no groups"
    return None

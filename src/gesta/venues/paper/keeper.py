"""The orders of the venue, what is said of them, and what an end or a fill of one means for others.

Everything that happens to an order goes through here: its place, its group, the sums of its account and the event are
changed together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from gesta.trading.instruments import Instrument
from gesta.trading.orders import Order, OrderState
from gesta.trading.venue import (
    OrderAccepted,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderFilled,
    OrderReport,
    OrderTriggered,
    VenueEvent,
)
from gesta.venues.paper.accounts import Accounts
from gesta.venues.paper.book import Book
from gesta.venues.paper.groups import Groups
from gesta.venues.paper.recent import Recent
from gesta.venues.paper.working import Place, Working

# (order, instrument, lots, ticks, is_maker) → money units.
Commission = Callable[[Order, Instrument, int, int, bool], int]

NOTHING_LEFT: Final = "Reduce-only: nothing is left of the position."
NOTHING_HELD: Final = "Nothing is left to sell."


class Keeper:
    """`begin` opens a call, `events` then holds what happened in it, in order."""

    def __init__(self, accounts: Accounts, commission: Commission) -> None:
        self.accounts = accounts
        self.groups = Groups()
        self.orders: dict[str, Working] = {}
        self.ended: Recent[str, OrderReport] = Recent()
        self.events: list[VenueEvent] = []
        self._commission = commission
        self._at_us = 0
        self._gap = False
        self._touched: list[Book] = []

    # -- one call

    def begin(self, at_us: int, *, gap: bool = False) -> None:
        self.events = []
        self._at_us = at_us
        self._gap = gap
        self._touched = []

    def finish(self) -> list[VenueEvent]:
        """The events of the call; every book says anew what concerns its orders."""
        for book in self._touched:
            book.settle()
        return self.events

    def touch(self, book: Book) -> None:
        if book not in self._touched:
            self._touched.append(book)

    def stamps(self, order: Working) -> tuple[str, int, int]:
        """What every event carries."""
        return order.id, self._at_us, order.book.time_us or self._at_us

    # -- orders

    def admit(self, order: Working) -> None:
        """Take it in: from now on it counts."""
        self.orders[order.id] = order
        order.book.orders[order.id] = order
        self.touch(order.book)
        if order.order.oco_id is not None:
            self.groups.join(order, order.order.account, order.order.oco_id)
        self.accounts.count(order, order.leaves, 0)

    def accept(self, order: Working) -> None:
        order.is_accepted = True
        id, at_us, venue_us = self.stamps(order)
        self.events.append(
            OrderAccepted(order_id=id, at_us=at_us, venue_time_us=venue_us, is_working=not order.awaits_trigger)
        )

    def changed(self, order: Working, reason: str = "") -> None:
        id, at_us, venue_us = self.stamps(order)
        self.events.append(
            OrderChanged(
                order_id=id,
                at_us=at_us,
                venue_time_us=venue_us,
                quantity=order.quantity,
                limit_ticks=order.limit,
                stop_ticks=order.stop,
                reason=reason,
            )
        )

    def trigger(self, order: Working) -> None:
        order.book.leave(order)
        order.is_triggered = True
        id, at_us, venue_us = self.stamps(order)
        self.events.append(OrderTriggered(order_id=id, at_us=at_us, venue_time_us=venue_us, gap=self._gap))

    def room(self, order: Working) -> int:
        """Lots that may be filled now. An order that has nothing left to reduce is cancelled, and the answer is 0."""
        if not order.is_capped:
            return order.leaves
        room = min(order.leaves, order.exposure.closable(is_buy=order.is_buy))
        if not room:
            self.cancel(order, NOTHING_LEFT if order.order.reduce_only else NOTHING_HELD)
        return room

    def fill(self, order: Working, lots: int, ticks: int, *, is_maker: bool) -> None:
        order.filled += lots
        order.fills += 1
        instrument = order.book.instrument
        commission = self._commission(order.order, instrument, lots, ticks, is_maker)
        self.accounts.fill(order, lots, ticks, commission)
        self.touch(order.book)
        id, at_us, venue_us = self.stamps(order)
        self.events.append(
            OrderFilled(
                order_id=id,
                at_us=at_us,
                venue_time_us=venue_us,
                key=f"{id}:{order.fills}",
                lots=lots,
                ticks=ticks,
                commission=commission,
                is_maker=is_maker,
                reference_ticks=order.book.last if order.is_market else None,
                gap=self._gap,
            )
        )
        self._reduce_others(order, lots)
        if not order.leaves:
            self._end(order, OrderState.FILLED)
        else:
            self.room(order)

    def cancel(self, order: Working, reason: str) -> None:
        """It and the others of its group."""
        others = order.group.others(order) if order.group is not None else ()
        self._cancel_one(order, reason)
        for other in others:
            self._cancel_one(other, f"The other order of its pair was cancelled: {order.id}.")

    def expire(self, order: Working, reason: str, alike: Collection[str]) -> None:
        """It and the others of its group; those of the ids `alike` are left to expire themselves."""
        others = order.group.others(order) if order.group is not None else ()
        self._end(order, OrderState.EXPIRED)
        id, at_us, venue_us = self.stamps(order)
        self.events.append(OrderExpired(order_id=id, at_us=at_us, venue_time_us=venue_us, reason=reason))
        for other in others:
            if other.id not in alike:
                self._cancel_one(other, f"The other order of its pair expired: {order.id}.")

    def reject_group(self, order: Order) -> None:
        """An order that was to join a group is not taken: the others go as well."""
        group = self.groups.find(order.account, order.oco_id) if order.oco_id is not None else None
        if group is not None:
            for other in sorted(group.members.values(), key=lambda each: each.serial):
                self._cancel_one(other, f"The other order of its pair was rejected: {order.id}.")

    def _reduce_others(self, order: Working, lots: int) -> None:
        group = order.group
        if group is None:
            return
        group.filled += lots
        for other in group.others(order):
            if other.leaves <= lots:
                self._cancel_one(other, f"The other order of its pair was filled: {order.id}.")
                continue
            before = other.leaves
            other.quantity -= lots
            self.accounts.count(other, other.leaves, before)
            # One that is on its way is told of when it arrives.
            if other.place is not Place.ON_ITS_WAY:
                self.changed(other, f"The other order of its pair was filled in part: {order.id}.")

    def _cancel_one(self, order: Working, reason: str) -> None:
        self._end(order, OrderState.CANCELLED)
        id, at_us, venue_us = self.stamps(order)
        self.events.append(OrderCancelled(order_id=id, at_us=at_us, venue_time_us=venue_us, reason=reason))

    def _end(self, order: Working, state: OrderState) -> None:
        book = order.book
        self.touch(book)
        book.leave(order)
        del self.orders[order.id]
        del book.orders[order.id]
        self.groups.leave(order)
        if order.leaves:
            self.accounts.count(order, 0, order.leaves)
        self.ended.put(order.id, OrderReport(order_id=order.id, state=state, filled=order.filled))

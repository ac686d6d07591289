"""The matching of the paper venue: pure and synchronous. Time arrives with each call, what happened is its answer."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final

from gesta.trading.instruments import Instrument
from gesta.trading.market import Flag, MarketData, Quote, Trade
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import Change, Order, OrderState, TimeInForce
from gesta.trading.trigger_book import NEVER, Crossing
from gesta.trading.venue import (
    Ack,
    CancelRefused,
    ChangeRefused,
    OrderRejected,
    OrderReport,
    Resume,
    VenueEvent,
)
from gesta.venues.paper import admission, changing
from gesta.venues.paper.accounts import Accounts
from gesta.venues.paper.book import Book, crossing_of, noon_of_expiry_us
from gesta.venues.paper.keeper import Commission, Keeper
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.taking import Taking
from gesta.venues.paper.working import Place, Working

# Plain integers: the arithmetic of enums costs more than all the rest of a quote.
_GAP, _CROSSED, _STALE = Flag.GAP.value, Flag.CROSSED.value, Flag.STALE.value
_UNUSUAL: Final = _GAP | _CROSSED | _STALE
# Journaled, and perhaps sent: whoever journaled them sends them again.
_NOT_HERE = frozenset({OrderState.INITIALIZED, OrderState.SUBMITTED, OrderState.UNKNOWN, *TERMINAL})

CANCELLED: Final = "Cancelled as asked."
UNKNOWN: Final = "No such order works here."
SESSION_ENDED: Final = "The session ended."
CONTRACT_ENDED: Final = "The contract expired."


class Matcher:
    """`session_end_us` gives the first end of a session of the instrument after a venue time."""

    def __init__(
        self,
        *,
        instrument_of: Callable[[str], Instrument],
        settings: PaperSettings,
        commission: Commission,
        session_end_us: Callable[[Instrument, int], int],
    ) -> None:
        self._instrument_of = instrument_of
        self._settings = settings
        self._session_end_us = session_end_us
        self._books: dict[str, Book] = {}
        self.accounts = Accounts(instrument_of, self._mark_of)
        self._keeper = Keeper(self.accounts, commission)
        self._taking = Taking(self._keeper, settings)
        self._serial = 0
        self._newest_us = 0
        self._started_at_us = 0

    # -- what was on record

    def rebuild(self, resume: Resume, at_us: int) -> None:
        """Take in what worked when the venue was last heard of, as it was, without a word."""
        self._started_at_us = at_us
        self._keeper.begin(at_us)
        self.accounts.resume(resume.positions, resume.funds)
        here = (order for order in resume.orders if order.state not in _NOT_HERE)
        for order in sorted(here, key=lambda each: (each.created_at_us, each.seq, each.id)):
            self._rebuild_one(order)
        self._keeper.finish()

    def _rebuild_one(self, order: Order) -> None:
        working = self._working(order)
        book = working.book
        if order.time_in_force is TimeInForce.DAY:
            working.day_end_us = self._session_end_us(book.instrument, order.created_at_us)
        working.is_accepted = True
        self._keeper.admit(working)
        if working.group is not None:
            working.group.filled += working.filled
        if working.awaits_trigger:
            book.arm(working)
        elif working.is_immediate:
            book.delay(working, -NEVER)
        elif working.is_market:
            book.wait(working)
        else:
            book.rest(working)

    # -- orders

    def submit(self, order: Order, at_us: int) -> tuple[Ack, list[VenueEvent]]:
        """An id that is known changes nothing."""
        keeper = self._keeper
        if order.id in keeper.orders or keeper.ended.get(order.id) is not None:
            return Ack.ACCEPTED, []
        working = self._working(order)
        book = working.book
        keeper.begin(at_us)
        may_wait = order.created_at_us < self._started_at_us
        reason = self._join_reason(working)
        if reason is None:
            market_us = book.time_us or self._newest_us
            reason = admission.refusal(working, self.accounts, market_us=market_us, may_wait=may_wait)
        if reason is not None:
            return Ack.REJECTED, self._reject(working, reason)
        keeper.admit(working)
        if self._settings.latency_us and book.time_us:
            book.delay(working, book.time_us + self._settings.latency_us)
        else:
            self._arrive(working)
        return Ack.ACCEPTED, keeper.finish()

    def cancel(self, order_id: str, at_us: int) -> tuple[Ack, list[VenueEvent]]:
        keeper = self._keeper
        keeper.begin(at_us)
        order = keeper.orders.get(order_id)
        if order is None:
            return Ack.REJECTED, [
                CancelRefused(order_id=order_id, at_us=at_us, venue_time_us=self._newest_us or at_us, reason=UNKNOWN)
            ]
        keeper.cancel(order, CANCELLED)
        return Ack.ACCEPTED, keeper.finish()

    def change(self, order_id: str, change: Change, at_us: int) -> tuple[Ack, list[VenueEvent]]:
        keeper = self._keeper
        keeper.begin(at_us)
        order = keeper.orders.get(order_id)
        reason = UNKNOWN if order is None else changing.refusal(order, change, self.accounts)
        if order is None or reason is not None:
            venue_us = order.book.time_us if order is not None else self._newest_us
            return Ack.REJECTED, [
                ChangeRefused(order_id=order_id, at_us=at_us, venue_time_us=venue_us or at_us, reason=reason or "")
            ]
        keeper.touch(order.book)
        limit, quantity, ahead = order.limit, order.quantity, order.ahead
        changing.apply(order, change, self.accounts)
        keeper.changed(order)
        self._place(order)
        if order.place is Place.RESTS and order.limit == limit and order.quantity <= quantity:
            order.ahead = ahead  # who asks for less keeps his place
        return Ack.ACCEPTED, keeper.finish()

    def query(self, order_id: str) -> OrderReport | None:
        order = self._keeper.orders.get(order_id)
        if order is not None:
            return OrderReport(order_id=order_id, state=order.state, filled=order.filled)
        return self._keeper.ended.get(order_id)

    # -- the market

    def passes(self, data: MarketData) -> bool:
        """Remember the data if nobody is concerned by it. False, and nothing remembered, where `match` must be called.

        This is what a quote costs, however many orders work."""
        book = self._books.get(data.instrument)
        if book is None or data.flags & _UNUSUAL or data.venue_time_us >= book.wake_us or book.is_unseen:
            return False
        if type(data) is Quote:
            bid, ask = data.bid, data.ask
            if not data.bid_size or not data.ask_size or bid > ask:
                return False
            if ask >= book.rise_ask or ask <= book.fall_ask or bid >= book.rise_bid or bid <= book.fall_bid:
                return False
            book.quote = data
            book.bid_given = book.ask_given = 0
        elif type(data) is Trade:
            price = data.price
            if price >= book.rise_ask or price <= book.fall_ask or price >= book.rise_bid or price <= book.fall_bid:
                return False
            book.last = price
        if data.venue_time_us > book.time_us:
            book.time_us = data.venue_time_us
            if book.time_us > self._newest_us:
                self._newest_us = book.time_us
        return True

    def match(self, data: MarketData, at_us: int) -> list[VenueEvent]:
        """Everything that the data does to the orders of its instrument."""
        keeper = self._keeper
        if data.flags & _STALE:
            return []
        book = self._book(data.instrument)
        keeper.begin(at_us, gap=book.is_unseen or bool(data.flags & _GAP))
        keeper.touch(book)
        self._advance(book, data)
        if isinstance(data, Quote):
            if data.flags & _CROSSED or (data.bid > data.ask and data.bid_size and data.ask_size):
                # What was in force before is no longer, and this one is not to be believed.
                book.quote = None
                book.has_data = True
            else:
                self._on_quote(book, data)
        elif not data.flags & _CROSSED:
            self._on_trade(book, data)
        self._arrivals(book)
        return keeper.finish()

    def _on_quote(self, book: Book, quote: Quote) -> None:
        book.quote, book.has_data, book.is_unseen = quote, True, False
        book.bid_given = book.ask_given = 0
        taking = self._taking
        taking.waiting(book, is_buy=True)
        taking.waiting(book, is_buy=False)
        taking.resting(book, is_buy=True)
        taking.resting(book, is_buy=False)
        fired: list[str] = []
        if quote.ask_size:
            fired += book.buy_triggers.fire(quote.ask)
        if quote.bid_size:
            fired += book.sell_triggers.fire(quote.bid)
        self._fired(fired)

    def _on_trade(self, book: Book, trade: Trade) -> None:
        book.last, book.has_data = trade.price, True
        self._taking.through(book, trade)
        self._fired([*book.buy_triggers.fire(trade.price), *book.sell_triggers.fire(trade.price)])

    def _fired(self, ids: Iterable[str]) -> None:
        """Triggers that were reached: buyers first, the price that the market met first, then the oldest."""
        keeper = self._keeper
        orders = [keeper.orders[id] for id in ids]
        for order in orders:
            # It is no longer in the trigger book, wherever a cancel meets it.
            order.place = Place.NOWHERE
        for order in sorted(orders, key=_trigger_rank):
            if order.id in keeper.orders:
                keeper.trigger(order)
                self._taking.arrive(order)

    def _arrivals(self, book: Book) -> None:
        """Orders whose latency is over, in the order in which they are due."""
        while book.pending and book.pending[0][0] <= book.time_us:
            order = heapq.heappop(book.pending)[2]
            if order.place is Place.ON_ITS_WAY:
                order.place = Place.NOWHERE
                if order.is_accepted:
                    self._taking.arrive(order)
                else:
                    self._arrive(order)

    # -- time

    def _advance(self, book: Book, data: MarketData) -> None:
        at_us = data.venue_time_us
        if at_us < book.time_us and data.flags & _GAP:
            # Another recording, of another day: time begins anew with it.
            book.time_us, book.end_us = at_us, -NEVER
            book.pending = sorted((-NEVER, order.serial, order) for _, _, order in book.pending)
            self._newest_us = at_us
        elif at_us > book.time_us:
            book.time_us = at_us
            self._newest_us = max(self._newest_us, at_us)
        if book.time_us >= book.end_us:
            self._end_session(book)

    def _end_session(self, book: Book) -> None:
        at_us = book.time_us
        is_first, has_expired = book.end_us == -NEVER, at_us >= book.expiry_us

        def ends(order: Working) -> bool:
            if has_expired or order.order.time_in_force is not TimeInForce.DAY:
                return has_expired
            return not is_first or (order.day_end_us is not None and order.day_end_us <= at_us)

        ending = [order for order in sorted(book.orders.values(), key=lambda each: each.serial) if ends(order)]
        alike = {order.id for order in ending}
        for order in ending:
            self._keeper.expire(order, CONTRACT_ENDED if has_expired else SESSION_ENDED, alike)
        end_us = self._session_end_us(book.instrument, at_us)
        book.end_us = min(end_us, book.expiry_us) if not has_expired else end_us

    # -- inside

    def _arrive(self, order: Working) -> None:
        """The order is at the venue: say so, and let it wait, rest or take."""
        keeper = self._keeper
        keeper.touch(order.book)
        keeper.accept(order)
        if order.quantity != order.order.quantity:
            keeper.changed(order, "Orders of its pair were filled before it arrived.")
        self._place(order)

    def _place(self, order: Working) -> None:
        if not order.awaits_trigger:
            self._taking.arrive(order)
        elif order.book.quote_reaches(order):
            self._keeper.trigger(order)
            self._taking.arrive(order)
        else:
            order.book.arm(order)

    def _join_reason(self, order: Working) -> str | None:
        """Why it cannot join its group; where it can, its quantity is less by what the group has filled."""
        reason = admission.terms_reason(order)
        name = order.order.oco_id
        if reason is not None or name is None:
            return reason
        account = order.order.account
        if self._keeper.groups.has_ended(account, name):
            return f"The OCO group `{name}` has ended; a new one needs a new name."
        group = self._keeper.groups.find(account, name)
        if group is not None and group.filled:
            if group.filled >= order.leaves:
                return f"The OCO group `{name}` has filled {group.filled} lots already."
            order.quantity -= group.filled
        return None

    def _reject(self, order: Working, reason: str) -> list[VenueEvent]:
        keeper = self._keeper
        id, at_us, venue_us = keeper.stamps(order)
        keeper.events.append(OrderRejected(order_id=id, at_us=at_us, venue_time_us=venue_us, reason=reason))
        keeper.ended.put(id, OrderReport(order_id=id, state=OrderState.REJECTED, filled=order.filled))
        keeper.reject_group(order.order)
        return keeper.finish()

    def _working(self, order: Order) -> Working:
        self._serial += 1
        book = self._book(order.instrument)
        exposure = self.accounts.exposure(order.account, order.instrument)
        working = Working(order, self._serial, book, exposure, spot_short=self._settings.spot_short)
        working.price = admission.price_of(working, book)
        return working

    def _book(self, name: str) -> Book:
        book = self._books.get(name)
        if book is None:
            instrument = self._instrument_of(name)
            book = self._books[name] = Book(instrument)
            noon_us = noon_of_expiry_us(instrument)
            if noon_us is not None:
                book.expiry_us = self._session_end_us(instrument, noon_us)
        return book

    def _mark_of(self, name: str) -> int | None:
        book = self._books.get(name)
        return book.mark if book is not None else None


def _trigger_rank(order: Working) -> tuple[bool, bool, int, int]:
    assert order.stop is not None
    is_falling = crossing_of(order) is Crossing.AT_OR_BELOW
    return not order.is_buy, is_falling, -order.stop if is_falling else order.stop, order.serial

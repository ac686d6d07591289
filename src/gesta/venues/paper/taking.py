"""How orders are filled: what arrives takes what is displayed, what rests gives at its price when the market comes."""

from __future__ import annotations

from typing import Final

from gesta.trading.market import Trade
from gesta.trading.orders import TimeInForce
from gesta.venues.paper.book import Book
from gesta.venues.paper.keeper import Keeper
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.working import Working

IMMEDIATE: Final = "Immediate-or-cancel: what could not be filled at once is cancelled."
ALL_OR_NOTHING: Final = "Fill-or-kill: not all of it could be filled at once."


class Taking:
    def __init__(self, keeper: Keeper, settings: PaperSettings) -> None:
        self._keeper = keeper
        self._slips = settings.slips
        self._queues = settings.queue_ahead

    # -- takers

    def arrive(self, order: Working) -> None:
        """An order that works, from now on. It is in no place yet."""
        self._keeper.touch(order.book)
        if order.order.time_in_force is TimeInForce.FOK and not self._fills_whole(order):
            self._keeper.cancel(order, ALL_OR_NOTHING)
            return
        if order.is_market:
            self._take_market(order)
        else:
            self._take_limit(order)
        if order.id not in self._keeper.orders:
            return
        if order.is_immediate:
            self._keeper.cancel(order, IMMEDIATE)
        elif order.is_market:
            order.book.wait(order)
        else:
            order.book.rest(order)

    def _fills_whole(self, order: Working) -> bool:
        best = order.book.opposite(is_buy=order.is_buy)
        if best is None or not _reaches(order, best[0]):
            return False
        if order.is_capped and order.exposure.closable(is_buy=order.is_buy) < order.leaves:
            return False
        return order.leaves <= best[1] or (order.is_market and self._slips > 0)

    def _take_market(self, order: Working) -> None:
        """What is displayed, then the rest so many ticks worse; without slipping the rest is left."""
        best = order.book.opposite(is_buy=order.is_buy)
        if best is None:
            return
        self._take(order, best)
        if self._slips and order.id in self._keeper.orders:
            room = self._keeper.room(order)
            if room:
                self._keeper.fill(order, room, self._slipped(best[0], is_buy=order.is_buy), is_maker=False)

    def _take_limit(self, order: Working) -> None:
        best = order.book.opposite(is_buy=order.is_buy)
        if best is not None and _reaches(order, best[0]):
            self._take(order, best)

    def _take(self, order: Working, best: tuple[int, int]) -> None:
        ticks, left = best
        lots = min(self._keeper.room(order), left)
        if lots > 0:
            order.book.give(lots, is_buy=order.is_buy)
            self._keeper.fill(order, lots, ticks, is_maker=False)

    def _slipped(self, best: int, *, is_buy: bool) -> int:
        if is_buy:
            return best + self._slips
        # A price that was positive stays so: nobody pays to be rid of what has a bid.
        return max(1, best - self._slips) if best > 0 else best - self._slips

    def waiting(self, book: Book, *, is_buy: bool) -> None:
        """Market orders that found nothing so far, the oldest first."""
        ladder = book.waiting_buys if is_buy else book.waiting_sells
        while (order := ladder.first()) is not None:
            self._take_market(order)
            if order.id in self._keeper.orders:
                return

    # -- makers

    def resting(self, book: Book, *, is_buy: bool) -> None:
        """Limits at or through which the opposite best is, at their own price, up to what is displayed."""
        ladder = book.buys if is_buy else book.sells
        while (order := ladder.first()) is not None:
            best = book.opposite(is_buy=is_buy)
            if best is None or best[1] <= 0 or not _reaches(order, best[0]):
                return
            assert order.limit is not None
            lots = min(self._keeper.room(order), best[1])
            if lots:
                book.give(lots, is_buy=is_buy)
                self._keeper.fill(order, lots, order.limit, is_maker=True)

    def through(self, book: Book, trade: Trade) -> None:
        """Limits that a trade has gone through, up to its size; with queues also those at its price."""
        left = trade.size
        for is_buy in (True, False):
            left = self._traded_through(book, trade.price, left, is_buy=is_buy)
            # A trade at a price takes from the queue there only if its aggressor came from the other side.
            if self._queues and trade.aggressor != (1 if is_buy else -1):
                left = self._traded_at(book, trade.price, left, is_buy=is_buy)

    def _traded_through(self, book: Book, price: int, left: int, *, is_buy: bool) -> int:
        ladder = book.buys if is_buy else book.sells
        while left > 0 and (order := ladder.first()) is not None:
            limit = order.limit
            assert limit is not None
            if limit <= price if is_buy else limit >= price:
                break
            lots = min(self._keeper.room(order), left)
            if lots:
                left -= lots
                self._keeper.fill(order, lots, limit, is_maker=True)
        return left

    def _traded_at(self, book: Book, price: int, left: int, *, is_buy: bool) -> int:
        """Each order lets pass what is in front of it, then is filled."""
        for order in (book.buys if is_buy else book.sells).at(price):
            if left <= 0:
                break
            if order.id not in self._keeper.orders:
                continue
            if order.ahead is None:
                order.ahead = book.displayed_at(price, is_buy=is_buy)
            if order.ahead is None:
                continue  # a price that the quote does not show: who stands there is not known
            if order.ahead >= left:
                order.ahead -= left
                continue
            lots = min(self._keeper.room(order), left - order.ahead)
            order.ahead = 0
            if lots:
                left -= lots
                self._keeper.fill(order, lots, price, is_maker=True)
        return left


def _reaches(order: Working, best: int) -> bool:
    """Whether the order may trade at the opposite best."""
    limit = order.limit
    if limit is None or order.is_market:
        return True
    return best <= limit if order.is_buy else best >= limit

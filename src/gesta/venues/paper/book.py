"""One instrument's market as its orders meet it: the quote in force, what it has given already, and who waits for what.

Five integers say whether a piece of market data concerns anybody; `settle` sets them after the orders have changed.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, time
from typing import Final

from gesta.trading.instruments import Instrument
from gesta.trading.market import Quote
from gesta.trading.orders import OrderType
from gesta.trading.trigger_book import NEVER, Crossing, TriggerBook
from gesta.venues.paper.ladder import Ladder
from gesta.venues.paper.working import Place, Working

_NOON: Final = time(12, tzinfo=UTC)


class Book:
    """`quote` is None while nothing may be matched: before the first quote, and after a crossed one.

    `rise_ask`, `fall_ask`, `rise_bid`, `fall_bid`: an ask at or above, at or below, a bid at or above, at or below
    which an order is concerned. `wake_us`: the venue time at which one is, whatever the price. `end_us`: the end of
    the session, or of the contract.
    """

    __slots__ = (
        "ask_given",
        "bid_given",
        "buy_triggers",
        "buys",
        "end_us",
        "expiry_us",
        "fall_ask",
        "fall_bid",
        "has_data",
        "instrument",
        "is_unseen",
        "last",
        "orders",
        "pending",
        "quote",
        "rise_ask",
        "rise_bid",
        "sell_triggers",
        "sells",
        "time_us",
        "waiting_buys",
        "waiting_sells",
        "wake_us",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.quote: Quote | None = None
        self.bid_given = 0
        self.ask_given = 0
        self.last: int | None = None
        self.time_us = 0
        self.has_data = False
        # Until the first quote: what happened before it is not known.
        self.is_unseen = True
        self.end_us = -NEVER
        self.expiry_us = NEVER
        self.orders: dict[str, Working] = {}
        self.buys = Ladder(-1)
        self.sells = Ladder(1)
        # Market orders that found nothing: all at one price, so by time.
        self.waiting_buys = Ladder(1)
        self.waiting_sells = Ladder(1)
        self.buy_triggers: TriggerBook[str] = TriggerBook()
        self.sell_triggers: TriggerBook[str] = TriggerBook()
        self.pending: list[tuple[int, int, Working]] = []
        self.settle()

    def settle(self) -> None:
        """Say anew what concerns the orders."""
        while self.pending and self.pending[0][2].place is not Place.ON_ITS_WAY:
            heapq.heappop(self.pending)
        buys, sells = self.buy_triggers, self.sell_triggers
        self.rise_ask = buys.lowest_above
        self.fall_ask = NEVER if self.waiting_buys else max(buys.highest_below, self.buys.best)
        self.rise_bid = -NEVER if self.waiting_sells else min(sells.lowest_above, self.sells.best)
        self.fall_bid = sells.highest_below
        self.wake_us = min(self.end_us, self.pending[0][0]) if self.pending else self.end_us

    # -- prices

    @property
    def mark(self) -> int | None:
        """What positions are valued at: the last trade, or the middle of the market without a tape."""
        if self.last is not None:
            return self.last
        quote = self.quote
        if quote is not None and quote.bid_size and quote.ask_size:
            return (quote.bid + quote.ask) // 2
        return None

    def opposite(self, *, is_buy: bool) -> tuple[int, int] | None:
        """The best price that an order can take, and what is left there. None where nothing may be matched."""
        quote = self.quote
        if quote is None:
            return None
        if is_buy:
            return (quote.ask, quote.ask_size - self.ask_given) if quote.ask_size else None
        return (quote.bid, quote.bid_size - self.bid_given) if quote.bid_size else None

    def give(self, lots: int, *, is_buy: bool) -> None:
        if is_buy:
            self.ask_given += lots
        else:
            self.bid_given += lots

    def displayed_at(self, ticks: int, *, is_buy: bool) -> int | None:
        """Lots of others at a price of the order's own side; None where the quote does not show it."""
        quote = self.quote
        if quote is None:
            return None
        best, size = (quote.bid, quote.bid_size) if is_buy else (quote.ask, quote.ask_size)
        if size and best == ticks:
            return size
        # Better than the best: the first there. Worse: not shown.
        return 0 if not size or (ticks > best) is is_buy else None

    def quote_reaches(self, order: Working) -> bool:
        """Whether the quote in force is beyond the order's trigger price."""
        best = self.opposite(is_buy=order.is_buy)
        if best is None or order.stop is None:
            return False
        if crossing_of(order) is Crossing.AT_OR_ABOVE:
            return best[0] >= order.stop
        return best[0] <= order.stop

    # -- places

    def rest(self, order: Working) -> None:
        assert order.limit is not None
        order.place = Place.RESTS
        order.ahead = self.displayed_at(order.limit, is_buy=order.is_buy)
        (self.buys if order.is_buy else self.sells).add(order, order.limit)

    def wait(self, order: Working) -> None:
        order.place = Place.AWAITS_QUOTE
        (self.waiting_buys if order.is_buy else self.waiting_sells).add(order, 0)

    def arm(self, order: Working) -> None:
        assert order.stop is not None
        order.place = Place.AWAITS_TRIGGER
        triggers = self.buy_triggers if order.is_buy else self.sell_triggers
        triggers.add(order.id, order.stop, crossing_of(order))

    def delay(self, order: Working, due_us: int) -> None:
        order.place = Place.ON_ITS_WAY
        heapq.heappush(self.pending, (due_us, order.serial, order))

    def leave(self, order: Working) -> None:
        """Take the order out of where it is."""
        if order.place is Place.RESTS:
            (self.buys if order.is_buy else self.sells).remove(order)
        elif order.place is Place.AWAITS_QUOTE:
            (self.waiting_buys if order.is_buy else self.waiting_sells).remove(order)
        elif order.place is Place.AWAITS_TRIGGER:
            (self.buy_triggers if order.is_buy else self.sell_triggers).remove(order.id)
        order.place = Place.NOWHERE


def crossing_of(order: Working) -> Crossing:
    """A stop is reached by a price that runs away, a touch by one that comes nearer."""
    is_touch = order.order.type is OrderType.MARKET_IF_TOUCHED
    return Crossing.AT_OR_ABOVE if order.is_buy is not is_touch else Crossing.AT_OR_BELOW


def noon_of_expiry_us(instrument: Instrument) -> int | None:
    """A moment of the last session of a contract, by which its end is found."""
    if instrument.expiry is None:
        return None
    return int(datetime.combine(instrument.expiry, _NOON).timestamp()) * 1_000_000

"""The paper venue as one would write it first: every order is looked at for every piece of data. The reference that the
venue is compared with, event by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gesta.trading.instruments import Instrument
from gesta.trading.market import Flag, MarketData, Quote, Trade
from gesta.trading.orders import Change, Order, OrderType, Side, TimeInForce
from gesta.trading.positions import FLAT, Position, apply_fill, unrealized
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
from gesta.venues.paper.settings import PaperSettings
from tests.unit.venues.paper.floor import INSTRUMENTS, NOW_US, commission, session_end_us


@dataclass
class Row:
    """One living order. `stage` is way, trigger, market or rest."""

    order: Order
    quantity: int
    limit: int | None
    stop: int | None
    stage: str = ""
    is_triggered: bool = False
    filled: int = 0
    fills: int = 0
    due: int = 0
    ahead: int | None = None
    is_alive: bool = True

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def is_buy(self) -> bool:
        return self.order.side is Side.BUY

    @property
    def leaves(self) -> int:
        return self.quantity - self.filled

    @property
    def is_market(self) -> bool:
        return self.order.type not in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def rises(self) -> bool:
        return self.is_buy != (self.order.type is OrderType.MARKET_IF_TOUCHED)


@dataclass
class Screen:
    """One instrument's market."""

    instrument: Instrument
    quote: Quote | None = None
    given: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    last: int | None = None
    time: int = 0
    session_end: int | None = None
    seen: bool = False
    has_data: bool = False

    def best(self, is_buy: bool) -> tuple[int, int] | None:
        if self.quote is None:
            return None
        price, size = (self.quote.ask, self.quote.ask_size) if is_buy else (self.quote.bid, self.quote.bid_size)
        return (price, size - self.given[is_buy]) if size else None


class Naive:
    def __init__(self, settings: PaperSettings, cash: dict[int, int], most: dict[int, int]) -> None:
        self.settings = settings
        self.cash = dict(cash)
        self.most = most
        self.rows: list[Row] = []
        self.screens = {name: Screen(instrument) for name, instrument in INSTRUMENTS.items()}
        self.positions: dict[tuple[int, str], Position] = {}
        self.known: set[str] = set()
        self.group_filled: dict[tuple[int, str], int] = {}
        self.newest = 0
        self.gap = False
        self.out: list[VenueEvent] = []

    # -- telling

    def say(self, kind: Any, row: Row, **more: Any) -> None:
        venue_us = self.screens[row.order.instrument].time or NOW_US
        self.out.append(kind(order_id=row.id, at_us=NOW_US, venue_time_us=venue_us, **more))

    def changed(self, row: Row, reason: str = "") -> None:
        self.say(OrderChanged, row, quantity=row.quantity, limit_ticks=row.limit, stop_ticks=row.stop, reason=reason)

    # -- orders

    def submit(self, order: Order) -> list[VenueEvent]:
        self.out, self.gap = [], False
        if order.id in self.known:
            return []
        self.known.add(order.id)
        row = Row(order, order.quantity, order.limit_ticks, order.stop_ticks)
        screen = self.screens[order.instrument]
        key = (order.account, order.oco_id or "")
        reason = None
        if order.oco_id:
            mates = self.mates(row)
            if key in self.group_filled and not mates:
                reason = "ended"
            elif self.group_filled.get(key, 0) >= row.leaves:
                reason = "filled"
            else:
                row.quantity -= self.group_filled.get(key, 0)
        reason = reason or self.refusal(row)
        if reason:
            self.say(OrderRejected, row, reason=reason)
            for mate in self.mates(row):
                self.end(mate, OrderCancelled, "rejected")
            return self.out
        if order.oco_id:
            self.group_filled.setdefault(key, 0)
        self.rows.append(row)
        if self.settings.latency_us and screen.time:
            row.stage, row.due = "way", screen.time + self.settings.latency_us
        else:
            self.arrive(row)
        return self.out

    def refusal(self, row: Row) -> str | None:
        order, screen = row.order, self.screens[row.order.instrument]
        if order.type is OrderType.MARKET and not screen.has_data:
            return "data"
        if order.reduce_only:
            return None if self.closable(row) else "reduce"
        return self.growth(row, row.leaves)

    def growth(self, row: Row, leaves: int) -> str | None:
        """Whether the row with so many lots is too much for the account."""
        if row.order.reduce_only:
            return None
        account, name = row.order.account, row.order.instrument
        position = self.position(account, name).lots
        same = sum(
            each.leaves
            for each in self.rows
            if each is not row
            and each.is_buy is row.is_buy
            and not each.order.reduce_only
            and (each.order.account, each.order.instrument) == (account, name)
        )
        signed = position if row.is_buy else -position
        grows = leaves > (row.leaves if row in self.rows else 0)
        if account in self.most and grows and signed + same + leaves > self.most[account]:
            return "most"
        if account not in self.cash:
            return None
        free = self.cash[account] - self.reserve(account)
        for (of, held_name), held in self.positions.items():
            if of == account and held.lots:
                instrument, mark = INSTRUMENTS[held_name], self.mark(held_name)
                free -= instrument.margin(0, held.lots)
                free += unrealized(held, instrument, mark) if mark is not None else 0
        needed = self.reserve(account, row, leaves) - self.reserve(account)
        return "margin" if needed > 0 and needed > free else None

    def reserve(self, account: int, changed: Row | None = None, leaves: int = 0) -> int:
        """Of instruments with a margin for each contract."""
        total = 0
        rows = [each for each in self.rows if each is not changed] + ([changed] if changed else [])
        for name, instrument in INSTRUMENTS.items():
            position = self.position(account, name).lots
            sides = {True: 0, False: 0}
            for each in rows:
                if (each.order.account, each.order.instrument) == (account, name) and not each.order.reduce_only:
                    sides[each.is_buy] += leaves if each is changed else each.leaves
            opening = max(sides[True] - max(0, -position), sides[False] - max(0, position), 0)
            if opening:
                total += instrument.margin(0, opening)
        return total

    def mark(self, name: str) -> int | None:
        screen = self.screens[name]
        if screen.last is not None:
            return screen.last
        quote = screen.quote
        return (quote.bid + quote.ask) // 2 if quote and quote.bid_size and quote.ask_size else None

    def position(self, account: int, name: str) -> Position:
        return self.positions.get((account, name), FLAT)

    def closable(self, row: Row) -> int:
        lots = self.position(row.order.account, row.order.instrument).lots
        return max(0, -lots if row.is_buy else lots)

    def mates(self, row: Row) -> list[Row]:
        order = row.order
        if not order.oco_id:
            return []
        return [
            each
            for each in self.rows
            if each is not row and (each.order.account, each.order.oco_id) == (order.account, order.oco_id)
        ]

    def cancel(self, order_id: str) -> list[VenueEvent]:
        self.out, self.gap = [], False
        row = next((each for each in self.rows if each.id == order_id), None)
        if row is None:
            refused = CancelRefused(
                order_id=order_id, at_us=NOW_US, venue_time_us=self.newest or NOW_US, reason="unknown"
            )
            return [refused]
        self.cancelled(row)
        return self.out

    def cancelled(self, row: Row) -> None:
        mates = self.mates(row)
        for each in [row, *mates]:
            self.end(each, OrderCancelled, "")

    def end(self, row: Row, kind: Any = None, reason: str = "") -> None:
        row.is_alive = False
        self.rows.remove(row)
        if kind is not None:
            self.say(kind, row, reason=reason)

    def change(self, order_id: str, change: Change) -> list[VenueEvent]:
        self.out, self.gap = [], False
        row = next((each for each in self.rows if each.id == order_id), None)
        quantity = change.quantity if change.quantity is not None else (row.quantity if row else 0)
        is_refused = (
            row is None
            or row.stage == "way"
            or quantity <= row.filled
            or (change.limit_ticks is not None and row.limit is None)
            or (
                change.stop_ticks is not None
                and change.stop_ticks != row.stop
                and (row.stop is None or row.is_triggered)
            )
            or self.growth(row, quantity - row.filled) is not None
        )
        if row is None or is_refused:
            venue_us = self.screens[row.order.instrument].time if row else self.newest
            return [ChangeRefused(order_id=order_id, at_us=NOW_US, venue_time_us=venue_us or NOW_US, reason="no")]
        before = (row.limit, row.quantity, row.ahead)
        row.quantity = quantity
        row.limit = row.limit if change.limit_ticks is None else change.limit_ticks
        row.stop = row.stop if change.stop_ticks is None else change.stop_ticks
        self.changed(row)
        self.place(row)
        if row.stage == "rest" and row.limit == before[0] and row.quantity <= before[1]:
            row.ahead = before[2]
        return self.out

    # -- arrival and taking

    def arrive(self, row: Row) -> None:
        self.say(OrderAccepted, row, is_working=not (row.order.type.has_stop and not row.is_triggered))
        if row.quantity != row.order.quantity:
            self.changed(row)
        self.place(row)

    def place(self, row: Row) -> None:
        if row.order.type.has_stop and not row.is_triggered:
            row.stage = "trigger"
            best = self.screens[row.order.instrument].best(row.is_buy)
            if best is None or not self.reached(row, best[0]):
                return
            self.trigger(row)
        self.work(row)

    def reached(self, row: Row, price: int) -> bool:
        assert row.stop is not None
        return price >= row.stop if row.rises else price <= row.stop

    def trigger(self, row: Row) -> None:
        row.is_triggered = True
        self.say(OrderTriggered, row, gap=self.gap)

    def crosses(self, row: Row, best: int) -> bool:
        if row.is_market or row.limit is None:
            return True
        return best <= row.limit if row.is_buy else best >= row.limit

    def work(self, row: Row) -> None:
        screen, tif = self.screens[row.order.instrument], row.order.time_in_force
        best = screen.best(row.is_buy)
        row.stage = ""
        if tif is TimeInForce.FOK:
            possible = 0
            if best is not None and self.crosses(row, best[0]):
                possible = 10**9 if row.is_market and self.settings.slips else best[1]
                if row.order.reduce_only:
                    possible = min(possible, self.closable(row))
            if possible < row.leaves:
                self.cancelled(row)
                return
        self.take(row)
        if not row.is_alive:
            return
        if tif in (TimeInForce.IOC, TimeInForce.FOK):
            self.cancelled(row)
            return
        row.stage = "market" if row.is_market else "rest"
        if not row.is_market:
            row.ahead = self.displayed(row)

    def take(self, row: Row) -> None:
        screen = self.screens[row.order.instrument]
        best = screen.best(row.is_buy)
        if best is None or not self.crosses(row, best[0]):
            return
        lots = min(self.room(row), best[1])
        if lots > 0:
            screen.given[row.is_buy] += lots
            self.fill(row, lots, best[0], False)
        if row.is_alive and row.is_market and self.settings.slips:
            lots = self.room(row)
            worse = best[0] + (self.settings.slips if row.is_buy else -self.settings.slips)
            if lots:
                self.fill(row, lots, worse, False)

    def displayed(self, row: Row) -> int | None:
        quote = self.screens[row.order.instrument].quote
        assert row.limit is not None
        if quote is None:
            return None
        best, size = (quote.bid, quote.bid_size) if row.is_buy else (quote.ask, quote.ask_size)
        if not size or (row.limit > best if row.is_buy else row.limit < best):
            return 0
        return size if row.limit == best else None

    def room(self, row: Row) -> int:
        if not row.order.reduce_only:
            return row.leaves
        room = min(row.leaves, self.closable(row))
        if not room:
            self.cancelled(row)
        return room

    def fill(self, row: Row, lots: int, ticks: int, is_maker: bool) -> None:
        order, instrument = row.order, INSTRUMENTS[row.order.instrument]
        row.filled += lots
        row.fills += 1
        paid = commission(order, instrument, lots, ticks, is_maker)
        key = (order.account, order.instrument)
        after, effect = apply_fill(self.positions.get(key, FLAT), instrument, order.side.sign * lots, ticks)
        self.positions[key] = after
        if order.account in self.cash:
            self.cash[order.account] += (effect.realized or 0) - paid
        self.say(
            OrderFilled,
            row,
            key=f"{row.id}:{row.fills}",
            lots=lots,
            ticks=ticks,
            commission=paid,
            is_maker=is_maker,
            reference_ticks=self.screens[order.instrument].last if row.is_market else None,
            gap=self.gap,
        )
        mates = self.mates(row)
        if order.oco_id:
            self.group_filled[order.account, order.oco_id] += lots
        for mate in mates:
            if mate.leaves <= lots:
                self.end(mate, OrderCancelled, "filled")
            else:
                mate.quantity -= lots
                if mate.stage != "way":
                    self.changed(mate, "filled")
        if not row.leaves:
            self.end(row)
        else:
            self.room(row)

    # -- the market

    def feed(self, data: MarketData) -> list[VenueEvent]:
        self.out = []
        if data.flags & Flag.STALE:
            return []
        screen = self.screens[data.instrument]
        self.gap = bool(data.flags & Flag.GAP) or not screen.seen
        self.clock(screen, data)
        is_crossed = bool(data.flags & Flag.CROSSED)
        if isinstance(data, Quote):
            screen.has_data = True
            if is_crossed or (data.bid > data.ask and data.bid_size and data.ask_size):
                screen.quote = None
            else:
                screen.quote, screen.seen, screen.given = data, True, {True: 0, False: 0}
                self.on_quote(screen)
        elif not is_crossed:
            screen.last, screen.has_data = data.price, True
            self.on_trade(screen, data)
        due = [each for each in self.of(screen, "way") if each.due <= screen.time]
        for row in sorted(due, key=lambda each: each.due):
            if row.is_alive:
                self.arrive(row)
        return self.out

    def of(self, screen: Screen, stage: str, is_buy: bool | None = None) -> list[Row]:
        return [
            each
            for each in self.rows
            if each.order.instrument == screen.instrument.name
            and each.stage == stage
            and (is_buy is None or each.is_buy is is_buy)
        ]

    def clock(self, screen: Screen, data: MarketData) -> None:
        at = data.venue_time_us
        if at < screen.time and data.flags & Flag.GAP:
            screen.time, screen.session_end, self.newest = at, None, at
            for row in self.of(screen, "way"):
                row.due = 0
        if at > screen.time:
            screen.time = at
            self.newest = max(self.newest, at)
        if screen.session_end is not None and screen.time >= screen.session_end:
            day = [
                each
                for each in self.rows
                if each.order.instrument == screen.instrument.name and each.order.time_in_force is TimeInForce.DAY
            ]
            for row in day:
                mates = self.mates(row)
                self.end(row, OrderExpired, "The session ended.")
                for mate in mates:
                    if mate not in day:
                        self.end(mate, OrderCancelled, "expired")
        if screen.session_end is None or screen.time >= screen.session_end:
            screen.session_end = session_end_us(screen.instrument, screen.time)

    def on_quote(self, screen: Screen) -> None:
        for is_buy in (True, False):
            for row in self.of(screen, "market", is_buy):
                if row.is_alive:
                    self.take(row)
                    if row.is_alive:
                        break
        for is_buy in (True, False):
            for row in self.by_price(screen, is_buy):
                best = screen.best(is_buy)
                if best is None or best[1] <= 0 or not self.crosses(row, best[0]):
                    break
                if row.is_alive and (lots := min(self.room(row), best[1])):
                    screen.given[is_buy] += lots
                    assert row.limit is not None
                    self.fill(row, lots, row.limit, True)
        self.fire(screen, {is_buy: best[0] for is_buy in (True, False) if (best := screen.best(is_buy))})

    def by_price(self, screen: Screen, is_buy: bool) -> list[Row]:
        sign = -1 if is_buy else 1
        return sorted(self.of(screen, "rest", is_buy), key=lambda each: sign * (each.limit or 0))

    def fire(self, screen: Screen, price_of: dict[bool, int]) -> None:
        fired = [
            each
            for each in self.of(screen, "trigger")
            if each.is_buy in price_of and self.reached(each, price_of[each.is_buy])
        ]
        sign = {True: 1, False: -1}
        fired.sort(key=lambda each: (not each.is_buy, not each.rises, sign[each.rises] * (each.stop or 0)))
        for row in fired:
            row.stage = ""
        for row in fired:
            if row.is_alive:
                self.trigger(row)
                self.work(row)

    def on_trade(self, screen: Screen, trade: Trade) -> None:
        left = trade.size
        for is_buy in (True, False):
            for row in self.by_price(screen, is_buy):
                assert row.limit is not None
                is_through = row.limit > trade.price if is_buy else row.limit < trade.price
                if is_through and left > 0 and row.is_alive and (lots := min(self.room(row), left)):
                    left -= lots
                    self.fill(row, lots, row.limit, True)
            if not self.settings.queue_ahead or trade.aggressor == (1 if is_buy else -1):
                continue
            for row in self.by_price(screen, is_buy):
                if row.limit != trade.price or left <= 0 or not row.is_alive:
                    continue
                row.ahead = self.displayed(row) if row.ahead is None else row.ahead
                if row.ahead is None:
                    continue
                if row.ahead >= left:
                    row.ahead -= left
                    continue
                lots, row.ahead = min(self.room(row), left - row.ahead), 0
                if lots:
                    left -= lots
                    self.fill(row, lots, trade.price, True)
        self.fire(screen, {True: trade.price, False: trade.price})


def funds_of(most: dict[int, int]) -> dict[int, Decimal]:
    return {account: Decimal(lots) for account, lots in most.items()}

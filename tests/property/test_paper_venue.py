"""The paper venue against a naive one that looks at every order for every quote, and against what may never happen."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.trading.market import MarketData, Quote, Trade
from gesta.trading.money import UNITS
from gesta.trading.order_states import TERMINAL, OrderEvent, next_state
from gesta.trading.orders import Change, Order, OrderState, OrderType, Side, TimeInForce
from gesta.trading.venue import (
    AccountFunds,
    OpenPosition,
    OrderAccepted,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    Resume,
    VenueEvent,
)
from gesta.venues.paper.settings import PaperSettings
from tests.property.naive_paper import Naive
from tests.unit.venues.paper.floor import ES, HOUR_US, NOW_US, NQ, PERP, START_US, Floor

Step = tuple[Any, ...]

PRICES = st.integers(96, 104)
CASH = {1: 150_000 * UNITS, 2: 10**9 * UNITS}
MOST = {2: 12}


def place(names: list[str]) -> st.SearchStrategy[Step]:
    return st.tuples(
        st.just("place"),
        st.sampled_from(names),
        st.sampled_from(list(Side)),
        st.sampled_from(list(OrderType)),
        st.integers(1, 6),
        PRICES,
        PRICES,
        st.sampled_from(list(TimeInForce) + [TimeInForce.GTC] * 3),
        st.sampled_from([None, None, None, "v", "w", "x", "y", "z"]),
        st.sampled_from([False, False, True]),
        st.integers(1, 3),
    )


def quotes(names: list[str], *, crossed: bool = True) -> st.SearchStrategy[Step]:
    return st.tuples(
        st.just("quote"),
        st.sampled_from(names),
        PRICES,
        st.integers(-1 if crossed else 0, 3),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from([0] * 8 + ([1, 2, 4, 8] if crossed else [4])),
        st.sampled_from([0, 1, 1, 5, HOUR_US // 3] + ([-HOUR_US * 30] if crossed else [])),
    )


def trades(names: list[str], *, crossed: bool = True) -> st.SearchStrategy[Step]:
    return st.tuples(
        st.just("trade"),
        st.sampled_from(names),
        PRICES,
        st.integers(1, 6),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from([0] * 8 + ([1, 8] if crossed else [])),
        st.sampled_from([0, 1, 1, HOUR_US // 3]),
    )


CANCELS = st.tuples(st.just("cancel"), st.integers(0, 12))
CHANGES = st.tuples(
    st.just("change"),
    st.integers(0, 12),
    st.none() | st.integers(1, 8),
    st.none() | PRICES,
    st.none() | PRICES,
)
RESTARTS = st.tuples(st.just("restart"))
SETTINGS = st.builds(
    PaperSettings,
    slip_ticks=st.integers(0, 2),
    latency_us=st.sampled_from([0, 0, 1, 6]),
    queue_ahead=st.booleans(),
    displayed_only=st.booleans(),
)


def steps(names: list[str], *more: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    tape = st.one_of(place(names), place(names), quotes(names), quotes(names), trades(names), CANCELS, *more)
    return st.builds(lambda one, rest: one + rest, openings(names), st.lists(tape, min_size=8, max_size=50))


def openings(names: list[str]) -> st.SearchStrategy[list[Step]]:
    """Mostly there is a market before there are orders."""
    return st.sampled_from([[], *[[("quote", name, 100, 1, 4, 4, 0, 1) for name in names]] * 4])


class Tape:
    """Turns steps into orders and data, in the one way for everybody."""

    def __init__(self) -> None:
        self.at_us = START_US
        self.placed: list[str] = []
        self.phase = 0

    def order(self, step: Step, *, created_at_us: int = NOW_US) -> Order:
        _, name, side, type_, quantity, limit, stop, tif, group, reduce_only, account = step
        number = len(self.placed)
        self.placed.append(f"{number:03}")
        return Order(
            id=f"{number:03}",
            organization=1,
            account=account,
            instrument=name,
            side=side,
            type=type_,
            quantity=quantity,
            limit_ticks=limit if type_.has_limit else None,
            stop_ticks=stop if type_.has_stop else None,
            time_in_force=tif,
            oco_id=f"{group}{self.phase}" if group else None,
            reduce_only=(reduce_only and group is None) or (reduce_only and quantity > 3),
            created_at_us=created_at_us,
            updated_at_us=created_at_us,
            seq=number,
        )

    def data(self, step: Step) -> MarketData:
        if step[0] == "quote":
            _, name, bid, spread, bid_size, ask_size, flags, after_us = step
            self.at_us += after_us
            flags |= 1 if after_us < 0 else 0
            return Quote(name, bid, bid + spread, bid_size, ask_size, self.at_us, NOW_US, flags)
        _, name, price, size, aggressor, flags, after_us = step
        self.at_us += after_us
        return Trade(name, price, size, aggressor, self.at_us, NOW_US, flags)

    def id(self, number: int) -> str:
        return self.placed[number % len(self.placed)] if self.placed else "none"


def funded(floor: Floor) -> Floor:
    for account, cash in CASH.items():
        most = Decimal(MOST[account]) if account in MOST else None
        floor.matcher.accounts.set_funds(account, AccountFunds(cash=cash, max_position=most))
    return floor


def floor_of(chosen: PaperSettings, resume: Resume | None = None) -> Floor:
    return Floor(resume, **msgspec.structs.asdict(chosen))


def plain(events: list[VenueEvent], *, gaps: bool = True) -> list[VenueEvent]:
    """Without what is said for people, and if asked without what a restart changes."""
    bare: list[VenueEvent] = []
    for event in events:
        blank: dict[str, Any] = {"reason": ""} if "reason" in event.__struct_fields__ else {}
        if not gaps and isinstance(event, OrderFilled | OrderTriggered):
            blank |= {"gap": False}
        bare.append(msgspec.structs.replace(event, **blank))
    return bare


def run(floor: Floor | Naive, tape: Tape, step: Step) -> list[VenueEvent]:
    match step[0]:
        case "place":
            return floor.submit(tape.order(step))
        case "cancel":
            return floor.cancel(tape.id(step[1]))
        case "change":
            change = Change(quantity=step[2], limit_ticks=step[3], stop_ticks=step[4])
            if isinstance(floor, Naive):
                return floor.change(tape.id(step[1]), change)
            return floor.matcher.change(tape.id(step[1]), change, NOW_US)[1]
        case _:
            return floor.feed(tape.data(step))


@settings(max_examples=400, deadline=None)
@given(steps([ES.name, NQ.name], CHANGES), SETTINGS)
def test_every_event_is_that_of_the_naive_venue(tape: list[Step], chosen: PaperSettings) -> None:
    subject, naive = funded(floor_of(chosen)), Naive(chosen, CASH, MOST)
    left, right = Tape(), Tape()
    for step in tape:
        assert plain(run(subject, left, step)) == plain(run(naive, right, step)), step
    for account in CASH:
        assert subject.matcher.accounts.reserve(account) == naive.reserve(account)
        assert subject.matcher.accounts.account(account).cash == naive.cash[account]


@settings(max_examples=100, deadline=None)
@given(steps([ES.name, NQ.name], CHANGES), SETTINGS)
def test_a_tape_gives_the_same_events_each_time(tape: list[Step], chosen: PaperSettings) -> None:
    one, other = Tape(), Tape()
    first, second = funded(floor_of(chosen)), funded(floor_of(chosen))
    assert [run(first, one, step) for step in tape] == [run(second, other, step) for step in tape]


class Record:
    """Orders and positions as whoever keeps the record folds the events: an event without a row in the table fails."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.positions: defaultdict[tuple[int, str], int] = defaultdict(int)

    def fold(self, events: list[VenueEvent]) -> None:
        for event in events:
            order = self.orders.get(event.order_id)
            if order is not None:
                self.orders[order.id] = self._folded(order, event)

    def _folded(self, order: Order, event: VenueEvent) -> Order:
        match event:
            case OrderFilled():
                assert event.key == f"{order.id}:{order.fills + 1}"
                filled = order.filled + event.lots
                assert filled <= order.quantity
                what = OrderEvent.FILL_REST if filled == order.quantity else OrderEvent.FILL_PART
                self.positions[order.account, order.instrument] += order.side.sign * event.lots
                return self._moved(order, what, filled=filled, fills=order.fills + 1)
            case OrderAccepted():
                return self._moved(order, OrderEvent.WORK if event.is_working else OrderEvent.ACCEPT)
            case OrderTriggered():
                return self._moved(order, OrderEvent.TRIGGER, is_triggered=True)
            case OrderChanged():
                terms = {name: getattr(event, name) for name in ("quantity", "limit_ticks", "stop_ticks")}
                return self._moved(order, OrderEvent.CHANGE, **terms)
            case OrderCancelled():
                return self._moved(order, OrderEvent.CANCEL)
            case OrderExpired():
                return self._moved(order, OrderEvent.EXPIRE)
            case OrderRejected():
                return self._moved(order, OrderEvent.REJECT)
            case _:
                return order

    @staticmethod
    def _moved(order: Order, what: OrderEvent, **changes: Any) -> Order:
        state = next_state(order.state, what, filled=changes.get("filled", order.filled))
        return msgspec.structs.replace(order, state=state, **changes)

    def resume(self, floor: Floor) -> Resume:
        """What the record says; the cost of positions and the cash as the venue has them."""
        accounts = floor.matcher.accounts
        held = {
            key: OpenPosition(lots=lots, cost=accounts.exposure(*key).cost)
            for key, lots in self.positions.items()
            if lots
        }
        funds = {}
        for account in CASH:
            cash, most = accounts.account(account).cash, accounts.account(account).max_position
            assert cash is not None
            funds[account] = AccountFunds(cash=cash, max_position=most)
        working = [order for order in reversed(self.orders.values()) if order.state not in TERMINAL]
        return Resume(orders=working, positions=held, funds=funds)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            place([ES.name]),
            place([ES.name]),
            quotes([ES.name], crossed=False),
            quotes([ES.name], crossed=False),
            trades([ES.name], crossed=False),
            CANCELS,
            CHANGES,
            RESTARTS,
        ),
        min_size=8,
        max_size=50,
    ),
    st.builds(PaperSettings, slip_ticks=st.integers(0, 2)),
    PRICES,
)
def test_a_restart_goes_on_as_if_nothing_had_been(tape: list[Step], chosen: PaperSettings, price: int) -> None:
    """The one restarts, the other does not; both then see a new quote and a new trade, as they would."""
    subject, steady = funded(floor_of(chosen)), funded(floor_of(chosen))
    left, right, record = Tape(), Tape(), Record()
    opening: Step = ("quote", ES.name, 100, 1, 3, 3, 0, 1)
    for step in [opening, ("trade", ES.name, 100, 1, 0, 0, 0), *tape]:
        if step[0] == "restart":
            subject = floor_of(chosen, record.resume(subject))
            left.phase = right.phase = left.phase + 1
            following: list[Step] = [("quote", ES.name, price, 1, 2, 3, 0, 1), ("trade", ES.name, price, 1, 0, 0, 0)]
        else:
            following = [step]
        for each in following:
            if each[0] == "place":
                order = left.order(each, created_at_us=left.at_us)
                right.order(each)
                record.orders[order.id] = msgspec.structs.replace(order, state=OrderState.SUBMITTED)
                mine, other = subject.submit(order), steady.submit(order)
            else:
                mine, other = run(subject, left, each), run(steady, right, each)
            assert plain(_traded(mine), gaps=False) == plain(_traded(other), gaps=False), each
            record.fold(mine)
    for (account, name), lots in record.positions.items():
        assert subject.matcher.accounts.exposure(account, name).lots == lots


def _traded(events: list[VenueEvent]) -> list[VenueEvent]:
    """A venue that restarted does not remember the last trade from before."""
    return [
        msgspec.structs.replace(event, reference_ticks=None) if isinstance(event, OrderFilled) else event
        for event in events
    ]


@settings(max_examples=300, deadline=None)
@given(steps([ES.name, PERP.name]), SETTINGS)
def test_what_may_never_happen(tape: list[Step], chosen: PaperSettings) -> None:
    """More than was displayed or traded; an order beyond its quantity; a pair beyond the larger of its orders; a
    reduce-only order that opens; money held back for orders that are no more."""
    floor, timeline, record = funded(floor_of(chosen)), Tape(), Record()
    quote: dict[str, Quote] = {}
    given_lots: defaultdict[tuple[str, Side], int] = defaultdict(int)
    for step in tape:
        data: MarketData | None = None
        if step[0] == "place":
            order = timeline.order(step)
            record.orders[order.id] = msgspec.structs.replace(order, state=OrderState.SUBMITTED)
            events = floor.submit(order)
        elif step[0] == "cancel":
            events = floor.cancel(timeline.id(step[1]))
        else:
            data = timeline.data(step)
            if isinstance(data, Quote) and not data.flags & 8:
                quote[data.instrument] = data
                given_lots[data.instrument, Side.BUY] = given_lots[data.instrument, Side.SELL] = 0
            events = floor.feed(data)
        traded = 0
        for event in events:
            if not isinstance(event, OrderFilled):
                record.fold([event])
                continue
            order = record.orders[event.order_id]
            before = record.positions[order.account, order.instrument]
            record.fold([event])
            after = record.positions[order.account, order.instrument]
            if order.reduce_only:
                assert abs(after) < abs(before)
                assert after * before >= 0
            if event.is_maker and isinstance(data, Trade):
                traded += event.lots
                assert traded <= data.size
                continue
            shown = quote[order.instrument]
            best, size = (shown.ask, shown.ask_size) if order.side is Side.BUY else (shown.bid, shown.bid_size)
            assert not shown.flags & 2
            if chosen.slips and event.ticks == best + order.side.sign * chosen.slips and not event.is_maker:
                assert order.type not in (OrderType.LIMIT, OrderType.STOP_LIMIT)
                continue
            given_lots[order.instrument, order.side] += event.lots
            assert given_lots[order.instrument, order.side] <= size
    _check_pairs(record)
    for order in list(record.orders.values()):
        record.fold(floor.cancel(order.id) if order.state not in TERMINAL else [])
    for account in (1, 2, 3):
        assert floor.matcher.accounts.reserve(account) == 0
        for exposure in floor.matcher.accounts.account(account).exposures.values():
            assert (exposure.buy_lots, exposure.buy_held, exposure.sell_lots, exposure.sell_held) == (0, 0, 0, 0)
    assert all(order.state in TERMINAL for order in record.orders.values())


def _check_pairs(record: Record) -> None:
    groups: defaultdict[tuple[int, str], list[Order]] = defaultdict(list)
    asked: defaultdict[tuple[int, str], int] = defaultdict(int)
    for order in record.orders.values():
        if order.oco_id is not None:
            groups[order.account, order.oco_id].append(order)
    for key, orders in groups.items():
        asked[key] = 6  # the most that any order of a tape asks for
        assert sum(order.filled for order in orders if order.state is not OrderState.REJECTED) <= asked[key]

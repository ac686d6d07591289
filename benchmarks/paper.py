"""The paper venue: quotes that touch nothing, with 0, 1,000 and 100,000 working orders, beside the naive loop that asks
every order about every quote; and what submitting and canceling cost among so many.

The orders are of every type, DAY and GTC, in pairs, of fifty accounts with buying power, far from the market. Half of
the quotes move the market by a tick.
"""

from __future__ import annotations

import gc
import random
from decimal import Decimal
from typing import Any

from benchmarks.harness import Contender, Laps, Report, against, bar, in_turn, ratio, us
from gesta.trading.instruments import Instrument, InstrumentKind
from gesta.trading.market import Quote
from gesta.trading.money import UNITS
from gesta.trading.orders import Order, OrderState, OrderType, Side, TimeInForce
from gesta.trading.venue import AccountFunds, Resume
from gesta.venues.paper.settings import PaperSettings
from gesta.venues.paper.venue import PaperVenue

# No database is involved.
DATABASES = False

COUNTS = (0, 1_000, 100_000)
QUOTES = 50_000
SUBMITS = 2_000
ROUNDS = 15
GOAL = 1.3
# Quotes of one lap of the naive loop: it is that slow.
NAIVE_QUOTES = {1_000: 2_000, 100_000: 20}

ACCOUNTS = 50
MIDDLE = 24_000
# Ticks between the market, which walks within a few hundred, and the nearest order.
FAR = 2_000
SPREAD = 10_000
START_US = 1_790_000_000_000_000

ES = Instrument(
    name="ES 12-26",
    root="ES",
    kind=InstrumentKind.FUTURE,
    tick_size=Decimal("0.25"),
    lot_size=Decimal(1),
    point_value=Decimal(50),
    initial_margin=Decimal(13_200),
)


def quotes_of(count: int) -> list[Quote]:
    dice = random.Random(7)  # Not for secrets.
    made, bid = [], MIDDLE
    for number in range(count):
        if number % 2:
            bid += dice.choice((-1, 1)) if abs(bid - MIDDLE) < 500 else (-1 if bid > MIDDLE else 1)
        made.append(Quote(ES.name, bid, bid + 1, 10, 10, START_US + number, START_US + number))
    return made


def order_of(number: int) -> Order:
    """Each far on the side on which it waits, every second one the pair of the one before."""
    type_ = (OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED)[number % 4]
    side = Side.BUY if number // 4 % 2 else Side.SELL
    is_above = (side is Side.BUY) is (type_ in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT))
    price = MIDDLE + (1 if is_above else -1) * (FAR + number * 7919 % SPREAD)
    return Order(
        id=f"{number:032x}",
        organization=1,
        account=1 + number % ACCOUNTS,
        instrument=ES.name,
        side=side,
        type=type_,
        quantity=1,
        limit_ticks=price if type_.has_limit else None,
        stop_ticks=price if type_.has_stop else None,
        time_in_force=TimeInForce.DAY if number // 8 % 2 else TimeInForce.GTC,
        oco_id=f"pair {number // 2 // ACCOUNTS}",
        state=OrderState.WORKING,
        created_at_us=START_US,
        updated_at_us=START_US,
        seq=number,
    )


async def venue_with(count: int) -> PaperVenue:
    venue = PaperVenue(
        instrument_of=lambda _: ES,
        settings=PaperSettings(),
        commission=lambda *_: 0,
        session_end_us=lambda _, at_us: at_us + 10**15,
        now_us=lambda: START_US,
    )
    funds = {account: AccountFunds(cash=10**10 * UNITS) for account in range(1, ACCOUNTS + 1)}
    await venue.start(Resume(orders=[order_of(number) for number in range(count)], funds=funds), _nothing)
    venue.on_market(Quote(ES.name, MIDDLE, MIDDLE + 1, 10, 10, START_US, START_US))
    return venue


def _nothing(events: object) -> None:
    raise AssertionError(f"a quote touched an order: {events}")


def quoting(venue: PaperVenue, quotes: list[Quote]) -> Contender:
    async def lap() -> int:
        on_market = venue.on_market
        for quote in quotes:
            on_market(quote)
        return len(quotes)

    return lap


def submitting(venue: PaperVenue) -> Contender:
    """A limit comes and goes, at the orders' prices."""
    made = 0

    async def lap() -> int:
        nonlocal made
        venue._on_events = _ignore
        for _ in range(SUBMITS):
            made += 1
            order = order_of(10_000_000 + made * 4)
            await venue.submit(order)
            await venue.cancel(order.id)
        venue._on_events = _nothing
        return SUBMITS

    return lap


def _ignore(events: object) -> None:
    """The events are made and not looked at."""


class NaiveOrder:
    """An order that is asked about every quote, with as little as that can cost."""

    __slots__ = ("is_above", "is_buy", "price")

    def __init__(self, order: Order) -> None:
        self.is_buy = order.side is Side.BUY
        self.price = order.limit_ticks if order.stop_ticks is None else order.stop_ticks
        self.is_above = self.price is not None and self.price > MIDDLE

    def is_touched(self, quote: Quote) -> bool:
        price = quote.ask if self.is_buy else quote.bid
        return price >= self.price if self.is_above else price <= self.price  # type: ignore[operator]


def naive(count: int, quotes: list[Quote]) -> Contender:
    orders = [NaiveOrder(order_of(number)) for number in range(count)]

    async def lap() -> int:
        for quote in quotes[: NAIVE_QUOTES[count]]:
            for order in orders:
                if order.is_touched(quote):
                    raise AssertionError("a quote touched an order")
        return NAIVE_QUOTES[count]

    return lap


async def measure(database: str, options: Any) -> None:
    quotes = quotes_of(QUOTES)
    venues = {count: await venue_with(count) for count in COUNTS}
    # As in a server that has started: what is there is not looked through again and again.
    gc.collect()
    gc.freeze()
    contenders: dict[str, Contender] = {f"venue {count}": quoting(venues[count], quotes) for count in COUNTS}
    contenders |= {f"naive {count}": naive(count, quotes) for count in NAIVE_QUOTES}
    contenders |= {f"submit {count}": submitting(venues[count]) for count in COUNTS}
    rounds = 5 if options.quick else ROUNDS
    progress, advance = bar("paper", rounds + 1)
    with progress:
        taken = await in_turn(contenders, rounds=rounds, progress=lambda: advance(1))
    gc.unfreeze()
    tell(taken, rounds)


def tell(taken: dict[str, Laps], rounds: int) -> None:
    report = Report(
        "paper",
        f"Paper venue: quotes that touch nothing, median of {rounds}",
        [
            "working orders",
            "quotes/s",
            "a quote",
            "÷ none",
            "naive quotes/s",
            "naive ÷ venue",
            "submit+cancel",
            "÷ none",
        ],
        f"Goal: 100,000 working orders cost at most {GOAL} of none. Ratios are of wall time, round by round.",
    )
    for count in COUNTS:
        laps, submits = taken[f"venue {count}"], taken[f"submit {count}"]
        of_none = ratio(laps, taken["venue 0"])
        slow = taken.get(f"naive {count}")
        report.add(
            f"{count:,}",
            f"{1e6 / laps.wall_us:,.0f}",
            f"{laps.wall_us * 1000:.0f} ns",
            against(of_none, GOAL),
            f"{1e6 / slow.wall_us:,.0f}" if slow else "",
            f"{ratio(slow, laps):,.0f}" if slow else "",
            us(submits.wall_us),
            f"{ratio(submits, taken['submit 0']):.2f}",
        )
    for name, laps in taken.items():
        report.keep(name, laps)
    report.finish()

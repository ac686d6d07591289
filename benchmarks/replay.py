"""Replay at full speed: what decoding a real capture costs beside plain JSON decoding of its lines, and how many times
faster than reality it is taken by the market desk alone, and by the whole stack with orders that it fills.

The capture is of Binance's USD-M streams, one line `<nanoseconds> <json>`; depth updates are among the lines, which
Gesta passes over and plain JSON decoding does not. The stack is that of a server on SQLite: market desk, paper venue,
journal on disk. Half of its orders, limits and stops on both sides, lie within the prices of the capture, half beyond
them. Every lap has a database of its own; its clock begins when the orders rest and ends when the last fill is on disk.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.databases import temporary_folder
from benchmarks.harness import Contender, Laps, Report, bar, console, in_turn, ratio, take_lap, us
from gesta.access.model import Account, AccountType, Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import DatabaseSettings, LogSettings, Settings, TradingSettings
from gesta.desk.market.desk import MarketDesk
from gesta.desk.trading.requests import PlaceOrder
from gesta.desk.trading.verify import verify as verify_trading
from gesta.kernel.clock import SystemClock
from gesta.ledger.verify import verify
from gesta.storage.program import Fetch, Program, Row, Statement
from gesta.trading.catalog import Catalog
from gesta.trading.market import Trade
from gesta.trading.order_states import TERMINAL
from gesta.trading.orders import OrderType, Side, TimeInForce
from gesta.venues.market_data import binance_capture
from gesta.venues.market_data.replay import ReplayFeed, turn
from gesta.venues.market_data.tally import Tally
from gesta.venues.market_data.tapes import Tapes

# The stack is measured on SQLite, whichever databases are asked for.
DATABASES = False

CAPTURE = Path(__file__).resolve().parents[2] / "shared/data/crypto/binance_usdm_btcusdt_20240808.gz"
INSTRUMENT = "BTC-USDT-PERP"
LOT = Decimal("0.001")
TICK = Decimal("0.1")
ORDERS = 1_000
# How far beyond the prices of the capture the other half of the orders begins, and over how much it spreads.
FAR = Decimal(2_000)
SPREAD = Decimal(10_000)
AT_ONCE = 50
ROUNDS, QUICK_ROUNDS = 7, 3

_FILLED = "SELECT (SELECT count(*) FROM executions), (SELECT count(*) FROM orders WHERE working = 0)"


@dataclass(frozen=True)
class Prices:
    """What a capture holds: its quotes and trades, how long it lasted, between which prices it traded."""

    events: int
    seconds: float
    first: Decimal
    low: Decimal
    high: Decimal


def look_through(path: Path) -> Prices:
    catalog = Catalog()
    tapes = Tapes([path], catalog.resolve)
    begins_at_us = ends_at_us = tapes.begins_at_us
    traded: list[int] = []
    events = 0
    for data in tapes.read():
        events += 1
        ends_at_us = data.venue_time_us
        if type(data) is Trade:
            traded.append(data.price)
    prices = [TICK * ticks for ticks in (traded[0], min(traded), max(traded))]
    return Prices(events, (ends_at_us - begins_at_us) / 1e6, *prices)


def order_of(number: int, prices: Prices) -> PlaceOrder:
    """A buy below or a sell above as limits, a sell below or a buy above as stops; four near, then four far."""
    is_below, is_limit, is_near = number % 2 == 0, number // 2 % 2 == 0, number // 4 % 2 == 0
    share = Decimal(number // 8 + 1) / Decimal(ORDERS // 8 + 1)
    reach = prices.first - prices.low if is_below else prices.high - prices.first
    away = reach * share if is_near else reach + FAR + SPREAD * share
    price = (prices.first + (-away if is_below else away)).quantize(TICK)
    return PlaceOrder(
        instrument=INSTRUMENT,
        side=Side.BUY if is_below is is_limit else Side.SELL,
        quantity=10 * LOT,
        type=OrderType.LIMIT if is_limit else OrderType.STOP_MARKET,
        time_in_force=TimeInForce.GTC,
        limit_price=price if is_limit else None,
        stop_price=None if is_limit else price,
    )


# -- (a) decoding


def decoding(path: Path, events: int) -> dict[str, Contender]:
    """Each is given the lines; the last one the file as it is on disk. Operations are quotes and trades throughout."""
    with gzip.open(path) as file:
        lines = file.read().splitlines(keepends=True)
    catalog = Catalog()

    def plainly(decode: Callable[[bytes], object]) -> Contender:
        async def lap() -> int:
            for line in lines:
                decode(line[20:])
            return events

        return lap

    async def typed() -> int:
        taken = sum(1 for _ in binance_capture.read(lines, catalog.resolve, Tally()))
        assert taken == events
        return taken

    async def from_disk() -> int:
        taken = sum(1 for _ in Tapes([path], catalog.resolve).read())
        assert taken == events
        return taken

    plain = {"json.loads": plainly(json.loads), "msgspec.json.decode": plainly(msgspec.json.decode)}
    return plain | {"Gesta, quotes and trades": typed, "Gesta, from the .gz": from_disk}


# -- (b) the market desk alone


def desk_alone(path: Path, events: int) -> Contender:
    async def lap() -> int:
        catalog, clock = Catalog(), SystemClock()
        market = MarketDesk(catalog, clock)
        feed = ReplayFeed(Tapes([path], catalog.resolve), clock, speed=None)
        await market.start_feed(feed)
        await feed.wait()
        await market.stop()
        check(feed, events)
        return events

    return lap


def check(feed: ReplayFeed, events: int) -> None:
    if feed.failed is not None:
        raise feed.failed
    said = feed.progress()
    if (said.taken, said.refused) != (events, 0):
        raise AssertionError(f"{said.taken} of {events} were replayed, {said.refused} lines refused")


# -- (c) the whole stack


@dataclass
class Stacked:
    """The laps of the whole stack with so many orders, and what each lap left in the ledger."""

    orders: int
    laps: Laps = field(default_factory=Laps)
    filled: list[tuple[int, int]] = field(default_factory=list)


@asynccontextmanager
async def server_with(orders: list[PlaceOrder]) -> AsyncIterator[Server]:
    """A server on an empty SQLite file, whose one account has these orders at rest."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        settings = Settings(
            database=DatabaseSettings(url=f"sqlite:///{folder / 'gesta.sqlite3'}"),
            trading=TradingSettings(market="none", starting_cash=1_000_000_000, fees="default"),
            log=LogSettings(level="error"),
        )
        configure(settings.log)
        server = await stack.enter_async_context(build(settings))
        assert server.trading is not None
        organization = await server.core.access.create_organization("Benchmark")
        account = await server.core.access.ensure_account(organization.id, "Sim101", AccountType.TRADING)
        principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="benchmark",
            credential_id=1,
            scopes=frozenset({Scope.ADMIN}),
        )
        for first in range(0, len(orders), AT_ONCE):
            await asyncio.gather(*(place(server, principal, account, each) for each in orders[first : first + AT_ONCE]))
        await server.trading.engine.idle()
        yield server


async def place(server: Server, principal: Principal, account: Account, request: PlaceOrder) -> None:
    assert server.trading is not None
    placed = await server.trading.desk.place(principal, account, request)
    if placed.order.state in TERMINAL:
        raise AssertionError(f"an order was not taken: {placed.order}")


async def through_the_stack(taken: Stacked, path: Path, prices: Prices) -> None:
    """One lap."""
    async with server_with([order_of(number, prices) for number in range(taken.orders)]) as server:
        trading = server.trading
        assert trading is not None

        async def pause() -> None:
            """As in a server: others run, and the journal keeps up."""
            await turn()
            await trading.engine.settle()

        async def lap() -> int:
            feed = ReplayFeed(Tapes([path], Catalog().resolve), SystemClock(), speed=None, pause=pause)
            await trading.market.start_feed(feed)
            await feed.wait()
            await trading.engine.idle()
            check(feed, prices.events)
            return prices.events

        taken.laps.laps.append(await take_lap(lap))
        await trading.market.check()
        taken.filled.append(await audited(server))


async def audited(server: Server) -> tuple[int, int]:
    """How many fills the ledger holds, and how many orders are done. Raises AssertionError if it does not verify."""
    assert server.trading is not None
    database = server.core.database
    ledger = await verify(database)
    trading = await verify_trading(database, server.trading.market.instrument)
    if faults := [*ledger.faults, *trading.faults]:
        raise AssertionError(f"the ledger does not verify: {faults[:5]}")

    def program() -> Program[tuple[int, int]]:
        rows: list[Row] = yield Fetch(Statement("benchmark", _FILLED, _FILLED))
        return int(rows[0][0]), int(rows[0][1])

    return await database.read(program)


async def measure(database: str, options: Any) -> None:
    if not CAPTURE.exists():
        console.print(f"Skipped: there is no recording {CAPTURE.name} in {CAPTURE.parent}.")
        return
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    prices = look_through(CAPTURE)
    progress, advance = bar("replay", 2 * rounds + 1)
    with progress:
        contenders = decoding(CAPTURE, prices.events)
        decoded = await in_turn(contenders, rounds=rounds, progress=lambda: advance(1))
        del contenders
        desk, alone = desk_alone(CAPTURE, prices.events), Laps()
        stacks = [Stacked(0), Stacked(ORDERS)]
        for _ in range(rounds):
            alone.laps.append(await take_lap(desk))
            for each in stacks:
                await through_the_stack(each, CAPTURE, prices)
            advance(1)
    tell_decoding(decoded, prices)
    tell_replay(alone, stacks, prices)


def tell_decoding(taken: dict[str, Laps], prices: Prices) -> None:
    report = Report(
        "replay-decoding",
        f"Decoding {prices.seconds:.0f} s of BTCUSDT on Binance USD-M: {prices.events:,} quotes and trades",
        ["", "quotes and trades/s", "CPU", "÷ json.loads"],
        "json.loads and msgspec.json.decode make plain objects of every line, depth included. Ratios of CPU time.",
    )
    for name, laps in taken.items():
        cells = (f"{laps.rate:,.0f}", us(laps.cpu_us), f"{ratio(laps, taken['json.loads'], 'cpu_us'):.2f}")
        report.add(name, *cells)
        report.keep(name, laps)
    report.finish()


def tell_replay(alone: Laps, stacks: list[Stacked], prices: Prices) -> None:
    report = Report(
        "replay",
        f"Replay at full speed of {prices.seconds:.0f} s of BTCUSDT on Binance USD-M, from the .gz",
        ["", "quotes and trades/s", "× real time", "CPU", "÷ desk", "fills/orders", "verified"],
        "The stack is on SQLite; its last fill is on disk when the clock stops. Ratios of CPU time, round by round.",
    )

    def add(name: str, laps: Laps, *outcome: str) -> None:
        times_real = laps.rate * prices.seconds / prices.events
        report.add(
            name,
            f"{laps.rate:,.0f}",
            f"{times_real:,.0f}",
            us(laps.cpu_us),
            f"{ratio(laps, alone, 'cpu_us'):.2f}",
            *outcome,
        )
        report.keep(name, laps)

    add("market desk alone", alone, "", "")
    for each in stacks:
        name = f"whole stack, {each.orders:,} orders" if each.orders else "whole stack, no orders"
        # More than one figure would mean that the same tape and the same orders were filled differently.
        filled = " or ".join(f"{fills:,}/{orders:,}" for fills, orders in sorted(set(each.filled)))
        add(name, each.laps, filled, f"{len(each.filled)} of {len(each.laps.laps)}")
    report.finish()

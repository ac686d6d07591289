"""Executors: quotes that wake nobody, with 1,000 to 1,000,000 idle position executors, beside the naive loop that asks
every machine about every quote; many that open at once; as many stop-losses crossed by one quote; a start with all of
them.

The idle ones are real states of the position machine after its entry, and what they wait for is in the runner's own
index; in a million there are a thousand different ones, each as often. The others are created through the front door
of a whole server, all at once, and are journaled.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import msgspec

from benchmarks.databases import temporary_folder, temporary_postgres
from benchmarks.harness import Contender, Report, against, bar, console, in_turn, pss_mb, ratio
from gesta.access.model import AccountType, Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import DatabaseSettings, LogSettings, Settings, TradingSettings
from gesta.executors import legs
from gesta.executors.control import CreateExecutor
from gesta.executors.machines.face import Moved, OrderStatus, OrderUpdated, Place, Price, Started
from gesta.executors.registry import machine_of
from gesta.executors.watching import Watching
from gesta.trading.catalog import Catalog
from gesta.trading.instruments import Instrument
from gesta.trading.market import Quote

COUNTS = (1_000, 100_000, 1_000_000)
GOAL = 1.5
QUOTES = 20_000
ROUNDS = 11
# Quotes of one lap of the naive loop: it is that slow. A million is left out.
NAIVE_QUOTES = {1_000: 20, 100_000: 1}
DIFFERENT = 1_000

BURSTS = (1_000, 10_000, 100_000)
# With --quick as many at most.
QUICK = {"sqlite": 10_000, "postgres": 1_000}
# More than this is opened in parts, as many at once.
AT_ONCE = 10_000

MIDDLE = Decimal(60_000)
SIZE = 10**15
START_US = 1_790_000_000_000_000
MACHINE = machine_of("position_executor")


def pair() -> Instrument:
    found = Catalog().get("BTC-USDT-PERP")
    assert found is not None
    return found


def config_of(number: int) -> dict[str, Any]:
    """Stop and target far from a market that walks within a percent."""
    far = Decimal("0.02") + Decimal(number * 7919 % 10_000) / 1_000_000
    return {
        "type": "position_executor",
        "connector_name": "binance_perpetual",
        "trading_pair": "BTC-USDT",
        "side": "BUY",
        "amount": "0.01",
        "triple_barrier_config": {"stop_loss": str(far), "take_profit": str(far), "open_order_type": "MARKET"},
    }


# -- idle


def idle_state(number: int, instrument: Instrument) -> Any:
    """A machine whose entry is filled and which waits for its barriers."""
    config = MACHINE.parse(config_of(number))
    prices = {0: Price(MIDDLE, MIDDLE + instrument.tick_size)}
    (leg,) = MACHINE.legs(config)
    ruled = (msgspec.structs.replace(leg, rules=legs.rules_of(instrument)),)
    state = MACHINE.begin(config, ruled, at_us=START_US, prices=prices, max_retries=10)
    state, commands = MACHINE.step(state, Started(at_us=START_US, prices=prices))
    (placed,) = [command.order for command in commands if isinstance(command, Place)]
    filled = msgspec.structs.replace(
        placed,
        status=OrderStatus.FILLED,
        executed_base=placed.amount,
        executed_quote=placed.amount * prices[0].ask,
        updated_at_us=START_US,
    )
    state, _ = MACHINE.step(state, OrderUpdated(at_us=START_US, prices=prices, order=filled))
    state, commands = MACHINE.step(state, Moved(at_us=START_US, prices=prices))
    assert commands == ()
    assert MACHINE.watches(state).prices
    return state


def quotes_of(instrument: Instrument, count: int) -> list[Quote]:
    dice = random.Random(7)  # Not for secrets.
    middle = int(MIDDLE / instrument.tick_size)
    made, bid = [], middle
    for number in range(count):
        bid += dice.choice((-1, 0, 1)) if abs(bid - middle) < 500 else (-1 if bid > middle else 1)
        made.append(Quote(instrument.name, bid, bid + 1, 10, 10, START_US + number, START_US + number))
    return made


def indexed(count: int, states: list[Any], instrument: Instrument) -> tuple[Watching, float]:
    """What wakes `count` of them, and the bytes that it takes for each."""
    before_mb = pss_mb(os.getpid())
    watches = [MACHINE.watches(state) for state in states]
    watching = Watching()
    for number in range(count):
        watching.put(f"executor {number:08}", watches[number % len(watches)], (instrument,))
    gc.collect()
    return watching, (pss_mb(os.getpid()) - before_mb) * 2**20 / count


def quoting(watching: Watching, quotes: list[Quote]) -> Contender:
    async def lap() -> int:
        reached = watching.reached
        for quote in quotes:
            if reached(quote):
                raise AssertionError("a quote woke an executor")
        return len(quotes)

    return lap


def naive(count: int, states: list[Any], quotes: list[Quote], instrument: Instrument) -> Contender:
    async def lap() -> int:
        step = MACHINE.step
        for quote in quotes[: NAIVE_QUOTES[count]]:
            prices = {0: Price(instrument.price(quote.bid), instrument.price(quote.ask))}
            moved = Moved(at_us=START_US, prices=prices)
            for number in range(count):
                if step(states[number % len(states)], moved)[1]:
                    raise AssertionError("a quote moved an executor")
        return NAIVE_QUOTES[count]

    return lap


async def measure_idle(options: Any) -> None:
    instrument = pair()
    states = [idle_state(number, instrument) for number in range(DIFFERENT)]
    quotes = quotes_of(instrument, QUOTES)
    rounds = 3 if options.quick else ROUNDS
    indexes: dict[int, tuple[Watching, float]] = {}
    for count in COUNTS:
        indexes[count] = indexed(count, states, instrument)
    # As in a server that has started: what is there is not looked through again and again.
    gc.freeze()
    contenders: dict[str, Contender] = {f"index {count}": quoting(indexes[count][0], quotes) for count in COUNTS}
    contenders |= {f"naive {count}": naive(count, states, quotes, instrument) for count in NAIVE_QUOTES}
    progress, advance = bar("idle executors", rounds + 1)
    with progress:
        taken = await in_turn(contenders, rounds=rounds, progress=lambda: advance(1))
    gc.unfreeze()
    report = Report(
        "executors-idle",
        f"Quotes that wake no executor, median of {rounds}",
        ["idle executors", "quotes/s", "a quote", "÷ 1,000", "naive quotes/s", "naive ÷ index", "index, each"],
        f"Goal: 1,000,000 cost at most {GOAL} of 1,000. Ratios are of wall time, round by round.",
    )
    for count in COUNTS:
        laps, slow = taken[f"index {count}"], taken.get(f"naive {count}")
        report.add(
            f"{count:,}",
            f"{1e6 / laps.wall_us:,.0f}",
            f"{laps.wall_us * 1000:.0f} ns",
            against(ratio(laps, taken[f"index {COUNTS[0]}"]), GOAL),
            f"{1e6 / slow.wall_us:,.1f}" if slow else "",
            f"{ratio(slow, laps):,.0f}" if slow else "",
            f"{indexes[count][1]:,.0f} B" if count > COUNTS[0] else "",
        )
    for name, each in taken.items():
        report.keep(name, each)
    report.finish()


# -- a whole server


class House:
    """One database; servers come and go over it."""

    def __init__(self, place: str) -> None:
        self.settings = Settings(
            database=DatabaseSettings(url=place),
            trading=TradingSettings(market="none", starting_cash=1_000_000_000_000, fees="default"),
            log=LogSettings(level="error"),
        )
        configure(self.settings.log)
        self.server: Server

    async def open(self, stack: AsyncExitStack) -> None:
        self.server = await stack.enter_async_context(build(self.settings))
        access = self.server.core.access
        known = await access.organizations()
        organization = known[0] if known else await access.create_organization("Benchmark")
        await access.ensure_account(organization.id, "master_account", AccountType.TRADING)
        self.principal = Principal(
            organization=organization,
            identity_id=1,
            identity_name="benchmark",
            credential_id=1,
            scopes=frozenset({Scope.TRADE}),
        )
        assert self.server.trading is not None
        self.trading = self.server.trading

    @property
    def active(self) -> int:
        return len(self.trading.runner.active(self.principal.organization.id))

    def quote(self, fraction: Decimal = Decimal(0)) -> None:
        instrument = self.trading.market.resolve("BTC-USDT-PERP")
        bid = int(MIDDLE * (1 + fraction) / instrument.tick_size)
        now_us = self.server.core.clock.now_us()
        # More is displayed than all of them take.
        self.trading.market.on_market(Quote(instrument.name, bid, bid + 1, SIZE, SIZE, now_us, now_us))

    async def open_many(self, count: int) -> tuple[float, float]:
        """Seconds until all are acknowledged, and until their entries are filled and on disk."""
        self.quote()
        await self.trading.engine.idle()
        started = time.perf_counter()
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(self._create(number) for number in range(first, min(count, first + AT_ONCE))))
        acknowledged_s = time.perf_counter() - started
        await self.trading.engine.idle()
        assert self.active == count
        return acknowledged_s, time.perf_counter() - started

    async def _create(self, number: int) -> None:
        await self.trading.executors.create(self.principal, CreateExecutor(config=config_of(number)))

    async def cross(self) -> float:
        """Seconds from the quote until every position is closed and on disk."""
        started = time.perf_counter()
        self.quote(Decimal("-0.1"))
        await self.trading.engine.idle()
        assert self.active == 0
        return time.perf_counter() - started


async def measure_burst(place: str, count: int, report: Report) -> None:
    house = House(place)
    async with AsyncExitStack() as stack:
        await house.open(stack)
        gc.collect()
        before_mb = pss_mb(os.getpid())
        acknowledged_s, opened_s = await house.open_many(count)
        gc.collect()
        each_kb = (pss_mb(os.getpid()) - before_mb) * 1024 / count
    gc.collect()
    started = time.perf_counter()
    async with AsyncExitStack() as stack:
        await house.open(stack)
        started_s = time.perf_counter() - started
        house.quote()
        await house.trading.engine.idle()
        handled_s = time.perf_counter() - started
        assert house.active == count
        crossed_s = await house.cross()
    figures = {
        "acknowledged_s": acknowledged_s,
        "opened_s": opened_s,
        "crossed_s": crossed_s,
        "started_s": started_s,
        "handled_s": handled_s,
        "each_kb": each_kb,
    }
    report.raw[str(count)] = figures
    report.add(
        f"{count:,}",
        f"{count / acknowledged_s:,.0f}/s",
        f"{count / opened_s:,.0f}/s",
        f"{count / crossed_s:,.0f}/s",
        f"{handled_s:.2f} s",
        f"{handled_s / count * 1e6:,.0f} µs",
        f"{each_kb:.1f} KB",
    )


async def measure(database: str, options: Any) -> None:
    if database == options.databases[0]:
        await measure_idle(options)
    report = Report(
        f"executors-{database}",
        f"Executors on {database}: all at once",
        ["executors", "acknowledged", "entries filled", "stopped out", "restart", "each", "memory, each"],
        "Per second, everything journaled. Restart: from nothing to the first quote handled with all of them live.",
    )
    for count in BURSTS:
        if options.quick and count > QUICK[database]:
            continue
        console.print(f"{count:,} executors on {database} …", style="dim")
        async with AsyncExitStack() as stack:
            if database == "sqlite":
                place = f"sqlite:///{stack.enter_context(temporary_folder()) / 'gesta.sqlite3'}"
            else:
                place = await stack.enter_context(temporary_postgres()).create("gesta")
            await measure_burst(place, count, report)
    report.finish()

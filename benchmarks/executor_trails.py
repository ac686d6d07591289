"""Executors that trail the best price, while every quote is a better one: what a quote costs with 1,000 to 1,000,000 of
them in the runner's index, their best price moved and journaled, and nobody woken."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

from benchmarks.executors import COUNTS, MIDDLE, SIZE, START_US, pair
from benchmarks.harness import Contender, Report, against, bar, in_turn, ratio
from gesta.executors.machines.face import Trail, Watches
from gesta.executors.watching import Watching
from gesta.trading.market import Quote

GOAL = 1.5
QUOTES = 2_000
ROUNDS = 11
DATABASES = False


def trailing(count: int) -> Watching:
    """Trails of a thousand different distances, set at as many moments of a falling market: as many marks at first."""
    instrument = pair()
    watching = Watching()
    middle = int(MIDDLE / instrument.tick_size)
    for number in range(count):
        if number % (count // 1000) == 0:
            bid = middle - number // (count // 1000)
            watching.reached(Quote(instrument.name, bid, bid + 1, SIZE, SIZE, START_US + number, START_US + number))
        distance = Decimal(100 + number * 7919 % 1000)
        watching.put(
            f"executor {number:08}", Watches(trail=Trail(distance=distance, since_us=START_US + number)), (instrument,)
        )
    watching.changed_marks()
    return watching


def rising(watching: Watching) -> Contender:
    instrument = pair()
    at = int(MIDDLE / instrument.tick_size)
    name = instrument.name

    async def lap() -> int:
        nonlocal at
        for _ in range(QUOTES):
            at += 1
            if watching.reached(Quote(name, at, at + 1, SIZE, SIZE, START_US, START_US)):
                raise AssertionError("a better price woke an executor")
            if len(watching.changed_marks()) < 1:
                raise AssertionError("a better price was not to be journaled")
        return QUOTES

    return lap


async def measure(database: str, options: Any) -> None:
    contenders = {f"{count:,}": rising(trailing(count)) for count in COUNTS}
    gc.collect()
    gc.freeze()
    rounds = 3 if options.quick else ROUNDS
    progress, advance = bar("trailing executors", rounds + 1)
    with progress:
        taken = await in_turn(contenders, rounds=rounds, progress=lambda: advance(1))
    gc.unfreeze()
    report = Report(
        "executor-trails",
        f"Quotes that are better each time, median of {rounds}",
        ["trailing executors", "quotes/s", "a quote", "÷ 1,000"],
        f"Goal: 1,000,000 cost at most {GOAL} of 1,000. The new best price is taken out for the journal each time.",
    )
    first = taken[f"{COUNTS[0]:,}"]
    for name, laps in taken.items():
        report.add(
            name, f"{1e6 / laps.wall_us:,.0f}", f"{laps.wall_us * 1000:,.0f} ns", against(ratio(laps, first), GOAL)
        )
        report.keep(name, laps)
    report.finish()

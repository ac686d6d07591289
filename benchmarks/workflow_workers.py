"""Runs that `gesta worker` processes carry out over PostgreSQL, beside as many processes of the engine alone."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.bare_workers import bare
from benchmarks.databases import temporary_postgres
from benchmarks.fleet import fleet
from benchmarks.harness import CpuClock, Lap, Laps, Report, against, bar, percentile, ratio

DATABASES = False
GOAL = 1.3
ROUNDS = 3
WORKERS = (1, 3)
# Nodes of a run, and how many runs are handed over at once.
RUNS = {1: 600, 5: 300}
# Far from what one worker can do, so that what is measured is the way of a run and no queue.
PACE_PER_S = 10.0
PACED = 100


class Side(Protocol):
    cpu: CpuClock

    async def over(self) -> int: ...
    async def taken_ms(self, of_last: int) -> list[float]: ...


@dataclass
class Measured:
    # Of the database's server.
    cpu: CpuClock
    drained: Laps = field(default_factory=Laps)
    # The part of it until all were on disk.
    handed: Laps = field(default_factory=Laps)
    paced_ms: list[float] = field(default_factory=list)


async def drain(side: Side, start: Callable[[int], Coroutine[Any, Any, None]], count: int, into: Measured) -> None:
    """From the first one handed over until all are over. CPU: of all processes, this one and the database's too."""
    cpu, own_s, began = into.cpu() + side.cpu(), time.process_time(), time.perf_counter()
    await start(count)
    handed_s = time.perf_counter() - began
    left = await side.over()
    if left:
        raise RuntimeError(f"{left} of {count} runs are not over")
    wall_s, own_s = time.perf_counter() - began, time.process_time() - own_s
    into.drained.laps.append(Lap(count, wall_s, own_s, into.cpu() + side.cpu() - cpu))
    into.handed.laps.append(Lap(count, handed_s, 0.0, 0.0))


async def pace(side: Side, start: Callable[[int], Coroutine[Any, Any, None]], count: int, into: Measured) -> None:
    """One after the other at a steady pace, whatever becomes of the one before."""
    tasks: list[asyncio.Task[None]] = []
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / PACE_PER_S - time.perf_counter()))
        tasks.append(asyncio.create_task(start(number)))
    await asyncio.gather(*tasks)
    if left := await side.over():
        raise RuntimeError(f"{left} of {count} runs are not over")
    into.paced_ms += await side.taken_ms(count)


def nodes_of(count: int) -> list[dict[str, Any]]:
    return [{"id": f"n{number}", "type": "python", "function": "touch"} for number in range(count)]


async def measure_bare(
    url: str, cpu: CpuClock, workers: int, counts: dict[int, int], paced: int, into: dict[Any, Measured]
) -> None:
    async with bare(url, workers) as side:
        for steps, count in counts.items():
            await side.start(steps, 8)
            await side.over()
            measured = into.setdefault((steps, workers, "bare"), Measured(cpu))
            await drain(side, lambda many, steps=steps: side.start(steps, many), count, measured)
            await pace(side, lambda _, steps=steps: side.start_one(steps), paced, measured)


async def measure_gesta(
    url: str, cpu: CpuClock, workers: int, counts: dict[int, int], paced: int, into: dict[Any, Measured]
) -> None:
    async with fleet(url, workers) as side:
        for steps, count in counts.items():
            name = f"flow{steps}"
            await side.publish(name, nodes_of(steps))
            await side.start(name, 8)
            await side.over()
            measured = into.setdefault((steps, workers, "gesta"), Measured(cpu))
            await drain(side, lambda many, name=name: side.start(name, many), count, measured)
            await pace(side, lambda number, name=name: side.start_one(name, number), paced, measured)
        if failed := await side.total() - await side.total(status="succeeded"):
            raise RuntimeError(f"{failed} runs did not succeed")


async def measure(database: str, options: Any) -> None:
    del database
    rounds, paced = (1, 20) if options.quick else (ROUNDS, PACED)
    counts = {steps: count // 10 if options.quick else count for steps, count in RUNS.items()}
    kept: dict[Any, Measured] = {}
    progress, advance = bar("runs by workers", rounds * len(WORKERS) * 2)
    with progress, ExitStack() as stack:
        postgres, numbers = stack.enter_context(temporary_postgres()), itertools.count()
        for _, workers in itertools.product(range(rounds), WORKERS):
            for one in (measure_bare, measure_gesta):
                name = f"runs{next(numbers)}"
                await one(await postgres.create(name), postgres.cpu, workers, counts, paced, kept)
                await postgres.drop(name)
                advance(1)
    show(kept)


def show(kept: dict[Any, Measured]) -> None:
    report = Report(
        "workflows-workers",
        "Runs that workers carry out, on PostgreSQL",
        ["nodes", "workers", "runs/s", "bare/s", "÷ bare", "CPU ÷", "p50", "p99", "bare p50", "bare p99"],
        f"Goal: at most {GOAL} of as many bare DBOS processes draining one queue. p50, p99: from start to end, at"
        f" {PACE_PER_S:g} runs a second.",
    )
    for steps, workers in itertools.product(RUNS, WORKERS):
        mine, floor = kept[steps, workers, "gesta"], kept[steps, workers, "bare"]
        report.add(
            f"{steps}",
            f"{workers}",
            f"{mine.drained.rate:,.0f}",
            f"{floor.drained.rate:,.0f}",
            against(ratio(mine.drained, floor.drained), GOAL),
            f"{ratio(mine.drained, floor.drained, 'cpu_us'):.2f}",
            *(f"{percentile(each.paced_ms, at):,.0f} ms" for each in (mine, floor) for at in (0.5, 0.99)),
        )
        for name, each in (("gesta", mine), ("bare", floor)):
            report.keep(f"{steps}-{workers}-{name}-drained", each.drained)
            report.keep(f"{steps}-{workers}-{name}-handed", each.handed)
            report.raw[f"{steps}-{workers}-{name}-paced-ms"] = each.paced_ms
    report.finish()

"""Timing in turn, CPU time of this process and of others, tables of 100 columns, results as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
WIDTH = 100

console = Console(width=WIDTH, highlight=False)

# One lap of one contender: does its operations and says how many they were.
Contender = Callable[[], Awaitable[int]]
# Seconds of CPU that other processes (a database server, a web server) have used so far.
CpuClock = Callable[[], float]


@dataclass(frozen=True)
class Lap:
    """`wall_s` and `cpu_s` are for all `operations`; `other_cpu_s` is what other processes used meanwhile."""

    operations: int
    wall_s: float
    cpu_s: float
    other_cpu_s: float

    @property
    def wall_us(self) -> float:
        return self.wall_s / self.operations * 1e6

    @property
    def cpu_us(self) -> float:
        """Of this and the other processes, for one operation."""
        return (self.cpu_s + self.other_cpu_s) / self.operations * 1e6

    @property
    def other_cpu_us(self) -> float:
        """Of the other processes alone: where this one is but the client."""
        return self.other_cpu_s / self.operations * 1e6


@dataclass
class Laps:
    laps: list[Lap] = field(default_factory=list)

    @property
    def wall_us(self) -> float:
        return statistics.median(lap.wall_us for lap in self.laps)

    @property
    def cpu_us(self) -> float:
        return statistics.median(lap.cpu_us for lap in self.laps)

    @property
    def other_cpu_us(self) -> float:
        return statistics.median(lap.other_cpu_us for lap in self.laps)

    @property
    def rate(self) -> float:
        """Operations per second over all laps, so that what happens now and then (a checkpoint) is in it."""
        return sum(lap.operations for lap in self.laps) / sum(lap.wall_s for lap in self.laps)

    @property
    def mean_cpu_us(self) -> float:
        operations = sum(lap.operations for lap in self.laps)
        return sum(lap.cpu_s + lap.other_cpu_s for lap in self.laps) / operations * 1e6


def ratio(subject: Laps, floor: Laps, of: Literal["wall_us", "cpu_us"] = "wall_us") -> float:
    """Median over the rounds of subject ÷ floor: both laps of a round met the same minute of the machine."""
    pairs = zip(subject.laps, floor.laps, strict=True)
    if of == "cpu_us":
        return statistics.median(one.cpu_us / other.cpu_us for one, other in pairs)
    return statistics.median(one.wall_us / other.wall_us for one, other in pairs)


async def in_turn(
    contenders: dict[str, Contender],
    *,
    rounds: int,
    others: CpuClock = lambda: 0.0,
    warm_up: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Laps]:
    """Run every contender once per round, for `rounds` rounds after `warm_up` uncounted ones."""
    taken = {name: Laps() for name in contenders}
    for round_ in range(-warm_up, rounds):
        for name, contender in contenders.items():
            lap = await take_lap(contender, others)
            if round_ >= 0:
                taken[name].laps.append(lap)
        progress()
    return taken


async def take_lap(contender: Contender, others: CpuClock = lambda: 0.0) -> Lap:
    other_start, cpu_start, wall_start = others(), time.process_time(), time.perf_counter()
    operations = await contender()
    wall_s = time.perf_counter() - wall_start
    return Lap(operations, wall_s, time.process_time() - cpu_start, others() - other_start)


def repeated(call: Callable[[], Awaitable[Any]], times: int) -> Contender:
    async def lap() -> int:
        for _ in range(times):
            await call()
        return times

    return lap


def cpu_of(*roots: int) -> CpuClock:
    """The CPU clock of processes and their living children, from /proc, in nanoseconds where the kernel says so."""

    def clock() -> float:
        return sum(_cpu_s(pid) for root in roots for pid in (root, *descendants(root)))

    return clock


def _cpu_s(pid: int) -> float:
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    except OSError:
        return 0.0
    return total / 1e9


def descendants(root: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{root}/task"):
            for child in Path(f"/proc/{root}/task/{task}/children").read_text().split():
                found += [int(child), *descendants(int(child))]
    except OSError:
        pass
    return found


def pss_mb(pid: int) -> float:
    """Memory of a process, shared pages divided among who shares them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel does not tell the PSS")


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Report:
    """One table and what it was made of. A cell that starts with `!` misses its goal."""

    name: str
    title: str
    columns: list[str]
    note: str = ""
    rows: list[list[str]] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def add(self, *cells: str) -> None:
        self.rows.append(list(cells))

    def keep(self, name: str, laps: Laps) -> None:
        self.raw[name] = [asdict(lap) for lap in laps.laps]

    def show(self) -> None:
        table = Table(title=self.title, width=WIDTH, title_justify="left", padding=0, box=SIMPLE_HEAD)
        for place, column in enumerate(self.columns):
            table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*(f"[red]{cell[1:]} ✗[/red]" if cell.startswith("!") else cell for cell in row))
        console.print(table)
        if self.note:
            console.print(self.note, style="dim")
        console.print()

    def save(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        body = {
            "name": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
            **{key: getattr(self, key) for key in ("title", "note", "columns", "rows", "raw")},
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(body, indent=1) + "\n", "utf-8")

    def finish(self) -> None:
        self.show()
        self.save()


def against(value: float, goal: float, *, at_least: bool = False, text: str = "{:.2f}") -> str:
    """A figure, marked where it misses the goal."""
    missed = value < goal if at_least else value > goal
    return ("!" if missed else "") + text.format(value)


def us(value: float) -> str:
    """Microseconds for people."""
    if value < 1000:
        return f"{value:.0f} µs" if value >= 10 else f"{value:.1f} µs"
    return f"{value / 1000:.2f} ms" if value < 10_000 else f"{value / 1000:,.1f} ms"


def bar(what: str, total: int) -> tuple[Progress, Callable[[int], None]]:
    """A progress bar on standard error (a line now and then where that is no terminal), and what advances it."""
    errors = Console(stderr=True, width=WIDTH)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    task = progress.add_task(what, total=total)
    told, done = time.monotonic(), 0

    def advance(by: int = 1) -> None:
        nonlocal told, done
        done += by
        progress.advance(task, by)
        if progress.disable and time.monotonic() - told > 10:
            told = time.monotonic()
            errors.print(f"{what}: {done:,} of {total:,}")

    return progress, advance


def run(main: Awaitable[None]) -> None:
    """As the server runs: uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def started() -> None:
            await main

        runner.run(started())

"""Runs of one and of five nodes from their start to their end, beside the engine alone doing as many steps; runs that
wait: what they cost, and how soon they wake."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.databases import temporary_folder, temporary_postgres
from benchmarks.harness import Lap, Laps, Report, against, bar, pss_mb, ratio, take_lap
from gesta.access.model import Principal, Scope
from gesta.app.build import Server, build
from gesta.app.logs import configure
from gesta.app.settings import DatabaseSettings, LogSettings, Settings, TradingSettings, WorkflowSettings
from gesta.app.workflow_stack import engine_settings
from gesta.workflows.engine.dbos_engine import DbosEngine
from gesta.workflows.face import Draft, StartRun
from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType
from gesta.workflows.runs.rows import SegmentId
from gesta.workflows.runtime import Step, Steps

GOAL = 1.3
ROUNDS = 5
RUNS = {1: 60, 50: 300}
STEPS = (1, 5)
WAITING = (1_000, 100_000)
IDLE_S = 10.0

Timed = Callable[[], Awaitable[float]]


def settings_of(place: str) -> Settings:
    return Settings(
        database=DatabaseSettings(url=place),
        trading=TradingSettings(enabled=False),
        log=LogSettings(level="error"),
        workflows=WorkflowSettings(steps_module="benchmarks.workflow_steps", concurrency=64),
    )


def flow(count: int) -> Definition:
    nodes = [Node(id=f"n{number}", type=NodeType.PYTHON, config={"function": "touch"}) for number in range(count)]
    ids = ["start", *(node.id for node in nodes)]
    edges = [Edge(source=one, target=other) for one, other in itertools.pairwise(ids)]
    return Definition(nodes=(Node(id="start", type=NodeType.START), *nodes), edges=tuple(edges))


def waiting() -> Definition:
    nodes = (Node(id="start", type=NodeType.START), Node(id="wait", type=NodeType.WAIT_WEBHOOK))
    return Definition(nodes=nodes, edges=(Edge(source="start", target="wait"),), timeout_s=10**7)


@asynccontextmanager
async def served(place: str) -> AsyncIterator[tuple[Server, Principal]]:
    settings = settings_of(place)
    configure(settings.log)
    async with build(settings) as server:
        known = await server.core.access.organizations()
        organization = known[0] if known else await server.core.access.create_organization("Benchmark")
        scopes = frozenset({Scope.RUN})
        principal = Principal(
            organization=organization, identity_id=1, identity_name="bench", credential_id=1, scopes=scopes
        )
        yield server, principal


@asynccontextmanager
async def alone(place: str, steps: int) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """The engine with nothing above it: so many steps of nothing in each segment."""
    ended: dict[str, asyncio.Event] = {}

    async def touch() -> str:
        return '{"value":null}'

    async def carry(segment: SegmentId, given: Steps) -> None:
        for number in range(steps):
            await given.perform([Step(f"n{number}", touch)])
        ended[segment.run].set()

    engine = DbosEngine(engine_settings(settings_of(place)))
    await engine.start(carry)

    async def one(number: int) -> None:
        run = f"{number}-{time.monotonic_ns()}"
        done = ended[run] = asyncio.Event()
        await engine.submit([SegmentId(1, run, 1)])
        await done.wait()
        del ended[run]

    try:
        yield one
    finally:
        await engine.stop(timeout_s=10)


async def lap(one: Callable[[int], Awaitable[None]], count: int, at_once: int) -> tuple[Lap, list[float]]:
    """So many runs, so many at once; how long each took."""
    gate, taken = asyncio.Semaphore(at_once), list[float]()

    async def timed(number: int) -> None:
        async with gate:
            began = time.perf_counter()
            await one(number)
            taken.append(time.perf_counter() - began)

    async def all_() -> int:
        await asyncio.gather(*(timed(number) for number in range(count)))
        return count

    await one(0)
    return await take_lap(all_), taken


async def measure_runs(database: str, place: Callable[[], Awaitable[str]], options: Any) -> None:
    report = Report(
        f"workflows-{database}",
        f"Runs from start to end on {database}",
        ["nodes", "at once", "runs/s", "p50", "p99", "engine alone, runs/s", "÷ engine alone"],
        f"Goal: at most {GOAL} of the engine alone, which does as many steps of nothing.",
    )
    rounds = 2 if options.quick else ROUNDS
    progress, advance = bar(f"runs on {database}", rounds * len(STEPS))
    kept: dict[tuple[int, int], tuple[Laps, Laps, list[float]]] = {}
    url, names = await place(), itertools.count(1)
    with progress:
        for steps in STEPS:
            definition = flow(steps)
            for _ in range(rounds):
                async with alone(url, steps) as one:
                    floors = {at_once: await lap(one, count, at_once) for at_once, count in RUNS.items()}
                async with served(url) as (server, principal):
                    assert server.workflows is not None
                    runs, definitions = server.workflows.door.runs, server.workflows.door.definitions
                    draft = Draft(definition=definition, name=f"flow-{next(names)}")
                    workflow = (await definitions.create(principal, draft)).id
                    await definitions.publish(principal, workflow)

                    async def run(number: int) -> None:
                        started = await runs.start(principal, StartRun(workflow=workflow, input=number))  # noqa: B023
                        over = await runs.finished(principal, started.execution.id, timeout_s=60)  # noqa: B023
                        assert over is not None, number
                        assert over.status.value == "succeeded"

                    for at_once, count in RUNS.items():
                        mine, taken = await lap(run, count, at_once)
                        laps = kept.setdefault((steps, at_once), (Laps(), Laps(), []))
                        laps[0].laps.append(mine)
                        laps[1].laps.append(floors[at_once][0])
                        laps[2].extend(taken)
                advance(1)
    for (steps, at_once), (own, floor, taken) in kept.items():
        taken.sort()
        report.add(
            f"{steps}",
            f"{at_once}",
            f"{1e6 / own.wall_us:,.0f}",
            f"{statistics.median(taken) * 1000:.1f} ms",
            f"{taken[int(len(taken) * 0.99)] * 1000:.0f} ms",
            f"{1e6 / floor.wall_us:,.0f}",
            against(ratio(own, floor), GOAL),
        )
    report.finish()


async def measure_waiting(database: str, place: Callable[[], Awaitable[str]], options: Any) -> None:
    report = Report(
        f"workflows-waiting-{database}",
        f"Runs that wait for a webhook, on {database}",
        ["waiting", "parked", "memory, each", "idle CPU", "woken to over, p50", "p99", "restart"],
        f"Idle CPU: of one core, over {IDLE_S:g} s. Restart: from nothing until calls are answered.",
    )
    for count in WAITING[: 1 if options.quick else None]:
        url, definition = await place(), waiting()
        async with served(url) as (server, principal):
            assert server.workflows is not None
            runs = server.workflows.door.runs
            gc.collect()
            before_mb = pss_mb(os.getpid())
            began = time.perf_counter()
            ids: list[str] = []
            gate = asyncio.Semaphore(64)

            async def park(number: int) -> None:
                async with gate:  # noqa: B023
                    started = await runs.start(principal, StartRun(definition=definition, input=number))  # noqa: B023
                    ids.append(started.execution.id)  # noqa: B023

            await asyncio.gather(*(park(number) for number in range(count)))
            parked_s = time.perf_counter() - began
            gc.collect()
            each_bytes = (pss_mb(os.getpid()) - before_mb) * 2**20 / count
        began = time.perf_counter()
        async with served(url) as (server, principal):
            restart_s = time.perf_counter() - began
            assert server.workflows is not None
            runs = server.workflows.door.runs
            idle = time.process_time()
            await asyncio.sleep(IDLE_S)
            idle_share = (time.process_time() - idle) / IDLE_S
            woken: list[float] = []
            for run_id in ids[:: max(1, count // 500)]:
                began = time.perf_counter()
                assert await runs.resume(principal, run_id, "wait", {})
                over = await runs.finished(principal, run_id, timeout_s=60)
                assert over is not None
                woken.append(time.perf_counter() - began)
        woken.sort()
        report.add(
            f"{count:,}",
            f"{count / parked_s:,.0f}/s",
            f"{each_bytes:,.0f} B",
            f"{idle_share:.1%}",
            f"{statistics.median(woken) * 1000:.1f} ms",
            f"{woken[int(len(woken) * 0.99)] * 1000:.1f} ms",
            f"{restart_s:.2f} s",
        )
    report.finish()


async def measure(database: str, options: Any) -> None:
    async with AsyncExitStack() as stack:
        if database == "sqlite":
            folder, numbers = stack.enter_context(temporary_folder()), iter(range(100))

            async def place() -> str:
                own = Path(folder) / f"{next(numbers)}"
                own.mkdir()
                return f"sqlite:///{own / 'gesta.sqlite3'}"
        else:
            postgres, numbers = stack.enter_context(temporary_postgres()), iter(range(100))

            async def place() -> str:
                return await postgres.create(f"gesta{next(numbers)}")

        await measure_runs(database, place, options)
        await measure_waiting(database, place, options)

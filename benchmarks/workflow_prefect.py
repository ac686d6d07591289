"""The same flows of one and of five steps in Gesta and in Prefect: a server over SQLite each, and who starts a run
waits for its end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.databases import temporary_folder
from benchmarks.fleet import Fleet, end, fleet
from benchmarks.harness import Lap, Laps, Report, bar, console, percentile, ratio
from benchmarks.workflow_workers import nodes_of

DATABASES = False
ROUNDS = 3
STEPS = (1, 5)
# How many runs at once, and how many in a lap. Prefect takes seconds where Gesta takes milliseconds.
RUNS = {1: 10, 10: 30}
GESTA_TIMES = 5
INSTALL_S = 900.0
START_S = 180.0
# What a new installation takes besides does not start with Prefect: it uses `min_items`, which is gone since.
PACKAGES = ("prefect", "fastapi==0.119.1")
# It is as quiet as it can be: no log to its server, no analytics.
QUIET = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass
class Side:
    laps: Laps = field(default_factory=Laps)
    taken_s: list[float] = field(default_factory=list)

    def take(self, count: int, wall_s: float, taken_s: list[float]) -> None:
        self.laps.laps.append(Lap(count, wall_s, 0.0, 0.0))
        self.taken_s += taken_s


class Skipped(Exception):
    """Why there is no Prefect to compare with."""


async def installed(folder: Path) -> Path:
    """A Python of its own that has Prefect. Raises Skipped."""
    python = folder / "venv" / "bin" / "python"
    for arguments in (
        [sys.executable, "-m", "venv", str(folder / "venv")],
        [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
    ):
        child = await asyncio.create_subprocess_exec(*arguments, stdout=PIPE, stderr=asyncio.subprocess.STDOUT)
        try:
            said, _ = await asyncio.wait_for(child.communicate(), INSTALL_S)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise Skipped(f"installing it took longer than {INSTALL_S:g} s") from None
        if child.returncode:
            raise Skipped(f"it cannot be installed: {said.decode(errors='replace').strip().splitlines()[-1]}")
    return python


class Prefect:
    def __init__(self, child: Process) -> None:
        self._child = child
        self.version = ""

    async def said(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = await self._child.stdout.readline()
        if not line:
            raise Skipped(f"its flows ended with status {await self._child.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def lap(self, steps: int, at_once: int, count: int) -> tuple[float, list[float]]:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"steps": steps, "at_once": at_once, "count": count}).encode() + b"\n")
        answer = await self.said()
        return answer["wall_s"], answer["taken_s"]


@asynccontextmanager
async def prefect(python: Path, folder: Path) -> AsyncIterator[Prefect]:
    """Its server on a new SQLite file, and the process of its flows beside it. Raises Skipped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environ |= {**QUIET, "PREFECT_HOME": str(folder / "home"), "PREFECT_API_URL": url}
    children: list[Process] = []
    with (folder / "server.log").open("wb") as log:
        serve = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        children.append(await asyncio.create_subprocess_exec(str(python), *serve, env=environ, stdout=log, stderr=log))
    try:
        await _answers(f"{url}/health", children[0])
        # Isolated: this folder has an `http` of its own.
        flows = str(Path(__file__).with_name("prefect_flows.py"))
        children.append(
            await asyncio.create_subprocess_exec(str(python), "-I", flows, env=environ, stdin=PIPE, stdout=PIPE)
        )
        built = Prefect(children[1])
        built.version = (await built.said())["version"]
        yield built
    finally:
        await end(reversed(children))


async def _answers(url: str, server: Process) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if server.returncode is not None:
            raise Skipped(f"its server ended with status {server.returncode}")
        try:
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).close())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            await asyncio.sleep(0.1)
        else:
            return
    raise Skipped("its server did not start in time")


async def gesta_lap(side: Fleet, steps: int, at_once: int, count: int) -> tuple[float, list[float]]:
    numbers, taken = iter(range(count)), list[float]()

    async def caller(place: int) -> None:
        for number in numbers:
            began = time.perf_counter()
            body = {"workflow": f"flow{steps}", "input": number, "wait_s": 60}
            answer = await side.call("/ledger/runs", body, place, 200)
            taken.append(time.perf_counter() - began)
            if answer["run"]["status"] != "succeeded":
                raise RuntimeError(f"a run ended otherwise: {answer}")

    began = time.perf_counter()
    await asyncio.gather(*(caller(place) for place in range(at_once)))
    return time.perf_counter() - began, taken


async def measure(database: str, options: Any) -> None:
    del database
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        try:
            if options.prefect is not None and not os.access(options.prefect, os.X_OK):
                raise Skipped(f"{options.prefect} is no program")
            python = options.prefect or await installed(folder)
            async with prefect(python, folder) as theirs:
                await compare(theirs, folder, options)
        except Skipped as reason:
            console.print(f"Skipped: no Prefect to compare with; {reason}.")


async def compare(theirs: Prefect, folder: Path, options: Any) -> None:
    rounds = 1 if options.quick else ROUNDS
    kept = {(steps, at_once): (Side(), Side()) for steps in STEPS for at_once in RUNS}
    progress, advance = bar("flows", rounds * len(kept))
    url = f"sqlite:///{folder / 'gesta.sqlite3'}"
    async with fleet(url, 0, callers=max(RUNS)) as mine:
        with progress:
            for steps in STEPS:
                await mine.publish(f"flow{steps}", nodes_of(steps))
                await gesta_lap(mine, steps, 1, 10)
                # Its first run takes long.
                await theirs.lap(steps, 1, 1)
            for _ in range(rounds):
                for (steps, at_once), (own, other) in kept.items():
                    count = max(at_once, RUNS[at_once] // 3) if options.quick else RUNS[at_once]
                    other.take(count, *await theirs.lap(steps, at_once, count))
                    count *= GESTA_TIMES
                    own.take(count, *await gesta_lap(mine, steps, at_once, count))
                    advance(1)
    show(kept, theirs.version)


def show(kept: dict[tuple[int, int], tuple[Side, Side]], version: str) -> None:
    report = Report(
        "workflows-prefect",
        f"The same flows in Gesta and in Prefect {version}, on SQLite",
        ["steps", "at once", "Gesta, runs/s", "p50", "p99", "Prefect, runs/s", "p50 ", "p99 ", "Gesta ÷ Prefect"],
        "From start to end as their callers see it. The last column: of runs a second, median over the rounds.",
    )
    for (steps, at_once), (own, other) in kept.items():
        report.add(
            f"{steps}",
            f"{at_once}",
            f"{own.laps.rate:,.0f}",
            *(f"{percentile(own.taken_s, at) * 1000:,.1f} ms" for at in (0.5, 0.99)),
            f"{other.laps.rate:,.1f}",
            *(f"{percentile(other.taken_s, at) * 1000:,.0f} ms" for at in (0.5, 0.99)),
            f"{ratio(other.laps, own.laps):,.0f}",
        )
        for name, each in (("gesta", own), ("prefect", other)):
            report.keep(f"{steps}-{at_once}-{name}", each.laps)
            report.raw[f"{steps}-{at_once}-{name}-s"] = each.taken_s
    report.finish()

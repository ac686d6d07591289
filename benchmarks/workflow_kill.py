"""kill -9 of one of three workers in the middle of two hundred runs: how soon all are over, what was done twice.

What the runs do is counted by a real HTTP service. One is idempotent as the services of payments are: it applies what
it is asked for once for each `Idempotency-Key`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from benchmarks.databases import temporary_postgres
from benchmarks.fleet import Fleet, fleet
from benchmarks.harness import Report, bar

DATABASES = False
KILLS = 5
WORKERS = 3
RUNS = 200
# Of each run, one after the other, and how long the service takes for each.
CALLS = 5
SERVICE_S = 0.1
KEPT_AT = 3
LOST_S = 120.0
# Of a call that is kept waiting: longer than anything here takes.
CALL_S = 600.0


class Receiver:
    """`counts`: how often each key has come; `effects`: how many keys were applied for a node of a run; `called_s`:
    the run of each call, and when it came.

    Each run is kept waiting once, at one of the first `KEPT_AT` nodes, until as many wait as there are.
    """

    def __init__(self, runs: int) -> None:
        self.counts: Counter[str] = Counter()
        self.effects: Counter[tuple[str, str]] = Counter()
        self.called_s: list[tuple[float, str]] = []
        self.url = ""
        self._runs = runs
        self._kept_at: dict[str, str] = {}
        self._waiting = 0
        self._all_wait = asyncio.Event()
        self._go_on = asyncio.Event()
        self._more = asyncio.Event()
        self._more_at = 0

    async def middle(self) -> None:
        """Return once all runs were under way at once, and have gone on for a while."""
        async with asyncio.timeout(LOST_S):
            await self._all_wait.wait()
        self._more_at = len(self.called_s) + self._runs // 2
        self._go_on.set()
        await self._more.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                await reader.readexactly(int(headers.get("content-length", "0")))
                await self.take(headers["idempotency-key"], headers["x-gesta-run"], head[0].split(" ")[1])
                await asyncio.sleep(SERVICE_S)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the caller has died
        finally:
            writer.close()

    async def take(self, key: str, run: str, node: str) -> None:
        self.called_s.append((time.perf_counter(), run))
        self.counts[key] += 1
        if self.counts[key] == 1:
            self.effects[run, node] += 1
        if self._go_on.is_set():
            if len(self.called_s) >= self._more_at:
                self._more.set()
        elif node == self._kept_at.setdefault(run, f"/n{len(self._kept_at) % KEPT_AT}"):
            self._waiting += 1
            if self._waiting == self._runs:
                self._all_wait.set()
            await self._go_on.wait()


@asynccontextmanager
async def receiving(runs: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(runs)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()


def nodes_of(url: str) -> list[dict[str, Any]]:
    call = {"type": "http", "method": "POST", "timeout_s": CALL_S}
    return [{"id": f"n{n}", "url": f"{url}/n{n}", **call} for n in range(CALLS)]


async def kill_one(url: str) -> dict[str, Any]:
    """One kill over a new database, and what came of it. No run waits for room: each worker could carry all."""
    async with receiving(RUNS) as receiver, fleet(url, WORKERS, concurrency=RUNS) as side:
        await side.publish("calls", nodes_of(receiver.url))
        began_s = time.perf_counter()
        await side.start("calls", RUNS)
        await receiver.middle()
        owner, held = await _busiest(side)
        in_flight = await side.query("SELECT count(*) FROM workflow_runs WHERE state <> 'over'")
        before = len(receiver.called_s)
        killed_s = time.perf_counter()
        side.workers[owner.rpartition(":")[2]].kill()
        left = await side.over(most_s=LOST_S)
        over_s = time.perf_counter() - killed_s
        again_s = [at for at, run in receiver.called_s if run in held and at > killed_s + 1.0]
        succeeded = await side.total(status="succeeded")
        whole = sum(1 for _ in receiver.effects)
        return {
            "in_flight": int(in_flight[0][0]),
            "under_way_after_s": killed_s - began_s,
            "held": len(held),
            "calls_before": before,
            "first_again_s": min(again_s) - killed_s if again_s else None,
            "over_s": over_s,
            "steps_twice": sum(count > 1 for count in receiver.counts.values()),
            "runs_not_over": left,
            "runs_lost": RUNS - succeeded,
            "effects_missing": RUNS * CALLS - whole,
            "effects_doubled": sum(count > 1 for count in receiver.effects.values()),
            "recovered_by": await _recoverers(side, owner, held),
        }


async def _busiest(side: Fleet) -> tuple[str, set[str]]:
    """The worker that has the most under way, and which runs."""
    rows = await side.query("SELECT owner, id FROM workflow_runs WHERE state = 'running'")
    held: dict[str, set[str]] = {}
    for owner, run in rows:
        held.setdefault(owner, set()).add(run)
    return max(held.items(), key=lambda pair: len(pair[1]))


async def _recoverers(side: Fleet, owner: str, held: set[str]) -> dict[str, int]:
    """Who carried what the dead one held to its end, as the engine has it. What it ended while it was being killed is
    its own."""
    rows = await side.query("SELECT workflow_uuid, executor_id FROM gesta_engine.workflow_status")
    by = Counter(executor for workflow, executor in rows if workflow.split(":")[1] in held)
    return {name.rpartition(":")[2] + (" itself" if name == owner else ""): count for name, count in by.most_common()}


async def measure(database: str, options: Any) -> None:
    del database
    kills = 1 if options.quick else KILLS
    report = Report(
        "workflows-kill",
        f"kill -9 of one of {WORKERS} workers, {RUNS} runs of {CALLS} calls in flight, on PostgreSQL",
        ["in flight", "held", "first again", "all over", "steps twice", "lost", "doubled", "recovered by"],
        "Held: by the one that was killed. First again, all over: seconds after the kill. Steps twice: calls that came"
        " again with the same key; doubled: effects under more than one key. Goal: none lost, none doubled.",
    )
    progress, advance = bar("kills", kills)
    with progress, ExitStack() as stack:
        postgres, numbers = stack.enter_context(temporary_postgres()), itertools.count()
        for _ in range(kills):
            name = f"kill{next(numbers)}"
            found = await kill_one(await postgres.create(name))
            await postgres.drop(name)
            report.raw.setdefault("kills", []).append(found)
            lost = max(found["runs_lost"], found["runs_not_over"]) + found["effects_missing"]
            first = found["first_again_s"]
            report.add(
                f"{found['in_flight']}",
                f"{found['held']}",
                "-" if first is None else f"{first:.1f} s",
                f"{found['over_s']:.1f} s",
                f"{found['steps_twice']}",
                f"{'!' if lost else ''}{lost}",
                f"{'!' if found['effects_doubled'] else ''}{found['effects_doubled']}",
                ", ".join(f"{who} {count}" for who, count in found["recovered_by"].items()),
            )
            advance(1)
    report.finish()

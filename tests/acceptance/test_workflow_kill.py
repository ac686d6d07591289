"""kill -9 of what carries workflow runs out: a server on SQLite, workers beside a server on PostgreSQL; at every named
point that they reach, and wherever they are.

What they do is counted by a real HTTP service. Every run that was acknowledged ends; a step that was done is not done
again; one that was interrupted is asked for again with the same key. `WORKFLOW_KILLS` asks for more.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from asyncio.subprocess import Process
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gesta.app.build import build, open_core
from gesta.app.settings import load_settings
from gesta.kernel.crash import POINTS
from gesta.ledger.lifecycle import TERMINAL
from gesta.ledger.records import Event, Execution, RunDetail, Source, Status
from gesta.ledger.verify import verify
from gesta.storage.program import Fetch, Program, Statement
from gesta.workflows.engine.settings import FILE
from gesta.workflows.runs.verify import verify as verify_runs
from tests.acceptance.effect_receiver import Receiver, receiving
from tests.acceptance.workflow_child import BURST, ORGANIZATION, overrides, prepare, principal_of
from tests.integration.postgres_control import running_postgres

GESTA = Path(sys.executable).with_name("gesta")
ROOT = Path(__file__).resolve().parents[2]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
RANDOM = int(os.environ.get("WORKFLOW_KILLS", "1"))
# So often a point is reached before it kills: in the middle of the load.
POINTS_REACHED = {
    "workflows.advance": 30,
    "workflows.born.ledger": 20,
    "workflows.born.rows": 30,
    "workflows.changed": 60,
    "workflows.claim": 20,
    "workflows.claimed": 30,
    "workflows.key.taken": 3,
    "workflows.paid": 3,
    "workflows.performed": 60,
    "workflows.put": 40,
    "workflows.schedule.started": 1,
    "workflows.settle": 20,
    "workflows.settling": 20,
    "workflows.stop": 1,
    "workflows.wake": 3,
    "storage.after_commit": 60,
}
# Of those, the ones that a worker comes to.
OF_WORKERS = ("performed", "settle", "settling", "claim", "put", "changed")
DIES_S = 120

IDS = Statement("test.runs", *["SELECT id, segment FROM workflow_runs ORDER BY id"] * 2)


class Floor:
    """One database, the processes that die over it, what they have said and what was asked of the receiver."""

    def __init__(self, database: str, folder: Path, receiver: Receiver) -> None:
        self.settings = load_settings(None, overrides(database), environ={})
        self.database = database
        self.folder = folder
        self.receiver = receiver
        self.moments = random.Random(20_261_121)
        self.life = 0
        self.asked: set[str] = set()
        self.made: dict[str, str] = {}
        self.stopping: set[str] = set()
        self.stopped: set[str] = set()
        self.woken: set[str] = set()
        # Of each step that was done when a process died: how often its key had come to the receiver.
        self.done: dict[str, int] = {}

    async def prepare(self) -> None:
        async with build(self.settings) as server:
            assert server.workflows is not None
            organization = await server.core.access.create_organization(ORGANIZATION)
            await prepare(server.workflows.door.definitions, principal_of(organization), self.receiver.url)

    # -- processes

    async def begin(self, mode: str, point: str = "") -> Process:
        self.life += 1
        keys = self.folder / f"keys-{self.life}"
        again = sorted(self.asked - self.made.keys())
        again += self.moments.sample(sorted(self.made), min(3, len(self.made)))
        keys.write_text(json.dumps(again))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.acceptance.workflow_child",
            self.database, str(self.life), mode, self.receiver.url, str(keys),
            cwd=ROOT, env={**CLEAN, "GESTA_CRASH_POINT": point}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def listen(self, process: Process, begun: asyncio.Event | None = None) -> None:
        """To everything that it says, until it is dead."""
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self.hear(json.loads(line))
                fresh = sum(key.split("-")[1] == str(self.life) for key in self.made)
                if begun is not None and fresh >= BURST:
                    begun.set()
        await process.wait()

    def hear(self, said: dict[str, Any]) -> None:
        if "asked" in said:
            self.asked.add(said["asked"])
        if "made" in said:
            for run_id in said["ids"]:
                assert self.made.setdefault(said["made"], run_id) == run_id, "the key has another run now"
            # An event that had its run before it was acknowledged names it no more.
            self.made.setdefault(said["made"], "")
        if "stopping" in said:
            self.stopping.add(said["stopping"])
        if "stopped" in said:
            self.stopped.add(said["stopped"])
        if "woken" in said:
            self.woken.add(said["woken"])
        assert "failed" not in said, said

    async def live(self, mode: str, point: str = "") -> None:
        """One process from its start to its death, or to its end."""
        process = await self.begin(mode, point)
        begun = asyncio.Event()
        killer = asyncio.create_task(self.kill_at_random(process, begun)) if mode == "burst" and not point else None
        try:
            async with asyncio.timeout(DIES_S):
                await self.listen(process, begun)
        finally:
            await end(process)
            if killer is not None:
                killer.cancel()
                await asyncio.gather(killer, return_exceptions=True)
        assert process.returncode == (0 if mode == "finish" else -signal.SIGKILL), (mode, point, process.returncode)

    async def kill_at_random(self, process: Process, begun: asyncio.Event) -> None:
        await begun.wait()
        await asyncio.sleep(self.moments.uniform(0.2, 2.0))
        process.kill()

    # -- what is there

    async def check(self) -> None:
        """The record agrees with itself, and what was done before was not done again."""
        for key, count in self.done.items():
            assert self.receiver.counts[key] == count, f"{key} was done, and has been done again"
        async with open_core(self.settings) as core:
            assert (await verify(core.database)).faults == []
            report = await verify_runs(core.database)
            assert report.faults == []
            (organization,) = await core.access.organizations()
            for run_id, _ in await core.database.read(_runs):
                execution = await core.ledger.get(organization.id, run_id)
                assert execution is not None
                self.note_execution(execution)

    def note_execution(self, execution: Execution) -> None:
        """Nodes that the run's own record says were done."""
        assert isinstance(execution.detail, RunDetail)
        for node in execution.detail.nodes:
            key = f"{execution.id}/{node.id}"
            if node.type == "http" and node.status == "succeeded":
                self.done.setdefault(key, self.receiver.counts[key])

    def note(self, steps: list[tuple[str, str]]) -> None:
        """Steps that are on the engine's record. A step's key is its visit's; of one that may be tried again only the
        last attempt is the last word, so that it is left out."""
        for workflow, step in steps:
            path = step.rpartition("#")[0]
            run_id = workflow.split(":")[1]
            if not path.endswith("flaky"):
                key = f"{run_id}/{path}"
                if key in self.receiver.counts:
                    self.done.setdefault(key, self.receiver.counts[key])

    def note_of_file(self) -> None:
        """Of the engine's file as the dead process left it: read in a copy."""
        source = self.folder / FILE
        if not source.exists():
            return
        copy = self.folder / "copy"
        copy.mkdir(exist_ok=True)
        for each in self.folder.glob(f"{FILE}*"):
            shutil.copy(each, copy / each.name)
        connection = sqlite3.connect(copy / FILE)
        try:
            self.note(connection.execute("SELECT workflow_uuid, function_name FROM operation_outputs").fetchall())
        except sqlite3.OperationalError:
            return  # it was killed before there was a table
        finally:
            connection.close()
            shutil.rmtree(copy)

    def lose_the_file(self) -> None:
        lost = list(self.folder.glob(f"{FILE}*"))
        assert lost
        for each in lost:
            each.unlink()

    async def note_of_postgres(self) -> None:
        connection = await asyncpg.connect(self.database)
        try:
            rows = await connection.fetch("SELECT workflow_uuid, function_name FROM gesta_engine.operation_outputs")
        finally:
            await connection.close()
        self.note([tuple(row) for row in rows])

    async def check_ends(self) -> Counter[Status]:
        """Every run is over, and its record, its events and the receiver agree on what it did."""
        ends: Counter[Status] = Counter()
        async with open_core(self.settings) as core:
            (organization,) = await core.access.organizations()
            ids = [row[0] for row in await core.database.read(_runs)]
            assert {run_id for run_id in self.made.values() if run_id} <= set(ids)
            executions: list[Execution] = []
            for run_id in ids:
                execution = await core.ledger.get(organization.id, run_id)
                assert execution is not None
                executions.append(execution)
                ends[execution.status] += 1
                events = (await core.ledger.events(organization.id, run_id, limit=500)).events
                self.check_run(execution, list(events))
        events_taken = [each for each in executions if each.source is Source.EVENT]
        assert len(events_taken) == sum(key.startswith("event-") for key in self.made)
        assert any(each.source is Source.SCHEDULE for each in executions)
        return ends

    def check_run(self, execution: Execution, events: list[Event]) -> None:
        run_id = execution.id
        assert execution.status in TERMINAL, f"run {run_id} is {execution.status}"
        # A stop may have come too late.
        may_be = {Status.SUCCEEDED, Status.CANCELLED} if run_id in self.stopping else {Status.SUCCEEDED}
        assert execution.status in may_be, (execution, events)
        told = Counter((event.type, event.data["nodeId"], event.data["attempt"]) for event in events if _is_node(event))
        assert all(count == 1 for count in told.values()), f"run {run_id} tells something twice: {told}"
        assert sum(event.to_status in TERMINAL for event in events if event.to_status != event.from_status) == 1
        asked = {key for key, owner in self.receiver.runs.items() if owner == run_id}
        # Under these keys and no others.
        assert all(key.startswith(f"{run_id}/") for key in asked)
        assert isinstance(execution.detail, RunDetail)
        for node in execution.detail.nodes:
            if node.type == "http" and node.status == "succeeded":
                assert f"{run_id}/{node.id}" in asked


def _is_node(event: Event) -> bool:
    return event.type.startswith("node.")


def _runs() -> Program[list[Any]]:
    return (yield Fetch(IDS))


async def end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_runs_outlive_every_kill_on_sqlite(tmp_path: Path) -> None:
    assert POINTS_REACHED.keys() <= POINTS.keys()
    async with receiving() as receiver:
        floor = Floor(str(tmp_path / "gesta.sqlite3"), tmp_path, receiver)
        await floor.prepare()
        plan = [f"{point}:{times}" for point, times in POINTS_REACHED.items()] + [""] * RANDOM
        floor.moments.shuffle(plan)
        for point in plan:
            await floor.live("load" if point else "burst", point)
            floor.note_of_file()
            await floor.check()
        await floor.live("finish")
        await floor.check()
        ends = await floor.check_ends()
        assert len(floor.made) > BURST * 3
        assert floor.stopped
        assert floor.woken
        assert floor.done
        assert ends[Status.SUCCEEDED] > BURST * 2
        # Some were interrupted, and asked again with the same key.
        assert any(count > 1 for key, count in receiver.counts.items() if not key.endswith("flaky"))


async def test_the_engine_s_file_is_no_record(tmp_path: Path) -> None:
    """What it holds besides saves steps from being done again; without it runs are begun from their own rows."""
    async with receiving() as receiver:
        floor = Floor(str(tmp_path / "gesta.sqlite3"), tmp_path, receiver)
        await floor.prepare()
        await floor.live("burst")
        floor.lose_the_file()
        await floor.live("finish")
        await floor.check()
        assert len(floor.made) >= BURST
        await floor.check_ends()


class Workers:
    """Some workers at a time, each to die at a point of its own."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    async def begin(self, name: str, point: str = "") -> Process:
        environ = {**CLEAN, "GESTA_CRASH_POINT": point, "GESTA_WORKFLOWS__ALLOW_NETWORKS": "127.0.0.0/8"}
        process = await asyncio.create_subprocess_exec(
            str(GESTA), "worker",
            "--database", self.floor.database, "--name", name, "--log-level", "warning",
            cwd=ROOT, env=environ, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        async with asyncio.timeout(DIES_S):
            line = await process.stderr.readline()
        assert b"carries runs" in line, line + await process.stderr.read()
        return process

    async def die_in_turn(self, slot: int, points: list[str]) -> None:
        """One after the other under the same name; the last has no point."""
        for point in points:
            process = await self.begin(f"w{slot}", point)
            try:
                async with asyncio.timeout(DIES_S):
                    assert await process.wait() == -signal.SIGKILL
            finally:
                await end(process)
            await self.floor.note_of_postgres()


async def test_workers_outlive_every_kill_on_postgres(tmp_path: Path) -> None:
    async with receiving() as receiver, AsyncExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        floor = Floor(postgres.create("runs"), tmp_path, receiver)
        await floor.prepare()
        workers = Workers(floor)
        server = await floor.begin("submit")
        stack.push_async_callback(end, server)
        listening = asyncio.create_task(floor.listen(server))
        points = [f"workflows.{word}:{POINTS_REACHED['workflows.' + word] // 4}" for word in OF_WORKERS]
        floor.moments.shuffle(points)
        await asyncio.gather(*(workers.die_in_turn(slot, points[slot::3]) for slot in range(3)))

        # One that is only slow: what it had is taken over, and what it says afterwards counts for nothing.
        zombie = await workers.begin("zombie")
        stack.push_async_callback(end, zombie)
        await asyncio.sleep(1.0)
        zombie.send_signal(signal.SIGSTOP)
        for slot in range(3):
            stack.push_async_callback(end, await workers.begin(f"w{slot}"))
        await _none_left_of(floor, ":zombie")
        zombie.send_signal(signal.SIGCONT)

        server.kill()
        await listening
        await floor.live("finish")
        await floor.check()
        ends = await floor.check_ends()
        assert len(floor.made) >= BURST
        assert floor.stopped
        assert floor.done
        assert ends[Status.SUCCEEDED] > BURST / 2
        zombie.terminate()
        async with asyncio.timeout(DIES_S):
            assert await zombie.wait() == 0


_LEFT_OF = "SELECT count(*) FROM workflow_runs WHERE state = 'running' AND owner LIKE '%' || $1"


async def _none_left_of(floor: Floor, worker: str) -> None:
    """Return once no run is the worker's any more: it is known to be dead after five seconds, and a loaded machine
    takes its time to begin again what it had."""
    connection = await asyncpg.connect(floor.database)
    try:
        async with asyncio.timeout(DIES_S):
            while await connection.fetchval(_LEFT_OF, worker):  # noqa: ASYNC110 - it is another process's doing
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


@pytest.mark.parametrize("database", ["gesta.sqlite3", "sqlite:///somewhere/gesta.sqlite3"])
async def test_a_worker_refuses_sqlite(tmp_path: Path, database: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(GESTA), "worker", "--database", database,
        cwd=tmp_path, env=CLEAN, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await process.communicate()
    assert process.returncode == 2
    assert said == b""
    assert b"A worker needs a PostgreSQL database" in complained
    assert os.listdir(tmp_path) == []

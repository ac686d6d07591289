"""A server that leaves its runs to workers, and the workers: real processes over one PostgreSQL database."""

from __future__ import annotations

import asyncio
import itertools
import sys
from asyncio.subprocess import Process as Child
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from benchmarks.databases import temporary_folder
from benchmarks.harness import CpuClock, cpu_of
from benchmarks.served import SETTINGS, Caller, Process, request, serve_arguments
from gesta.access.bootstrap import Bootstrap, bootstrap
from gesta.app.build import open_core
from gesta.app.settings import load_settings
from gesta.kernel.json import encode_json

CALLERS = 16
LOOK_S = 0.02
READY_S = 60.0
STOP_S = 15.0
OVER_S = 180.0

WORKFLOWS = """[trading]
enabled = false
[workflows]
carries = {carries}
concurrency = {concurrency}
allow_networks = "127.0.0.0/8"
steps_module = "benchmarks.workflow_steps"
"""


class Fleet:
    """`callers`: connections to the server. `workers`: by their `--name`. `cpu`: of the server and the workers."""

    def __init__(
        self,
        made: Bootstrap,
        place: tuple[str, int],
        callers: list[Caller],
        database: asyncpg.Connection | None,
        workers: dict[str, Child],
        cpu: CpuClock,
    ) -> None:
        self.database = database
        self.workers = workers
        self.cpu = cpu
        self._place = place
        self._callers = callers
        self._headers = {"Authorization": f"Bearer {made.bearer.secret}", "Content-Type": "application/json"}

    async def publish(self, name: str, nodes: list[dict[str, Any]]) -> None:
        document = {"name": name, "nodes": [{"id": "start", "type": "start"}, *nodes]}
        await self.call("/ledger/workflows", {"definition": document, "alias": name, "publish": True})

    async def call(self, target: str, body: dict[str, Any], caller: int = 0, status: int = 201) -> Any:
        return await self._ask(posting(target, self._headers, body), caller, status)

    async def _ask(self, asked: bytes, caller: int, status: int) -> Any:
        if not self._callers[caller].is_open:
            self._callers[caller] = await Caller.connect(self._place)
        answer = await self._callers[caller].ask(asked, status)
        return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])

    async def start(self, workflow: str, count: int) -> None:
        """So many runs, by all callers at once; on return all are on disk."""
        numbers = iter(range(count))

        async def caller(place: int) -> None:
            for number in numbers:
                await self.call("/ledger/runs", {"workflow": workflow, "input": number}, place)

        await asyncio.gather(*(caller(place) for place in range(len(self._callers))))

    async def start_one(self, workflow: str, number: int) -> None:
        await self.call("/ledger/runs", {"workflow": workflow, "input": number}, number % len(self._callers))

    async def total(self, **filters: str) -> int:
        """How many runs the record has of those."""
        target = "/ledger/executions?kind=run&limit=1" + "".join(f"&{name}={value}" for name, value in filters.items())
        return int((await self._ask(request(target, self._headers), 0, 200))["total"])

    async def over(self, *, most_s: float = OVER_S) -> int:
        """Return once no run goes on: how many still do when that took too long."""
        return await none_left(self.query, "SELECT count(*) FROM workflow_runs WHERE state <> 'over'", most_s)

    async def taken_ms(self, of_last: int) -> list[float]:
        """From the birth of each of the last runs to its end, as its own record has them."""
        rows = await self.query(
            "SELECT (updated_at - created_at) / 1000.0 FROM workflow_runs ORDER BY created_at DESC LIMIT $1", of_last
        )
        return [float(row[0]) for row in rows]

    async def query(self, command: str, *values: Any) -> list[Any]:
        assert self.database is not None
        return list(await self.database.fetch(command, *values))


async def none_left(query: Any, command: str, most_s: float) -> int:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + most_s
    while (left := int((await query(command))[0][0])) and loop.time() < end_s:  # noqa: ASYNC110 - others' doing
        await asyncio.sleep(LOOK_S)
    return left


def posting(target: str, headers: dict[str, str], body: dict[str, Any]) -> bytes:
    text = encode_json(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target} HTTP/1.1\r\nHost: gesta.test\r\nContent-Length: {len(text)}\r\n{lines}\r\n".encode() + text


@asynccontextmanager
async def fleet(url: str, workers: int, *, concurrency: int = 64, callers: int = CALLERS) -> AsyncIterator[Fleet]:
    """`gesta serve` on a new database and so many `gesta worker` beside it; with none it carries runs out itself."""
    with temporary_folder() as folder:
        config = folder / "gesta.toml"
        config.write_text(SETTINGS + WORKFLOWS.format(carries=str(not workers).lower(), concurrency=concurrency))
        async with open_core(load_settings(config, {"database.url": url})) as core:
            made = await bootstrap(core.access, "benchmarks")
        address = folder / "address"
        server = Process(serve_arguments(folder, url, address), address)
        connection = await asyncpg.connect(url) if url.startswith("postgresql:") else None
        connections: list[Caller] = []
        children: dict[str, Child] = {}
        try:
            place = await server.address()
            connections += [await Caller.connect(place) for _ in range(callers)]
            for number in range(workers):
                arguments = ["--config", str(config), "--database", url, "--name", f"w{number}"]
                command = ["-c", "from gesta.cli import main; main()", "worker", *arguments]
                children[f"w{number}"] = await begin(command, "carries runs", folder / f"w{number}.log")
            cpu = cpu_of(server.pid, *(child.pid for child in children.values()))
            yield Fleet(made, place, connections, connection, children, cpu)
        finally:
            for caller in connections:
                caller.close()
            await end(children.values())
            server.stop()
            if connection is not None:
                await connection.close()


async def begin(arguments: Sequence[str], ready: str, log: Path) -> Child:
    """A Python process that says when it is ready, on standard error, which is the file `log`. Raises RuntimeError."""
    with log.open("wb") as file:
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=file)
    for _ in itertools.repeat(None, int(READY_S / LOOK_S)):
        if ready in _said(log):
            return child
        if child.returncode is not None:
            break
        await asyncio.sleep(LOOK_S)
    await end([child])
    raise RuntimeError(f"{' '.join(arguments[-6:])} did not begin: {_said(log)[-2000:]}")


def _said(log: Path) -> str:
    return log.read_text("utf-8", "replace")


async def end(children: Any) -> None:
    living = [child for child in children if child.returncode is None]
    for child in living:
        child.terminate()
    for child in living:
        try:
            await asyncio.wait_for(child.wait(), STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()

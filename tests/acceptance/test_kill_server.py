"""kill -9 of the real `gesta serve` under clients, over HTTP: 10 times on each database, restarted by itself each time.

What the clients were told is compared by test_kill.py's witness; the next server must have it all.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.access.bootstrap import bootstrap
from gesta.app.build import database_of, open_core
from gesta.app.settings import load_settings
from gesta.kernel.crash import POINTS
from tests.acceptance.witness import Batch, Witness
from tests.integration.postgres_control import running_postgres

GESTA = Path(sys.executable).parent / "gesta"
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("GESTA_")}
# Those that ingest reaches; test_trading_kill.py has the others.
INGEST = sorted(point for point in POINTS if not point.startswith(("trading.", "executors.", "workflows.")))
RANDOM = 5
CLIENTS = 4
# Later than what the check of the kill before reaches.
TIMES = 20
START_S = 60
DIES_S = 60


def row_of(life: int, client: int, number: int, place: int) -> dict[str, Any]:
    id_ = f"{life}-{client}-{number}-{place}"
    created_at = f"2026-03-{1 + number % 28:02d}T12:{place:02d}:{client:02d}Z"
    if place == 0:
        detail = {"kind": "executor", "executor_type": "grid_executor", "trading_pair": "BTC-USDT"}
        return {"id": id_, "account": "Sim101", "created_at": created_at, "status": "running", "detail": detail}
    detail = {"kind": "fill", "order_id": f"{life}-{number}", "instrument": "ES 12-26", "side": "buy",
              "quantity": "1", "price": "5800.25"}  # fmt: skip
    return {"id": id_, "account": "Sim101", "created_at": created_at, "detail": detail}


def rows_of(life: int, client: int, number: int) -> list[dict[str, Any]]:
    return [row_of(life, client, number, place) for place in range(1 + (number * 7 + client) % 23)]


class Ledgers:
    """One database, its credential, and the servers that die over it."""

    def __init__(self, database: str, folder: Path) -> None:
        self.settings = load_settings(None, {"database.url": database})
        self.folder = folder
        self.life = 0
        self.kills = 0
        self.batches: dict[Batch, list[dict[str, Any]]] = {}
        self.token = ""
        self.witness = Witness(0)

    async def prepare(self) -> None:
        async with open_core(self.settings) as core:
            made = await bootstrap(core.access, "kill")
            self.token = made.bearer.secret
            self.witness = Witness(made.organization.id)

    @asynccontextmanager
    async def serving(self, point: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
        self.life += 1
        server = await asyncio.create_subprocess_exec(
            GESTA, "serve", "--port", "0", "--database", self.settings.database.url, "--log-level", "warning",
            cwd=self.folder, env={**CLEAN, "GESTA_CRASH_POINT": point}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            line = await asyncio.wait_for(server.stdout.readline(), START_S)
            assert b"Gesta answers on " in line, line
            headers = {"Authorization": f"Bearer {self.token}"}
            async with httpx.AsyncClient(base_url=line.split()[3].decode(), headers=headers, timeout=30) as client:
                yield server, client
        finally:
            if server.returncode is None:
                server.kill()
            await server.communicate()

    async def check(self, client: httpx.AsyncClient) -> None:
        """The server that came after a kill has everything; a recount runs beside it."""

        async def resend(batch: Batch) -> list[tuple[str, int]]:
            return outcomes(await client.post("/ledger/executions", json=self.batches[batch]))

        database = database_of(self.settings)
        await database.start()
        try:
            await self.witness.check(database, resend)
        finally:
            await database.stop()

    async def use(self, client: httpx.AsyncClient, number: int, spoke: asyncio.Event) -> None:
        """One client: it records and changes until the server is gone."""
        life, count = self.life, 0
        try:
            while True:
                rows = rows_of(life, number, count)
                batch = tuple(row["id"] for row in rows)
                self.batches[batch] = rows
                self.witness.tries(batch)
                results = outcomes(await post(client, rows, as_lines=count % 2 == 1))
                assert {outcome for outcome, _ in results} == {"recorded"}
                self.witness.acknowledged(batch, [seq for _, seq in results])
                spoke.set()
                for version, status in ((2, "stopping"), (3, "succeeded")):
                    self.witness.moves(batch[0])
                    body = {"status": status, "expected_version": version - 1}
                    answer = await client.post(f"/ledger/executions/{batch[0]}/transitions", json=body)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["version"] == version
                    self.witness.moved(batch[0], version)
                count += 1
        except httpx.TransportError:
            return

    async def kill_once(self, point: str, moments: random.Random) -> None:
        async with self.serving(point) as (server, client):
            await self.check(client)
            spoke = asyncio.Event()
            async with asyncio.timeout(DIES_S), asyncio.TaskGroup() as clients:
                for number in range(CLIENTS):
                    clients.create_task(self.use(client, number, spoke))
                if not point:
                    await spoke.wait()
                    await asyncio.sleep(moments.random() * 0.3)
                    server.send_signal(signal.SIGKILL)
            assert await asyncio.wait_for(server.wait(), DIES_S) == -signal.SIGKILL
            self.kills += 1


async def post(client: httpx.AsyncClient, rows: list[dict[str, Any]], *, as_lines: bool) -> httpx.Response:
    if not as_lines:
        return await client.post("/ledger/executions", json=rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return await client.post("/ledger/executions", content=lines, headers={"Content-Type": "application/x-ndjson"})


def outcomes(answer: httpx.Response) -> list[tuple[str, int]]:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] == "application/json":
        results = answer.json()["results"]
    else:
        *results, _summary = map(json.loads, answer.text.splitlines())
    return [(result["outcome"], result["seq"]) for result in results]


@pytest.fixture(params=["sqlite", "postgres"])
def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledgers]:
    if request.param == "sqlite":
        yield Ledgers(str(tmp_path / "ledger.sqlite3"), tmp_path)
        return
    with running_postgres() as postgres:
        yield Ledgers(postgres.create("kill"), tmp_path)


async def test_the_server_is_killed_and_restarted(ledgers: Ledgers) -> None:
    await ledgers.prepare()
    moments = random.Random(20_261_121)
    points = [f"{point}:{TIMES}" for point in INGEST] + [""] * RANDOM
    moments.shuffle(points)
    for point in points:
        await ledgers.kill_once(point, moments)
    assert ledgers.kills == len(INGEST) + RANDOM == 10
    async with ledgers.serving() as (_, client):
        await ledgers.check(client)
        # The recount of the command line, beside the running server.
        verify = await asyncio.create_subprocess_exec(
            GESTA, "verify", "--database", ledgers.settings.database.url,
            env=CLEAN, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await verify.communicate()
        assert verify.returncode == 0, said.decode()
        listed = (await client.get("/ledger/executions", params={"limit": 1})).json()
        assert listed["total"] == len(ledgers.witness.recorded) > 100
        database = database_of(ledgers.settings)
        await database.start()
        try:
            await ledgers.witness.check_from_the_start(database)
        finally:
            await database.stop()

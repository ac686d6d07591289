"""An outage as every dialect's callers see it: 503 with Retry-After in the dialect's shape, then all as before."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gesta.access.bootstrap import bootstrap
from gesta.access.model import AccountType
from gesta.app import http_server
from gesta.app.build import Core, build
from gesta.app.settings import Settings, load_settings
from gesta.ledger.query import Filter
from gesta.ledger.records import Status
from gesta.ledger.verify import verify
from gesta.testing.rows import executor, fill, run
from tests.integration.faulty_disk import FaultyDisk, faulty_disk
from tests.integration.postgres_control import PostgresControl, running_postgres

# The outage of the acceptance text is ten seconds; GESTA_TEST_OUTAGE_S=10 runs it so.
OUTAGE_S = float(os.environ.get("GESTA_TEST_OUTAGE_S", "3"))
HANGS_S = 5
ROWS = 30


class Callers:
    """A running server, and one caller of each dialect: a read, and for the ledger's own a write."""

    def __init__(self, core: Core, client: httpx.AsyncClient, organization: int, credentials: dict[str, Any]) -> None:
        self.core = core
        self.client = client
        self.organization = organization
        self._credentials = credentials
        self.recorded: list[str] = []

    async def read(self, dialect: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self._credentials['bearer']}"}
        path, options = {
            "crosstrade": ("/v1/api/accounts/Sim101/executions?lookbackTime=2147483647", {"headers": bearer}),
            "hummingbot": ("/executors/executor1", {"auth": self._credentials["basic"]}),
            "b3os": ("/v1/executions", {"headers": {"Authorization": f"Bearer {self._credentials['b3os']}"}}),
            "refold": (
                "/api/v2/public/execution",
                {"headers": {"x-api-key": self._credentials["key"], "linked_account_id": "someone@example.com"}},
            ),
            "native": ("/ledger/executions?name=Execution", {"headers": bearer}),
        }[dialect]
        return await self._timed(self.client.get(path, **options))

    async def write(self, number: int) -> httpx.Response:
        row = {
            "id": f"posted{number}",
            "account": "Sim101",
            "created_at": "2026-03-10T12:00:00Z",
            "status": "running",
            "detail": {"kind": "executor"},
        }
        headers = {"Authorization": f"Bearer {self._credentials['bearer']}"}
        answer = await self._timed(self.client.post("/ledger/executions", json=row, headers=headers))
        if answer.status_code == 200:
            self.recorded.append(row["id"])
        return answer

    async def _timed(self, call: Any) -> httpx.Response:
        began_s = time.monotonic()
        answer: httpx.Response = await call
        assert time.monotonic() - began_s < HANGS_S
        return answer

    async def all_is_there(self) -> None:
        for id_ in self.recorded:
            row = await self.core.ledger.get(self.organization, id_)
            assert row is not None
        assert await self.core.ledger.count(Filter(organization=self.organization)) == 3 * ROWS + len(self.recorded)
        assert (await verify(self.core.database)).faults == []


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Callers]:
    """The whole server on a socket, with rows of every kind."""
    listener = http_server.listen(settings.server)
    stop, ready = asyncio.Event(), asyncio.Event()
    addresses: list[str] = []

    def on_ready(address: str) -> None:
        addresses.append(address)
        ready.set()

    async with build(settings) as server:
        core = server.core
        made = await bootstrap(core.access, "outage")
        organization, account = made.organization.id, made.account.id
        linked = await core.access.ensure_account(organization, "someone@example.com", AccountType.LINKED)
        for maker, owner in ((fill, account), (executor, account), (run, linked.id)):
            await core.ledger.append(organization, [maker(number, account=owner) for number in range(ROWS)])
        serving = asyncio.create_task(
            http_server.run(
                server.app, server.supervisor, settings, listener, on_ready=on_ready, handle_signals=False, stop=stop
            )
        )
        await ready.wait()
        credentials = {
            "bearer": made.bearer.secret,
            "b3os": made.b3os.secret,
            "basic": (made.basic.username, made.basic.secret),
            "key": made.production_key.secret,
        }
        async with httpx.AsyncClient(base_url=addresses[0], timeout=30) as client:
            yield Callers(core, client, organization, credentials)
        stop.set()
        await serving


def is_problem_of(dialect: str, answer: httpx.Response) -> None:
    """503 in the dialect's shape (docs/dialects), with a whole number of seconds to wait."""
    assert answer.status_code == 503, answer.text
    assert re.fullmatch(r"[1-9]\d?", answer.headers["retry-after"])
    body = answer.json()
    if dialect == "crosstrade":
        assert body["success"] is False
        assert body["retryAfter"] == int(answer.headers["retry-after"])
    elif dialect == "hummingbot":
        assert isinstance(body["detail"], str)
    elif dialect == "b3os":
        assert body["code"] in (503001, 503002)
        assert body["message"]
    elif dialect == "refold":
        assert "SERVICE_UNAVAILABLE" in answer.text
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (body["status"], body["type"]) in ((503, "/problems/unavailable"), (503, "/problems/storage_full"))


def told(answer: httpx.Response) -> dict[str, Any]:
    """The body without what is each request's own."""
    body: dict[str, Any] = answer.json()
    body.pop("requestId", None)
    return body


DIALECTS = ("crosstrade", "hummingbot", "b3os", "refold", "native")


@pytest.fixture
def postgres() -> Iterator[PostgresControl]:
    with running_postgres() as control:
        yield control


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as faulty:
        yield faulty


def settings_of(database: str) -> Settings:
    unlimited = {f"rates.{dialect}.{field}": 1_000_000 for dialect in DIALECTS for field in ("rate_per_s", "burst")}
    return load_settings(None, {"database.url": database, "server.port": 0, **unlimited}, environ={})


async def test_postgres_goes_away_and_comes_back(postgres: PostgresControl) -> None:
    async with serving(settings_of(postgres.create("outage"))) as callers:
        before = {dialect: told(await callers.read(dialect)) for dialect in DIALECTS}
        assert (await callers.write(0)).status_code == 200
        with postgres.stopped():
            ends_s = time.monotonic() + OUTAGE_S
            number = 1
            while time.monotonic() < ends_s:
                for dialect in DIALECTS:
                    is_problem_of(dialect, await callers.read(dialect))
                is_problem_of("native", await callers.write(number))
                assert (await callers.client.get("/healthz")).status_code == 200
                assert (await callers.client.get("/readyz")).status_code == 503
                number += 1
        deadline_s = time.monotonic() + 15
        while (await callers.write(0)).status_code != 200:
            assert time.monotonic() < deadline_s, "it does not recover by itself"
            await asyncio.sleep(0.1)
        callers.recorded = ["posted0"]
        assert (await callers.client.get("/readyz")).status_code == 200
        assert (await callers.write(1)).json()["recorded"] == 1
        for dialect in DIALECTS:
            answer = await callers.read(dialect)
            assert answer.status_code == 200
            if dialect in ("hummingbot", "b3os", "refold"):
                assert told(answer) == before[dialect]
        await callers.all_is_there()


async def test_the_disk_is_full_and_then_is_not(disk: FaultyDisk, tmp_path: Path) -> None:
    async with serving(settings_of(str(tmp_path / "ledger.sqlite3"))) as callers:
        before = {dialect: told(await callers.read(dialect)) for dialect in DIALECTS}
        assert (await callers.write(0)).status_code == 200
        disk.fill()
        for number in range(1, 4):
            answer = await callers.write(number)
            is_problem_of("native", answer)
            assert answer.json()["type"] == "/problems/storage_full"
            for dialect in DIALECTS:
                answer = await callers.read(dialect)
                assert answer.status_code == 200
                if dialect in ("hummingbot", "b3os", "refold"):
                    assert told(answer) == before[dialect]
        row = await callers.core.ledger.get(callers.organization, "executor2")
        assert row is not None
        assert row.status is Status.RUNNING
        disk.free()
        for number in range(1, 4):
            assert (await callers.write(number)).json()["recorded"] == 1
        await callers.all_is_there()

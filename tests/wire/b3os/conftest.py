"""The sub-app over a model of the ledger, and a client that speaks to it as the dispatcher does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from gesta.access.model import Scope
from gesta.apis.b3os.codec import decode
from gesta.apis.b3os.routes import build
from gesta.apis.common.services import Services
from gesta.desk.reading import Reading
from gesta.desk.recording import Recording
from gesta.ledger.face import Ledger
from gesta.ledger.records import AppendResult
from gesta.ledger.store import StoredLedger
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fake_access import FakeAccess, principal
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.testing.memory_ledger import MemoryLedger

MINE, OTHERS = 1, 2
TOKEN = "b3sk_mine"


class World:
    """One server: its services, its app, and two organizations with a user each."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.access = FakeAccess()
        self.access.bearers = {
            TOKEN: principal(MINE),
            "b3sk_other": principal(OTHERS, credential_id=2),
            "b3sk_none": msgspec.structs.replace(principal(MINE), scopes=frozenset()),
            "b3sk_reader": principal(MINE, Scope.READ, credential_id=3),
        }
        self.clock = ManualClock()
        self.ledger: Any = ledger or MemoryLedger(self.clock)
        self.services = Services(
            reading=Reading(self.ledger),
            recording=Recording(self.ledger),
            access=self.access,  # type: ignore[arg-type]
            clock=self.clock,
            ids=SeededIds(),
        )
        self.app: FastAPI = build(self.services)

    async def post(self, posted: Mapping[str, Any], organization: int = MINE) -> AppendResult:
        """What `POST /ledger/executions?dialect=b3os` does with one row, through JSON as the store does."""
        caller = principal(organization)
        decoded = decode(posted, now_us=self.clock.now_us(), organization=caller.organization.public_id)
        account = await self.access.ensure_account(organization, decoded.account_name, decoded.account_type)
        row = decoded.row(account)
        stored = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
        return (await self.services.recording.record(caller, [stored]))[0]

    async def post_many(self, count: int, **fields: Any) -> None:
        """Runs `run-0`, `run-1` … created one second after the other."""
        for number in range(count):
            second = f"{number // 60:02d}:{number % 60:02d}"
            posted = {"id": f"run-{number}", "status": "workflow_running", "createdAt": f"2026-03-10T12:{second}Z"}
            await self.post(posted | fields)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def stored_world(database: Database) -> World:
    """The same over each real database."""
    await migrate(database, (("access", "gesta.access.migrations"), ("ledger", "gesta.ledger.migrations")))
    return World(StoredLedger(database, ManualClock()))


@asynccontextmanager
async def client_of(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async def dispatched(scope: Any, receive: Any, send: Any) -> None:
        await world.app({**scope, "gesta.request_id": "request-1"}, receive, send)

    transport = httpx.ASGITransport(dispatched, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gesta.test", headers=headers) as client:
        yield client


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world) as client:
        yield client


@pytest.fixture
async def stored_client(stored_world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(stored_world) as client:
        yield client


@pytest.fixture
def seed() -> dict[str, Any]:
    """The item of the published example (seed 003)."""
    text = Path(__file__).with_name("seed_003_list.json").read_text()
    item: dict[str, Any] = json.loads(text)["data"]["items"][0]
    return item

"""The sub-app over a model of the ledger, and a client that speaks to it as the dispatcher does."""

from __future__ import annotations

import base64
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
from gesta.apis.common.services import Services
from gesta.apis.hummingbot.codec import decode
from gesta.apis.hummingbot.routes import build
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


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


class World:
    """One server: its services, its app, and two organizations with a user each."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.access = FakeAccess()
        self.access.users = {
            ("admin", "admin"): principal(MINE),
            ("other", "secret"): principal(OTHERS, credential_id=2),
            ("runner", "secret"): msgspec.structs.replace(principal(MINE), scopes=frozenset()),
            ("reader", "secret"): principal(MINE, Scope.READ, credential_id=3),
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
        """What `POST /ledger/executions?dialect=hummingbot` does with one row, through JSON as the store does."""
        caller = principal(organization)
        decoded = decode(posted, now_us=self.clock.now_us(), organization=caller.organization.public_id)
        account = await self.access.ensure_account(organization, decoded.account_name, decoded.account_type)
        row = decoded.row(account)
        stored = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
        return (await self.services.recording.record(caller, [stored]))[0]


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
    headers = basic("admin", "admin")
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
    """The published example (seed 002)."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("seed_002_executor.json").read_text())
    return loaded

"""The application under `/pay` over a house whose runs may cost something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gesta.app.build import MIGRATIONS
from gesta.storage.migrate import migrate
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_engine import EngineDisk
from gesta.web.pay import build_pay
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from tests.conformance.pay_house import PUBLIC, PayHouse
from tests.conformance.run_house import Remote


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[PayHouse]:
    database = SqliteDatabase(tmp_path / "pay.sqlite3")
    await database.start()
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    house = PayHouse(database, ManualClock(), EngineDisk(), Remote(), 0)
    await house.open()
    yield house
    await house.kill()
    await database.stop()


@pytest.fixture
async def browser(house: PayHouse) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_pay(house.payments))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        yield client

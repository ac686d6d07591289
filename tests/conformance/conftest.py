"""A ledger over each kind of database."""

from __future__ import annotations

import pytest

from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.storage.migrate import migrate
from gesta.storage.program import Database
from gesta.testing.fakes import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ledger(database: Database, clock: ManualClock) -> StoredLedger:
    await migrate(database, [MIGRATIONS])
    return StoredLedger(database, clock)

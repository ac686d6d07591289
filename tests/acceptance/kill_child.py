"""The process that is killed: records batches and changes, and says on standard output what it tries and what it has.

`python -m tests.acceptance.kill_child DATABASE LIFE`. The rows depend on LIFE and a counter only, so that whoever
watches can make the same rows again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

import gesta.storage.sqlite
from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import Conflict, Unavailable
from gesta.kernel.json import encode_json
from gesta.ledger.records import NewEvent, NewExecution, Status, Transition
from gesta.ledger.store import StoredLedger
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Database
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.rows import executor, fill

T = TypeVar("T")

ORG = 1
WORKERS = 3
SIZES = (1, 12, 3, 30, 2, 5)


def database_of(place: str) -> Database:
    return PostgresDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(place)


def rows_of(life: int, worker: int, number: int) -> list[NewExecution]:
    """One executor, which will change, and some fills, now and then older than what is there."""
    base = (life * WORKERS + worker) * 10_000 + number * 40
    age = base % 7919 * 1_000_000
    common = {"account": worker + 1, "created_at_us": 1_700_000_000_000_000 + age}
    fills = [fill(base + place, **common) for place in range(SIZES[number % len(SIZES)])]
    return [executor(base, **common), *fills]


def say(*words: object) -> None:
    """One line in the pipe, which a kill cannot take back."""
    os.write(1, encode_json(words) + b"\n")


async def work(ledger: StoredLedger, life: int, worker: int) -> None:
    number = 0
    while True:
        rows = rows_of(life, worker, number)
        say("try", worker, number)
        results = await persist(lambda rows=rows: ledger.append(ORG, rows))
        say("done", worker, number, [result.seq for result in results])
        id_ = rows[0].id
        for version, status in ((2, Status.STOPPING), (3, Status.SUCCEEDED)):
            change = Transition(status=status, event=NewEvent(type="executor.moved"), expected_version=version - 1)
            say("move", id_)
            try:
                await persist(lambda id_=id_, change=change: ledger.transition(ORG, id_, change))
            except Conflict as error:
                # The commit that the outage hid took effect.
                if error.details.get("version") != version:
                    raise
            say("moved", id_, version)
        number += 1


async def persist(call: Callable[[], Awaitable[T]]) -> T:
    """A caller that asks again when the database was out of reach."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0.05)


async def main() -> None:
    # Standard output belongs to what is said.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    place, life = sys.argv[1], int(sys.argv[2])
    # In some lives the WAL is moved into the file all the time, so that a kill meets that too.
    if life % 2:
        gesta.storage.sqlite.CHECKPOINT_PAGES = 20
    database = database_of(place)
    await database.start()
    ledger = StoredLedger(database, SystemClock())
    await asyncio.gather(*(work(ledger, life, worker) for worker in range(WORKERS)))


if __name__ == "__main__":
    asyncio.run(main())

"""Data sets of the size asked for, made once through `StoredLedger.append` and kept: fills, executors and runs.

One organization. Account 1 has about a fifth of the rows, 99 more share the rest; a tenth of the rows comes up to an
hour late. Statuses and sources are spread so that every filter of `lists` matches a known share, and one matches
almost nothing.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.databases import Postgres, database_at, scattered_id
from benchmarks.harness import bar
from gesta.kernel.clock import SystemClock
from gesta.ledger.records import Mode, NewExecution, Source, Status
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.storage.migrate import migrate, migrations_of
from gesta.testing.rows import executor, fill, run

ORGANIZATION = 1
ACCOUNTS = 100
BATCH = 2000
START_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
YEAR_US = 365 * 24 * HOUR_US
# Change it when the rows below change, so that kept data sets are made anew.
EDITION = "2"

RUN_STATUSES = (Status.SUCCEEDED,) * 6 + (Status.FAILED, Status.RUNNING, Status.QUEUED, Status.CANCELLED)
RUN_SOURCES = (Source.API, Source.EVENT, Source.SCHEDULE, Source.MANUAL)
EXECUTOR_STATUSES = (Status.SUCCEEDED,) * 7 + (Status.RUNNING, Status.FAILED, Status.CANCELLED)


def rows_of(total: int) -> Iterator[NewExecution]:
    """The same rows for the same total, spread over one year."""
    # Not for secrets: the same numbers every time are the point.
    dice = random.Random(total)
    step_us = YEAR_US // total
    # About 14 rows of the rare filter, whatever the size.
    rare = frozenset(range(total // 28, total, max(1, total // 14)))
    for number in range(total):
        at_us = START_US + number * step_us
        if dice.random() < 0.1:
            at_us -= dice.randrange(HOUR_US)
        account = 1 if dice.random() < 0.21 else dice.randrange(2, ACCOUNTS + 1)
        if number in rare:
            yield executor(
                number, Status.TIMED_OUT, account=1, created_at_us=at_us, source=Source.MANUAL, id=scattered_id(number)
            )
            continue
        kind = dice.random()
        if kind < 0.7:
            yield fill(
                number,
                id=scattered_id(number),
                account=account,
                created_at_us=at_us,
                source=Source.IMPORT if dice.random() < 0.2 else Source.VENUE,
            )
        elif kind < 0.8:
            yield executor(
                number,
                dice.choice(EXECUTOR_STATUSES),
                id=scattered_id(number),
                account=account,
                created_at_us=at_us,
                source=dice.choice((Source.API, Source.SCHEDULE)),
            )
        else:
            yield run(
                number,
                dice.choice(RUN_STATUSES),
                account=account,
                created_at_us=at_us,
                source=dice.choice(RUN_SOURCES),
                mode=dice.choice((Mode.SYNC, Mode.ASYNC)),
            )


def edition() -> str:
    """What a kept data set is good for: these rows in this schema."""
    checksums = "".join(each.checksum for each in migrations_of(*MIGRATIONS))
    return hashlib.sha256(f"{EDITION}{checksums}".encode()).hexdigest()[:12]


async def sqlite_with(total: int, folder: Path) -> str:
    """The path of an SQLite ledger with so many rows."""
    path = folder / f"rows-{total}-{edition()}.sqlite3"
    if not path.exists():
        partial = _fresh(path.with_name("partial.sqlite3"))
        await _make(str(partial), total)
        shutil.move(partial, path)
    return str(path)


def _fresh(path: Path) -> Path:
    """The path, of which nothing is left from a run that was stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(path.name + "*"):
        leftover.unlink()
    return path


async def postgres_with(total: int, server: Postgres) -> str:
    """The URL of a PostgreSQL ledger with so many rows."""
    name = f"rows_{total}_{edition()}"
    if not await server.has(name):
        await server.drop("partial")
        await _make(await server.create("partial"), total)
        await server.execute(f"ALTER DATABASE partial RENAME TO {name}")
        # As the server's own housekeeping does soon after.
        await server.execute("VACUUM ANALYZE", name)
    return server.url(name)


async def _make(place: str, total: int) -> None:
    database = database_at(place)
    await database.start()
    try:
        await migrate(database, [MIGRATIONS])
        ledger = StoredLedger(database, SystemClock())
        progress, advance = bar(f"making a ledger of {total:,} rows", total)
        batch: list[NewExecution] = []
        with progress:
            for row in rows_of(total):
                batch.append(row)
                if len(batch) == BATCH:
                    await ledger.append(ORGANIZATION, batch)
                    advance(len(batch))
                    batch = []
            await ledger.append(ORGANIZATION, batch)
    finally:
        await database.stop()

"""SQLite under trouble: a full disk, I/O errors, a stop in the middle, waiters that went away, a copy during writes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from gesta.kernel.errors import ServerError, StorageFull, Unavailable
from gesta.ledger.query import Filter
from gesta.ledger.records import NewEvent, Outcome, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.program import Fetch, Program, Statement
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.fakes import ManualClock
from gesta.testing.rows import executor, fill
from tests.integration.faulty_disk import FaultyDisk, faulty_disk

ORG = 1
ALL = Filter(organization=ORG)
STOP = Transition(status=Status.STOPPING, event=NewEvent(type="executor.stopping"))


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as faulty:
        yield faulty


@pytest.fixture
async def database(disk: FaultyDisk, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "ledger.sqlite3")
    await opened.start()
    await migrate(opened, [MIGRATIONS])
    yield opened
    await opened.stop()


@pytest.fixture
async def ledger(database: SqliteDatabase) -> StoredLedger:
    ledger = StoredLedger(database, ManualClock())
    await ledger.append(ORG, [fill(number) for number in range(50)])
    await ledger.append(ORG, [executor(1)])
    return ledger


async def still_reads(ledger: StoredLedger) -> None:
    """Every way of reading: inline, in a snapshot, in a thread of its own."""
    assert await ledger.get(ORG, fill(7).id) is not None
    assert (await ledger.page(ALL, offset=10, limit=20)).total == 51
    assert await ledger.count(Filter(organization=ORG, name_contains="Execution 7")) == 1
    assert await ledger.head(ORG) == 51
    assert len(await ledger.summary(ALL, by=frozenset({"kind"}))) == 2


async def works_again(ledger: StoredLedger, database: SqliteDatabase, before: int = 51) -> None:
    results = await ledger.append(ORG, [fill(number) for number in range(500, 800)])
    assert {result.outcome for result in results} == {Outcome.RECORDED}
    assert [result.seq for result in results] == list(range(before + 1, before + 301))
    assert (await ledger.transition(ORG, "executor1", STOP)).version == 2
    assert await ledger.count(ALL) == before + 300
    assert (await verify(database)).faults == []


async def test_a_full_disk_refuses_writes_and_serves_reads(
    disk: FaultyDisk, ledger: StoredLedger, database: SqliteDatabase
) -> None:
    disk.fill()
    for _ in range(3):
        with pytest.raises(StorageFull) as caught:
            await ledger.append(ORG, [fill(number) for number in range(500, 800)])
        assert (caught.value.status, caught.value.retry_after_s) == (503, 30)
        with pytest.raises(StorageFull):
            await ledger.transition(ORG, "executor1", STOP)
        await still_reads(ledger)
    assert disk.refused >= 6
    disk.free()
    await works_again(ledger, database)


@pytest.mark.parametrize("after", [1, 2, 5, 11, 23, 47])
async def test_a_disk_that_fills_up_during_a_commit_keeps_nothing_of_the_group(
    disk: FaultyDisk, ledger: StoredLedger, database: SqliteDatabase, after: int
) -> None:
    """All pages of a transaction go to the WAL when it commits: this is COMMIT that fails, at its n-th write."""
    disk.fill(files="-wal", after=after)
    waiting = [
        ledger.append(2 + number, [fill(place, account=2 + number) for place in range(400)]) for number in range(5)
    ]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StorageFull] * 5
    disk.free()
    for organization in range(2, 7):
        assert await ledger.count(Filter(organization=organization)) == 0
        assert await ledger.head(organization) == 0
    await still_reads(ledger)
    await works_again(ledger, database)


async def test_an_error_of_the_commits_sync_fails_every_job_of_the_group(
    disk: FaultyDisk, ledger: StoredLedger, database: SqliteDatabase
) -> None:
    disk.fill(files="-wal", kinds=("sync",))
    results = await asyncio.gather(
        *(ledger.append(number, [fill(1, account=number)]) for number in range(2, 10)), return_exceptions=True
    )
    assert [isinstance(result, Unavailable) for result in results] == [True] * 8
    disk.free()
    await still_reads(ledger)
    for organization in range(2, 10):
        (again,) = await ledger.append(organization, [fill(1, account=organization)])
        assert again.outcome is Outcome.RECORDED
    await works_again(ledger, database)


async def test_a_program_of_its_own_fault_keeps_its_error_when_the_group_fails_too(
    disk: FaultyDisk, database: SqliteDatabase
) -> None:
    def faulty() -> Program[None]:
        yield Fetch(Statement("nothing", "SELECT 1", "SELECT 1"))
        raise LookupError("mine")

    ledger = StoredLedger(database, ManualClock())
    disk.fill(files="-wal")
    results = await asyncio.gather(database.write(faulty), ledger.append(ORG, [fill(1)]), return_exceptions=True)
    assert [type(result) for result in results] == [LookupError, StorageFull]


async def test_an_io_error_is_unavailable_and_heals(
    disk: FaultyDisk, ledger: StoredLedger, database: SqliteDatabase
) -> None:
    disk.fail()
    with pytest.raises(Unavailable) as caught:
        await ledger.append(ORG, [fill(500)])
    assert not isinstance(caught.value, StorageFull)
    await still_reads(ledger)
    disk.free()
    await works_again(ledger, database)


async def test_a_full_disk_during_the_checkpoint_loses_nothing(
    disk: FaultyDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAL still grows, the main file cannot: the commit stands, the checkpoint waits for room."""
    monkeypatch.setattr("gesta.storage.sqlite.CHECKPOINT_PAGES", 4)
    database = SqliteDatabase(tmp_path / "ledger.sqlite3")
    await database.start()
    await migrate(database, [MIGRATIONS])
    ledger = StoredLedger(database, ManualClock())
    disk.fill(files="sqlite3")
    recorded = 0
    for start in range(0, 1000, 100):
        try:
            results = await ledger.append(ORG, [fill(number) for number in range(start, start + 100)])
        except StorageFull:
            # A real disk's error in the checkpoint is not told to the writer; this one's comes through all the same.
            continue
        recorded += len(results)
    assert disk.refused > 0
    assert await ledger.count(ALL) >= recorded
    # Stopping cannot empty the WAL either, and says so in the log only.
    await database.stop()
    disk.free()
    await database.start()
    again = StoredLedger(database, ManualClock())
    results = [
        result
        for start in range(0, 1000, 100)
        for result in await again.append(ORG, [fill(number) for number in range(start, start + 100)])
    ]
    assert sum(result.outcome is Outcome.DUPLICATE for result in results) >= recorded
    assert await again.count(ALL) == 1000
    assert (await verify(database)).faults == []
    await database.stop()


async def test_a_database_at_its_page_limit_is_full(ledger: StoredLedger, database: SqliteDatabase) -> None:
    """Refused when a page is wanted, before the commit: SQLite then rolls back by itself."""

    def limit(pages: int) -> Program[int]:
        rows = yield Fetch(Statement("limit", f"PRAGMA max_page_count = {pages}", ""))
        return int(rows[0][0])

    pages = await database.write(lambda: limit(1))
    assert pages > 1
    results = await asyncio.gather(
        *(ledger.append(2 + number, [fill(place, account=2 + number) for place in range(300)]) for number in range(4)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StorageFull] * 4
    await still_reads(ledger)
    await database.write(lambda: limit(1_000_000))
    await works_again(ledger, database)


async def test_a_file_that_is_no_database_is_the_servers_error(tmp_path: Path) -> None:
    path = tmp_path / "not.sqlite3"
    path.write_bytes(b"no database at all, " * 500)
    database = SqliteDatabase(path)
    with pytest.raises(ServerError, match="damaged or not a database"):
        await database.start()


async def test_stop_finishes_every_accepted_write(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "ledger.sqlite3")
    await database.start()
    await migrate(database, [MIGRATIONS])
    ledger = StoredLedger(database, ManualClock())
    writes = [asyncio.create_task(ledger.append(number, [fill(1, account=number)])) for number in range(1, 300)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await database.stop()
    results = await asyncio.gather(*writes)
    assert {result.outcome for (result,) in results} == {Outcome.RECORDED}
    with pytest.raises(Unavailable):
        await ledger.append(1, [fill(2)])
    await database.start()
    report = await verify(database)
    assert (report.executions, report.faults) == (299, [])
    await database.stop()


async def test_a_waiter_that_went_away_does_not_take_its_write_along(
    ledger: StoredLedger, database: SqliteDatabase
) -> None:
    write = asyncio.create_task(ledger.append(ORG, [fill(number) for number in range(100, 200)]))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    results = await ledger.append(ORG, [fill(number) for number in range(100, 200)])
    assert {result.outcome for result in results} == {Outcome.DUPLICATE}
    assert await ledger.count(ALL) == 151
    assert (await verify(database)).faults == []


async def test_a_write_that_has_returned_is_read(ledger: StoredLedger) -> None:
    async def write_and_read(number: int) -> None:
        row = executor(number)
        (result,) = await ledger.append(ORG, [row])
        read = await ledger.get(ORG, row.id)
        assert read is not None
        assert await ledger.head(ORG) >= result.seq
        assert await ledger.count(Filter(organization=ORG, name_contains=row.name)) == 1
        changed = await ledger.transition(ORG, row.id, STOP)
        read = await ledger.get(ORG, row.id)
        assert read is not None
        assert (read.status, read.version, read.seq) == (Status.STOPPING, 2, changed.seq)

    for start in range(1000, 1200, 20):
        await asyncio.gather(*(write_and_read(number) for number in range(start, start + 20)))


async def test_a_backup_during_writes_is_of_one_moment(
    ledger: StoredLedger, database: SqliteDatabase, tmp_path: Path
) -> None:
    done = asyncio.Event()
    grown = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not done.is_set():
            rows = [executor(1000 + written + place) for place in range(5)]
            recorded = [result.outcome for result in await ledger.append(ORG, rows)]
            assert set(recorded) == {Outcome.RECORDED}
            await ledger.transition(ORG, rows[0].id, STOP)
            written += 5
            grown.set()

    writer = asyncio.create_task(write())
    seen: list[tuple[int, int]] = []
    for number in range(3):
        await grown.wait()
        before = written
        copy = tmp_path / f"copy{number}.sqlite3"
        await database.backup(copy, lambda *pages: seen.append(pages))
        grown.clear()
        assert not copy.with_name(copy.name + ".partial").exists()
        restored = SqliteDatabase(copy)
        await restored.start()
        report = await verify(restored)
        assert report.faults == []
        assert 51 + before <= report.executions
        (row,) = await StoredLedger(restored, ManualClock()).append(ORG, [fill(3)])
        assert row.outcome is Outcome.DUPLICATE
        await restored.stop()
    done.set()
    await writer
    assert seen[-1][0] == seen[-1][1] > 0
    assert (await verify(database)).faults == []


async def test_a_backup_onto_a_full_disk_fails_and_leaves_no_copy(
    disk: FaultyDisk, ledger: StoredLedger, database: SqliteDatabase, tmp_path: Path
) -> None:
    before = sorted(os.listdir(tmp_path))
    disk.fill(files=".partial")
    copy = tmp_path / "copy.sqlite3"
    with pytest.raises(StorageFull):
        await database.backup(copy, lambda *_: None)
    assert sorted(os.listdir(tmp_path)) == before
    await works_again(ledger, database)


async def test_another_process_that_writes_makes_a_write_wait_and_never_hang(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesta.storage.sqlite.BUSY_MS", 200)
    second = SqliteDatabase(database.path)
    await second.start()
    ledger = StoredLedger(second, ManualClock())
    other = apsw.Connection(str(database.path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await ledger.append(ORG, [fill(number) for number in range(50)])
    assert await ledger.count(ALL) == 0
    other.execute("ROLLBACK")
    other.close()
    await ledger.append(ORG, [fill(number) for number in range(50)])
    await ledger.append(ORG, [executor(1)])
    await works_again(ledger, second)
    await second.stop()

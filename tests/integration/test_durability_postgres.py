"""PostgreSQL under trouble: stopped, crashed, silent, full. Refused in seconds, healed by itself, nothing lost."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from gesta.kernel.errors import ServerError, StorageFull, Unavailable
from gesta.ledger.query import Filter
from gesta.ledger.records import NewEvent, Outcome, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.postgres import PostgresDatabase
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.testing.rows import executor, fill
from tests.integration.postgres_control import PostgresControl, running_postgres

ORG = 1
ALL = Filter(organization=ORG)
# The outage of the acceptance text is ten seconds; GESTA_TEST_OUTAGE_S=10 runs it so.
OUTAGE_S = float(os.environ.get("GESTA_TEST_OUTAGE_S", "3"))
STOP = Transition(status=Status.STOPPING, event=NewEvent(type="executor.stopping"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresControl]:
    with running_postgres() as control:
        yield control


@pytest.fixture
def url(postgres: PostgresControl) -> str:
    return postgres.create(f"test_{uuid.uuid4().hex}")


@pytest.fixture
async def database(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresDatabase]:
    monkeypatch.setattr("gesta.storage.postgres.CONNECT_S", 1)
    opened = PostgresDatabase(url, read_patience_s=1, write_patience_s=1)
    await opened.start()
    await migrate(opened, [MIGRATIONS])
    yield opened
    await opened.stop()


@pytest.fixture
async def ledger(database: PostgresDatabase) -> StoredLedger:
    ledger = StoredLedger(database, ManualClock())
    await ledger.append(ORG, [fill(number) for number in range(50)])
    await ledger.append(ORG, [executor(1)])
    return ledger


async def refused_within(limit_s: float, *calls: object) -> None:
    """Every call is refused as Unavailable, with a time to retry after, and none takes longer."""
    began_s = time.monotonic()
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), limit_s + 20)  # type: ignore[call-overload]
    assert [type(result) for result in results] == [Unavailable] * len(results)
    assert all(0 < result.retry_after_s <= 30 for result in results)
    assert time.monotonic() - began_s < limit_s


async def every_verb_is_refused(ledger: StoredLedger, limit_s: float) -> None:
    await refused_within(
        limit_s,
        ledger.append(ORG, [fill(500)]),
        ledger.append(2, [fill(500, account=2)]),
        ledger.transition(ORG, "executor1", STOP),
        ledger.note(ORG, "executor1", [NewEvent(type="executor.log")]),
        ledger.get(ORG, fill(1).id),
        ledger.page(ALL, offset=0, limit=20),
        ledger.feed(ORG, after_seq=0, limit=10),
        ledger.events(ORG, "executor1"),
        ledger.head(ORG),
        ledger.wait(ORG, after_seq=1_000_000, timeout_s=1),
    )


async def until_it_works(ledger: StoredLedger, number: int, limit_s: float = 15) -> None:
    """A client that retries as it is told."""
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            await ledger.append(ORG, [fill(number)])
            return
        except Unavailable:
            assert time.monotonic() < deadline_s, "it does not recover by itself"
            await asyncio.sleep(0.1)


async def test_a_stopped_server_is_refused_at_once_and_heals(
    postgres: PostgresControl, ledger: StoredLedger, database: PostgresDatabase
) -> None:
    with postgres.stopped():
        ends_s = time.monotonic() + OUTAGE_S
        rounds = 0
        while time.monotonic() < ends_s:
            await every_verb_is_refused(ledger, 2)
            rounds += 1
            await asyncio.sleep(0.1)
        assert rounds > 3
    await until_it_works(ledger, 500)
    assert (await ledger.page(ALL, offset=0, limit=1)).total == 52
    assert (await ledger.transition(ORG, "executor1", STOP)).version == 2
    assert (await verify(database)).faults == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_nothing_acknowledged_is_lost_when_the_server_goes_away_during_ingest(
    postgres: PostgresControl, ledger: StoredLedger, database: PostgresDatabase, mode: str
) -> None:
    acknowledged: dict[int, int] = {}
    done = asyncio.Event()
    recovered = asyncio.Event()
    failures = 0

    async def ingest(account: int) -> None:
        nonlocal failures
        number = account * 1_000_000
        while not done.is_set():
            rows = [fill(number + place, account=account) for place in range(20)]
            try:
                results = await ledger.append(ORG, rows)
            except Unavailable:
                # Sent again as they are: whether the lost commit took effect, only the ledger knows.
                failures += 1
                await asyncio.sleep(0.05)
                continue
            outcomes = {result.outcome for result in results}
            assert outcomes in ({Outcome.RECORDED}, {Outcome.DUPLICATE}), "a batch is whole or not there"
            acknowledged.update((number + place, result.seq) for place, result in enumerate(results))
            number += 20
            if failures:
                recovered.set()

    workers = [asyncio.create_task(ingest(account)) for account in range(1, 5)]
    for _ in range(3):
        await asyncio.sleep(0.3)
        recovered.clear()
        with postgres.stopped(mode):
            await asyncio.sleep(0.2)
        await asyncio.wait_for(recovered.wait(), 15)
    done.set()
    await asyncio.gather(*workers)
    assert failures > 0
    assert len(acknowledged) > 100
    assert len(set(acknowledged.values())) == len(acknowledged)
    for number, seq in acknowledged.items():
        row = await ledger.get(ORG, fill(number).id)
        assert row is not None
        assert row.seq == seq
    report = await verify(database)
    assert report.faults == []
    assert report.executions == 51 + len(acknowledged)
    assert await ledger.count(ALL) == 51 + len(acknowledged)


async def test_a_silent_server_is_given_up_in_seconds_and_heals(
    postgres: PostgresControl, ledger: StoredLedger, database: PostgresDatabase
) -> None:
    """Paused, or cut off by the network: nothing is refused, nothing is answered."""
    await asyncio.gather(*(ledger.head(ORG) for _ in range(8)))
    with postgres.paused():
        await every_verb_is_refused(ledger, 10)
        # Nobody waits for a turn of the same silence.
        await refused_within(10, *(ledger.append(2 + number, [fill(1, account=2 + number)]) for number in range(300)))
    await until_it_works(ledger, 501)
    assert (await verify(database)).faults == []


async def test_the_server_is_down_at_the_start_and_at_the_stop(postgres: PostgresControl, url: str) -> None:
    database = PostgresDatabase(url)
    with postgres.stopped(), pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        await database.start()
    await database.start()
    with postgres.stopped():
        await asyncio.wait_for(database.stop(), 10)
    await database.start()
    await database.stop()


async def test_an_outage_leaves_no_connection_behind(
    postgres: PostgresControl, ledger: StoredLedger, database: PostgresDatabase
) -> None:
    def connections() -> Program[int]:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        rows = yield Fetch(Statement("connections", "", sql))
        return int(rows[0][0])

    for _ in range(3):
        with postgres.paused():
            await every_verb_is_refused(ledger, 10)
        await until_it_works(ledger, 502)
    await asyncio.gather(*(ledger.page(ALL, offset=0, limit=5) for _ in range(50)))
    # The readers, one writer, one listener.
    assert await database.read(connections) <= 11


async def test_stop_finishes_every_accepted_write(url: str) -> None:
    database = PostgresDatabase(url)
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
    ledger: StoredLedger, database: PostgresDatabase
) -> None:
    write = asyncio.create_task(ledger.append(ORG, [fill(number) for number in range(100, 200)]))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    results = await ledger.append(ORG, [fill(number) for number in range(100, 200)])
    assert {result.outcome for result in results} == {Outcome.DUPLICATE}
    assert (await verify(database)).faults == []


DISK_FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END$$
"""
FULL = "CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON {} {} FOR EACH ROW EXECUTE FUNCTION no_room()"


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"])
async def test_a_full_disk_refuses_writes_and_serves_reads(
    ledger: StoredLedger, database: PostgresDatabase, when: str
) -> None:
    """Refused by a statement, and by the commit itself."""

    def execute(sql: str) -> Program[None]:
        yield Fetch(Statement("fault", "", sql))

    await database.write(lambda: execute(DISK_FULL))
    await database.write(lambda: execute(FULL.format("executions", when)))
    for _ in range(2):
        results = await asyncio.gather(
            *(ledger.append(number, [fill(1, account=number)]) for number in range(2, 6)), return_exceptions=True
        )
        assert [type(result) for result in results] == [StorageFull] * 4
        assert (await ledger.page(ALL, offset=0, limit=5)).total == 51
        assert await ledger.count(Filter(organization=2)) == 0
    await database.write(lambda: execute("DROP TRIGGER full_disk ON executions"))
    results = await asyncio.gather(*(ledger.append(number, [fill(1, account=number)]) for number in range(2, 6)))
    assert {result.outcome for (result,) in results} == {Outcome.RECORDED}
    assert (await verify(database)).faults == []


def refused_statement() -> Program[None]:
    """Its first statement works, its second is refused by PostgreSQL for its value."""
    yield Fetch(Statement("works", "", "UPDATE streams SET seq = seq + 1000"))
    yield Fetch(Statement("refused", "", "SELECT 1 / $1::bigint"), (0,))


async def test_a_refused_statement_fails_its_own_program_only(ledger: StoredLedger, database: Database) -> None:
    results = await asyncio.gather(
        *(ledger.append(number, [fill(1, account=number)]) for number in range(2, 6)),
        database.write(refused_statement),
        *(ledger.append(number, [fill(1, account=number)]) for number in range(6, 9)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [list] * 4 + [ServerError] + [list] * 3
    with pytest.raises(ServerError, match=r"^The database refused a statement; the log says why\.$"):
        await database.write(refused_statement)
    assert (await verify(database)).faults == []

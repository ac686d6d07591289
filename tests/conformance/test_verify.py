"""The recount: silent over a sound ledger, also while it is written to, and it names whatever was tampered with."""

from __future__ import annotations

import asyncio

import pytest

from gesta.ledger.records import NewEvent, Status, Transition
from gesta.ledger.store import StoredLedger
from gesta.ledger.tree import BLOCK
from gesta.ledger.verify import MOST_FAULTS, Report, verify
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.rows import executor, fill, run

ORG, OTHER = 1, 2
ROWS = 2 * BLOCK + 100


def execute(sql: str) -> Program[int]:
    """Run a statement that says what it touched."""
    rows = yield Fetch(Statement("tamper", sql, sql))
    return len(rows)


async def tamper(database: Database, sql: str) -> None:
    touched = await database.write(lambda: execute(f"{sql} RETURNING 1"))
    assert touched, "the test's own statement found nothing to damage"


@pytest.fixture
async def filled(ledger: StoredLedger) -> StoredLedger:
    """Two organizations, several blocks, transitions and notes, rows that arrived late."""
    for start in range(0, ROWS, 200):
        await ledger.append(ORG, [fill(number) for number in range(start, min(start + 200, ROWS))])
    await ledger.append(ORG, [executor(number, created_at_us=fill(3).created_at_us) for number in range(20)])
    await ledger.append(OTHER, [run(number, account=7, parent_id="p" if number else None) for number in range(2)])
    await ledger.append(OTHER, [run(number, account=7) for number in range(2, 10)])
    for number in range(5):
        stop = Transition(status=Status.STOPPING, event=NewEvent(type="executor.stopping"))
        await ledger.transition(ORG, f"executor{number}", stop)
    await ledger.note(ORG, "executor7", [NewEvent(type="executor.log", message=str(n)) for n in range(3)])
    return ledger


async def faults(database: Database) -> str:
    return "\n".join((await verify(database)).faults)


async def test_a_sound_ledger_has_no_fault(filled: StoredLedger, database: Database) -> None:
    seen: list[int] = []
    report = await verify(database, seen.append)
    assert report.faults == []
    assert (report.organizations, report.executions, report.events) == (2, ROWS + 30, ROWS + 30 + 5 + 3)
    assert report.counters > 0
    assert report.days > 0
    assert report.references == ROWS + 20 + 10 + 1
    assert seen[-1] == report.executions


async def test_an_empty_ledger_has_no_fault(ledger: StoredLedger, database: Database) -> None:
    assert await verify(database) == Report(faults=[])


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "UPDATE tallies SET n = n + 1 WHERE scope = -1 AND level = 0 AND cell = -1 AND lo_at < 0",
            "scope -1, level 0",
        ),
        ("UPDATE tallies SET n = n - 1 WHERE scope = 1 AND level = 99 AND cell = -1", "scope 1, level 99"),
        ("DELETE FROM tallies WHERE scope = -1 AND level = 0 AND cell >= 0 AND lo_at > 0", "scope -1, level 0"),
        ("DELETE FROM tallies WHERE scope = 7 AND level = 0", "scope 7: the root names"),
        ("UPDATE days SET fees = '0.01' WHERE organization = 1", "organization 1, day"),
        ("UPDATE days SET n = n + 1 WHERE organization = 2", "organization 2, day"),
        ("DELETE FROM days WHERE organization = 2", "organization 2, day"),
        ("DELETE FROM events WHERE type = 'executor.log'", "organization 1: the feed stands at"),
        ("DELETE FROM executions WHERE id = 'executor9'", "organization 1: the feed stands at"),
        ("DELETE FROM executions WHERE id = 'executor2'", "organization 1: 1 events belong to no execution"),
        ("UPDATE streams SET seq = seq + 1 WHERE organization = 2", "organization 2: the feed stands at 11"),
        ("UPDATE executions SET cell = cell + 1 WHERE id = 'executor9'", "scope -1, level"),
        ("UPDATE executions SET account = 9 WHERE id = 'executor9'", "scope 1, level 0"),
        ("UPDATE executions SET created_at = created_at + 86400000000 WHERE id = 'executor9'", "organization 1, day"),
        ("UPDATE executions SET cell = 600 WHERE id = 'executor9'", "execution executor9 cannot be read: IndexError"),
        ("UPDATE executions SET body = content WHERE id = 'executor9'", "execution executor9 cannot be read: "),
        ("DELETE FROM refs WHERE value = 'order7'", "organization 1: the "),
        ("UPDATE refs SET value = 'order8' WHERE value = 'order7' AND rid % 3 = 0", "references stored are not the"),
        ("UPDATE executions SET parent_id = 'p' WHERE id = 'executor9'", "that the rows name"),
        ("INSERT INTO scopes (scope, path) VALUES (77, '[]')", "scope 77 has counters but no rows"),
    ],
)
async def test_damage_is_named(filled: StoredLedger, database: Database, sql: str, named: str) -> None:
    await tamper(database, sql)
    assert named in await faults(database)


async def test_every_damaged_organization_is_named_alone(filled: StoredLedger, database: Database) -> None:
    await tamper(database, "DELETE FROM days WHERE organization = 2")
    assert "organization 1" not in await faults(database)


async def test_the_faults_told_are_bounded(filled: StoredLedger, database: Database) -> None:
    await tamper(database, "UPDATE executions SET cell = 600 WHERE organization = 1")
    assert len((await verify(database)).faults) == MOST_FAULTS


async def test_a_recount_during_writes_sees_one_moment(filled: StoredLedger, database: Database) -> None:
    done = asyncio.Event()
    grown = asyncio.Event()
    written = 0

    async def write(account: int) -> None:
        nonlocal written
        number = 100_000 * account
        while not done.is_set():
            # Every third batch is older than what is there.
            shift = -50_000_000 if number % 3 == 0 else 0
            rows = [
                executor(number + place, account=account, created_at_us=fill(number % 999).created_at_us + shift)
                for place in range(7)
            ]
            await ledger.append(ORG, rows)
            await ledger.transition(
                ORG, rows[0].id, Transition(status=Status.SUCCEEDED, event=NewEvent(type="executor.succeeded"))
            )
            number += 7
            written += 7
            grown.set()

    ledger = filled
    writers = [asyncio.create_task(write(account)) for account in (1, 2, 3)]
    reports = []
    while len(reports) < 6:
        grown.clear()
        reports.append(await verify(database))
        await grown.wait()
    done.set()
    await asyncio.gather(*writers)
    reports.append(await verify(database))
    assert [report.faults for report in reports] == [[]] * 7
    assert reports[-1].executions == ROWS + 30 + written
    counts = [report.executions for report in reports]
    # A recount may begin before the commit of what woke it, so two may count the same; none counts less.
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]

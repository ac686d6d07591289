"""Lists of runs by workflow, application, part of the name and anything else equal the plain way over all rows, on each
database: at any depth, after any changes, and after the migration that brought their groups."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gesta.kernel.errors import Conflict
from gesta.ledger import merged, run_groups
from gesta.ledger.query import Cursor, Filter
from gesta.ledger.records import Kind, Mode, Named, NewEvent, NewExecution, RunDetail, Source, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.rows import executor, fill, run

ORG = 1
BASE_US = 1_700_000_000_000_000
SPAN_US = 5000
WORKFLOWS = ("wf0", "wf1", "wf2", "wf3", "")
APPLICATIONS = ("slack", "jira", None)
NAMES = ("Sync Orders", "Refund ÄÖ", "Sync 100% of a_b")
BORN = (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED)
ENDS = (Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT)


def row_of(dice: Random, number: int, **changes: Any) -> NewExecution:
    workflow, application = dice.choice(WORKFLOWS), dice.choice(APPLICATIONS)
    correlation = {"workflow_id": workflow, "application": application, "external_ref": f"ref{number % 50}"}
    words: dict[str, Any] = {
        "name": f"Execution for workflow {workflow}",
        "detail": RunDetail(workflow=Named(id=workflow, name=dice.choice(NAMES))),
        "correlation": {key: value for key, value in correlation.items() if value},
        "account": dice.choice((1, 2)),
        "source": dice.choice((Source.API, Source.EVENT, Source.IMPORT)),
        "mode": dice.choice((Mode.SYNC, Mode.ASYNC)),
        # Many at one moment, and many late.
        "created_at_us": BASE_US + dice.randrange(SPAN_US),
    }
    return run(number, dice.choice(BORN), **(words | changes))


def some(dice: Random, words: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(dice.sample(words, dice.choice((0, 0, 0, 1, 2))))


def filter_of(dice: Random) -> Filter:
    correlation: dict[str, str] = {}
    if dice.random() < 0.5:
        correlation["workflow_id"] = dice.choice(("wf0", "wf1", "wf9"))
    if dice.random() < 0.5:
        correlation["application"] = dice.choice(("slack", "jira", "nobody"))
    if dice.random() < 0.1:
        correlation["external_ref"] = "ref7"
    ends = sorted(dice.randrange(-100, SPAN_US + 100) for _ in range(2))
    dated = dice.random() < 0.4
    return Filter(
        organization=ORG,
        account=dice.choice((None, 1, 2, 9)),
        kinds=dice.choice((frozenset({Kind.RUN}), frozenset({Kind.RUN}), frozenset())),
        statuses=some(dice, (Status.QUEUED, Status.STOPPING, *ENDS)),
        sources=some(dice, (Source.API, Source.EVENT, Source.VENUE)),
        modes=some(dice, (Mode.SYNC, Mode.ASYNC)),
        created_from_us=BASE_US + ends[0] if dated else None,
        created_to_us=BASE_US + ends[1] if dated else None,
        correlation=correlation,
        applications=dice.choice((frozenset(), frozenset(), frozenset({"slack", "jira"}), frozenset({"jira", "x"}))),
        name_contains=dice.choice((None, None, "sync", "refund äö", "100% of a_b", "_", "workflow wf", "nothing")),
    )


async def same(store: StoredLedger, model: MemoryLedger, query: Filter, dice: Random) -> None:
    total = await store.count(query)
    assert total == await model.count(query), query
    newest = dice.random() < 0.5
    for offset in {0, 1, total // 3, total // 2, max(0, total - 7), total, total + 5}:
        for limit in (0, 1, 7, 30):
            asked: dict[str, Any] = {"offset": offset, "limit": limit, "newest_first": newest}
            with_total = await store.page(query, **asked, total=True)
            assert with_total == await model.page(query, **asked, total=True), (query, asked)
            without = await store.page(query, **asked, total=False)
            assert (without.rows, without.has_more) == (with_total.rows, with_total.has_more), (query, asked)
    after: Cursor | None = None
    for _ in range(3):
        part = await store.seek(query, after=after, limit=40, newest_first=newest)
        assert part == await model.seek(query, after=after, limit=40, newest_first=newest)
        after = part.next
        if after is None:
            break


async def grown(store: StoredLedger, model: MemoryLedger, dice: Random, rounds: int, each: int) -> None:
    ids: list[str] = []
    for round_ in range(rounds):
        rows = [row_of(dice, 10_000 * round_ + number) for number in range(dice.choice((1, each, each)))]
        rows += [executor(round_), fill(round_)]
        assert await store.append(ORG, rows) == await model.append(ORG, rows)
        ids += [row.id for row in rows[:-2]]
        for _ in range(dice.randrange(25)):
            change = Transition(event=NewEvent(type="changed"), status=dice.choice(ENDS))
            id_ = dice.choice(ids)
            try:
                expected = await model.transition(ORG, id_, change)
            except Conflict:
                with pytest.raises(Conflict):
                    await store.transition(ORG, id_, change)
            else:
                assert await store.transition(ORG, id_, change) == expected


@pytest.mark.parametrize("seed", range(3))
async def test_lists_equal_the_plain_way(
    ledger: StoredLedger, database: Database, clock: ManualClock, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, model = Random(seed), MemoryLedger(clock)
    # As they are; always by the trees; always from the rows.
    if seed == 1:
        monkeypatch.setattr(merged, "NEAR", -1)
    if seed == 2:
        monkeypatch.setattr(run_groups, "MOST_MERGED", 0)
    await grown(ledger, model, dice, 8, 300)
    assert (await verify(database)).faults == []
    for _ in range(40):
        await same(ledger, model, filter_of(dice), dice)


async def test_trees_of_several_levels_are_merged(
    ledger: StoredLedger, database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small blocks make trees high, in which a window is narrowed level by level."""
    monkeypatch.setattr("gesta.ledger.tree.BLOCK", 2)
    monkeypatch.setattr("gesta.ledger.tree.FANOUT", 2)
    monkeypatch.setattr(merged, "NEAR", 3)
    dice, model = Random(5), MemoryLedger(clock)
    await grown(ledger, model, dice, 4, 120)
    assert (await verify(database)).faults == []
    for _ in range(30):
        await same(ledger, model, filter_of(dice), dice)


async def test_a_workflow_of_very_many_names_has_one_group_for_the_rest(
    ledger: StoredLedger, database: Database, clock: ManualClock
) -> None:
    dice, model = Random(1), MemoryLedger(clock)
    rows = [
        row_of(dice, number, name=f"run {number}", account=1, correlation={"workflow_id": "wf0"})
        for number in range(90)
    ]
    for start in (0, 30, 60):
        batch = rows[start : start + 30]
        assert await ledger.append(ORG, batch) == await model.append(ORG, batch)
    found = await database.read(lambda: fetched("SELECT count(*) FROM run_groups"))
    assert found == [(run_groups.MOST_NAMES + 1,)]
    assert (await verify(database)).faults == []
    for name in (None, "run 1", "run 88", "sync", "no"):
        for statuses in (frozenset[Status](), frozenset({Status.FAILED})):
            for correlation in ({}, {"workflow_id": "wf0"}):
                query = Filter(
                    organization=ORG,
                    kinds=frozenset({Kind.RUN}),
                    statuses=statuses,
                    correlation=correlation,
                    name_contains=name,
                )
                await same(ledger, model, query, dice)


async def test_organizations_do_not_see_each_others_groups(ledger: StoredLedger) -> None:
    await ledger.append(1, [run(1, account=1)])
    await ledger.append(2, [run(1, account=2), run(8, account=2)])
    query = Filter(organization=1, kinds=frozenset({Kind.RUN}), correlation={"workflow_id": "wf1"})
    page = await ledger.page(query, offset=0, limit=5)
    assert (page.total, [row.organization for row in page.rows]) == (1, [1])


def fetched(sql: str) -> Program[list[tuple[Any, ...]]]:
    rows = yield Fetch(Statement("test", sql, sql))
    return [tuple(row) for row in rows]


def execute(*statements: str) -> Program[None]:
    for sql in statements:
        yield Fetch(Statement("test", sql, sql))


async def test_the_migration_puts_what_is_there_into_groups(
    ledger: StoredLedger, database: Database, clock: ManualClock
) -> None:
    dice, model = Random(11), MemoryLedger(clock)
    await grown(ledger, model, dice, 4, 200)
    # One group with a tree of two levels, one of very many names.
    fixed: dict[str, Any] = {"correlation": {"workflow_id": "wf5"}, "account": 1, "detail": RunDetail()}
    rows = [row_of(dice, 100_000 + number, **fixed, name="same") for number in range(17_000)]
    rows += [row_of(dice, 200_000 + number, **fixed, name=f"named {number}") for number in range(20)]
    assert await ledger.append(ORG, rows) == await model.append(ORG, rows)
    undo = (
        "DROP INDEX executions_by_run_group",
        "ALTER TABLE executions DROP COLUMN run_group",
        "DROP TABLE run_groups",
        f"DELETE FROM tallies WHERE scope >= {1 << 32}",
        f"DELETE FROM scopes WHERE scope >= {1 << 32}",
        "DELETE FROM schema_migrations WHERE component = 'ledger' AND number >= 4",
    )
    await database.write(lambda: execute(*undo))
    assert [each.number for each in await migrate(database, [MIGRATIONS])] == [4]
    assert (await verify(database)).faults == []
    # What comes after it goes on from there.
    rows = [row_of(dice, 300_000 + number, **fixed, name="same") for number in range(300)]
    rows += [row_of(dice, 400_000, **fixed, name="newly named"), row_of(dice, 400_001, account=3)]
    assert await ledger.append(ORG, rows) == await model.append(ORG, rows)
    assert (await verify(database)).faults == []
    query = Filter(organization=ORG, kinds=frozenset({Kind.RUN}), correlation={"workflow_id": "wf5"})
    assert await ledger.count(query) == 17_321


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE run_groups SET workflow_id = 'other'", "name run group"),
        ("UPDATE run_groups SET search = 'other'", "name run group"),
        ("DELETE FROM run_groups", "name run group"),
        ("UPDATE executions SET run_group = NULL WHERE run_group IS NOT NULL", "name run group None"),
        ("UPDATE executions SET run_group = (SELECT max(id) FROM run_groups)", "name run group"),
        (f"UPDATE tallies SET n = n + 1 WHERE scope >= {1 << 32} AND level = 0", "level 0"),
    ],
)
async def test_damage_is_named(ledger: StoredLedger, database: Database, sql: str, named: str) -> None:
    await ledger.append(ORG, [fill(1), executor(1), run(1), run(2), run(8)])
    assert (await verify(database)).faults == []
    await database.write(lambda: execute(sql))
    assert named in "\n".join((await verify(database)).faults)

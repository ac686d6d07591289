"""What executors are searched and summed up by equals the plain way over all rows, on each database: after any
changes, after a restart, and after the migration that brought it."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from gesta.kernel.errors import Conflict, InvalidInput
from gesta.ledger import groups
from gesta.ledger.query import Cursor, ExecutorFilter
from gesta.ledger.records import ExecutorDetail, NewEvent, NewExecution, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.rows import executor, fill

ORG = 1
BASE_US = 1_700_000_000_000_000
TYPES = ("grid_executor", "order_executor", None)
CONNECTORS = ("binance", "kucoin", "")
PAIRS = ("BTC-USDT", "ETH-USDT", "ÄÖ-\u20ac")
CONTROLLERS = ("main", "x", None)
CLOSE_TYPES = ("TAKE_PROFIT", "POSITION_HOLD", None)
FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT)
# A sum of doubles, or of 28 digits, would lose the small ones.
AMOUNTS = ("0", "0.1", "-0.2", "1e20", "-1e20", "0.000000000000000000000000000001")


def detail_of(dice: Random) -> ExecutorDetail:
    return ExecutorDetail(
        executor_type=dice.choice(TYPES),
        connector=dice.choice(CONNECTORS),
        trading_pair=dice.choice(PAIRS),
        net_pnl_quote=Decimal(dice.choice(AMOUNTS)),
        net_pnl_pct=Decimal(dice.choice(AMOUNTS)),
        fees_quote=Decimal(dice.choice(AMOUNTS)),
        filled_quote=Decimal(dice.choice(AMOUNTS)),
        close_type=dice.choice(CLOSE_TYPES),
    )


def row_of(dice: Random, number: int) -> NewExecution:
    controller = dice.choice(CONTROLLERS)
    return executor(
        number,
        dice.choice((Status.RUNNING, Status.STOPPING, *FINISHED)),
        detail=detail_of(dice),
        account=dice.choice((1, 2)),
        created_at_us=BASE_US + dice.randrange(40),
        correlation={} if controller is None else {"controller_id": controller},
    )


def change_of(dice: Random, before: ExecutorDetail) -> Transition:
    """Another status, another detail (late fills, another end), or both."""
    detail = dice.choice((None, detail_of(dice), msgspec.structs.replace(before, filled_quote=Decimal("7.5"))))
    status = dice.choice((None, Status.STOPPING, *FINISHED))
    return Transition(event=NewEvent(type="changed"), status=status, detail=detail)


def some(dice: Random, words: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(dice.sample([word or "" for word in words], dice.choice((0, 0, 1, 2))))


def filter_of(dice: Random) -> ExecutorFilter:
    return ExecutorFilter(
        organization=ORG,
        accounts=some(dice, (1, 2)),
        statuses=some(dice, (Status.RUNNING, Status.STOPPING, *FINISHED)),
        executor_types=some(dice, TYPES),
        connectors=some(dice, CONNECTORS),
        trading_pairs=some(dice, PAIRS),
        controllers=some(dice, CONTROLLERS),
    )


async def same(store: StoredLedger, model: MemoryLedger, query: ExecutorFilter, limit: int) -> None:
    assert await store.executor_sums(query) == await model.executor_sums(query)
    after: Cursor | None = None
    while True:
        page = await store.executors(query, after=after, limit=limit)
        assert page == await model.executors(query, after=after, limit=limit)
        after = page.next
        if after is None:
            return


async def grown(store: StoredLedger, model: MemoryLedger, dice: Random, rounds: int) -> None:
    ids: list[str] = []
    for round_ in range(rounds):
        rows = [row_of(dice, 1000 * round_ + number) for number in range(dice.choice((1, 3, 20)))]
        rows += [fill(10_000 * round_ + number, account=1) for number in range(2)]
        assert await store.append(ORG, rows) == await model.append(ORG, rows)
        ids += [row.id for row in rows[:-2]]
        for _ in range(dice.randrange(12)):
            id_ = dice.choice(ids)
            before = await model.get(ORG, id_)
            assert before is not None
            assert isinstance(before.detail, ExecutorDetail)
            change = change_of(dice, before.detail)
            try:
                expected = await model.transition(ORG, id_, change)
            except Conflict:
                with pytest.raises(Conflict):
                    await store.transition(ORG, id_, change)
            else:
                assert await store.transition(ORG, id_, change) == expected


@pytest.mark.parametrize("seed", range(3))
async def test_searches_and_sums_equal_the_plain_way(
    ledger: StoredLedger, database: Database, clock: ManualClock, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, model = Random(seed), MemoryLedger(clock)
    # As they are; always merged; walked wherever that can be.
    if seed:
        monkeypatch.setattr(groups, "MOST_INLINE", 5)
        monkeypatch.setattr(groups, "COST_OF_GROUP", (0, 10_000)[seed - 1])
    await grown(ledger, model, dice, 12)
    for _ in range(25):
        await same(ledger, model, filter_of(dice), dice.choice((1, 2, 7, 50)))
    await same(ledger, model, ExecutorFilter(organization=ORG), 9)
    await same(ledger, model, ExecutorFilter(organization=2), 9)
    # Another process over the same database, then more changes.
    again = StoredLedger(database, clock)
    await same(again, model, ExecutorFilter(organization=ORG), 1000)
    assert (await verify(database)).faults == []


async def test_a_group_that_is_newer_than_all_others_fills_the_page(
    ledger: StoredLedger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The even share of a group is less than the page holds of it."""
    model = MemoryLedger(clock)
    for start, pair in ((0, "A-B"), (30, "C-D"), (60, "E-F"), (90, "G-H"), (120, "I-J")):
        rows = [
            executor(number, detail=ExecutorDetail(trading_pair=pair, connector="c"))
            for number in range(start, start + 30)
        ]
        assert await ledger.append(ORG, rows) == await model.append(ORG, rows)
    for cost in (0, 16, 10_000):
        monkeypatch.setattr(groups, "COST_OF_GROUP", cost)
        for limit in (1, 5, 29, 30, 31, 70, 150):
            for pairs in (frozenset({"A-B"}), frozenset({"A-B", "E-F"}), frozenset[str]()):
                query = ExecutorFilter(organization=ORG, connectors=frozenset({"c"}), trading_pairs=pairs)
                await same(ledger, model, query, limit)


async def test_organizations_do_not_see_each_others_groups(ledger: StoredLedger, clock: ManualClock) -> None:
    await ledger.append(1, [executor(1)])
    await ledger.append(2, [executor(1), executor(2)])
    page = await ledger.executors(ExecutorFilter(organization=1), after=None, limit=5)
    assert [(row.organization, row.id) for row in page.rows] == [(1, "executor1")]
    assert [each.count for each in await ledger.executor_sums(ExecutorFilter(organization=2))] == [2]


@pytest.mark.parametrize("word", ["nul\0", "x" * 513, "\ud800"])
async def test_words_that_no_column_can_hold_are_refused(ledger: StoredLedger, word: str) -> None:
    detail = ExecutorDetail(connector=word)
    with pytest.raises(InvalidInput):
        await ledger.append(ORG, [executor(1, detail=detail)])
    await ledger.append(ORG, [executor(1)])
    with pytest.raises(InvalidInput):
        await ledger.transition(ORG, "executor1", Transition(event=NewEvent(type="changed"), detail=detail))
    if "\0" in word:
        query = ExecutorFilter(organization=ORG, connectors=frozenset({word}))
        assert (await ledger.executors(query, after=None, limit=5)).total == 0
        assert await ledger.executor_sums(query) == []


def execute(*statements: str) -> Program[None]:
    for sql in statements:
        yield Fetch(Statement("test", sql, sql))


async def test_the_migration_puts_what_is_there_into_groups(
    ledger: StoredLedger, database: Database, clock: ManualClock
) -> None:
    dice, model = Random(11), MemoryLedger(clock)
    await grown(ledger, model, dice, 6)
    await ledger.append(2, [executor(1, account=3)])
    undo = (
        "DROP INDEX executions_of_executors",
        "DROP INDEX executions_by_group",
        "ALTER TABLE executions DROP COLUMN executor_group",
        "DROP TABLE executor_groups",
        "DELETE FROM schema_migrations WHERE component = 'ledger' AND number IN (2, 3)",
    )
    await database.write(lambda: execute(*undo))
    assert [each.number for each in await migrate(database, [MIGRATIONS])] == [2, 3]
    assert (await verify(database)).faults == []
    await same(ledger, model, ExecutorFilter(organization=ORG), 7)
    # What comes after it goes on from there.
    await ledger.append(ORG, [executor(100_000), executor(100_001, detail=ExecutorDetail(connector="new"))])
    await ledger.append(2, [executor(2, account=3, detail=ExecutorDetail(connector="new"))])
    assert (await verify(database)).faults == []


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE executor_groups SET n = n + 1", "executor group"),
        ("UPDATE executor_groups SET pnl = '0.01'", "executor group"),
        ("DELETE FROM executor_groups", "executor group"),
        ("UPDATE executions SET executor_group = executor_group + 1 WHERE id = 'executor1'", "rows name another group"),
        ("UPDATE executions SET executor_group = NULL WHERE id = 'executor1'", "rows name another group"),
        ("UPDATE executions SET executor_group = 1 WHERE executor_group IS NULL", "what is no executor names"),
    ],
)
async def test_damage_is_named(ledger: StoredLedger, database: Database, sql: str, named: str) -> None:
    await ledger.append(ORG, [fill(1), executor(1), executor(2), executor(3, Status.SUCCEEDED)])
    assert (await verify(database)).faults == []
    await database.write(lambda: execute(sql))
    assert named in "\n".join((await verify(database)).faults)

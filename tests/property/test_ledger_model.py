"""The stored ledger against a plain sort: random orders of arrival, random transitions, every page and every total."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.kernel.errors import Conflict
from gesta.ledger import tree, walk
from gesta.ledger.query import Cursor, Filter
from gesta.ledger.records import Kind, Mode, NewEvent, NewExecution, Source, Status, Transition
from gesta.ledger.store import MIGRATIONS, StoredLedger
from gesta.ledger.verify import verify
from gesta.storage.migrate import migrate
from gesta.storage.program import Fetch, Program, Statement
from gesta.storage.sqlite import SqliteDatabase
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.testing.rows import executor, fill, run

BASE_US = 1_700_000_000_000_000


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of several levels from a few dozen rows."""
    monkeypatch.setattr(tree, "BLOCK", 4)
    monkeypatch.setattr(tree, "FANOUT", 2)
    monkeypatch.setattr(walk, "NEAR", 3)
    monkeypatch.setattr(walk, "PROBE", 30)
    monkeypatch.setattr(walk, "RARE", 6)
    monkeypatch.setattr(walk, "MANY_COUNTERS", 2)


def a_row(number: int, second: int, kind: Kind, account: int) -> NewExecution:
    maker = {Kind.FILL: fill, Kind.EXECUTOR: executor, Kind.RUN: run}[kind]
    return maker(number, id=f"{kind}{number}", account=account, created_at_us=BASE_US + second * 1_000_000)


batches = st.lists(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(list(Kind)), st.sampled_from([1, 2])), min_size=1, max_size=30
    ),
    min_size=1,
    max_size=7,
)
moves = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(list(Status))), max_size=25)
filters = st.builds(
    Filter,
    organization=st.just(1),
    account=st.sampled_from([None, 1, 2]),
    kinds=st.frozensets(st.sampled_from(list(Kind)), max_size=2),
    statuses=st.frozensets(st.sampled_from([Status.RUNNING, Status.QUEUED, Status.SUCCEEDED]), max_size=2),
    sources=st.frozensets(st.sampled_from([Source.API, Source.EVENT]), max_size=1),
    modes=st.frozensets(st.sampled_from(list(Mode)), max_size=1),
    created_from_us=st.one_of(st.none(), st.integers(-2, 62).map(lambda second: BASE_US + second * 1_000_000)),
    created_to_us=st.one_of(st.none(), st.integers(-2, 62).map(lambda second: BASE_US + second * 1_000_000)),
    name_contains=st.sampled_from([None, None, None, "1", "REBALANCE 2"]),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, moves=moves, filters=st.lists(filters, min_size=1, max_size=8), page=st.integers(1, 9))
def test_the_store_equals_the_model(
    batches: list[list[tuple[int, Kind, int]]],
    moves: list[tuple[int, Status]],
    filters: list[Filter],
    page: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder) / "ledger.sqlite3", batches, moves, filters, page))


async def _compare(
    path: Path,
    batches: list[list[tuple[int, Kind, int]]],
    moves: list[tuple[int, Status]],
    filters: list[Filter],
    page: int,
) -> None:
    database = SqliteDatabase(path)
    await database.start()
    try:
        await migrate(database, [MIGRATIONS])
        clock = ManualClock()
        store, model = StoredLedger(database, clock), MemoryLedger(clock)
        recorded: list[str] = []
        for batch in batches:
            rows = [
                a_row(len(recorded) + place, second, kind, account)
                for place, (second, kind, account) in enumerate(batch)
            ]
            assert await store.append(1, rows) == await model.append(1, rows)
            recorded += [row.id for row in rows]
        for which, status in moves:
            id_ = recorded[which % len(recorded)]
            change = Transition(status=status, event=NewEvent(type="moved"))
            try:
                expected = await model.transition(1, id_, change)
            except Conflict:
                with pytest.raises(Conflict):
                    await store.transition(1, id_, change)
            else:
                assert await store.transition(1, id_, change) == expected
        for query in filters:
            await _same_pages(store, model, query, page)
        assert await store.feed(1, after_seq=0, limit=1000) == await model.feed(1, after_seq=0, limit=1000)
        by = frozenset({"day", "kind", "status", "account"})
        assert await store.summary(Filter(organization=1), by=by) == await model.summary(Filter(organization=1), by=by)
        report = await verify(database)
        assert report.faults == []
        assert report.executions == len(recorded)
    finally:
        await database.stop()


async def _same_pages(store: StoredLedger, model: MemoryLedger, query: Filter, page: int) -> None:
    total = await model.count(query)
    assert await store.count(query) == total
    for newest_first in (True, False):
        for offset in range(0, total + page + 1, page):
            assert await store.page(query, offset=offset, limit=page, newest_first=newest_first) == await model.page(
                query, offset=offset, limit=page, newest_first=newest_first
            )
        after: Cursor | None = None
        found: list[str] = []
        while True:
            piece = await store.seek(query, after=after, limit=page, newest_first=newest_first)
            found += [row.id for row in piece.rows]
            after = piece.next
            if after is None:
                break
        whole = await model.page(query, offset=0, limit=10_000, newest_first=newest_first)
        assert found == [row.id for row in whole.rows]


@pytest.mark.parametrize("seed", range(3))
async def test_a_deep_tree_under_late_rows_and_moves(tmp_path: Path, seed: int) -> None:
    """Long enough that nodes of every level are cut, in the middle and at the end."""
    random = Random(seed)
    database = SqliteDatabase(tmp_path / "ledger.sqlite3")
    await database.start()
    await migrate(database, [MIGRATIONS])
    clock = ManualClock()
    store, model = StoredLedger(database, clock), MemoryLedger(clock)
    number = 0
    for size in [random.choice([1, 2, 40, 150]) for _ in range(40)]:
        around = random.randrange(2000)
        rows = []
        for _ in range(size):
            number += 1
            second = random.choice([number, around + number % 9, random.randrange(2000)])
            rows.append(a_row(number, second, random.choice(list(Kind)), random.choice([1, 1, 2])))
        assert await store.append(1, rows) == await model.append(1, rows)
    for _ in range(300):
        id_ = f"run{random.randrange(number)}"
        if await model.get(1, id_) is not None:
            change = Transition(status=random.choice([Status.RUNNING, Status.FAILED]), event=NewEvent(type="moved"))
            try:
                await model.transition(1, id_, change)
            except Conflict:
                continue
            await store.transition(1, id_, change)
    for query in (
        Filter(organization=1),
        Filter(organization=1, account=2, kinds=frozenset({Kind.RUN})),
        Filter(organization=1, statuses=frozenset({Status.FAILED}), created_from_us=BASE_US + 5_000_000),
        Filter(organization=1, sources=frozenset({Source.EVENT}), modes=frozenset({Mode.SYNC})),
    ):
        await _same_pages(store, model, query, 17)
    report = await verify(database)
    assert report.faults == []
    levels = await database.read(_levels)
    assert levels >= 5
    await database.stop()


def _levels() -> Program[int]:
    rows = yield Fetch(Statement("levels", "SELECT count(DISTINCT level) FROM tallies WHERE scope = -1", ""))
    return int(rows[0][0])
